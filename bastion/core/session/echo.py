"""Which typed keys the endpoint echoed, so that those it hid (passwords) are counted and not stored. Never sends a byte.

This is a heuristic at a proxy: the endpoint's terminal modes cannot be seen from here, only what comes back. A
burst of printable keys counts as echoed when the next output, its control sequences left out, begins with it;
else, after `WAIT_SECONDS` or `WAIT_BYTES`, or as soon as a line ends first, it counts as hidden. It errs towards
not storing: keys that a full-screen program takes as commands are mostly counted, too. It can err the other way
when a program that hides input happens to print the very same characters at that moment.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, NamedTuple

WAIT_SECONDS: Final = 1.0
WAIT_BYTES: Final = 4096
_MOST: Final = 64 * 1024  # typed and undecided; a paste beyond that is counted
_SEQUENCE: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\x00-\x09\x0b-\x1f\x7f]")
_KEYS: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])|[\x00-\x1f\x7f]+")


class Stored(NamedTuple):
    """Input that may be kept."""

    data: bytes
    by: str


class Counted(NamedTuple):
    """So many bytes were typed and not echoed."""

    keys: int
    by: str


class _Burst(NamedTuple):
    at: float
    data: bytes
    by: str


class EchoWatch:
    """Holds what was typed until it is known whether it came back."""

    def __init__(self) -> None:
        self._waiting: deque[_Burst] = deque()
        self._size = 0
        self._output = b""
        self._seen = 0
        self._hidden = Counted(0, "")

    @property
    def waits(self) -> bool:
        """Return whether something is undecided."""
        return bool(self._waiting)

    def typed(self, at: float, data: bytes, by: str) -> list[Stored | Counted]:
        """Take typed bytes; return what is decided."""
        if not self._waiting:
            self._output, self._seen = b"", 0
        for piece in _pieces(data):
            self._waiting.append(_Burst(at, piece, by))
            self._size += len(piece)
        found = self._settle_keys()
        return found if self._size <= _MOST else found + self.give_up()

    def output(self, data: bytes) -> list[Stored | Counted]:
        """Take output; return what is decided by it."""
        if not self._waiting:
            return []
        self._seen += len(data)
        self._output = _SEQUENCE.sub(b"", self._output + data)[:WAIT_BYTES]
        found: list[Stored | Counted] = []
        while self._waiting and self._output:
            burst = self._waiting[0]
            if not _printable(burst.data):
                if burst.data[0] in b"\r\n":
                    self._output = self._output.removeprefix(b"\n")
                found += self._store(self._pop())
                continue
            common = min(len(burst.data), len(self._output))
            if self._output[:common] != burst.data[:common]:
                found += self._hide_line()
                break
            if common < len(burst.data):
                break  # the rest may still come
            self._output = self._output[common:]
            found += self._store(self._pop())
        if self._waiting and self._seen > WAIT_BYTES:
            found += self.give_up()
        return found + self._settle_keys()

    def expired(self, at: float) -> list[Stored | Counted]:
        """Return what waited for too long; the rest goes on waiting."""
        found: list[Stored | Counted] = []
        while self._waiting and at - self._waiting[0].at >= WAIT_SECONDS:
            burst = self._pop()
            found += self._hide(burst) if _printable(burst.data) else self._store(burst)
        return found + self._settle_keys()

    def give_up(self) -> list[Stored | Counted]:
        """Decide everything now: what was not seen to come back is counted."""
        found: list[Stored | Counted] = []
        while self._waiting:
            burst = self._pop()
            found += self._hide(burst) if _printable(burst.data) else self._store(burst)
        return found + self._told()

    def _hide_line(self) -> list[Stored | Counted]:
        """What came back is something else: nothing up to the end of the typed line was echoed."""
        found: list[Stored | Counted] = []
        self._output = b""
        while self._waiting and _printable(self._waiting[0].data):
            found += self._hide(self._pop())
        return found

    def _settle_keys(self) -> list[Stored | Counted]:
        """Keys that are no characters are no secret: store those that stand first."""
        found: list[Stored | Counted] = []
        while self._waiting and not _printable(self._waiting[0].data):
            found += self._store(self._pop())
        return found

    def _pop(self) -> _Burst:
        burst = self._waiting.popleft()
        self._size -= len(burst.data)
        return burst

    def _store(self, burst: _Burst) -> list[Stored | Counted]:
        return [*self._told(), Stored(burst.data, burst.by)]

    def _hide(self, burst: _Burst) -> list[Stored | Counted]:
        before = self._told() if self._hidden.by != burst.by else []
        self._hidden = Counted(self._hidden.keys + len(burst.data), burst.by)
        return before

    def _told(self) -> list[Stored | Counted]:
        hidden, self._hidden = self._hidden, Counted(0, "")
        return [hidden] if hidden.keys else []


def _printable(data: bytes) -> bool:
    return data[0] >= 0x20 and data[0] != 0x7F  # noqa: PLR2004 - a piece is all of one kind


def _pieces(data: bytes) -> list[bytes]:
    """Split typed bytes into runs of characters and of other keys, in order."""
    found, at = [], 0
    for match in _KEYS.finditer(data):
        if match.start() > at:
            found.append(data[at : match.start()])
        found.append(match[0])
        at = match.end()
    if at < len(data):
        found.append(data[at:])
    return found
