"""Reads a cast from any place and tells the lines to be searched: for recordings that were not indexed while they ran.

Never holds more than one chunk, and tells a line once however often it is stopped: `mark` says where to go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bastion.core.recording.keyframes import Due
from bastion.core.recording.lines import GAP, Flood, Line, Rows, ScreenLines, TypedLines, harmless
from bastion.core.recording.reader import CastReader, Event, Header, parse_size
from bastion.core.recording.track import CONTROL, Entry
from bastion.core.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bastion.core.recording.keyframes import Keyframe

PICTURE_BYTES: Final = 64 * 1024
"""Output that makes one in any case."""
PICTURE_MICROSECONDS: Final = 1_000_000
MOST_WITHOUT_PTY: Final = 1024 * 1024
"""Of what a command without a terminal wrote, so much is searched: the rest is a transfer."""


class Mark(NamedTuple):
    """A place in a cast before which all lines are told.

    `offset`: of the next event; `time` of the last one; `held`: the line under the cursor that is not told yet;
    `typed`: what was typed of a line that is not ended (time, by, text), up to the offset `typed_until`.
    """

    offset: int = 0
    time: int = 0
    held: str = ""
    typed: tuple[int, str, str] = (0, "", "")
    typed_until: int = 0


class Gleaner:
    """Takes a cast's bytes in order, from `start` (a keyframe at or before the mark, or the beginning) on."""

    def __init__(self, header: Header, mark: Mark, track: Sequence[Entry], owner: str, start: Keyframe | None = None) -> None:
        self._terminal = Terminal(*(start.size if start else header.size), history=0, searchable=True)
        self._raw = not header.term  # without a PTY nobody turned LF into CR LF
        self._mark = mark
        self._silent = mark.offset > 0
        self._screen = ScreenLines()
        self._typed = TypedLines()
        self._typed.start(mark.typed)
        self._due = Due(start.time, start.offset) if start else Due()
        self._control = [entry for entry in track if entry.kind == CONTROL]
        self._owner = owner
        self._shown = 0
        self._new = False
        self._last = start.time if start else 0
        self._fed = 0
        self._found: list[Line] = []
        self.offset = start.offset if start else 0
        """Of the next line of the cast."""
        self.time = self._last
        if start is None:
            self._reader = CastReader()
        else:
            self._terminal.feed(start.screen)
            self._reader = CastReader.resume(header, start.offset, start.time, start.by)
        self._pictured = self._last

    @property
    def enough(self) -> bool:
        """Return whether the rest need not be read: the output of a transfer."""
        return self._raw and self._shown > MOST_WITHOUT_PTY

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that `data` brought."""
        for event in self._reader.feed(data):
            if self._silent and event.offset >= self._mark.offset:
                self._awake()
            self._before(event)
            self._take(event)
        self.offset = self._reader.offset
        return self._drain()

    def close(self) -> list[Line]:
        """Return the last lines: nothing more comes."""
        if self._silent:
            self._awake()
        self._picture()
        self._found += self._screen.close() + self._typed.close()
        return self._drain()

    def mark(self) -> Mark:
        """Return where to go on; all lines before it were told (take a picture first, so call it between `feed`s)."""
        if not self._silent:
            self._picture()
        held = self._screen.held
        return Mark(self.offset, self.time, held.text if held else "", self._typed.held, max(self.offset, self._mark.typed_until))

    def drain(self) -> list[Line]:
        """Return the lines that `mark` found."""
        return self._drain()

    def floods(self) -> list[Flood]:
        """Return where more scrolled by than was told, since the last call."""
        return self._screen.floods()

    def _drain(self) -> list[Line]:
        found, self._found = self._found, []
        return found

    def _awake(self) -> None:
        """From here on lines are told; what stands was told before."""
        self._silent = False
        self._terminal.departed()
        self._screen.start(self._mark.time, self._rows(), self._mark.held)
        self._new = False
        self._pictured = self._last

    def _before(self, event: Event) -> None:
        """Take a picture if an eye had time for one, or a keyframe is made here, before the event changes it."""
        if self._due.now(self.time, event.offset):
            self._due.made(self.time, event.offset)
            self._picture()
            return
        paused = event.code == "o" and event.time - self._last >= GAP and not harmless(event.data)
        long_ago = self._fed >= PICTURE_BYTES or event.time - self._pictured >= PICTURE_MICROSECONDS
        if paused or long_ago or event.code == "r":
            self._picture()

    def _take(self, event: Event) -> None:
        self.time = event.time
        if event.code == "o":
            text = event.data.replace("\n", "\r\n") if self._raw else event.data
            self._shown += len(text)
            self._last = event.time
            self._fed += len(text)
            self._new = True
            self._terminal.feed(text.encode())
        elif event.code == "r":
            size = parse_size(event.data)
            if size is not None:
                self._due.resized()
                self._new = True
                self._terminal.resize(*size)
        elif event.code == "i" and event.offset >= self._mark.typed_until:
            self._found += self._typed.take(event.time, event.by, event.data)

    def _picture(self) -> None:
        if self._silent or not self._new:
            return
        self._new = False
        self._fed = 0
        self._pictured = self.time
        screen = self._screen
        left = self._terminal.departed() if screen.thirsty else None
        self._found += screen.picture(self._last, self._rows(), left, self._who())
        self._terminal.collect_lines(wanted=screen.thirsty)

    def _rows(self) -> Rows:
        return Rows(self._terminal.texts(), self._terminal.cursor[1], self._terminal.alternate)

    def _who(self) -> str:
        """Return who had control at the last output."""
        who = self._owner
        for entry in self._control:
            if entry.time > self._last:
                break
            who = entry.who
        return who
