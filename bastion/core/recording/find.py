"""Finds text on the screens of a recording, as it stood there: also inside vim, or coloured letter by letter.

Never shows anything; says at which moments a text came to stand on the screen.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bastion.core.recording.reader import CastReader, Event, Header, parse_size
from bastion.core.recording.transcript import stripped
from bastion.core.terminal import Terminal
from bastion.core.terminal.past import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bastion.core.recording.keyframes import Keyframe

_GROUP_MICROSECONDS: Final = 50_000  # pictures closer than this are one to an eye
_GROUP_CHARACTERS: Final = 8192
_FLOOD: Final = 1000


class Finder:
    """Takes a cast's bytes from a keyframe (or the start) on and tells the first moment after `after`.

    Letters match whatever their case. A text that already stands there at `after` counts only when it comes anew.
    """

    def __init__(self, header: Header, wanted: str, *, after: int = -1, start: Keyframe | None = None) -> None:
        self._wanted = wanted.casefold()
        self._after = after
        self._terminal = Terminal(*(start.size if start else header.size), history=ROWS)
        if start is None:
            self._reader = CastReader()
        else:
            self._terminal.feed(start.screen)
            self._reader = CastReader.resume(header, start.offset, start.time, start.by)
        self._time = start.time if start else 0
        self._checked = self._time
        self._fed = 0
        self._standing: Counter[str] = Counter()
        self._look()

    @property
    def time(self) -> int:
        """How far it looked (microseconds)."""
        return self._time

    def feed(self, data: bytes) -> int | None:
        """Return the moment (microseconds) at which the text came, or None when it did not within `data`.

        After a moment was returned this finder is spent: `moments` finds all of them.
        """
        return next(self.moments(data), None)

    def moments(self, data: bytes) -> Iterator[int]:
        """Yield every moment within `data` at which the text came. Take them all before the next call."""
        for event in self._reader.feed(data):
            if (event.time - self._checked >= _GROUP_MICROSECONDS and event.time > self._time) or self._fed > _GROUP_CHARACTERS:
                if self._look() and self._time > self._after:
                    yield self._time
                self._checked = event.time
            self._take(event)
            if event.code == "o" and event.time > self._after and self._scrolls_by(event.data):
                yield event.time

    def close(self) -> int | None:
        """Return the moment of the last picture if the text came with it."""
        return self._time if self._look() and self._time > self._after else None

    def _take(self, event: Event) -> None:
        self._time = event.time
        if event.code == "o":
            self._terminal.feed(event.data.encode())
            self._fed += len(event.data)
        elif event.code == "r":
            size = parse_size(event.data)
            if size is not None:
                self._terminal.resize(*size)

    def _scrolls_by(self, data: str) -> bool:
        """Return whether a long output has the text in it: it may scroll by too fast to stand on any picture."""
        return len(data) >= _FLOOD and self._wanted in stripped(data).casefold()

    def _look(self) -> bool:
        """Return whether the text stands somewhere where it did not stand at the last look.

        A place is known by what stands before it in its row: so it is the same one when its row scrolls or grows.
        """
        self._fed = 0
        standing: Counter[str] = Counter()
        for row in self._terminal.snapshot().rows:
            text = "".join(row.chars).casefold()
            at = text.find(self._wanted)
            while at >= 0:
                standing[text[:at]] += 1
                at = text.find(self._wanted, at + 1)
        came = bool(standing - self._standing)
        self._standing = standing
        return came
