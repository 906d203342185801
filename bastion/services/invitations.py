"""Asking people into live sessions, and sending them out again. Never lets anybody in by itself.

Theory of operation. An invitation is kept by the session it is for, so it dies with it. It makes one fact (`invited`)
that policy's rules look at when the person joins. When it is withdrawn or runs out, whoever is there because of it is
decided about again at once: all of this happens between two turns of the loop, so nobody joins in the middle of it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bastion.core.access.durations import parse_duration, show_duration
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Conflict, Denied, Invalid, Missing
from bastion.core.session import events as e
from bastion.core.session.participants import Role
from bastion.core.session.state import State
from bastion.core.text import safe_text
from bastion.core.values import NAME
from bastion.services.live.rights import fitting, rights, verdict
from bastion.services.live.views import Invitation
from bastion.services.tasks import spawn

if TYPE_CHECKING:
    from bastion.core.identity import Identity
    from bastion.services.control import Control
    from bastion.services.live.actor import SessionActor
    from bastion.services.live.registry import Live
    from bastion.services.live.rights import Policies
    from bastion.services.ports import Auditing, Clock, Users

DEFAULT_SECONDS: Final = 30 * 60.0
LONGEST_SECONDS: Final = 24 * 3600.0
MOST: Final = 100  # invitations of one session
_ROLES: Final = {"viewer": Role.VIEWER, "controller": Role.CONTROLLER}


class Invitations:
    """Invitations of people with accounts; `guests` builds on it for those without."""

    def __init__(self, live: Live, control: Control, policies: Policies, users: Users, auditor: Auditing, clock: Clock) -> None:
        self._live = live
        self._control = control
        self._policies = policies
        self._users = users
        self._auditor = auditor
        self._clock = clock
        live.on_invite = self._by_chord

    # ------------------------------------------------------------ inviting

    async def invite(
        self, identity: Identity, prefix: str, name: str, role: str = "viewer", seconds: float = DEFAULT_SECONDS
    ) -> Invitation:
        """Ask somebody into a session. Owner and moderators may. Raises the one reason why not, audited."""
        actor = self._control.find(identity, prefix, "session.invited")
        try:
            as_role = self.check(identity, actor, role, seconds)
            user = await self._users.get(name) if NAME.fullmatch(name) else None
            self.check(identity, actor, role, seconds)  # the world turned while the store was asked
            if user is None:
                raise Missing("user.missing", f"There is no user '{safe_text(name, 64)}'.")
            if user.id == identity.user_id:
                raise Conflict("invite.self", "You cannot invite yourself.")
            if user.id == actor.record.user_id:
                raise Conflict("invite.owner", f"That session is {user.name}'s own.")
            if user.disabled:
                raise Conflict("invite.locked", f"{user.name} is locked and cannot log in.")
        except BastionError as error:
            self.audit("session.invited", identity, actor, name[:64], "denied", error.public)
            raise
        invitation = Invitation(user.id, user.name, as_role, self._clock.now() + seconds, identity.name)
        self.keep(actor, invitation, seconds)
        span = show_duration(seconds)
        self.audit("session.invited", identity, actor, user.name, "ok", f"as {role} for {span}")
        actor.post(e.Told(self._clock.monotonic(), f"{identity.name} invited {user.name} as {role} for {span}."))
        self._reassess(actor, user.id, "system", "")
        self._tell(user.id, actor, f"{identity.name} invites you to {actor.record.endpoint} as {role}: join {actor.id[:12]}")
        return invitation

    def check(self, identity: Identity, actor: SessionActor, role: str, seconds: float) -> Role:
        """Raise why this person may not invite anybody there, or return the role that was meant."""
        if actor.session.state not in (State.RUNNING, State.PAUSED):
            raise Conflict("session.not_running", "That session is not running.")
        if not actor.session.interactive:
            raise Conflict("session.no_screen", "That session has no terminal, so there is nothing to look at.")
        if not self._control.presides(identity, actor):
            raise Denied("invite.denied", "Only the owner or a moderator invites.")
        terms = actor.grant.terms
        if not terms.joinable or terms.viewers != "invited":
            raise Denied("invite.policy", "Policy lets nobody be invited to sessions on this endpoint.")
        if role not in _ROLES:
            raise Invalid("session.role", f"{role[:40]!a} is no role to invite as: viewer or controller.")
        if not 1 <= seconds <= LONGEST_SECONDS:
            raise Invalid("invite.duration", f"An invitation lasts from 1s to {show_duration(LONGEST_SECONDS)}.")
        if len(actor.invitations) >= MOST:
            raise Conflict("invite.too_many", f"That session has {MOST} invitations, which is the most. Withdraw one first.")
        return _ROLES[role]

    def keep(self, actor: SessionActor, invitation: Invitation, seconds: float) -> None:
        """Let an invitation hold for so long."""
        actor.barred.discard(invitation.user_id)
        actor.invitations[invitation.user_id] = invitation
        timer = asyncio.get_running_loop().call_later(seconds, self._run_out, actor, invitation)
        actor.done.add_done_callback(lambda _: timer.cancel())

    def _by_chord(self, actor: SessionActor, identity: Identity, line: str) -> None:
        """Somebody in the session typed `NAME [ROLE] [DURATION]` at the prompt."""
        spawn("invite", self._typed(actor, identity, line))

    async def _typed(self, actor: SessionActor, identity: Identity, line: str) -> None:
        name, *rest = line.split()
        role = next((word for word in rest if word in _ROLES), "viewer")
        try:
            spans = [parse_duration(word) for word in rest if word not in _ROLES]
            if len(spans) > 1:
                raise ValueError("too many words")
            await self.invite(identity, actor.id, name, role, *spans)
        except (BastionError, ValueError) as error:
            text = error.public if isinstance(error, BastionError) else f"{error}. Write: NAME viewer|controller 30m"
            here = tuple(person.id for person, _ in actor.present(identity.user_id))
            if here:
                actor.post(e.Told(self._clock.monotonic(), text, here, marked=False))

    # ------------------------------------------------------------ sending out

    async def withdraw(self, identity: Identity, prefix: str, name: str) -> str:
        """Take an invitation back; who is there because of it goes at once. Returns whose it was."""
        actor = self._presided(identity, prefix, "session.uninvited", name)
        invitation = next((one for one in actor.invitations.values() if _called(one.name, name)), None)
        if invitation is None:
            self.audit("session.uninvited", identity, actor, name[:64], "denied", "not invited")
            raise Missing("invite.none", f"{safe_text(name, 64)} is not invited to that session.")
        del actor.invitations[invitation.user_id]
        self.audit("session.uninvited", identity, actor, invitation.name, "ok", "withdrawn")
        actor.post(e.Told(self._clock.monotonic(), f"{identity.name} withdrew the invitation of {invitation.name}."))
        self._reassess(actor, invitation.user_id, identity.name, f"{identity.name} withdrew your invitation.")
        return invitation.name

    async def kick(self, identity: Identity, prefix: str, name: str, reason: str = "") -> str:
        """Send somebody out for good: their invitation is gone, and a rule alone does not let them back in."""
        actor = self._presided(identity, prefix, "session.kicked", name)
        people = [one for one in actor.session.people.values() if one.attached and _called(one.name, name)]
        user_ids = {one.user_id for one in people} | {one.user_id for one in actor.invitations.values() if _called(one.name, name)}
        refusal: BastionError | None = None
        if not user_ids:
            refusal = Missing("kick.nobody", f"{safe_text(name, 64)} is neither in that session nor invited.")
        elif actor.record.user_id in user_ids:
            refusal = Conflict("kick.owner", "The owner cannot be sent out of their own session: `kill` ends it.")
        elif any("moderate" in one.rights for one in people) and not verdict(self._policies, identity, "moderate", actor).allowed:
            refusal = Denied("kick.moderator", f"{people[0].name} moderates here: only another moderator sends them out.")
        if refusal is not None:
            self.audit("session.kicked", identity, actor, name[:64], "denied", refusal.public)
            raise refusal
        for user_id in user_ids:
            actor.invitations.pop(user_id, None)
            actor.barred.add(user_id)
        why = f": {safe_text(reason, 200)}" if reason else "."
        self.audit("session.kicked", identity, actor, name[:64], "ok", reason)
        for person in people:
            actor.post(
                e.PutOut(
                    self._clock.monotonic(), person.id, identity.name, "session.kicked", f"{identity.name} sent you out of the session{why}"
                )
            )
        return name

    def _presided(self, identity: Identity, prefix: str, code: str, subject: str) -> SessionActor:
        actor = self._control.find(identity, prefix, code)
        if not self._control.presides(identity, actor):
            self.audit(code, identity, actor, subject[:64], "denied", "neither owner nor moderator")
            raise Denied("invite.denied", "Only the owner or a moderator does that.")
        return actor

    def _run_out(self, actor: SessionActor, invitation: Invitation) -> None:
        if actor.invitations.get(invitation.user_id) is not invitation:
            return  # renewed, or withdrawn
        del actor.invitations[invitation.user_id]
        self._auditor.record(
            AuditEvent("session.uninvited", self._clock.now(), "system", "", invitation.name, actor.id, reason="the invitation ran out")
        )
        self._reassess(actor, invitation.user_id, "system", "Your invitation ran out.")

    def _reassess(self, actor: SessionActor, user_id: str, by: str, text: str) -> None:
        """Decide again about somebody who may be in there."""
        for person, identity in actor.present(user_id):
            if not verdict(self._policies, identity, "join", actor, running=True).allowed:
                actor.post(e.PutOut(self._clock.monotonic(), person.id, by, "session.uninvited", text))
                continue
            held = rights(self._policies, identity, actor, running=True)
            invitation = actor.invitation(identity)
            role = fitting(person.role, held)
            if invitation is not None and invitation.role is Role.CONTROLLER and role is Role.VIEWER:
                role = fitting(Role.CONTROLLER, held)
            actor.post(e.Reassessed(self._clock.monotonic(), person.id, role, held))

    def _tell(self, user_id: str, about: SessionActor, text: str) -> None:
        """Tell somebody in whatever sessions they are now."""
        for actor in self._live.actors():
            here = tuple(person.id for person, _ in actor.present(user_id))
            if here and actor is not about:
                actor.post(e.Told(self._clock.monotonic(), text, here, marked=False))

    def audit(self, code: str, identity: Identity, actor: SessionActor, subject: str, result: str, reason: str) -> None:
        """Write down what somebody did about somebody in a session."""
        self._auditor.record(AuditEvent(code, self._clock.now(), identity.name, identity.source, subject, actor.id, result, reason))


def _called(known: str, name: str) -> bool:
    """Return whether `name` means them: a guest is called by the name alone, too."""
    return known == name or known.startswith(f"{name} (guest")
