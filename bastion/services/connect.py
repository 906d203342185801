"""From a wish to a session: decide, grant, record, dial, relay; and joining one that runs.

The one way in for menu, `connect`, user names with a target, and join. Never parses a command line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bastion.core.access.decision import Grant, SessionFacts, Terms, Verdict
from bastion.core.access.endpoint import Endpoint, Login
from bastion.core.access.ways import ACTION_OF
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Conflict, Denied, Ended, Invalid, Missing, Unavailable
from bastion.core.identity import Identity
from bastion.core.session.chord import CHORD
from bastion.core.session.participants import Participant, Role
from bastion.core.session.session import Session
from bastion.core.session.state import State
from bastion.core.transfer.rcp import Command, read_command
from bastion.services.asking import ask_secret
from bastion.services.console import Console
from bastion.services.gatekeeper import Gatekeeper
from bastion.services.live.actor import SessionActor
from bastion.services.live.registry import Live
from bastion.services.live.rights import RIGHTS, rights, verdict
from bastion.services.live.seat import Seat
from bastion.services.live.world import World
from bastion.services.ports import ChannelRequest, Credentials, Endpoints, Preferences, Secret, SessionRecord, Vault
from bastion.services.recorder import Recorder, Recording, Subject
from bastion.services.tasks import spawn
from bastion.services.transfer import Relay

SIGNALS: Final = {"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "ABRT": 6, "FPE": 8, "KILL": 9, "SEGV": 11, "PIPE": 13, "ALRM": 14, "TERM": 15}
QUIET: Final = {"exit", "signal", "session.left", "session.lost", "owner-left"}
PUT_OUT: Final = {"session.kicked", "session.uninvited", "session.revoked"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What sessions may cost at most, and the key that speaks to the bastion; policy may be stricter."""

    per_user: int = 20
    per_node: int = 500
    participants: int = 10
    handback_seconds: float = 600.0
    chord: int = CHORD
    holder_size: bool = True

    def bound(self, terms: Terms) -> Terms:
        """Return what policy says, made stricter where it is laxer than this."""
        handback = self.handback_seconds if terms.handback_seconds is None else min(terms.handback_seconds, self.handback_seconds)
        return replace(terms, max_participants=min(terms.max_participants, self.participants), handback_seconds=handback)


