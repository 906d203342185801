"""What people may do to sessions that are not theirs: list, pause, resume, end. Each decided and audited here."""

from __future__ import annotations

from bastion.core.access.decision import Verdict
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Conflict, Denied, Missing
from bastion.core.identity import Identity
from bastion.core.session import events as e
from bastion.core.session.state import State
from bastion.services.gatekeeper import Gatekeeper
from bastion.services.live.actor import SessionActor
from bastion.services.live.registry import Live
from bastion.services.live.views import SessionView
from bastion.services.ports import Auditing, Clock


class Control:
    """Supervision of live sessions."""

    def __init__(self, live: Live, policies: Gatekeeper, auditor: Auditing, clock: Clock) -> None:
        self._live = live
        self._policies = policies
        self._auditor = auditor
        self._clock = clock

    def visible(self, identity: Identity) -> list[SessionView]:
        """Return the live sessions this person may know of: their own, and those that policy shows them."""
        return [actor.view() for actor in self._live.actors() if self._sees(identity, actor)]

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

    async def pause(self, identity: Identity, prefix: str, reason: str = "") -> SessionView:
        """Stop input of a session. The endpoint is kept alive, output goes on."""
        actor = self._find(identity, prefix, "pause", "session.paused")
        if actor.session.state is State.PAUSED:
            raise Conflict("session.paused_already", f"It is paused already, by {actor.session.paused_by}.")
        actor.post(e.PauseRequested(self._clock.monotonic(), identity.name, reason))
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
        return any(
            self._policies.decide(identity, action, actor.grant.endpoint, session=actor.facts(identity)).allowed
            for action in ("list", "join", "end", "pause")
        )

    def _find(self, identity: Identity, prefix: str, action: str, code: str) -> SessionActor:
        actor = self._live.find(prefix)
        if not self._sees(identity, actor):
            self._audit(code, identity, actor, "denied", "not visible")
            raise Missing("session.unknown", f"No live session starts with {prefix[:40]!a}. `sessions` lists those you may see.")
        own = actor.record.user_id == identity.user_id and action == "end"
        decision = self._policies.decide(identity, action, actor.grant.endpoint, session=actor.facts(identity))
        if not own and decision.verdict is not Verdict.ALLOW:
            self._audit(code, identity, actor, "denied", decision.reason)
            raise Denied(f"access.{decision.verdict.value}", f"{action}: {decision.reason}", decision.rule)
        return actor

    def _audit(self, code: str, identity: Identity, actor: SessionActor, result: str, reason: str) -> None:  # noqa: PLR0913
        self._auditor.record(
            AuditEvent(code, self._clock.now(), identity.name, identity.source, actor.record.endpoint, actor.id, result, reason)
        )
