"""Revocation reaches what lives: a locked account, a changed policy, a time window that ends. Never grants anything.

Theory of operation. `look_again` is called by whoever changed something (people, policy); time wakes it by itself when
the next decision would change, and every half minute in any case. Each live session is then decided again as if it
were asked for now, and so is what everybody in it may do; what is no longer allowed ends, or is put out, with its reason.
Where time will end it, everybody is told before. Locked accounts lose their connections too, so that no menu or prompt
of theirs goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bastion.core.access.decision import Verdict
from bastion.core.access.ways import ACTION_OF
from bastion.core.session import events as e
from bastion.services.live.rights import GUEST, fitting, rights, verdict

if TYPE_CHECKING:
    from bastion.core.identity import Identity
    from bastion.core.session.participants import Participant
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
        self._changed = False
        self._next = 0.0
        self.also: list[Callable[[], Awaitable[None]]] = []
        """What else is decided again: tunnels, which are no sessions."""
        live.on_add = self._expect

    def look_again(self) -> None:
        """Look as soon as possible: something changed."""
        self._changed = True
        self._wanted.set()

    def _expect(self, actor: SessionActor) -> None:
        """A session began: its end may be the next that comes."""
        self._sooner(actor.looked_at_by)
        self._wanted.set()

    def _sooner(self, at: float | None) -> None:
        if at is not None and (not self._next or at < self._next):
            self._next = at

    async def run(self) -> None:
        """Look whenever there is a reason, until cancelled."""
        latest = self._clock.now() + EVERY_SECONDS
        while True:
            at = min(latest, self._next) if self._next else latest
            try:
                async with asyncio.timeout(max(SOONEST, at - self._clock.now())):
                    await self._wanted.wait()
            except TimeoutError:
                self._changed = True
            self._wanted.clear()
            if self._changed:
                self._changed = False
                latest = self._clock.now() + EVERY_SECONDS
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
        for look in self.also:
            await look()

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
        self._sooner(decision.valid_until)
        self._sooner(actor.remind())
        actor.rebind(decision.terms)
        for person in list(actor.session.people.values()):
            seat = actor.identity_of(person.id)
            if seat is None or not person.attached:
                continue
            if person.user_id == actor.record.user_id:
                held = frozenset({"control"}) | rights(self._policies, identity, actor, running=True)
                actor.post(e.Reassessed(self._clock.monotonic(), person.id, person.role, held))
            else:
                await self._look_at_other(actor, person, seat)

    async def _look_at_other(self, actor: SessionActor, person: Participant, seat: Identity) -> None:
        """Decide again about somebody in a session that is not theirs: whether they may be there, and what they may do."""
        identity = await self._still(seat)
        reason = LOCKED
        if identity is not None:
            decision = verdict(self._policies, identity, "join", actor, running=True)
            if decision.verdict is not Verdict.DENY and actor.grant.terms.joinable:
                self._sooner(decision.valid_until)
                held = rights(self._policies, identity, actor, running=True)
                if not actor.grant.terms.handover and "moderate" not in held:
                    held -= {"control"}
                actor.post(e.Reassessed(self._clock.monotonic(), person.id, fitting(person.role, held), held))
                return
            reason = f"Policy no longer allows it: {decision.reason if actor.grant.terms.joinable else 'nobody may look on here.'}"
        actor.post(e.PutOut(self._clock.monotonic(), person.id, "system", "session.revoked", reason))

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
