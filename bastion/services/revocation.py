"""Revocation reaches what lives: a locked account, a changed policy, a time window that ends. Never grants anything.

Theory of operation. `look_again` is called by whoever changed something (people, policy); time wakes it by itself when
the next decision would change, and every half minute in any case. Each live session is then decided again as if it
were asked for now; what is no longer allowed ends, or is put out, with its reason. Locked accounts lose their
connections too, so that no menu or prompt of theirs goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bastion.core.access.decision import Verdict
from bastion.core.access.ways import ACTION_OF
from bastion.core.session import events as e
from bastion.services.live.rights import GUEST

if TYPE_CHECKING:
    from bastion.core.identity import Identity
    from bastion.services.gatekeeper import Gatekeeper
    from bastion.services.live.actor import SessionActor
    from bastion.services.live.registry import Live
    from bastion.services.ports import Clock, Users

EVERY_SECONDS: Final = 30.0
SOONEST: Final = 0.05
LOCKED: Final = "Your account was locked or removed."


class Revocation:
    """Looks at everything live again. `present` names the accounts with connections; `put_out` ends those of one."""

    def __init__(
        self,
        live: Live,
        policies: Gatekeeper,
        users: Users,
        clock: Clock,
        present: Callable[[], set[str]],
        put_out: Callable[[str, str], None],
    ) -> None:
        self._live = live
        self._policies = policies
        self._users = users
        self._clock = clock
        self._present = present
        self._put_out = put_out
        self._wanted = asyncio.Event()
        self._next = 0.0

    def look_again(self) -> None:
        """Look as soon as possible: something changed."""
        self._wanted.set()

    async def run(self) -> None:
        """Look whenever there is a reason, until cancelled."""
        while True:
            wait = min(EVERY_SECONDS, max(SOONEST, self._next - self._clock.now())) if self._next else EVERY_SECONDS
            try:
                async with asyncio.timeout(wait):
                    await self._wanted.wait()
            except TimeoutError:
                pass
            self._wanted.clear()
            await self.look()

    async def look(self) -> None:
        """Decide everything live again, now."""
        self._next = 0.0
        for user_id in self._present():
            if user_id.startswith(GUEST):
                continue  # they have no account; their invitation ends with its session
            user = await self._users.by_id(user_id)
            if user is None or user.disabled:
                self._put_out(user_id, LOCKED)
        for actor in self._live.actors():
            await self._look_at(actor)

    async def _look_at(self, actor: SessionActor) -> None:
        identity = await self._still(actor.grant.identity)
        if identity is None:
            self._end(actor, LOCKED)
            return
        action = ACTION_OF[actor.record.kind]
        facts = replace(actor.facts(identity), running=True)
        decision = self._policies.decide(identity, action, actor.grant.endpoint, login=actor.grant.login.name, session=facts)
        if decision.verdict is Verdict.DENY:
            self._end(actor, f"Policy no longer allows it: {decision.reason}")
            return
        actor.window_ends = decision.valid_until
        if decision.valid_until is not None and (not self._next or decision.valid_until < self._next):
            self._next = decision.valid_until
        await self._look_at_others(actor)

    async def _look_at_others(self, actor: SessionActor) -> None:
        for person in list(actor.session.people.values()):
            if person.user_id == actor.record.user_id or not person.attached:
                continue
            seat = actor.identity_of(person.id)
            if seat is None or seat.user_id.startswith(GUEST):
                continue
            identity = await self._still(seat)
            facts = replace(actor.facts(identity or seat), running=True)
            reason = LOCKED
            if identity is not None:
                decision = self._policies.decide(identity, "join", actor.grant.endpoint, session=facts)
                if decision.verdict is not Verdict.DENY:
                    continue
                reason = f"Policy no longer allows it: {decision.reason}"
            actor.post(e.Left(self._clock.monotonic(), person.id, reason))

    async def _still(self, identity: Identity) -> Identity | None:
        """Return the identity with the roles that the account has now; None when there is no such account any more."""
        if identity.user_id.startswith(GUEST):
            return identity
        user = await self._users.by_id(identity.user_id)
        if user is None or user.disabled:
            return None
        return replace(identity, roles=user.roles)

    def _end(self, actor: SessionActor, reason: str) -> None:
        actor.post(e.EndRequested(self._clock.monotonic(), "system", "revoked", reason))
