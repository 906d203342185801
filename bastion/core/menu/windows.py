"""The list of a person's windows: its picture, and what keys make of it.

Never switches one itself.
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

_HEADER: Final = style(255, 24)
_PRODUCT: Final = style(255, 24, BOLD)
_DIM: Final = style(flags=DIM)
_HEADING: Final = style(flags=DIM, underline=1)
_SELECTED: Final = style(flags=REVERSE)
_KEY: Final = style(flags=BOLD)
_ACTIVE: Final = style(3, flags=BOLD)
_GOOD: Final = style(2)
_WARN: Final = style(3)
_MARK: Final = "›"  # noqa: RUF001 - it shall look like an arrow
_GAP: Final = 2
_HELP: Final = (("Enter", "go there"), ("0-9", "straight"), ("c", "menu"), ("Esc", "back"))


@dataclass(frozen=True, slots=True)
class Listed:
    """One window. All texts may come from outside. `mark`: "" or a word why to look there."""

    number: int
    name: str
    title: str = ""
    types: str = ""
    state: str = ""
    current: bool = False
    active: bool = False


@dataclass(frozen=True, slots=True)
class WindowList:
    """The list at one moment; `selected` is a position in `rows`."""

    rows: tuple[Listed, ...]
    columns: int
    lines: int
    user: str = ""
    selected: int = 0

    @staticmethod
    def of(rows: tuple[Listed, ...], columns: int, lines: int, user: str = "") -> WindowList:
        """Return the list with the window they come from selected."""
        at = next((place for place, row in enumerate(rows) if row.current), 0)
        return WindowList(rows, max(columns, 1), max(lines, 1), user, at)

    def with_rows(self, rows: tuple[Listed, ...]) -> WindowList:
        """Return the list as it is now, the same window selected while it is there."""
        number = self.rows[self.selected].number if self.rows else 0
        at = next((place for place, row in enumerate(rows) if row.number == number), min(self.selected, max(len(rows) - 1, 0)))
        return replace(self, rows=rows, selected=at)

    def resized(self, columns: int, lines: int) -> WindowList:
        """Return the list on a terminal of another size."""
        return replace(self, columns=max(columns, 1), lines=max(lines, 1))


class Back:
    """They want to go back where they came from."""


def update(shown: WindowList, key: Key) -> WindowList | int | Back:  # noqa: PLR0911 - one per key
    """Return what a key makes of the list: another, the number of the window to go to (0: the menu), or `Back`."""
    last = max(len(shown.rows) - 1, 0)
    name = key.text if key.name == "text" else key.name
    match name:
        case "down" | "j" | "n" | "tab" | "ctrl-n":
            return replace(shown, selected=(shown.selected + 1) % (last + 1))
        case "up" | "k" | "p" | "backtab" | "ctrl-p":
            return replace(shown, selected=(shown.selected - 1) % (last + 1))
        case "home" | "pageup":
            return replace(shown, selected=0)
        case "end" | "pagedown":
            return replace(shown, selected=last)
        case "enter" if shown.rows:
            return shown.rows[shown.selected].number
        case "c":
            return 0
        case "escape" | "q" | "ctrl-c" | "ctrl-d" | "s":
            return Back()
        case _ if name.isascii() and name.isdigit() and (name == "0" or any(str(row.number) == name for row in shown.rows)):
            return int(name)
    return shown


def view(shown: WindowList) -> Grid:
    """Return what the list looks like at its size. Colours only repeat what marks and words already say."""
    canvas = Canvas(shown.columns, shown.lines)
    canvas.fill(0, 0, shown.columns, _HEADER)
    x = canvas.text(1, 0, "windows", _PRODUCT)
    canvas.text(x + 2, 0, shown.user, _HEADER)
    count = f"{len(shown.rows)} open"
    if shown.columns > x + text_width(shown.user) + len(count) + 5:
        canvas.text(shown.columns - 1 - len(count), 0, count, _HEADER)
    top = 3 if shown.lines >= 10 else 1  # noqa: PLR2004 - from here on there is room for headings
    widths = _widths(shown)
    if top > 1:
        _cells(canvas, top - 1, ("", "WINDOW", "TITLE", "TYPES", "STATE"), widths, (_HEADING,) * 5)
    height = max(shown.lines - top - 2, 1)
    first = min(max(shown.selected - height + 1, 0), max(len(shown.rows) - height, 0))
    for offset, row in enumerate(shown.rows[first : first + height]):
        y = top + offset
        chosen = first + offset == shown.selected
        looks = (_KEY, _KEY, PLAIN, _GOOD if row.types else PLAIN, _WARN if row.active or row.state != "running" else _DIM)
        if chosen:
            canvas.fill(0, y, shown.columns, _SELECTED)
            canvas.text(0, y, _MARK, _SELECTED)
            looks = (_SELECTED,) * 5
        if row.active:
            canvas.text(1, y, "●", _SELECTED if chosen else _ACTIVE)
        elif row.current:
            canvas.text(1, y, "*", _SELECTED if chosen else _DIM)
        state = f"{row.state}, new output" if row.active else row.state
        _cells(canvas, y, (str(row.number), row.name, row.title, row.types, state), widths, looks)
    x = 1
    for key, word in _HELP:
        if x + len(key) + len(word) + 1 < shown.columns:
            x = canvas.text(x, shown.lines - 1, key, _KEY)
            x = canvas.text(x + 1, shown.lines - 1, word, _DIM) + 2
    return canvas.frame()


def _widths(shown: WindowList) -> tuple[int, ...]:
    """Return the columns' widths: what names and states need, the title gets what is left."""
    number = max([2, *(len(str(row.number)) for row in shown.rows)])
    name = min(max([8, *(text_width(row.name) for row in shown.rows)]), max(shown.columns // 3, 8))
    types = min(max([5, *(text_width(row.types) for row in shown.rows)]), 16)
    state = min(max([7, *(text_width(row.state) + 12 * row.active for row in shown.rows)]), 24)
    title = shown.columns - 3 - number - name - types - state - 4 * _GAP - 1
    if title < 8:  # noqa: PLR2004 - less says nothing
        return number, max(min(name, shown.columns - 4 - number - _GAP), 0), 0, 0, max(shown.columns - 4 - number - name - 2 * _GAP, 0)
    return number, name, title, types, state


def _cells(canvas: Canvas, y: int, texts: tuple[str, ...], widths: tuple[int, ...], looks: tuple[object, ...]) -> None:
    x = 3
    for text, width, look in zip(texts, widths, looks, strict=True):
        if width:
            canvas.text(x, y, clip(text, width), look)  # type: ignore[arg-type]
            x += width + _GAP
