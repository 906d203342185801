"""What the services need of the world, as protocols. `app` plugs the backends in; tests plug in fakes.

All stores raise `Unavailable` when they cannot answer and `Missing`/`Conflict` as their docstrings say.
Times are seconds since the epoch (UTC); `Clock.monotonic` is for durations.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bastion.core.access.decision import Grant
from bastion.core.access.endpoint import Endpoint, HostKey
from bastion.core.audit.event import AuditEvent
from bastion.core.identity import User, UserKey
from bastion.core.values import Size


class Clock(Protocol):
    """Time, as an argument."""

    def now(self) -> float:
        """Return seconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class Secret:
    """Bytes that never show themselves in a log, a traceback or a repr."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """Return the secret; call it where it is used and keep no copy."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"


# ---------------------------------------------------------------- stores


class Users(Protocol):
    """Accounts and their public keys."""

    async def add(self, user: User) -> None:
        """Store a new account; `Conflict` when the name is taken."""

    async def get(self, name: str) -> User | None:
        """Return the account of that name."""

    async def by_id(self, user_id: str) -> User | None:
        """Return the account with that id."""

    async def all(self) -> Sequence[User]:
        """Return every account, by name."""

    async def save(self, user: User) -> None:
        """Replace the account with that id; `Missing` when it is gone."""

    async def remove(self, user_id: str) -> None:
        """Remove the account and its keys; what it did stays in the audit."""

    async def keys(self, user_id: str) -> Sequence[UserKey]:
        """Return the account's public keys, oldest first."""

    async def add_key(self, key: UserKey) -> None:
        """Store a key; `Conflict` when this account has it already."""

    async def remove_key(self, user_id: str, fingerprint: str) -> None:
        """Remove a key; `Missing` when there is none."""

    async def with_key(self, name: str, fingerprint: str) -> tuple[User, UserKey] | None:
        """Return the account of that name if that key is one of its keys (one query: the login's hot path)."""

    async def key_used(self, user_id: str, fingerprint: str, at: float) -> None:
        """Remember when a key was last used."""


class Endpoints(Protocol):
    """Machines, their logins and pinned host keys."""

    async def add(self, endpoint: Endpoint) -> None:
        """Store a new endpoint with its logins and host keys; `Conflict` when the name is taken."""

    async def get(self, name: str) -> Endpoint | None:
        """Return the endpoint of that name."""

    async def all(self) -> Sequence[Endpoint]:
        """Return every endpoint, by name."""

    async def save(self, endpoint: Endpoint) -> None:
        """Replace the endpoint with that id, its logins and host keys; `Missing` when it is gone."""

    async def put(self, endpoints: Sequence[Endpoint]) -> None:
        """Add those that are new, by id, and replace the others: all of them, or (`Conflict` when a name is taken) none."""

    async def remove(self, endpoint_id: str) -> None:
        """Remove the endpoint and the credentials only it used."""


class Credentials(Protocol):
    """Sealed secrets. `kind`: "key" (private key, OpenSSH or PEM) or "password"."""

    async def add(self, credential_id: str, kind: str, sealed: bytes, created_at: float) -> None:
        """Store a sealed secret."""

    async def get(self, credential_id: str) -> tuple[str, bytes]:
        """Return (kind, sealed); `Missing` when there is none."""

    async def remove(self, credential_id: str) -> None:
        """Forget a secret."""


class Vault(Protocol):
    """Seals secrets: AES-256-GCM, the key outside the database, table, row and column bound in."""

    def seal(self, secret: Secret, *, row: str, column: str) -> bytes:
        """Return the sealed form of `secret` for that place only."""

    def open(self, sealed: bytes, *, row: str, column: str) -> Secret:
        """Return the secret; `Corrupt` when it was changed or moved."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as it is listed, during and after its life. `ended_at` None: live (or lost in a crash)."""

    id: str
    user_id: str
    user: str
    endpoint: str
    login: str
    source: str
    started_at: float
    ended_at: float | None = None
    state: str = "pending"
    reason: str = ""
    exit_status: int | None = None
    kind: str = "shell"
    command: str = ""
    rule: str = ""
    recording: str = ""
    bytes_out: int = 0
    bytes_in: int = 0
    node: str = ""


@dataclass(frozen=True, slots=True)
class ParticipantRecord:
    """One stay of one person in a session."""

    session_id: str
    participant_id: str
    user: str
    role: str
    source: str
    joined_at: float
    left_at: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Farewell:
    """Why a session ended while its owner was away; kept until they were told."""

    session_id: str
    user_id: str
    endpoint: str
    at: float
    text: str


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Which sessions to list; empty fields match all. `longer`, `shorter`: seconds, of sessions that ended."""

    user: str = ""
    endpoint: str = ""
    live: bool | None = None
    since: float | None = None
    until: float | None = None
    limit: int = 100
    skip: int = 0
    recorded: bool = False
    participant: str = ""
    longer: float | None = None
    shorter: float | None = None
    reason: str = ""
    tag: str = ""
    handed_over: bool | None = None


class Sessions(Protocol):
    """The list of sessions and who took part."""

    async def save(self, record: SessionRecord) -> None:
        """Insert or replace the record with that id."""

    async def get(self, prefix: str) -> SessionRecord:
        """Return the session whose id starts so; `Missing` for none, `Conflict` when several do."""

    async def find(self, wanted: SessionFilter) -> Sequence[SessionRecord]:
        """Return matching sessions, newest first."""

    async def save_participant(self, record: ParticipantRecord) -> None:
        """Insert or replace one stay."""

    async def participants(self, session_id: str) -> Sequence[ParticipantRecord]:
        """Return the stays of a session, in order."""

    async def save_farewell(self, farewell: Farewell) -> None:
        """Keep it until its owner is told."""

    async def take_farewells(self, user_id: str) -> Sequence[Farewell]:
        """Return what is to be told to that person, oldest first, and forget it."""

    async def orphans(self, node: str) -> Sequence[SessionRecord]:
        """Return that node's sessions that never ended (it crashed)."""


