"""The list of what a search found: its picture, and what keys make of it.

Never searches, and never plays anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bastion.core.terminal.paint import Canvas, clip
from bastion.core.terminal.style import BOLD, DIM, PLAIN, REVERSE, style
from bastion.core.text import text_width

if TYPE_CHECKING:
    from bastion.core.keys import Key
    from bastion.core.terminal.grid import Grid
    from bastion.core.terminal.style import Style

_HEADER: Final = style(255, 24)
_PRODUCT: Final = style(255, 24, BOLD)
_DIM: Final = style(flags=DIM)
_HEADING: Final = style(flags=DIM, underline=1)
_SELECTED: Final = style(flags=REVERSE)
_KEY: Final = style(flags=BOLD)
_FOUND: Final = style(3, flags=BOLD)
_FOUND_SELECTED: Final = style(3, flags=BOLD | REVERSE)
_MARK: Final = "›"  # noqa: RUF001 - it shall look like an arrow
_GAP: Final = 2
_HELP: Final = (("Enter", "play from there"), ("↑ ↓", "choose"), ("PgUp PgDn", "page"), ("q", "back"))
_ROOM_FOR_HEADINGS: Final = 8
_LEAST_TEXT: Final = 16


@dataclass(frozen=True, slots=True)
class Result:
    """One hit as it is listed. All texts may come from outside. `before`, `found`, `after` make the line."""

    at: str
    where: str
    who: str
    before: str
    found: str
    after: str


@dataclass(frozen=True, slots=True)
class Results:
    """The list at one moment; `selected` is a position in `rows`; `note` says what the list does not have."""

    text: str
    rows: tuple[Result, ...]
    columns: int
    lines: int
    note: str = ""
    selected: int = 0

    def resized(self, columns: int, lines: int) -> Results:
        """Return the list on a terminal of another size."""
        return replace(self, columns=max(columns, 1), lines=max(lines, 1))

    @property
    def top(self) -> int:
        """Return the line of the first row."""
        return 3 if self.lines >= _ROOM_FOR_HEADINGS else 1

    @property
    def height(self) -> int:
        """Return how many rows are shown."""
        return max(self.lines - self.top - 2, 1)


class Back:
    """They want to go back where they came from."""


def update(shown: Results, key: Key) -> Results | int | Back:
    """Return what a key makes of the list: another, the position of the hit to play, or `Back`."""
    last = max(len(shown.rows) - 1, 0)
    at = shown.selected
    match key.text if key.name == "text" else key.name:
        case "down" | "j" | "n" | "tab" | "ctrl-n":
            at = min(at + 1, last)
        case "up" | "k" | "N" | "p" | "backtab" | "ctrl-p":
            at = max(at - 1, 0)
        case "pagedown" | " " | "ctrl-f":
            at = min(at + shown.height, last)
        case "pageup" | "b" | "ctrl-b":
            at = max(at - shown.height, 0)
        case "home" | "g":
            at = 0
        case "end" | "G":
            at = last
        case "enter" if shown.rows:
            return at
        case "escape" | "q" | "Q" | "ctrl-c" | "ctrl-d":
            return Back()
    return replace(shown, selected=at)


def view(shown: Results) -> Grid:
    """Return what the list looks like at its size."""
    canvas = Canvas(shown.columns, shown.lines)
    canvas.fill(0, 0, shown.columns, _HEADER)
    x = canvas.text(1, 0, "search", _PRODUCT)
    count = f"{shown.selected + 1} of {len(shown.rows)}"
    canvas.text(x + 2, 0, clip(shown.text, max(shown.columns - x - len(count) - 5, 0)), _HEADER)
    if shown.columns > x + len(count) + 4:
        canvas.text(shown.columns - 1 - len(count), 0, count, _HEADER)
    widths = _widths(shown)
    if shown.top > 1:
        at = 3
        for head, width in zip(("AT", "WHERE", "WHO", "LINE"), widths, strict=True):
            at = _cell(canvas, at, shown.top - 1, head, width, _HEADING)
    first = min(max(shown.selected - shown.height + 1, 0), max(len(shown.rows) - shown.height, 0))
    for offset, row in enumerate(shown.rows[first : first + shown.height]):
        _row(canvas, shown.top + offset, row, widths, chosen=first + offset == shown.selected)
    if shown.note and shown.lines > shown.top + 1:
        canvas.text(1, shown.lines - 2, clip(shown.note, shown.columns - 2), _DIM)
    x = 1
    for key, word in _HELP:
        if x + text_width(key) + len(word) + 1 < shown.columns:
            x = canvas.text(x, shown.lines - 1, key, _KEY)
            x = canvas.text(x + 1, shown.lines - 1, word, _DIM) + 2
    return canvas.frame()


def _row(canvas: Canvas, y: int, row: Result, widths: tuple[int, int, int, int], *, chosen: bool) -> None:
    plain, dim, found = (_SELECTED, _SELECTED, _FOUND_SELECTED) if chosen else (PLAIN, _DIM, _FOUND)
    if chosen:
        canvas.fill(0, y, canvas.columns, _SELECTED)
        canvas.text(0, y, _MARK, _SELECTED)
    x = _cell(canvas, 3, y, row.at, widths[0], dim)
    x = _cell(canvas, x, y, row.where, widths[1], plain)
    x = _cell(canvas, x, y, row.who, widths[2], dim)
    room = widths[3]
    before = row.before
    need = text_width(before) + text_width(row.found)
    if need > room:  # what was found must be seen: the beginning gives way
        spare = max(room - text_width(row.found) - 1, 0)
        while before and text_width(before) > spare:
            before = before[1:]
        before = "…" + before
    for text, look in ((before, plain), (row.found, found), (row.after, plain)):
        shown = clip(text, max(canvas.columns - 1 - x, 0))
        x = canvas.text(x, y, shown, look)


def _widths(shown: Results) -> tuple[int, int, int, int]:
    """Return the columns' widths: the line gets what is left, and the others give way to it."""
    at = max([2, *(text_width(row.at) for row in shown.rows)])
    where = min(max([5, *(text_width(row.where) for row in shown.rows)]), 24)
    who = min(max([3, *(text_width(row.who) for row in shown.rows)]), 16)
    wanted = [at, where, who]
    for give in (2, 1, 0):
        used = sum(width + _GAP for width in wanted if width)
        if shown.columns - 4 - used >= _LEAST_TEXT:
            break
        wanted[give] = 0
    line = shown.columns - 4 - sum(width + _GAP for width in wanted if width)
    return wanted[0], wanted[1], wanted[2], max(line, 0)


def _cell(canvas: Canvas, x: int, y: int, text: str, width: int, look: Style) -> int:
    if not width:
        return x
    canvas.text(x, y, clip(text, width), look)
    return x + width + _GAP
