"""What every implementation of AuditStore does."""

import asyncio

import pytest

from bastion.core.audit.chain import canonical, genesis, link
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Invalid


def event(number: int, **fields) -> AuditEvent:
    return AuditEvent(**{"code": "login.accepted", "at": float(number), "actor": f"user{number % 3}"} | fields)


async def test_entries_are_chained_from_the_nodes_genesis(store):
    first, second = await store.audit.append([event(1), event(2)])
    third = (await store.audit.append([event(3, data={"deep": {"list": [1, None, "ö"]}})]))[0]
    assert [entry.seq for entry in (first, second, third)] == [1, 2, 3]
    assert first.previous == genesis("main")
    assert (second.previous, third.previous) == (first.hash, second.hash)
    assert third.hash == link(second.hash, 3, canonical(third.event))
    assert [entry async for entry in store.audit.entries()] == [first, second, third]
    assert [entry async for entry in store.audit.entries(2)] == [third]
    assert await store.audit.verify() == (3, "")


async def test_nothing_appended_is_nothing(store):
    assert await store.audit.append([]) == []
    assert await store.audit.verify() == (0, "")
    assert [entry async for entry in store.audit.entries()] == []


async def test_twenty_writers_make_one_chain_without_gaps(store):
    async def write(writer):
        return [(await store.audit.append([event(n, actor=f"writer{writer}")]))[0] for n in range(15)]

    written = await asyncio.gather(*(write(n) for n in range(20)))
    assert sorted(entry.seq for entries in written for entry in entries) == list(range(1, 301))
    for entries in written:
        assert [entry.seq for entry in entries] == sorted(entry.seq for entry in entries)
    assert await store.audit.verify() == (300, "")


async def test_a_batch_stays_together_and_in_order(store):
    batches = await asyncio.gather(*(store.audit.append([event(n) for n in range(7)]) for _ in range(30)))
    for batch in batches:
        assert [entry.seq for entry in batch] == list(range(batch[0].seq, batch[0].seq + 7))
        assert [entry.event.at for entry in batch] == [float(n) for n in range(7)]


async def test_an_event_that_cannot_be_spelled_stops_its_batch_and_no_other(store):
    with pytest.raises(Invalid):
        await store.audit.append([event(1), event(2, data={"x": b"bytes"})])
    assert (await store.audit.append([event(3)]))[0].seq == 1


async def test_the_newest_matching_entries_come_oldest_first(store):
    await store.audit.append([event(n, code=f"kind.{n % 2}", session=f"s{n % 5}") for n in range(20)])
    newest = await store.audit.last(3)
    assert [entry.seq for entry in newest] == [18, 19, 20]
    assert newest[1].previous == newest[0].hash
    assert [entry.seq for entry in await store.audit.last(2, code="kind.1")] == [18, 20]
    assert [entry.seq for entry in await store.audit.last(99, code="kind.")] == list(range(1, 21))
    assert await store.audit.last(9, code="kin") == []
    assert [entry.seq for entry in await store.audit.last(2, actor="user0")] == [16, 19]
    assert [entry.seq for entry in await store.audit.last(9, session="s1", code="kind.0")] == [7, 17]
    assert await store.audit.last(0) == []
    assert await store.audit.last(5, actor="nobody") == []


async def test_many_entries_are_read_in_pages(store):
    await store.audit.append([event(n) for n in range(1300)])
    assert [entry.seq async for entry in store.audit.entries(100)] == list(range(101, 1301))


async def test_a_cancelled_append_is_still_written_whole(store):
    waiting = asyncio.ensure_future(store.audit.append([event(1), event(2)]))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await store.audit.append([event(3)]))[0].seq == 3
    assert await store.audit.verify() == (3, "")
