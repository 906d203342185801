"""Opening sessions: what counts for the limits."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bastion.core.access.decision import Decision, Verdict
from bastion.core.access.endpoint import Login
from bastion.core.errors import Conflict, Unavailable
from bastion.services.connect import Connect, Limits
from bastion.services.live.registry import Live
from tests.services.desk import Desk, RealClock


class House:
    """A Connect whose recorder opens nothing before `go`."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked = 0
        self.live = Live()
        auditor = SimpleNamespace(healthy=True, record=lambda _: None)
        endpoint = SimpleNamespace(name="web01", kind="ssh", logins=(), login=lambda _: Login("root", "none"))
        policies = SimpleNamespace(decide=lambda *_, **__: Decision(Verdict.ALLOW, "r", ""))
        world: Any = SimpleNamespace(clock=RealClock(), auditor=auditor)
        self.connect = Connect(
            world, policies, SimpleNamespace(get=self._answer(endpoint)), None, None, None,  # type: ignore[arg-type]
            SimpleNamespace(open=self._record, veiled=str), self.live, lambda: "s1", Limits(per_user=2, per_node=50), "local",  # type: ignore[arg-type]
        )

    def _answer(self, value: object) -> Any:
        async def get(_: str) -> object:
            return value

        return get

    async def _record(self, *_: object) -> None:
        self.asked += 1
        await self.go.wait()
        raise Unavailable("recording.failed", "no disk")


async def test_sessions_that_are_still_being_opened_count_for_the_limit() -> None:
    house = House()
    first = [asyncio.ensure_future(house.connect.connect(Desk(), "web01")) for _ in range(2)]
    async with asyncio.timeout(5):
        while house.asked < 2:
            await asyncio.sleep(0)
        with pytest.raises(Conflict, match="You have 2 sessions open, which is the limit"):
            await house.connect.connect(Desk(), "web01")
        house.go.set()
        assert [type(error) for error in await asyncio.gather(*first, return_exceptions=True)] == [Unavailable, Unavailable]
        with pytest.raises(Unavailable, match="no disk"):  # those that failed count no more
            await house.connect.connect(Desk(), "web01")
