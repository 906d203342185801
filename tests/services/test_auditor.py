"""The auditor: events in order, durable on request, and never lost in silence."""

import asyncio
import json

import pytest

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Unavailable
from bastion.services.auditor import Auditor


class HandClock:
    """A clock that stands still."""

    def now(self):
        return 1234.5

    def monotonic(self):
        return 1.0


class FakeAudit:
    """A store that can be told to fail or to hold its answer."""

    def __init__(self):
        self.events = []
        self.batches = []
        self.error = None
        self.tried = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def append(self, events):
        self.tried.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.events += events
        self.batches.append(len(events))


def event(number, **fields):
    return AuditEvent("a", float(number), **fields)


UNWRITABLE = Unavailable("audit.unwritable", "The audit log cannot be written.", "disk full")


@pytest.fixture
def audit():
    return FakeAudit()


@pytest.fixture
def said():
    return []


@pytest.fixture
def auditor(audit, said):
    return Auditor(audit, HandClock(), retry_seconds=0.001, complain=said.append)


async def test_events_are_stored_in_the_order_of_their_recording(auditor, audit):
    async with auditor:
        for number in range(1200):
            auditor.record(event(number))
        assert auditor.waiting == 1200
        await auditor.flush()
        assert [kept.at for kept in audit.events] == list(range(1200))
        assert max(audit.batches) <= 500
        assert auditor.healthy


async def test_flush_returns_only_when_all_before_it_is_stored(auditor, audit):
    audit.gate.clear()
    async with auditor:
        auditor.record(event(1))
        flushing = asyncio.ensure_future(auditor.flush())
        await audit.tried.wait()
        auditor.record(event(2))
        both = asyncio.ensure_future(auditor.flush())
        await asyncio.sleep(0)
        assert not flushing.done()
        audit.gate.set()
        await flushing
        await both
        assert [kept.at for kept in audit.events] == [1, 2]
        await auditor.flush()


async def test_leaving_stores_what_was_recorded_last(auditor, audit):
    async with auditor:
        auditor.record(event(1))
    assert [kept.at for kept in audit.events] == [1]
    assert auditor.lost == 0


async def test_before_and_after_its_life_it_is_not_healthy(auditor, audit, said):
    assert not auditor.healthy
    with pytest.raises(Unavailable):
        await auditor.flush()
    async with auditor:
        assert auditor.healthy
    assert not auditor.healthy
    auditor.record(event(1))
    assert auditor.lost == 1
    assert json.loads(said[-1].removeprefix("lost audit event: "))["at"] == 1.0


async def test_a_store_that_fails_makes_it_unhealthy_and_flush_says_so(auditor, audit, said):
    audit.error = UNWRITABLE
    async with auditor:
        auditor.record(event(1))
        with pytest.raises(Unavailable) as caught:
            await auditor.flush()
        assert caught.value.code == "audit.unwritable"
        assert caught.value.detail == "disk full"
        assert not auditor.healthy
        assert auditor.waiting == 1, "the event is kept"
        assert said == ["the audit log cannot be written, new sessions are refused: disk full"]
        audit.error = None
        await auditor.flush()
        assert [kept.at for kept in audit.events] == [1]
        assert auditor.healthy
        assert said[-1] == "the audit log can be written again"


async def test_it_tries_again_by_itself(auditor, audit):
    audit.error = UNWRITABLE
    async with auditor:
        auditor.record(event(1))
        for _ in range(3):
            audit.tried.clear()
            await asyncio.wait_for(audit.tried.wait(), 10)
        audit.error = None
        audit.tried.clear()
        await asyncio.wait_for(audit.tried.wait(), 10)
        await auditor.flush()
        assert [kept.at for kept in audit.events] == [1]


async def test_any_exception_of_the_store_is_a_failure_and_no_crash(auditor, audit, said):
    audit.error = ZeroDivisionError("bug")
    async with auditor:
        auditor.record(event(1))
        with pytest.raises(Unavailable):
            await auditor.flush()
        audit.error = None
        await auditor.flush()
    assert [kept.at for kept in audit.events] == [1]
    assert "ZeroDivisionError" in said[0]


async def test_a_full_queue_loses_nothing_in_silence(audit, said):
    audit.error = UNWRITABLE
    auditor = Auditor(audit, HandClock(), capacity=3, retry_seconds=0.001, complain=said.append)
    async with auditor:
        for number in range(5):
            auditor.record(event(number))
        assert auditor.lost == 2
        assert not auditor.healthy
        lost = [json.loads(line.removeprefix("lost audit event: "))["at"] for line in said if line.startswith("lost")]
        assert lost == [3.0, 4.0]
        audit.error = None
        await auditor.flush()
        await auditor.flush()
    assert sorted(kept.at for kept in audit.events) == [0.0, 1.0, 2.0, 1234.5]
    told = next(kept for kept in audit.events if kept.code == "audit.lost")
    assert told.data == {"count": 2}
    assert told.result == "failed"


async def test_what_cannot_be_stored_at_the_end_goes_to_the_program_log(auditor, audit, said):
    audit.error = UNWRITABLE
    async with auditor:
        for number in range(3):
            auditor.record(event(number))
    assert auditor.lost == 3
    assert [json.loads(line.removeprefix("lost audit event: "))["at"] for line in said if line.startswith("lost")] == [0.0, 1.0, 2.0]


async def test_an_event_that_cannot_be_spelled_is_kept_without_its_data(auditor, audit, said):
    async with auditor:
        auditor.record(event(1, actor="alice", reason="x" * 100_000, data={"key": b"secret bytes"}))
        auditor.record(AuditEvent("b", float("nan")))
        await auditor.flush()
    first, second = audit.events
    assert first.actor == "alice"
    assert first.data == {"left_out": "data"}
    assert len(first.reason) == 2000
    assert second.at == 1234.5
    assert "left out" in said[0]
    assert not any("secret" in line for line in said)


async def test_by_default_it_complains_to_the_log(audit, caplog):
    audit.error = UNWRITABLE
    async with Auditor(audit, HandClock(), retry_seconds=0.001) as auditor:
        auditor.record(event(1))
        with pytest.raises(Unavailable):
            await auditor.flush()
    assert "lost audit event" in caplog.text


async def test_a_cancelled_flush_harms_nobody(auditor, audit):
    audit.gate.clear()
    async with auditor:
        auditor.record(event(1))
        flushing = asyncio.ensure_future(auditor.flush())
        await audit.tried.wait()
        flushing.cancel()
        audit.gate.set()
        await auditor.flush()
        assert [kept.at for kept in audit.events] == [1]
