"""What is asked of the index of all recordings, and what it answers. Never holds an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bastion.core.recording.glean import Mark
from bastion.core.recording.lines import Flood, Line


@dataclass(frozen=True, slots=True)
class Portion:
    """Lines of one recording to be found from now on, and the place before which all are told (None: it stays).

    `done`: nothing follows. The first portion of a recording says whose it is.
    """

    session: str
    user: str
    endpoint: str
    started_at: float
    lines: Sequence[Line] = ()
    floods: Sequence[Flood] = ()
    mark: Mark | None = None
    done: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for: `text` literally, in any case of its letters unless `case`. Empty fields match all.

    `endpoints` are the only ones that count (what the person may replay). `typed`: only typed lines, or only shown ones.
    `seconds`: how long to look at most.
    """

    text: str
    endpoints: frozenset[str]
    case: bool = False
    user: str = ""
    session: str = ""
    since: float | None = None
    until: float | None = None
    typed: bool | None = None
    limit: int = 50
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A line that was found. `start`: where the text begins in it."""

    session: str
    user: str
    endpoint: str
    started_at: float
    line: Line
    start: int
    length: int

    @property
    def at(self) -> float:
        """Return when it stood there (seconds since the epoch)."""
        return self.started_at + self.line.time / 1e6


@dataclass(frozen=True, slots=True)
class Found:
    """Hits, newest first. `more`: there are others, older ones. `back_to`: time was over; what is older was not looked through."""

    hits: Sequence[Hit]
    more: bool = False
    back_to: float | None = None


@dataclass(frozen=True, slots=True)
class IndexState:
    """How large the index is. `floods`: recordings with stretches that scrolled by too fast to be kept whole."""

    recordings: int
    lines: int
    floods: int
    bytes: int


def spot(line: str, text: str, *, case: bool) -> tuple[int, int] | None:
    """Return where `text` (folded unless `case`) begins in `line` and how many characters it has there, or None."""
    if case:
        at = line.find(text)
        return None if at < 0 else (at, len(text))
    folded = line.casefold()
    at = folded.find(text)
    if at < 0:
        return None
    if len(folded) == len(line):
        return at, len(text)
    start = end = size = 0  # a letter that folds to several: count letter by letter
    for number, character in enumerate(line):
        if size <= at:
            start = number
        size += len(character.casefold())
        if size >= at + len(text):
            end = number + 1
            break
    return start, max(1, end - start)
