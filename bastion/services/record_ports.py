"""Ports of recordings: their bytes, and what is known of them besides. As in `ports`, backends plug in and tests plug in fakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bastion.core.recording.glean import Mark
from bastion.core.recording.search import Found, IndexState, Portion, Wanted
from bastion.core.values import Size


@dataclass(frozen=True, slots=True)
class RecordingNote:
    """What somebody wrote to a recording. Never changed."""

    session_id: str
    at: float
    by: str
    text: str


class Annotations(Protocol):
    """Tags and notes that people give to recordings."""

    async def tag(self, session_id: str, add: Sequence[str], remove: Sequence[str], by: str, at: float) -> Sequence[str]:
        """Add and take away tags; return those it has then, sorted. What it has already, or has not, stays so."""

    async def tags(self, session_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the tags of each of these that has any, sorted."""

    async def all_tags(self) -> Sequence[str]:
        """Return every tag in use, sorted."""

    async def note(self, note: RecordingNote) -> None:
        """Keep a note."""

    async def notes(self, session_id: str) -> Sequence[RecordingNote]:
        """Return a recording's notes, oldest first."""


class SearchIndex(Protocol):
    """The lines of all recordings. Derived: it can be made again from the casts."""

    async def add(self, portions: Sequence[Portion]) -> None:
        """Store the portions with their marks, all or nothing: after a crash each mark still fits its lines."""

    async def unfinished(self) -> Mapping[str, Mark]:
        """Return the recordings of which more follows, with the place to go on."""

    async def known(self, sessions: Sequence[str]) -> frozenset[str]:
        """Return which of these have any portion."""

    async def endpoints(self) -> frozenset[str]:
        """Return the names of all endpoints that recordings here are of."""

    async def find(self, wanted: Wanted) -> Found:
        """Look for a text."""

    async def remove(self, session: str) -> None:
        """Forget a recording's lines."""

    async def state(self) -> IndexState:
        """Return how large it is."""


class RecordingWriter(Protocol):
    """The open cast of one live session. Each call is on disk (in the kernel) when it returns.

    Raises `OSError` when it cannot be written; the cast then ends with its last whole line, and the caller decides
    what that means (`services.recorder`: strict or not).
    """

    @property
    def length(self) -> int:
        """Bytes of the cast so far: where its next line will begin."""

    @property
    def time(self) -> int:
        """Microseconds from the start to the last line."""

    @property
    def changed(self) -> bool:
        """Whether anything was written since the last `sync`."""

    header: bytes
    """The first line, written when the writer was made."""

    on_written: Callable[[bytes], None] | None
    """Called with the lines of each write after it that succeeded."""

    @property
    def author(self) -> str:
        """Who typed the last input on file."""

    @property
    def between_characters(self) -> bool:
        """Whether all output so far stands in events (no half character waits for its end)."""

    @property
    def faithful(self) -> bool:
        """Whether the last output is on file byte for byte: it was all UTF-8."""

    def output(self, data: bytes, at: float) -> None:
        """Append output bytes. `at`: monotonic seconds. Nothing may be shown before this returned."""

    def input(self, data: bytes, at: float, by: str) -> None:
        """Append input and its author."""

    def resize(self, size: Size, at: float) -> None:
        """Append a change of size."""

    def marker(self, text: str, at: float) -> None:
        """Append an `m` event."""

    def sync(self) -> None:
        """Force what was written to the disk (called beside the loop, about each second)."""

    def end(self, status: int | None, at: float) -> None:
        """Append the exit event; nothing is appended any more."""

    def close(self, state: str = "closed") -> None:
        """Note the state ("closed" or "failed") and close."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What one recording takes: `day` is "YYYY-MM-DD" (UTC), `bytes` all its files on disk, `cast` the plain cast's bytes."""

    session_id: str
    day: str
    bytes: int
    cast: int
    packed: bool


class SideReader(Protocol):
    """A side file opened for reading at any place; it may grow meanwhile."""

    def pread(self, size: int, offset: int) -> bytes:
        """Return at most `size` bytes from `offset` (fewer at the end)."""

    def close(self) -> None:
        """Let go of it."""


class Recordings(Protocol):
    """Where casts are kept (`YYYY/MM/DD/ID/`), with side files that are named after what they hold."""

    def create(self, session_id: str, header: Mapping[str, object], started_at: float, at: float) -> RecordingWriter:
        """Open a new cast with that v3 header. `at`: the monotonic time that is its 0. `OSError` when it cannot be made."""

    def path(self, session_id: str) -> str | None:
        """Return where the cast of that session is, or None."""

    def chunks(self, session_id: str, offset: int = 0) -> Iterator[bytes]:
        """Yield the cast's bytes from `offset`, as far as they are written. `Missing`; `Corrupt` when unreadable."""

    def append_side(self, session_id: str, name: str, data: bytes) -> None:
        """Append to a side file with one write; `OSError` when it cannot be."""

    def cut_side(self, session_id: str, name: str, length: int) -> None:
        """Cut a side file that was damaged behind `length`."""

    def open_side(self, session_id: str, name: str) -> SideReader | None:
        """Open a side file for reading; None when there is none."""

    def is_live(self, session_id: str) -> bool:
        """Return whether that session's cast is being written."""

    def unfinished(self) -> Sequence[str]:
        """Return ids of casts that a crash left open."""

    def to_pack(self) -> Sequence[tuple[str, float]]:
        """Return what is complete and not packed yet: session ids, and since when (seconds since the epoch)."""

    def pack(self, session_id: str, level: int, go_on: Callable[[], bool] = lambda: True) -> tuple[int, int] | None:
        """Pack a complete recording; return its bytes (plain, packed), None where nothing was done.

        Stops when `go_on` says no. `level` 0 leaves it plain for good. `OSError`: it is as it was, and waits still.
        """

    def packed_and_signed(self, session_id: str) -> None:
        """Forget that a recording waits; `pack` does so itself for those that it does not encrypt."""

    def raw(self, session_id: str) -> Iterator[bytes]:
        """Yield the cast as it lies on the disk: packed, encrypted or plain. `Missing`, `Corrupt`."""

    def is_encrypted(self, session_id: str) -> str:
        """Return whom a recording is encrypted to, in a few words; "" when it is not."""

    def unlocked(self, identity: bytes) -> Recordings:
        """Return these recordings as somebody with that identity (an age key's text) can read them. `Invalid`."""

    def stored(self) -> Iterator[Stored]:
        """Yield what every recording takes, by day."""

    def remove(self, session_id: str) -> int:
        """Take a recording away for good; return the bytes that are free now. `Missing`; `Conflict` while it is live."""

    def empty_trash(self) -> int:
        """End removals that a crash cut off; return the bytes that are free now."""

    def close_interrupted(self, session_id: str, then: Callable[[], None] | None = None) -> None:
        """Cut an unfinished cast after its last whole line, mark it interrupted and close it.

        `then` is called before it counts as finished: should that fail, the next start does it again.
        """

    def free(self) -> tuple[int, int]:
        """Return (free bytes, total bytes) where casts are kept."""
