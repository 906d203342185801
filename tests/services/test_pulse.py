"""The pulse notices a loop that stands still, tells whose fault it was, and does not flood the audit log."""

from __future__ import annotations

import asyncio
import time

import pytest

from bastion.backends.metrics.process import thread_usage
from bastion.core.audit.event import AuditEvent
from bastion.services.pulse import Pulse, Usage


class Clock:
    """The machine's clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


def stand_still(seconds: float) -> None:
    """What no callback may do."""
    time.sleep(seconds)


@pytest.fixture
def told() -> list[AuditEvent]:
    return []


async def one_lag(pulse: Pulse, block: float, alarms: int) -> None:
    task = asyncio.get_running_loop().create_task(pulse.run())
    try:
        await asyncio.sleep(0)
        stand_still(block)
        async with asyncio.timeout(10):
            while pulse.alarms < alarms:
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_loop_that_stood_still_is_audited_with_the_place_where_it_stood(told: list[AuditEvent]) -> None:
    pulse = Pulse(Clock(), thread_usage, told.append, alarm=0.3)
    await one_lag(pulse, 1.2, 1)
    (event,) = told
    assert (event.code, event.result) == ("node.loop_lag", "failed")
    assert 0.9 < float(str(event.data["seconds"])) < 30
    assert "test_pulse.py" in str(event.data["where"])
    assert "stand_still" in str(event.data["where"])
    assert pulse.worst.seconds == pulse.recent.seconds > 0.9


async def test_a_second_lag_soon_after_is_counted_and_not_audited(told: list[AuditEvent]) -> None:
    pulse = Pulse(Clock(), thread_usage, told.append, alarm=0.05)
    await one_lag(pulse, 0.4, 1)
    await one_lag(pulse, 0.4, 2)
    assert len(told) == 1
    assert pulse.alarms >= 2


async def test_time_that_other_programs_took_is_not_the_bastions_own(told: list[AuditEvent]) -> None:
    stolen = iter(x * 100.0 for x in range(1000))
    pulse = Pulse(Clock(), lambda: Usage(0.0, next(stolen)), told.append, alarm=0.05)
    await one_lag(pulse, 0.4, 1)
    assert pulse.worst.seconds > 0.2
    assert pulse.worst.own == 0.0


async def test_a_loop_that_runs_raises_no_alarm(told: list[AuditEvent]) -> None:
    pulse = Pulse(Clock(), thread_usage, told.append, alarm=5.0)
    task = asyncio.get_running_loop().create_task(pulse.run())
    async with asyncio.timeout(10):
        while not pulse.recent.at:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert told == []
    assert pulse.alarms == 0
