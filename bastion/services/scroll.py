"""What scrolled by before a moment of a recording: rows, a stretch between two keyframes at a time.

Never holds more than a window of it: what lies far from the page that is looked at is let go and read again. `load`
is called in a thread, one at a time; everything else is cheap.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from bastion.core.recording.reader import CastReader, parse_size
from bastion.core.terminal import Terminal
from bastion.core.terminal.line import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bastion.core.recording.keyframes import Keyframe, Place
    from bastion.core.terminal.grid import Row
    from bastion.core.terminal.line import Packed
    from bastion.services.indexing import Index
    from bastion.services.record_ports import Recordings
    from bastion.services.tape import Tape

MOST_ROWS: Final = 131_072
"""Of one stretch: more than 256 kB of cast can hold, so only a flood without keyframes loses some."""
KEPT_ROWS: Final = 40_000
"""Rows kept of stretches that are not looked at."""

_WIPES: Final = ("\x1b[3J", "\x1bc")
_WIPE: Final = re.compile(r"(\x1b\[3J|\x1bc)")


class _Block:
    """The rows that left the screen within one stretch, and when."""

    def __init__(self, start: Keyframe | None, tape: Tape, recordings: Recordings, begin: int, until: int, stop: int | None) -> None:
        """Read from `start` on; rows count from the line at offset `begin`, up to the moment `until` or offset `stop`."""
        self._terminal = Terminal(*(start.size if start else tape.header.size), history=MOST_ROWS)
        if start is not None:
            self._terminal.feed(start.screen)
        self._reader = CastReader.resume(tape.header, start.offset, start.time, start.by) if start else CastReader()
        self._chunks: Iterator[bytes] | None = recordings.chunks(tape.session_id, start.offset if start else 0)
        self._begin, self._until, self._stop = begin, until, stop
        self._begun = False
        self._seen = 0  # rows of the terminal's scrollback that are taken over, or not ours
        self.eaten = 0
        """Rows of the stretch before that a larger window brought back."""
        self._counts: list[int] = []
        self._times: list[int] = []
        self.rows: list[Packed] = []

    def step(self) -> bool:
        """Read a chunk; return whether there is more of this stretch."""
        data = next(self._chunks, b"") if self._chunks is not None else b""
        scrollback = self._terminal.screen.scrollback
        for event in self._reader.feed(data):
            if event.time > self._until or (self._stop is not None and event.offset >= self._stop):
                data = b""
                break
            if not self._begun and event.offset >= self._begin:
                self._begun = True
                self._seen = len(scrollback)  # what a keyframe brought along belongs to the stretch before
            if event.code == "o":
                self._feed(event.data)
            elif event.code == "r" and (size := parse_size(event.data)) is not None:
                self._resize(*size)
            if self._begun and len(scrollback) - self._seen + len(self.rows) > (self._counts[-1] if self._counts else 0):
                self._counts.append(len(scrollback) - self._seen + len(self.rows))
                self._times.append(event.time)
        if data:
            return True
        if self._chunks is not None:
            self._chunks = None
            self._take()
        return False

    def _feed(self, data: str) -> None:
        for piece in _WIPE.split(data) if "\x1b[3J" in data or "\x1bc" in data else (data,):
            if piece.startswith(_WIPES):
                self._take()  # a terminal forgets them here; a recording does not
            self._terminal.feed(piece.encode())
            self._seen = min(self._seen, len(self._terminal.screen.scrollback))
        if len(self._terminal.screen.scrollback) >= MOST_ROWS // 2:
            self._take()
            self._terminal.screen.scrollback.clear()
            self._seen = 0

    def _take(self) -> None:
        """Take over the rows that left since the last time."""
        history = self._terminal.screen.history()
        if self._begun:
            self.rows += history[self._seen :]
        self._seen = len(history)

    def _resize(self, columns: int, lines: int) -> None:
        """Change the size: rows that it brings back leave the pile, rows that it pushes out come upon it.

        Another width lays all rows out anew, so their number says nothing; the amount of text in them does.
        """
        self._take()
        before = self._terminal.screen.history()
        self._terminal.resize(columns, lines)
        history = self._terminal.screen.history()
        self._seen = len(history)
        if not self._begun:
            return
        change = _amount(history) - _amount(before)
        while change > 0 and self._seen:
            self._seen -= 1
            change -= _amount(history[self._seen : self._seen + 1])
        self._take()
        while change < 0 and before:
            change += _amount([before.pop()])
            if self.rows:
                self.rows.pop()
            else:
                self.eaten += 1  # a row of the stretch before, which is on the screen again

    def time(self, row: int) -> int | None:
        """Return when that row left the screen."""
        at = bisect_right(self._counts, row)
        return self._times[at] if at < len(self._times) else None


def _amount(rows: Sequence[Packed]) -> int:
    """Return how much text is in rows, and line ends, however they are laid out."""
    return sum(len(row.text.rstrip()) + (not row.wrapped) for row in rows)


class Scroll:
    """A page onto all rows that scrolled by before `time`, and behind them the screen of that moment.

    `move` says where to go; `page` is None as long as rows are missing that `load` brings.
    """

    def __init__(self, recordings: Recordings, tape: Tape, index: Index, time: int, screen: Sequence[Row]) -> None:
        self._recordings = recordings
        self._tape = tape
        self._index = index
        self._time = time
        self._screen = screen
        self._starts: list[Place | None] = [None, *(place for place in index.places if place.time <= time)]
        self._blocks: dict[int, _Block] = {}
        self._loading: tuple[int, _Block] | None = None
        self._end = len(self._starts)  # stands for the screen, behind the last stretch
        self._at, self._row = self._end, 0  # the page's first row: stretch, row in it
        self._owed = 0  # rows still to move
        self._height = 1

    @property
    def left(self) -> bool:
        """Whether the page is back at the screen: nothing of before is in sight."""
        return self._at >= self._end and not self._owed

    @property
    def wants(self) -> bool:
        """Whether rows of the page, or of the one above it, are not loaded yet."""
        return self._missing() is not None

    @property
    def at_start(self) -> bool:
        """Whether the page begins with the very first row."""
        return (self._at, self._row) == (0, 0)

    @property
    def time(self) -> int:
        """When the page's first row left the screen."""
        block = self._blocks.get(self._at)
        found = block.time(self._row) if block is not None else None
        return self._time if found is None else found

    def move(self, rows: int) -> None:
        """Go `rows` down, or up when negative; what is not loaded yet is gone to later."""
        self._owed += rows
        self._settle()

    def to_start(self) -> None:
        """Go to the very first row."""
        self._at = self._row = self._owed = 0

    def page(self, height: int) -> list[Row] | None:
        """Return `height` rows (fewer where the screen ends); None while some must be loaded first."""
        self._height = height
        self._settle()
        if self._missing() is not None and self._owed:
            return None
        rows: list[Row] = []
        at, row = self._at, self._row
        while len(rows) < height and at < self._end:
            block = self._blocks.get(at)
            if block is None:
                return None
            shown = block.rows[row : min(self._count(at), row + height - len(rows))]
            rows += [(line := unpack(packed)).row(max(len(line.chars), 1)) for packed in shown]
            at, row = at + 1, 0
        return rows + list(self._screen[: height - len(rows)])

    def load(self) -> bool:
        """Load a chunk of what is missing, in a thread; return whether there is more to do."""
        wanted = self._missing()
        if wanted is None:
            return False
        if self._loading is None or self._loading[0] != wanted:
            self._loading = (wanted, self._open(wanted))
        block = self._loading[1]
        if not block.step():
            self._loading = None
            self._blocks = {**self._blocks, wanted: block}
            self._let_go()
        return True

    def _settle(self) -> None:
        """Move as far as rows are loaded."""
        while self._owed < 0 and (self._row or self._at):
            if self._row:
                step = min(self._row, -self._owed)
                self._row -= step
                self._owed += step
            elif self._at - 1 in self._blocks:
                self._at -= 1
                self._row = self._count(self._at)
            else:
                return
        while self._owed > 0 and self._at < self._end:
            if self._at not in self._blocks:
                return
            step = min(max(0, self._count(self._at) - self._row), self._owed)
            self._row += step
            self._owed -= step
            if self._row >= self._count(self._at):
                self._at, self._row = self._at + 1, 0
        self._owed = 0
        while self._at < self._end and self._at in self._blocks and self._row >= self._count(self._at):
            self._at, self._row = self._at + 1, 0  # stretches in which nothing left the screen

    def _count(self, at: int) -> int:
        """Return how many rows of a loaded stretch count: some may have come back in the next one."""
        following = self._blocks.get(at + 1)
        return max(0, len(self._blocks[at].rows) - (following.eaten if following else 0))

    def _missing(self) -> int | None:
        """Return the stretch to load next: of the page, of the way to go, and one page ahead."""
        rows, at = -self._row, self._at
        while rows < self._height + max(0, self._owed) and at < self._end:
            if at not in self._blocks:
                return at
            rows += self._count(at)
            at += 1
        rows, at = self._row, self._at - 1
        while rows < self._height - min(0, self._owed) and at >= 0:
            if at not in self._blocks:
                return at
            rows += self._count(at)
            at -= 1
        return None

    def _open(self, at: int) -> _Block:
        place, start, first = self._starts[at], None, at
        while place is not None and start is None:  # where a keyframe is damaged, from one before
            start = self._index.keyframe_at(place)
            if start is None:
                first -= 1
                place = self._starts[first]
        own = self._starts[at]
        following = self._starts[at + 1] if at + 1 < self._end else None
        begin = own.offset if own else 0
        return _Block(start, self._tape, self._recordings, begin, self._time, following.offset if following else None)

    def _let_go(self) -> None:
        """Forget the stretches that lie farthest from the page."""
        size = sum(len(block.rows) for block in self._blocks.values())
        kept = dict(self._blocks)
        for at in sorted(kept, key=lambda at: -abs(at - self._at)):
            if size <= KEPT_ROWS or abs(at - self._at) <= 1:
                break
            size -= len(kept.pop(at).rows)
        self._blocks = kept
