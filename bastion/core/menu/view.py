"""The menu's picture.

Never changes the menu; colours only repeat what marks and words already say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bastion.core.menu.layout import HEADINGS, MARK, Layout, columns_of, layout
from bastion.core.menu.model import Entry, Menu, may_text, words_of
from bastion.core.terminal.paint import Canvas, clip
from bastion.core.terminal.style import BOLD, DIM, PLAIN, REVERSE, Style, style
from bastion.core.text import text_width

if TYPE_CHECKING:
    from bastion.core.terminal.grid import Grid

_MARK: Final = "›"  # noqa: RUF001 - it shall look like an arrow
_HEADER: Final = style(255, 24)
_PRODUCT: Final = style(255, 24, BOLD)
_DIM: Final = style(flags=DIM)
_HEADING: Final = style(flags=DIM, underline=1)
_PROMPT: Final = style(6, flags=BOLD)
_MESSAGE: Final = style(3)
_KEY: Final = style(flags=BOLD)
_SELECTED: Final = style(flags=REVERSE)
_STAR: Final = style(3)
_SESSION: Final = style(2, flags=BOLD)
_LOOKS: Final = {
    "name": style(flags=BOLD),
    "description": PLAIN,
    "labels": style(6),
    "may": _DIM,
    "live": style(2),
}
_NOTE: Final = style(3)


def view(menu: Menu) -> Grid:
    """Return what the menu looks like at its size, the cursor where the filter is typed."""
    canvas = Canvas(menu.columns, menu.lines)
    place = layout(menu.columns, menu.lines, menu.message)
    _header(canvas, menu, place)
    cursor = _prompt(canvas, menu, place)
    if menu.hits:
        _list(canvas, menu, place)
        _detail(canvas, menu, place)
    else:
        _empty(canvas, menu, place)
    for offset, text in enumerate(place.message):
        canvas.text(1, place.message_top + offset, text, _MESSAGE)
    _help(canvas, menu, place)
    return canvas.frame(cursor)


def _header(canvas: Canvas, menu: Menu, place: Layout) -> None:
    if place.header < 0:
        return
    y = place.header
    canvas.fill(0, y, menu.columns, _HEADER)
    x = canvas.text(1, y, menu.product, _PRODUCT)
    if menu.user:
        canvas.text(x + 2, y, menu.user, _HEADER)
    total = len(menu.index.entries)
    count = f"{total:,} to choose from" if not menu.query else f"{len(menu.hits):,} of {total:,}"
    for text in (count, f"{len(menu.hits):,}"):
        start = menu.columns - 1 - len(text)
        if start > x + 2 + text_width(menu.user) + 1:
            canvas.text(start, y, text, _HEADER)
            return


def _prompt(canvas: Canvas, menu: Menu, place: Layout) -> tuple[int, int] | None:
    y = place.prompt
    if y < 0:
        return None
    canvas.text(0, y, _MARK, _PROMPT)
    room = max(menu.columns - 3, 0)
    shown = menu.query
    while text_width(shown) > room:  # the end is where one types
        shown = shown[1:]
    end = canvas.text(2, y, shown)
    if not shown:
        canvas.text(2, y, clip("type to filter", room), _DIM)
    elif menu.hits:
        where = f"{menu.selected + 1:,}/{len(menu.hits):,}"
        if end + len(where) + 2 < menu.columns:
            canvas.text(menu.columns - 1 - len(where), y, where, _DIM)
    return min(end, menu.columns - 1), y


def _list(canvas: Canvas, menu: Menu, place: Layout) -> None:
    columns = columns_of(menu.columns, menu.index.natural)
    if place.heading >= 0:
        for column in columns:
            canvas.text(column.x, place.heading, HEADINGS[column.part][: column.width], _HEADING)
    words = words_of(menu.query)
    shown = menu.hits[menu.top : menu.top + place.list_height]
    for offset, at in enumerate(shown):
        entry = menu.index.entries[at]
        y = place.list_top + offset
        selected = menu.top + offset == menu.selected
        if selected:
            canvas.fill(0, y, menu.columns - 1, _SELECTED)
            canvas.text(0, y, _MARK, _SELECTED)
        _symbol(canvas, entry, y, _SELECTED if selected else None)
        for column in columns:
            text = may_text(entry) if column.part == "may" else getattr(entry, column.part)
            look = _SELECTED if selected else _LOOKS[column.part]
            text = clip(text, column.width)
            canvas.text(column.x, y, text, look)
            if column.part == "may":
                _note(canvas, entry, text, column.x, y, look)
            elif column.part in {"name", "description", "labels"}:
                _highlight(canvas, text, words, column.x, y, look)
    _scroll_bar(canvas, menu, place)


def _symbol(canvas: Canvas, entry: Entry, y: int, look: Style | None) -> None:
    if entry.item.kind == "session":
        canvas.text(1, y, "●", look or _SESSION)
    elif entry.item.favourite:
        canvas.text(1, y, "★", look or _STAR)


def _note(canvas: Canvas, entry: Entry, text: str, x: int, y: int, look: Style) -> None:
    if entry.note and look is not _SELECTED:
        canvas.text(x, y, text[: len(entry.note)], _NOTE)


def _highlight(canvas: Canvas, text: str, words: list[str], x: int, y: int, look: Style) -> None:
    low = text.lower()
    if len(low) != len(text):  # a letter whose lower case is longer: places would not match
        return
    marked = style(look.fg, look.bg, look.flags | BOLD, 1)
    for word in words:
        at = low.find(word)
        if at >= 0:
            canvas.text(x + text_width(text[:at]), y, text[at : at + len(word)], marked)


def _scroll_bar(canvas: Canvas, menu: Menu, place: Layout) -> None:
    total, height = len(menu.hits), place.list_height
    if total <= height or menu.columns < MARK + 8:
        return
    size = max(height * height // total, 1)
    start = (height - size) * menu.top // (total - height)
    for offset in range(height):
        inside = start <= offset < start + size
        canvas.text(menu.columns - 1, place.list_top + offset, "█" if inside else "│", _DIM)


def _detail(canvas: Canvas, menu: Menu, place: Layout) -> None:
    entry = menu.current_entry
    if place.detail < 0 or entry is None:
        return
    parts = [entry.description, entry.labels, may_text(entry)]
    parts.append(f"on it now: {entry.live}" if entry.live else "")
    x = canvas.text(1, place.detail, clip(entry.name, menu.columns - 2), _KEY)
    text = "  ".join(part for part in parts if part)
    canvas.text(x + 2, place.detail, clip(text, max(menu.columns - x - 3, 0)), _DIM)


def _empty(canvas: Canvas, menu: Menu, place: Layout) -> None:
    """Say why the list is empty and what to do about it."""
    if menu.index.entries:
        lines = [f'Nothing matches "{menu.query}".', "Esc shows everything again, ^R looks anew."]
    else:
        lines = ["There is nothing for you to open yet.",
                 "Ask an administrator for access, then press ^R."]  # fmt: skip
    top = place.list_top + (1 if place.list_height > len(lines) + 1 else 0)
    y = top
    for text in lines:
        for piece in _folded(text, menu.columns - 2):
            if y < place.list_top + place.list_height:
                canvas.text(1, y, piece, PLAIN if text is lines[0] else _DIM)
                y += 1


def _folded(text: str, width: int) -> list[str]:
    pieces, line = [], ""
    for word in text.split(" "):
        if line and text_width(line) + 1 + text_width(word) > width:
            pieces.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*pieces, line]


# As they stand, with their rank: the last to go when the line is short is the first.
_HELP: Final = (
    (2, "↑↓", "move"),
    (0, "Enter", "open"),
    (4, "^F", "favourite"),
    (3, "Esc", "clear"),
    (5, "^R", "refresh"),
    (1, "^C", "quit"),
)


def _help(canvas: Canvas, menu: Menu, place: Layout) -> None:
    if place.help < 0:
        return
    current = menu.current
    verb = current.actions[0] if current and current.actions else "open"
    words = {0: clip(verb, 12), 1: menu.leave}
    kept: list[int] = []
    room = menu.columns - 2
    for rank, key, word in sorted(_HELP):
        size = len(key) + 1 + text_width(words.get(rank, word)) + (2 if kept else 0)
        if size <= room:
            kept.append(rank)
            room -= size
    x = 1
    for rank, key, word in _HELP:
        if rank in kept:
            x = canvas.text(x, place.help, key, _KEY)
            x = canvas.text(x + 1, place.help, words.get(rank, word), _DIM) + 2