class Connect:
    """Starts and joins sessions for consoles."""

    def __init__(
        self,
        world: World,
        policies: Gatekeeper,
        endpoints: Endpoints,
        credentials: Credentials,
        vault: Vault,
        preferences: Preferences,
        recorder: Recorder,
        live: Live,
        new_id: Callable[[], str],
        limits: Limits,
        node: str,
    ) -> None:
        self._world = world
        self._policies = policies
        self._endpoints = endpoints
        self._credentials = credentials
        self._vault = vault
        self._preferences = preferences
        self._recorder = recorder
        self._live = live
        self._new_id = new_id
        self._limits = limits
        self._node = node
        self._opening: list[str] = []  # whose sessions are being opened and are not listed yet; they count for the limits

    # ------------------------------------------------------------ connect

    async def connect(self, console: Console, name: str, login: str | None = None, command: bytes | None = None) -> int:
        """Run a session on that endpoint for this console; return its exit status. Raises the five families.

        A command that is an old scp's, and nothing else, is a transfer; with a terminal it is a command like any other.
        """
        scp = read_command(command) if command is not None and not console.term else None
        return await self._run(console, name, login, "scp" if scp else "shell" if command is None else "exec", command, scp)

    async def sftp(self, console: Console, name: str, login: str | None = None) -> int:
        """Speak SFTP with that endpoint for this console. Raises the five families."""
        if console.term:
            raise Invalid("sftp.terminal", "This speaks SFTP, for programs. People type: sftp USER%NAME@BASTION")
        return await self._run(console, name, login, "sftp", None, None)

    async def _run(self, console: Console, name: str, login: str | None, kind: str, command: bytes | None, scp: Command | None) -> int:
        grant = await self._grant(console.identity, name, login, ACTION_OF[kind])
        self._refuse_too_many(console.identity)
        if not self._world.auditor.healthy:
            raise Unavailable("audit.unwritable", "The audit log cannot be written, so no session starts. An admin must look: audit verify")
        self._opening.append(console.identity.user_id)
        try:
            # A telnet host asks for itself, in the session
            asks = grant.login.method == "ask" and grant.endpoint.kind != "telnet"
            secret = await ask_secret(console, grant.login.name, name) if asks else None
            actor = await self._open(console, grant, kind, command, scp, secret)
        finally:
            self._opening.remove(console.identity.user_id)
        seat = actor.start(console)
        try:
            code, text = await seat.out
        finally:
            console.detach()
        return self._result(console, actor, code, text)

    async def _grant(self, identity: Identity, name: str, login_name: str | None, action: str) -> Grant:
        endpoint = await self._endpoints.get(name)
        if endpoint is None:
            self._audit("session.refused", identity, name, "denied", "no such endpoint")
            raise Missing("endpoint.unknown", f"There is no endpoint {name[:64]!a} that you may reach. `ls` lists yours.")
        login = endpoint.login(login_name) or (Login("", "none") if endpoint.kind == "local" and login_name is None else None)
        decision = self._policies.decide(identity, action, endpoint, login=login_name or (login.name if login else None))
        if decision.verdict is not Verdict.ALLOW:
            self._audit("session.refused", identity, name, "denied", f"{decision.rule or 'default'}: {decision.reason}")
            if not self._may_see(identity, endpoint):
                raise Missing("endpoint.unknown", f"There is no endpoint {name[:64]!a} that you may reach. `ls` lists yours.")
            raise Denied(f"access.{decision.verdict.value}", f"{action} on {name}: {decision.reason}", decision.rule)
        if login is None:
            known = ", ".join(each.name for each in endpoint.logins) or "none"
            raise Invalid("endpoint.no_login", f"{name} has no login {login_name or ''!a}; it has: {known}.")
        return Grant(
            identity, endpoint, login, frozenset({action}), decision.rule, self._limits.bound(decision.terms), decision.valid_until
        )

    def _may_see(self, identity: Identity, endpoint: Endpoint) -> bool:
        return any(self._policies.decide(identity, action, endpoint).verdict is not Verdict.DENY for action in ACTION_OF.values())

    def _refuse_too_many(self, identity: Identity) -> None:
        if len(self._live.of_user(identity.user_id)) + self._opening.count(identity.user_id) >= self._limits.per_user:
            raise Conflict("session.too_many", f"You have {self._limits.per_user} sessions open, which is the limit. End one first.")
        if len(self._live.actors()) + len(self._opening) >= self._limits.per_node:
            raise Unavailable(
                "session.node_full", f"This bastion has {self._limits.per_node} sessions open, which is its limit. Try again later."
            )

    async def _open(
        self, console: Console, grant: Grant, kind: str, command: bytes | None, scp: Command | None, typed: Secret | None
    ) -> SessionActor:
        interactive = bool(console.term)
        identity = grant.identity
        session_id = self._new_id()
        grant = replace(grant, session=session_id)
        record = SessionRecord(
            id=session_id,
            recording=session_id,
            user_id=identity.user_id,
            user=identity.name,
            endpoint=grant.endpoint.name,
            login=grant.login.name,
            source=identity.source,
            started_at=self._world.clock.now(),
            kind=kind,
            command=self._recorder.veiled((command or (b"sftp" if kind == "sftp" else b"")).decode("utf-8", "replace")[:4096]),
            rule=grant.rule,
            node=self._node,
        )
        subject = Subject(
            session=record.id,
            user=record.user,
            endpoint=record.endpoint,
            login=record.login,
            size=console.size,
            term=console.term,
            command=record.command,
            source=record.source,
        )
        recording = await self._recorder.open(subject, grant.terms)  # from here to `actor.start` nothing waits: nobody ends it in between
        owner = Participant(
            "p1",
            identity.user_id,
            identity.name,
            Role.CONTROLLER,
            identity.source,
            self._world.clock.monotonic(),
            console.size,
            frozenset({"control"}) | self._rights(identity, grant.endpoint, SessionFacts(owner_id=identity.user_id, owner=identity.name)),
        )
        session = Session(owner, grant.terms, interactive=interactive, chord=self._limits.chord)
        session.takes_sizes = self._limits.holder_size
        request = ChannelRequest(
            term=console.term,
            size=console.size,
            command=command if scp is None else scp.safe,
            subsystem="sftp" if kind == "sftp" else "",
            environment=_passed_on(console.environment),
        )
        world, told = self._world, recording
        if kind in ("sftp", "scp"):
            relay = Relay(world.dialer, grant, record, recording, self._policies, world.auditor, world.clock, scp)
            world, told = replace(world, dialer=relay), relay.quiet
        actor = SessionActor(
            world, grant, record, session, request, told, lambda: self._unlock(grant.login, recording, typed), self._live.remove
        )
        self._live.add(actor)
        actor.begin()
        self._audit(
            "session.started",
            identity,
            record.endpoint,
            "ok",
            f"rule {grant.rule}{', old algorithms allowed' if grant.endpoint.legacy else ''}",
            record.id,
        )
        # Nobody waits for what the menu remembers: the disk would hold the dial up.
        spawn("endpoint-used", self._preferences.used(identity.user_id, record.endpoint, record.started_at))
        return actor

    async def _unlock(self, login: Login, recording: Recording, typed: Secret | None) -> Secret | None:
        secret = typed
        if secret is None:
            if login.credential_id is None:
                return None
            _, sealed = await self._credentials.get(login.credential_id)
            secret = self._vault.open(sealed, row=login.credential_id, column="sealed")
        if self._recorder.masks_credentials:
            recording.keep_out(secret.reveal())
        return secret

    def _result(self, console: Console, actor: SessionActor, code: str, text: str) -> int:
        if code == "exit":
            return actor.record.exit_status or 0
        if code == "signal":
            ending = actor.session.ending
            name = ending.signal if ending and ending.signal else ""
            console.exit_signal(name)
            return 128 + SIGNALS.get(name, 0)
        if code in ("session.detached", "session.moved", "session.left", "session.lost", "owner-left"):
            if text and code in ("session.detached", "session.moved"):
                console.write_error(f"{text}\r\n".encode())
            return 0
        if code == "endpoint.host_key_changed":
            self._audit("endpoint.host_key_refused", console.identity, actor.record.endpoint, "failed", text, actor.id)
        if code.startswith("endpoint."):
            raise Unavailable(code, text)
        if code == "cancelled":
            raise Ended("cancelled", "Cancelled.")
        raise Ended(code, f"{text} (session {actor.id})")

    # ------------------------------------------------------------ join

    async def join(self, console: Console, prefix: str, wanted: str = "viewer") -> int:
        """Bring this console into a running session; return when they left or it ended."""
        if not console.term:
            raise Invalid("session.no_terminal", "Looking on needs a terminal: `ssh -t ... join ID`.")
        actor = self._find_visible(console.identity, prefix)
        role = _role(wanted)
        identity = console.identity
        if role is not Role.VIEWER:
            action = "control" if role is Role.CONTROLLER else "moderate"
            self._require(identity, action, actor)
        self._require(identity, "join", actor)
        self._refuse_to_join(identity, actor)
        seat = actor.join(console, role, rights(self._policies, identity, actor))
        if seat.out.done() and seat.out.result()[0].startswith("session."):
            self._audit("session.join_refused", identity, actor.record.endpoint, "denied", seat.out.result()[1], actor.id)
        return await self._stay(console, actor, seat)

    def _refuse_to_join(self, identity: Identity, actor: SessionActor) -> None:
        """Raise when the session, not the person's rules, is why they cannot join."""
        reason = ""
        if not actor.grant.terms.joinable:
            reason = "Policy lets nobody join sessions on this endpoint."
        elif identity.user_id in actor.barred:
            reason = "You were sent out of this session; only an invitation lets you in again."
        if reason:
            self._audit("session.join_refused", identity, actor.record.endpoint, "denied", reason, actor.id)
            raise Denied("session.not_joinable" if not actor.grant.terms.joinable else "session.barred", reason)

    async def attach(self, console: Console, prefix: str = "") -> int:
        """Bring the owner back to a session of theirs: a detached one, or one that is attached elsewhere, which moves here.

        Without a prefix: the only detached one, or else the only one there is.
        """
        if not console.term:
            raise Invalid("session.no_terminal", "Attaching needs a terminal: `ssh -t ... attach ID`.")
        live = [one for one in self._live.of_user(console.identity.user_id) if one.session.interactive and one.id.startswith(prefix)]
        found = [one for one in live if one.view().detached] or live
        if not found:
            raise Missing(
                "session.none_detached", "You have no session to go back to" + (f" that starts with {prefix[:40]!a}." if prefix else ".")
            )
        if len(found) > 1:
            raise Conflict(
                "session.ambiguous",
                "Which one? attach ID: " + ", ".join(f"{one.id[:12]} ({one.record.endpoint}, {_whereabouts(one)})" for one in found),
            )
        (actor,) = found
        decision = self._policies.decide(console.identity, "connect", actor.grant.endpoint, login=actor.grant.login.name)
        if decision.verdict is not Verdict.ALLOW:
            raise Denied("access.deny", decision.reason)
        if actor.session.state not in (State.RUNNING, State.PAUSED):
            raise Conflict("session.not_running", "That session is not running.")
        if not actor.view().detached:
            console.write_error(f"That session is {_whereabouts(actor)}; it moves here.\r\n".encode())
        return await self._stay(console, actor, actor.reattach(console))

    async def _stay(self, console: Console, actor: SessionActor, seat: Seat) -> int:
        try:
            code, text = await seat.out
        finally:
            console.detach()
        if code in QUIET and seat.participant != actor.session.owner:
            if text:
                console.write_error(f"{text}\r\n".encode())
            return 0
        if code in PUT_OUT:
            raise Ended(code, text)
        if code.startswith("session.") and code not in QUIET and code not in ("session.detached", "session.moved"):
            raise Conflict(code, text)
        return self._result(console, actor, code, text)

    def _find_visible(self, identity: Identity, prefix: str) -> SessionActor:
        try:
            actor = self._live.find(prefix)
        except Missing:
            self._audit("session.join_refused", identity, prefix[:40], "denied", "no such live session")
            raise Missing("session.unknown", f"No live session starts with {prefix[:40]!a} that you may join; it may have ended.") from None
        if actor.record.user_id != identity.user_id and verdict(self._policies, identity, "join", actor).verdict is Verdict.DENY:
            self._audit("session.join_refused", identity, actor.record.endpoint, "denied", "no rule", actor.id)
            raise Missing("session.unknown", f"No live session starts with {prefix[:40]!a} that you may join; it may have ended.")
        return actor

    def _require(self, identity: Identity, action: str, actor: SessionActor) -> None:
        if actor.record.user_id == identity.user_id:
            return
        decision = verdict(self._policies, identity, action, actor)
        if decision.verdict is not Verdict.ALLOW:
            self._audit("session.join_refused", identity, actor.record.endpoint, "denied", decision.reason, actor.id)
            raise Denied(f"access.{decision.verdict.value}", f"{action}: {decision.reason}", decision.rule)

    def _rights(self, identity: Identity, endpoint: Endpoint, facts: SessionFacts) -> frozenset[str]:
        return frozenset(action for action in RIGHTS if self._policies.decide(identity, action, endpoint, session=facts).allowed)

    def _audit(self, code: str, identity: Identity, subject: str, result: str, reason: str, session: str = "") -> None:
        self._world.auditor.record(
            AuditEvent(code, self._world.clock.now(), identity.name, identity.source, subject, session, result, reason)
        )


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError:
        raise Invalid("session.role", f"{text[:40]!a} is no role: viewer, controller or moderator.") from None


def _whereabouts(actor: SessionActor) -> str:
    owner = actor.session.people[actor.session.owner]
    return f"attached from {owner.source}" if owner.attached else "detached"


def _passed_on(environment: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Return what goes on to the endpoint: the locale only."""
    return tuple((key, value) for key, value in environment.items() if key == "LANG" or key.startswith("LC_"))
