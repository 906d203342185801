"""Reads a cast once and makes what a player needs to move in it: keyframes, markers, its length.

Never on a session's path: it works on what is written, from the beginning or from the last keyframe on.
"""

from __future__ import annotations

from typing import Final

from bastion.core.recording.keyframes import Due, Keyframe
from bastion.core.recording.reader import CastReader, Event, Header, parse_size
from bastion.core.recording.track import MARKER, MAX_ENTRIES, Entry
from bastion.core.terminal import Terminal
from bastion.core.terminal.past import ROWS, past
from bastion.core.values import Size

_POINT_MICROSECONDS: Final = 250_000
_MAX_POINTS: Final = 4000  # keyframes, every 10 s, are enough for what is longer


class Indexer:
    """Takes a cast's bytes in order. `marks`, `time` and `offset` tell of what was taken so far."""

    def __init__(self, header: Header, start: Keyframe | None = None) -> None:
        self._terminal = Terminal(*(start.size if start else header.size), history=ROWS)
        self._by = ""
        self._due = Due()
        self.marks: list[Entry] = []
        self.points: list[tuple[int, int]] = []
        """(time, offset) now and then: how much happened when."""
        self.time = 0
        self.offset = 0
        """Of the next line that was not taken yet."""
        if start is None:
            self._reader = CastReader()
        else:
            self._terminal.feed(start.screen)
            self._by = start.by
            self._due.made(start.time, start.offset)
            self._reader = CastReader.resume(header, start.offset, start.time, start.by)
            self.time, self.offset = start.time, start.offset

    def feed(self, data: bytes) -> list[Keyframe]:
        """Return the keyframes that became due within `data`, each before the event that follows it."""
        found: list[Keyframe] = []
        for event in self._reader.feed(data):
            if self._due.now(self.time, event.offset):
                found.append(self._keyframe(event))
            self._take(event)
        return found

    def _keyframe(self, following: Event) -> Keyframe:
        terminal = self._terminal
        self._due.made(self.time, following.offset)
        by = following.by if following.code == "i" else self._by  # a comment before its line may have named them
        size = Size(terminal.columns, terminal.lines)
        return Keyframe(self.time, following.offset, size, past(terminal.screen) + terminal.dump() + terminal.pending, by)

    def _take(self, event: Event) -> None:
        if event.time - (self.points[-1][0] if self.points else 0) >= _POINT_MICROSECONDS and len(self.points) < _MAX_POINTS:
            self.points.append((event.time, event.offset))
        self.time = event.time
        self.offset = event.offset
        if event.code == "o":
            self._terminal.feed(event.data.encode())
        elif event.code == "r":
            size = parse_size(event.data)
            if size is not None:
                self._terminal.resize(*size)
                self._due.resized()
        elif event.code == "i":
            self._by = event.by
        elif event.code == "m" and len(self.marks) < MAX_ENTRIES:
            self.marks.append(Entry(event.time, MARKER, "", event.data))
