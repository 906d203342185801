"""The services that the command tree uses, as small protocols; `app` lays the real ones on the desk.

Never builds a service, and holds no state of a person.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Protocol

from bastion.core.access.decision import Decision, Verdict
from bastion.core.errors import BastionError, Conflict, Missing
from bastion.core.session.chord import CHORD
from bastion.core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bastion.core.access.endpoint import Endpoint
    from bastion.core.identity import Identity
    from bastion.core.values import Size
    from bastion.services.console import Console
    from bastion.services.evidence import Evidence
    from bastion.services.guests import Guests
    from bastion.services.inventory import Inventory
    from bastion.services.invitations import Invitations
    from bastion.services.people import People
    from bastion.services.ports import Auditing, AuditStore, Clock, Preferences, Sessions
    from bastion.services.record_ports import Annotations
    from bastion.services.replay import Replay
    from bastion.services.search import Search
    from bastion.services.signpost import Signpost
    from bastion.services.stocktaking import Stocktaking
    from bastion.services.storage import Storage

_OPENS: Final = ("connect", "exec", "sftp", "scp")
_BREATH: Final = 100  # decisions in one go


class Reloaded(Protocol):
    """What came of reading the policy files."""

    @property
    def changed(self) -> bool:
        """Return whether the policy means something else now."""

    @property
    def warnings(self) -> Sequence[object]:
        """Return what works but is probably not meant."""

    @property
    def refused(self) -> BastionError | None:
        """Return why the last good policy stayed, if it did."""


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


class Participant(Protocol):
    """Somebody in a live session."""

    @property
    def id(self) -> str:
        """Return its id."""

    @property
    def name(self) -> str:
        """Return its name."""

    @property
    def role(self) -> str:
        """Return its role."""

    @property
    def source(self) -> str:
        """Return its source."""

    @property
    def joined_at(self) -> float:
        """Return its joined at."""

    @property
    def size(self) -> Size:
        """Return its size."""

    @property
    def controls(self) -> bool:
        """Return its controls."""


class SessionView(Protocol):
    """A live session as it is listed."""

    @property
    def id(self) -> str:
        """Return its id."""

    @property
    def kind(self) -> str:
        """Return its kind."""

    @property
    def owner(self) -> str:
        """Return its owner."""

    @property
    def owner_id(self) -> str:
        """Return its owner id."""

    @property
    def endpoint(self) -> str:
        """Return its endpoint."""

    @property
    def login(self) -> str:
        """Return its login."""

    @property
    def state(self) -> str:
        """Return its state."""

    @property
    def started_at(self) -> float:
        """Return its started at."""

    @property
    def size(self) -> Size:
        """Return its size."""

    @property
    def title(self) -> str:
        """Return its title."""

    @property
    def participants(self) -> Sequence[Participant]:
        """Return its participants."""

    @property
    def bytes_out(self) -> int:
        """Return its bytes out."""

    @property
    def detached(self) -> bool:
        """Return its detached."""

    @property
    def joinable(self) -> bool:
        """Return whether the person it was made for may join."""

    @property
    def invited(self) -> str:
        """Return the role they were invited as, or ""."""


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

    async def pause(self, identity: Identity, prefix: str, reason: str = "", *, hold: bool = False) -> object:
        """Hold a session: nobody's input goes on, and with `hold` only moderators see what comes."""

    async def resume(self, identity: Identity, prefix: str) -> object:
        """Let a paused session go on."""

    async def request_control(self, identity: Identity, prefix: str) -> str:
        """Ask for the keyboard; returns what happened."""

    async def give(self, identity: Identity, prefix: str, name: str) -> str:
        """Give the keyboard to somebody in the session; returns what happened."""

    async def take(self, identity: Identity, prefix: str, reason: str = "") -> str:
        """Take the keyboard; returns what happened."""

    async def message(self, identity: Identity, prefix: str, text: str) -> str:
        """Say something to everybody in a session; returns its id."""

    async def broadcast(self, identity: Identity, text: str) -> int:
        """Say something in every session; returns in how many. Asks nobody: the caller did."""


class Connect(Protocol):
    """The way into sessions. Each decides by policy and audits."""

    async def connect(self, console: Console, name: str, login: str | None = None, command: bytes | None = None) -> int:
        """Run a session on this console; return the remote exit status."""

    async def sftp(self, console: Console, name: str, login: str | None = None) -> int:
        """Speak SFTP with that endpoint on this console."""

    async def join(self, console: Console, prefix: str, wanted: str = "viewer") -> int:
        """Take part in a running session until it ends or they leave."""

    async def attach(self, console: Console, prefix: str = "") -> int:
        """Bring the owner back to a detached session."""


class Rotation(Protocol):
    """New keys for logins (`services.rotation.Rotation`)."""

    async def rotate(self, by: Identity, endpoint: Endpoint, login_name: str | None, file: str, say: Callable[[str], None]) -> str:
        """Give that login a new key; return its public line. What raises left the old key in force, or says which."""


class Node(Protocol):
    """This process (`services.node.Node`)."""

    def status(self) -> dict[str, object]:
        """Return its vital signs as plain values."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything a command may use."""

    clock: Clock
    policies: Policies
    auditor: Auditing
    audit: AuditStore
    people: People
    inventory: Inventory
    sessions: Sessions
    preferences: Preferences
    annotations: Annotations
    live: Live
    control: Control
    connect: Connect
    invitations: Invitations
    guests: Guests
    replay: Replay
    search: Search
    evidence: Evidence | None = None
    """None where recordings are not sealed."""
    version: str = "0"
    chord: int = CHORD
    """The key that speaks to the bastion in a session."""
    node: Node | None = None
    """None where nothing is served: the host's program on its own."""
    rotation: Rotation | None = None
    storage: Storage | None = None
    stocktaking: Stocktaking | None = None
    signpost: Signpost | None = None
    """How people's machines find and know this bastion."""


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