class Preferences(Protocol):
    """What the menu remembers of a person."""

    async def used(self, user_id: str, endpoint: str, at: float) -> None:
        """Remember that they connected there."""

    async def set_favourite(self, user_id: str, endpoint: str, favourite: bool) -> None:  # noqa: FBT001
        """Mark or unmark a favourite."""

    async def of(self, user_id: str) -> dict[str, tuple[bool, float | None]]:
        """Return endpoint name -> (favourite, last used)."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A chained fact: `hash` covers `previous` and the event (core.audit.chain)."""

    seq: int
    event: AuditEvent
    previous: bytes
    hash: bytes


class Auditing(Protocol):
    """Where audited facts go: the one writer of this node."""

    @property
    def healthy(self) -> bool:
        """Return whether facts reach the disk now."""

    def record(self, event: AuditEvent) -> None:
        """Write a fact down; never blocks the loop."""

    async def flush(self) -> None:
        """Return when all that was recorded before can be read in the store; `Unavailable` when it cannot be written."""


class AuditStore(Protocol):
    """This node's chain of audited facts. Rows can be added, never changed (triggers refuse)."""

    async def append(self, events: Sequence[AuditEvent]) -> Sequence[AuditEntry]:
        """Chain and store the events durably, in order."""

    async def last(self, count: int, *, code: str = "", actor: str = "", session: str = "") -> Sequence[AuditEntry]:
        """Return the newest matching entries, oldest of them first."""

    def entries(self, since: int = 0) -> AsyncIterator[AuditEntry]:
        """Yield every entry with seq > since, in order."""

    async def signed(self) -> Sequence[bytes]:
        """Return the lines of all signed checkpoints, in order."""

    async def seq_before(self, at: float) -> int:
        """Return the last entry that happened before that time; 0 for none."""

    async def verify(self, elsewhere: Sequence[bytes] = ()) -> tuple[int, str]:
        """Return (entries checked, "" or what is wrong with the first bad one).

        `elsewhere`: lines of signed checkpoints that were kept beside this machine.
        """


# ---------------------------------------------------------------- the far side


class EndpointEvents(Protocol):
    """What a dialled channel tells its session. Called on the loop, never blocking."""

    def output(self, data: bytes, *, stderr: bool = False) -> None:
        """Bytes came from the endpoint."""

    def closed(self, status: int | None, signal: str | None, error: str) -> None:
        """The far side ended: exit status, or signal name, or an error text. Called once, last."""

    def drained(self) -> None:
        """What was written has gone out; more may be written."""


class EndpointChannel(Protocol):
    """An open shell, command or subsystem on an endpoint."""

    def write(self, data: bytes) -> bool:
        """Send bytes; False asks to stop until `drained`."""

    def write_eof(self) -> None:
        """Say that no more input follows."""

    def resize(self, size: Size) -> None:
        """Change the PTY's size."""

    def signal(self, name: str) -> None:
        """Send a signal (`INT`, `TERM`...), where the endpoint takes them."""

    def pause(self) -> None:
        """Stop reading from the endpoint."""

    def resume(self) -> None:
        """Read again."""

    def close(self) -> None:
        """Hang up."""


@dataclass(frozen=True, slots=True)
class ChannelRequest:
    """What to open there. `command` None is a shell; `subsystem` e.g. "sftp"; `term` "" is no PTY."""

    term: str = ""
    size: Size = field(default_factory=lambda: Size(80, 24))
    command: bytes | None = None
    subsystem: str = ""
    environment: tuple[tuple[str, str], ...] = ()


class Dialer(Protocol):
    """Opens channels on endpoints, on the strength of a Grant only."""

    async def dial(
        self,
        grant: Grant,
        request: ChannelRequest,
        events: EndpointEvents,
        unlock: Callable[[], Awaitable[Secret | None]],
    ) -> EndpointChannel:
        """Open a channel. `unlock` is called late, once, only if the login needs its secret.

        Raises `Unavailable` (`endpoint.unreachable`, `endpoint.timeout`, `endpoint.host_key_changed`,
        `endpoint.host_key_unknown`, `endpoint.auth_failed`, `endpoint.refused`) with one public sentence.
        """

    async def scan(self, host: str, port: int, timeout: float) -> Sequence[HostKey]:
        """Return the host keys a machine presents; `Unavailable` when it does not."""


class Scanner(Protocol):
    """Looks at what endpoints prove to be; nobody logs in."""

    async def scan(self, host: str, port: int, timeout: float) -> Sequence[HostKey]:
        """Return the host keys a machine presents; `Unavailable` when it does not."""

    async def verify(self, endpoint: Endpoint, timeout: float) -> None:
        """Return when the endpoint answers with a trusted host key or certificate; `Unavailable` says why not. Nobody logs in."""
