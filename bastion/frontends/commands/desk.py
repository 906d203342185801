"""The services that the command tree uses, as small protocols; `app` lays the real ones on the desk.

Never builds a service, and holds no state of a person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Protocol

from bastion.core.access.decision import Decision, Verdict
from bastion.core.access.endpoint import Endpoint
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Conflict, Missing
from bastion.core.identity import Identity
from bastion.core.text import safe_text
from bastion.core.values import Size
from bastion.services.console import Console
from bastion.services.inventory import Inventory
from bastion.services.people import People
from bastion.services.replay import Replay
from bastion.services.ports import AuditStore, Clock, Preferences, Sessions


_OPENS: Final = ("connect", "exec", "sftp", "scp")
_BREATH: Final = 100  # decisions in one go


class Reloaded(Protocol):
    """What came of reading the policy files."""

    @property
    def changed(self) -> bool: ...
    @property
    def warnings(self) -> Sequence[object]: ...
    @property
    def refused(self) -> BastionError | None: ...


class Policies(Protocol):
    """The one decision point (`services.gatekeeper.Gatekeeper`)."""

    def decide(
        self, identity: Identity, action: str, endpoint: Endpoint | None = None, *, login: str | None = None, at: float | None = None
    ) -> Decision:
        """Return the answer with its rule and reason. `at`: another time than now."""

    async def check(self) -> Sequence[object]:
        """Read the files without using them; return warnings, raise `Misconfigured` with all mistakes in `detail`."""

    async def reload(self) -> Reloaded:
        """Use the files as they are now; a bad one is refused, and the last good policy stays."""

    def describe(self) -> Sequence[dict[str, object]]:
        """Return the rules in force, as plain objects with `name` first."""


class Auditor(Protocol):
    """Where facts go."""

    def record(self, event: AuditEvent) -> None:
        """Write a fact down; never blocks the loop."""


class Participant(Protocol):
    """Somebody in a live session."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def joined_at(self) -> float: ...
    @property
    def size(self) -> Size: ...
    @property
    def controls(self) -> bool: ...


class SessionView(Protocol):
    """A live session as it is listed."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def owner_id(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def login(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def started_at(self) -> float: ...
    @property
    def size(self) -> Size: ...
    @property
    def title(self) -> str: ...
    @property
    def participants(self) -> Sequence[Participant]: ...
    @property
    def bytes_out(self) -> int: ...
    @property
    def detached(self) -> bool: ...


class Live(Protocol):
    """The sessions that run now."""

    def views(self) -> Sequence[SessionView]:
        """Return every live session (for counts and for admins; lists ask `Control.visible`)."""


class Control(Protocol):
    """What moderators do to sessions. Each decides by policy and audits."""

    def visible(self, identity: Identity) -> Sequence[SessionView]:
        """Return the live sessions this person may know of."""

    async def kill(self, identity: Identity, prefix: str, reason: str) -> object:
        """End a session; returns when it is over."""

    async def pause(self, identity: Identity, prefix: str, reason: str = "") -> object:
        """Hold a session: nobody's input goes on."""

    async def resume(self, identity: Identity, prefix: str) -> object:
        """Let a paused session go on."""


class Connect(Protocol):
    """The way into sessions. Each decides by policy and audits."""

    async def connect(self, console: Console, name: str, login: str | None = None, command: bytes | None = None) -> int:
        """Run a session on this console; return the remote exit status."""

    async def join(self, console: Console, prefix: str, wanted: str = "viewer") -> int:
        """Take part in a running session until it ends or they leave."""

    async def attach(self, console: Console, prefix: str = "") -> int:
        """Bring the owner back to a detached session."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a command may use."""

    clock: Clock
    policies: Policies
    auditor: Auditor
    audit: AuditStore
    people: People
    inventory: Inventory
    sessions: Sessions
    preferences: Preferences
    live: Live
    control: Control
    connect: Connect
    replay: Replay
    version: str = "0"


async def visible_endpoints(desk: Desk, identity: Identity) -> list[tuple[Endpoint, Decision]]:
    """Return the endpoints this person may use in some way, now or when somebody approves, by name.

    The decision is the one on `connect`, or the first of the other ways that is not denied.
    """
    found = []
    for number, endpoint in enumerate(await desk.inventory.all()):
        if number % _BREATH == _BREATH - 1:
            await asyncio.sleep(0)  # thousands of decisions must not hold up everybody's keystrokes
        for action in _OPENS:
            decision = desk.policies.decide(identity, action, endpoint)
            if decision.verdict is not Verdict.DENY:
                found.append((endpoint, decision))
                break
    return found


def visible_session(desk: Desk, identity: Identity, prefix: str) -> SessionView:
    """Return the live session whose id starts so, among those this person may know of. `Missing` or `Conflict`."""
    views = desk.control.visible(identity)
    found = [view for view in views if prefix and view.id.startswith(prefix)]
    if not found:
        near = get_close_matches(prefix[:64], [view.id[: len(prefix)] for view in views], n=1)
        hint = f" Did you mean '{near[0]}'?" if near else " See: sessions."
        raise Missing("session.missing", f"There is no live session '{safe_text(prefix, 64)}'.{hint}")
    if len(found) > 1:
        raise Conflict("session.ambiguous", f"{len(found)} sessions start with '{safe_text(prefix, 64)}': give more of the id.")
    return found[0]
