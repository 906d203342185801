"""What people may do to sessions that are not theirs: list, pause, resume, end. Each decided and audited here."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bastion.core.access.decision import Verdict
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Conflict, Denied, Invalid, Missing
from bastion.core.identity import Identity
from bastion.core.session import events as e
from bastion.core.session.participants import Participant
from bastion.core.session.state import State
from bastion.core.text import safe_text
from bastion.services.gatekeeper import Gatekeeper
from bastion.services.live.actor import SessionActor
from bastion.services.live.registry import Live
from bastion.services.live.rights import verdict
from bastion.services.live.views import SessionView
from bastion.services.ports import Auditing, Clock

LONGEST_MESSAGE: Final = 500


class Control:
    """Supervision of live sessions."""

    def __init__(self, live: Live, policies: Gatekeeper, auditor: Auditing, clock: Clock) -> None:
        self._live = live
        self._policies = policies
        self._auditor = auditor
        self._clock = clock

    def visible(self, identity: Identity) -> list[SessionView]:
        """Return the live sessions this person may know of: their own, and those that policy shows them."""
        return [self._view(identity, actor) for actor in self._live.actors() if self._sees(identity, actor)]

    def _view(self, identity: Identity, actor: SessionActor) -> SessionView:
        invitation = actor.invitation(identity)
        own = actor.record.user_id == identity.user_id
        may = actor.grant.terms.joinable and (own or verdict(self._policies, identity, "join", actor).allowed)
        barred = identity.user_id in actor.barred
        return replace(actor.view(), joinable=may and not barred, invited=invitation.role.value if invitation is not None else "")

    def find(self, identity: Identity, prefix: str, code: str) -> SessionActor:
        """Return a live session that this person may know of; refusals are audited as `code`."""
        try:
            actor = self._live.find(prefix)
        except Missing as error:
            self._auditor.record(
                AuditEvent(code, self._clock.now(), identity.name, identity.source, prefix[:40], "", "denied", error.public)
            )
            raise
        if not self._sees(identity, actor):
            self._audit(code, identity, actor, "denied", "not visible")
            raise Missing("session.unknown", f"No live session starts with {prefix[:40]!a}. `sessions` lists those you may see.")
        return actor

    def presides(self, identity: Identity, actor: SessionActor) -> bool:
        """Return whether they are the owner, or may moderate there."""
        return actor.record.user_id == identity.user_id or verdict(self._policies, identity, "moderate", actor).allowed

    async def kill(self, identity: Identity, prefix: str, reason: str) -> SessionView:
        """End a session; return how it stood. Waits until it is over."""
        actor = self._find(identity, prefix, "end", "session.killed")
        view = actor.view()
        text = f"{identity.name} ended the session: {reason}"
        self._audit("session.killed", identity, actor, "ok", reason)
        actor.post(e.EndRequested(self._clock.monotonic(), identity.name, "killed", text))
        await actor.done
        await actor.saved()
        return view

    # ------------------------------------------------------------ the keyboard, from beside the session

    async def request_control(self, identity: Identity, prefix: str) -> str:
        """Ask for the keyboard of a session that one is in; return what happened, for them."""
        actor, me = self._mine(identity, prefix, "control.requested")
        refusal = actor.session.control.refusal_to_ask(me)
        holder = actor.session.people.get(actor.session.control.holder or "")
        actor.post(e.ControlRequested(self._clock.monotonic(), me.id))
        self._unless(refusal)
        return f"{holder.name} was asked." if holder is not None else "Nobody has the keyboard: take it."

    async def give(self, identity: Identity, prefix: str, name: str) -> str:
        """Give the keyboard to somebody who is in the session."""
        actor, me = self._mine(identity, prefix, "control.given")
        to = next((one for one in actor.session.people.values() if one.attached and one.name == name), None)
        if to is None:
            self._audit("control.given", identity, actor, "denied", f"{name[:64]} is not in the session")
            raise Missing("control.nobody", f"{safe_text(name, 64)} is not in that session.")
        refusal = actor.session.control.refusal_to_give(me, to)
        actor.post(e.ControlGiven(self._clock.monotonic(), me.id, to.id))
        self._unless(refusal)
        return f"{to.name} has the keyboard."

    async def take(self, identity: Identity, prefix: str, reason: str = "") -> str:
        """Take the keyboard: the owner takes it back, a moderator takes over and keeps the owner out."""
        actor, me = self._mine(identity, prefix, "control.taken")
        refusal = actor.session.control.refusal_to_take(me)
        actor.post(e.ControlTaken(self._clock.monotonic(), me.id, reason))
        self._unless(refusal)
        return "You have the keyboard."

    def _mine(self, identity: Identity, prefix: str, code: str) -> tuple[SessionActor, Participant]:
        actor = self.find(identity, prefix, code)
        if actor.session.state not in (State.RUNNING, State.PAUSED):
            raise Conflict("session.not_running", "That session is not running.")
        here = actor.present(identity.user_id)
        if not here:
            self._audit(code, identity, actor, "denied", "not in the session")
            raise Denied("session.not_in_it", f"You are not in that session. First: join {actor.id[:12]}")
        return actor, here[-1][0]

    @staticmethod
    def _unless(refusal: str) -> None:
        if refusal:
            raise Denied("control.refused", refusal)

    # ------------------------------------------------------------ words

    async def message(self, identity: Identity, prefix: str, text: str) -> str:
        """Say something to everybody in a session, out of band; participants and moderators may."""
        actor = self.find(identity, prefix, "session.message")
        if not actor.present(identity.user_id) and not self.presides(identity, actor):
            self._audit("session.message", identity, actor, "denied", "neither in the session nor moderator")
            raise Denied("message.not_in_it", "Only those in a session, and its moderators, say something there.")
        words = _words(text)
        self._audit("session.message", identity, actor, "ok", words)
        actor.post(e.Told(self._clock.monotonic(), f"{identity.name}: {words}"))
        return actor.id

    async def broadcast(self, identity: Identity, text: str) -> int:
        """Say something in every session; the caller was asked by policy. Returns in how many."""
        words = _words(text)
        actors = self._live.actors()
        self._auditor.record(AuditEvent("session.message", self._clock.now(), identity.name, identity.source, "all sessions", reason=words))
        for actor in actors:
            actor.post(e.Told(self._clock.monotonic(), f"{identity.name} to all: {words}"))
        return len(actors)

    # ------------------------------------------------------------ pause and end

    async def pause(self, identity: Identity, prefix: str, reason: str = "", *, hold: bool = False) -> SessionView:
        """Stop input of a session. The endpoint is kept alive; output goes on, or with `hold` is shown to moderators only."""
        actor = self._find(identity, prefix, "pause", "session.paused")
        if actor.session.state is State.PAUSED:
            raise Conflict("session.paused_already", f"It is paused already, by {actor.session.paused_by}.")
        actor.post(e.PauseRequested(self._clock.monotonic(), identity.name, reason, hold))
        return actor.view()

    async def resume(self, identity: Identity, prefix: str) -> SessionView:
        """Let a paused session go on."""
        actor = self._find(identity, prefix, "pause", "session.resumed")
        if actor.session.state is not State.PAUSED:
            raise Conflict("session.not_paused", "It is not paused.")
        actor.post(e.ResumeRequested(self._clock.monotonic(), identity.name))
        return actor.view()

    async def end_all(self, code: str, reason: str) -> None:
        """End every session of this node (shutdown)."""
        actors = self._live.actors()
        for actor in actors:
            actor.post(e.EndRequested(self._clock.monotonic(), "system", code, reason))
        for actor in actors:
            await actor.done
            await actor.saved()

    def _sees(self, identity: Identity, actor: SessionActor) -> bool:
        if actor.record.user_id == identity.user_id or any(person.user_id == identity.user_id for person in actor.session.people.values()):
            return True
        return any(verdict(self._policies, identity, action, actor).allowed for action in ("list", "join", "end", "pause"))

    def _find(self, identity: Identity, prefix: str, action: str, code: str) -> SessionActor:
        actor = self.find(identity, prefix, code)
        own = actor.record.user_id == identity.user_id and action == "end"
        decision = verdict(self._policies, identity, action, actor)
        if not own and decision.verdict is not Verdict.ALLOW:
            self._audit(code, identity, actor, "denied", decision.reason)
            raise Denied(f"access.{decision.verdict.value}", f"{action}: {decision.reason}", decision.rule)
        return actor

    def _audit(self, code: str, identity: Identity, actor: SessionActor, result: str, reason: str) -> None:
        self._auditor.record(
            AuditEvent(code, self._clock.now(), identity.name, identity.source, actor.record.endpoint, actor.id, result, reason)
        )


def _words(text: str) -> str:
    words = safe_text(" ".join(text.split()), LONGEST_MESSAGE + 1)
    if not words:
        raise Invalid("message.empty", "Say something: message ID TEXT")
    if len(words) > LONGEST_MESSAGE:
        raise Invalid("message.too_long", f"A message may have {LONGEST_MESSAGE} characters.")
    return words
