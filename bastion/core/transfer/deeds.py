"""What a transfer session wants, is told, and did. Never a protocol: SFTP and the old scp speak of files in these words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

UPLOAD: Final = "upload"
DOWNLOAD: Final = "download"
DIRECTIONS: Final = (UPLOAD, DOWNLOAD)
"""As seen by the person: an upload changes something on the endpoint."""


class Digest(Protocol):
    """A running SHA-256."""

    def update(self, data: memoryview, /) -> None:
        """Take more bytes."""

    def hexdigest(self) -> str:
        """Return the digest of all bytes so far."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What policy says of one file. `most`: the most bytes it may have, None for no limit."""

    allowed: bool
    reason: str = ""
    most: int | None = None


class Place(NamedTuple):
    """A path as it was asked for, in every spelling that is known (`spellings` empty: nobody knows which file)."""

    path: str
    spellings: tuple[str, ...]
    complete: bool = True
    """Whether there are no other spellings (the login's home is known)."""


Ask = Callable[[str, Place], Ruling]
"""(direction, place) -> what policy says now."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that was done to files, or refused.

    `what`: "uploaded", "downloaded", "removed"... `result`: "ok", "denied" or "failed". `size`, `first`: bytes moved and
    the offset of the first one; `digest` covers exactly these, None when they came out of order (`sha256` says so).
    `seconds`: how long it took.
    """

    what: str
    path: str
    to: str = ""
    result: str = "ok"
    reason: str = ""
    size: int | None = None
    first: int = 0
    digest: Digest | None = None
    seconds: float = 0.0
    more: tuple[tuple[str, object], ...] = ()


class ToEndpoint(NamedTuple):
    """Send these bytes to the endpoint."""

    data: bytes


class ToClient(NamedTuple):
    """Send these bytes to the client."""

    data: bytes


class Tell(NamedTuple):
    """Tell the person a sentence beside the protocol (their standard error)."""

    text: str


class Done(NamedTuple):
    """Write this down."""

    deed: Deed


class Broken(NamedTuple):
    """Somebody broke the protocol: end the channel, nothing after it counts. `who`: "client" or "endpoint"."""

    who: str
    reason: str


Effect = ToEndpoint | ToClient | Tell | Done | Broken


class Reading(Protocol):
    """A protocol between a client and an endpoint, read beside the relay."""

    def from_client(self, data: bytes, at: float) -> list[Effect]:
        """Take bytes of the client. `at`: monotonic seconds."""

    def from_endpoint(self, data: bytes, at: float) -> list[Effect]:
        """Take bytes of the endpoint."""

    def ended(self, at: float) -> list[Effect]:
        """Take notice that nothing more comes: what was under way is cut off."""

    @property
    def wants_more(self) -> bool:
        """Return whether the client should go on sending now."""

    @property
    def holds(self) -> bool:
        """Return whether bytes of the client wait here for the endpoint to speak first: its end of input waits, too."""


class Moving:
    """One direction of one open file: how much moved, and its SHA-256 while that is in order."""

    __slots__ = ("_digest", "_next", "at", "failed", "first", "most", "ordered", "path", "reached", "size", "what")

    def __init__(self, what: str, path: str, at: float, digest: Digest, most: int | None, *, first: int | None = None) -> None:
        self.what = what
        self.path = path
        self.at = at
        self.most = most
        self.first = first
        self.size = 0
        self.ordered = True
        self.failed: tuple[str, str] | None = None
        self.reached = 0
        self._digest = digest
        self._next = first

    def took(self, offset: int, data: memoryview) -> None:
        """Count bytes at that offset of the file."""
        if self._next is None:
            self.first = self._next = offset
        if self.ordered and offset == self._next:
            self._digest.update(data)
        else:
            self.ordered = False
        self._next = offset + len(data)
        self.size += len(data)
        self.reached = max(self.reached, self._next)

    def fail(self, result: str, reason: str) -> None:
        """Remember the first thing that went wrong."""
        if self.failed is None:
            self.failed = (result, reason)

    def deed(self, at: float, *more: tuple[str, object]) -> Deed:
        """Return what came of it."""
        result, reason = self.failed or ("ok", "")
        digest = self._digest if self.ordered else None
        return Deed(self.what, self.path, "", result, reason, self.size, self.first or 0, digest, at - self.at, more)
