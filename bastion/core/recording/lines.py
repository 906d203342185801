"""What is searched in a recording: lines that came to stand on the screen, and lines that were typed.

Never reads a clock, a file or a terminal: it is told pictures (the texts of the rows) and keys, and tells lines.

Theory of operation. A picture is compared with the two before it: a line that stands there already, anywhere, is not told
again, so what stays, scrolls or is blinked away and back costs nothing. The line with the cursor is held until the cursor
leaves it or something else is written there: while a command is typed only its last form is told. Rows that the terminal
wrapped are one line. A flood is bounded by `Budget`; what it does not let through is not told, but what still stands when the
budget allows it again is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

GAP: Final = 50_000
"""Microseconds without output that make a picture: what stands for less is one with what follows, to an eye."""
LONGEST: Final = 4096
"""Characters of one line that are searched."""
LINES_A_SECOND: Final = 50
"""What a session may add to the index for ever: more than a person reads, a thousandth of what a flood writes."""
BURST: Final = 2000
"""... and at once: a long listing is found whole."""

_LEFT_ROW: Final = 0  # a line that was never on a picture was last seen in the top row
_TYPED_ROW: Final = -1
_AGAIN: Final = 100  # lines the budget must have saved before what scrolls by is collected again
_SECOND: Final = 1_000_000
_FEW_LETTERS: Final = 8
_HARMLESS: Final = frozenset(" !\"#$%&'()*+,-./:;<=>?@[]^_`{|}~\\") | frozenset(bytes([code]) for code in range(32, 127))
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?", re.DOTALL)


class Line(NamedTuple):
    """One line to be found. `time`: microseconds since the start at which it stood there; `row` from 0 (-1: it was typed).

    `by`: who had control then, or who typed it.
    """

    time: int
    row: int
    by: str
    text: str

    @property
    def typed(self) -> bool:
        """Return whether somebody typed it."""
        return self.row == _TYPED_ROW


class Flood(NamedTuple):
    """A stretch (microseconds) in which more scrolled by than is searched."""

    since: int
    until: int


class Budget:
    """How many lines may still be told: `LINES_A_SECOND`, saved up to `BURST`."""

    def __init__(self, rate: float = LINES_A_SECOND, burst: int = BURST) -> None:
        self._rate = rate / _SECOND
        self._burst = burst
        self._left = float(burst)
        self._time = 0

    def left(self, time: int) -> int:
        """Return how many lines may be told at `time`."""
        if time > self._time:
            self._left = min(self._burst, self._left + (time - self._time) * self._rate)
            self._time = time
        return int(self._left)

    def take(self, count: int) -> None:
        """Spend some."""
        self._left -= count


class Rows(NamedTuple):
    """A picture as texts. `rows`: (text without trailing blanks, whether it goes on in the row below); `cursor`: its row.

    `alternate`: it is the screen that full-screen programs have for themselves.
    """

    rows: Sequence[tuple[str, bool]]
    cursor: int
    alternate: bool = False


def harmless(data: str | bytes) -> bool:
    """Return whether this output only adds a few letters where the cursor is: no picture is wanted before it."""
    return len(data) <= _FEW_LETTERS and (data.isalnum() or data in _HARMLESS)


class _Telling:
    """The lines of one picture that are told, as far as the budget goes."""

    def __init__(self, room: int, known: set[str]) -> None:
        self._room = room
        self._known = known
        self.found: list[Line] = []
        self.lost = False

    def news(self, text: str) -> bool:
        """Return whether this is a line that did not stand there before."""
        return text not in self._known and not text.isspace()

    def tell(self, time: int, row: int, by: str, text: str) -> bool:
        """Tell a line, once; False when the budget is spent."""
        if not self.news(text):
            return True
        if len(self.found) >= self._room:
            self.lost = True
            return False
        self._known.add(text)
        self.found.append(Line(time, row, by, text[:LONGEST].strip()))
        return True


class ScreenLines:
    """Turns pictures into lines. `held` is the line with the cursor that was not told yet."""

    def __init__(self, budget: Budget | None = None) -> None:
        self._budget = budget or Budget()
        self._standing: set[str] = set()
        self._before: set[str] = set()
        self._other: set[str] = set()  # what stood on the other screen when it was left: it comes back with it
        self._rows = Rows((), 0)
        self._time = 0
        self.held: Line | None = None
        self.thirsty = True
        """Whether lines that scroll by are wanted: nobody need collect what the budget would not let through."""
        self._flood: Flood | None = None

    def start(self, time: int, picture: Rows, held: str = "") -> None:
        """Go on where somebody stopped: what stands in `picture` was told, but for `held`, the line with the cursor."""
        self._time = time
        self._rows = picture
        self._standing = {text for text, _ in picture.rows}
        for row, last, text in _logical(picture.rows):
            if held and text.strip() == held and row <= picture.cursor <= last:
                self._standing.discard(text)
                self.held = Line(time, row, "", held)
            else:
                self._standing.add(text)

    def picture(self, time: int, picture: Rows, left: Iterable[str] | None, by: str) -> list[Line]:
        """Return the lines that are new: those that `left` through the top since the last picture, and those that stand.

        `left` None: they were not collected, since nobody was thirsty.
        """
        before, self._rows = self._rows, picture
        if not left and self._only_typed(time, before, picture, by):
            return []
        if before.alternate != picture.alternate:
            self._before, self._other = self._other, self._standing
        budget = _Telling(self._budget.left(time), {"", *self._standing, *self._before})
        held, self.held = self.held, None
        for text in left or ():
            budget.tell(self._time, _LEFT_ROW, by, text)
        standing = {text for text, _ in picture.rows}
        logical = _logical(picture.rows)
        for row, last, text in logical:
            standing.add(text)
            if row <= picture.cursor <= last and budget.news(text):
                self.held = Line(time, row, by, text[:LONGEST].strip())
                standing.discard(text)
            elif not budget.tell(time, row, by, text):
                standing.discard(text)  # it is told when the budget allows it, if it stands there still
        found = budget.found
        if held is not None and not _grew(held, [line.text for line in found]) and not _grew(held, [text for *_, text in logical]):
            found.append(held)
        if budget.lost or (left is None and self._standing.isdisjoint(standing - {""})):
            self._flood = Flood(self._flood.since if self._flood else self._time, time)
        self._before, self._standing, self._time = self._standing, standing, time
        self._budget.take(len(found))
        self.thirsty = self._budget.left(time) >= (1 if left is not None else _AGAIN)
        return found

    def _only_typed(self, time: int, before: Rows, picture: Rows, by: str) -> bool:
        """Take a picture that differs from the last in nothing but what was added to the held line: the hot path."""
        held, at = self.held, picture.cursor
        if held is None or at != before.cursor or len(before.rows) != len(picture.rows) or not 0 <= at < len(before.rows):
            return False
        text, wrapped = picture.rows[at]
        if wrapped or (at and picture.rows[at - 1][1]) or not text.strip().startswith(held.text):
            return False
        if before.rows[:at] != picture.rows[:at] or before.rows[at + 1 :] != picture.rows[at + 1 :]:
            return False
        self.held = Line(time, at, by, text[:LONGEST].strip())
        self._time = time
        return True

    def close(self) -> list[Line]:
        """Return the line that was still held."""
        held, self.held = self.held, None
        return [held] if held is not None else []

    def floods(self) -> list[Flood]:
        """Return the flood that was noted since the last call."""
        flood, self._flood = self._flood, None
        return [flood] if flood is not None else []


def _grew(held: Line, texts: Iterable[str]) -> bool:
    """Return whether the held line is among these still, or a longer one that begins with it."""
    return any(text.strip().startswith(held.text) for text in texts)


def _logical(rows: Sequence[tuple[str, bool]]) -> list[tuple[int, int, str]]:
    """Return (first row, last row, text) of each line, rows that were wrapped joined."""
    found: list[tuple[int, int, str]] = []
    parts: list[str] = []
    for number, (text, goes_on) in enumerate(rows):
        if goes_on and number + 1 < len(rows):
            parts.append(text)
        elif parts:
            found.append((number - len(parts), number, "".join(parts) + text))
            parts = []
        else:
            found.append((number, number, text))
    return found


class TypedLines:
    """Turns keys into the lines they made: erasing keys erase, Enter ends a line, and so does another person's key."""

    def __init__(self) -> None:
        self._time = 0
        self._by = ""
        self._text = ""

    @property
    def held(self) -> tuple[int, str, str]:
        """What was typed of a line that is not ended: (time, by, text)."""
        return (self._time, self._by, self._text)

    def start(self, held: tuple[int, str, str]) -> None:
        """Go on with that line."""
        self._time, self._by, self._text = held

    def take(self, time: int, by: str, data: str) -> list[Line]:
        """Return the lines that these keys end."""
        found: list[Line] = []
        if by != self._by:
            found += self._end()
            self._by = by
        for key in _ESCAPES.sub("", data):
            if not self._text:
                self._time = time
            if key in "\r\n\x03\x04":
                found += self._end()
            elif key in "\x08\x7f":
                self._text = self._text[:-1]
            elif key == "\x15":  # Ctrl-U
                self._text = ""
            elif key == "\x17":  # Ctrl-W
                kept = self._text.rstrip()
                self._text = kept[: kept.rfind(" ") + 1]
            elif key.isprintable():
                self._text += key
                if len(self._text) >= LONGEST:
                    found += self._end()
        return found

    def close(self) -> list[Line]:
        """Return what was typed last and not ended."""
        return self._end()

    def _end(self) -> list[Line]:
        text, self._text = self._text.strip(), ""
        return [Line(self._time, _TYPED_ROW, self._by, text)] if text else []
