"""How a replay looks around the screen: the timeline row, the status line, the line of typed keys. Pure pictures.

Never shows a text from a recording as it is: the canvas escapes it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from bastion.core.recording.controls import CONTROLS
from bastion.core.recording.playback import clock_text, speed_text
from bastion.core.recording.track import CONTROL, Entry
from bastion.core.terminal.grid import Grid, Row
from bastion.core.terminal.paint import Canvas
from bastion.core.terminal.style import BOLD, DIM, PLAIN, REVERSE, Style, style
from bastion.core.terminal.viewport import Viewport, view
from bastion.core.text import text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

HINTS: Final = ("space play · ←→ seek · [ ] marks · / find · ? all keys · q quit", "space · ←→ · / find · ? keys · q quit", "? keys", "?")
"""What the keys do, as much of it as there is room for."""

_BARS: Final = "·▁▂▃▄▅▆▇█"
_STATUS: Final = style(flags=REVERSE)
_HEAD: Final = style(flags=REVERSE | BOLD)
_FOUND: Final = style(fg=0, bg=3)
_HOLDERS: Final = (2, 6, 3, 5, 4, 1)  # colours of who held control, in order of first hold
_TIMELINE_FROM: Final = 6  # lines a window needs before one of them goes to the timeline
_HELP_WIDTH: Final = 39  # of one column of the help page
_KEY_WIDTH: Final = 9


class State(NamedTuple):
    """What the status line says. Positions in microseconds."""

    position: int
    duration: int
    complete: bool
    speed: float
    word: str
    message: str = ""
    wall: str = ""
    holder: str = ""
    """Who held control at `position`."""
    look: Style = PLAIN
    """The holder's colour on the timeline."""


def status_row(columns: int, state: State) -> Row:
    """Return the last line: where, how fast, who held control, and what the keys do or the last thing that happened.

    Where there is little room the less important parts are left out.
    """
    canvas = Canvas(columns, 1, _STATUS)
    total = clock_text(state.duration) + ("" if state.complete else "+")
    here = f" {clock_text(state.position)}/{total}  "
    speed = f"{speed_text(state.speed)}  "
    wall = f"  {state.wall}" if state.wall else ""
    holder = f"  ● {state.holder}" if state.holder else ""
    left = text_width(here) + text_width(state.word)
    room = columns - left - (min(text_width(state.message), columns // 2) + 3 if state.message else len(HINTS[-2]) + 3)
    parts = {}
    for part in (wall, holder, speed) if state.wall else (speed, holder):
        if part and text_width(part) <= room:
            parts[part] = True
            room -= text_width(part)
    x = canvas.text(0, 0, here + (speed if speed in parts else ""), _STATUS)
    x = canvas.text(x, 0, state.word, _HEAD)
    x = canvas.text(x, 0, wall if wall in parts else "", _STATUS)
    if holder in parts:
        x = canvas.text(x, 0, "  ", _STATUS)
        x = canvas.text(x, 0, "●", style(bg=state.look.fg, flags=REVERSE))
        x = canvas.text(x, 0, holder[3:], _STATUS)
    room = columns - x - 3
    right = state.message or next((hint for hint in HINTS if text_width(hint) <= room), "")
    if room > 0 and right:
        width = min(room, text_width(right))
        canvas.text(columns - width - 1, 0, right, _STATUS, width)
    return canvas.row(0)


class Timeline(NamedTuple):
    """The row of time, as far as it does not change with the position: one entry a column."""

    bars: str
    looks: tuple[Style, ...]
    duration: int


def timeline(columns: int, duration: int, activity: Sequence[int], entries: Sequence[Entry]) -> Timeline:
    """Prepare the row: bars for how much happened, colours for who held control, ◆ for markers."""
    most = max(activity, default=0)
    length = max(1, duration)
    bars = ["·"] * columns
    for x, amount in enumerate(activity[:columns]):
        if amount and most:
            bars[x] = _BARS[-(-amount * (len(_BARS) - 1) // most)]
    for entry in entries:
        if entry.text:
            bars[min(columns - 1, entry.time * columns // length)] = "◆"
    return Timeline("".join(bars), tuple(_row_of_holders(columns, length, entries)), length)


def timeline_row(columns: int, position: int, prepared: Timeline) -> Row:
    """Return the row of time with the position in it; what is still to come is dim."""
    canvas = Canvas(columns, 1)
    here = min(columns - 1, position * columns // prepared.duration)
    for x, (bar, look) in enumerate(zip(prepared.bars[:columns], prepared.looks, strict=False)):
        canvas.text(x, 0, bar, look if x < here else style(look.fg, flags=DIM if x > here else REVERSE | BOLD))
    return canvas.row(0)


def holders(entries: Sequence[Entry]) -> dict[str, Style]:
    """Return who held control, by first hold, each with a colour; there are more people than colours."""
    looks: dict[str, Style] = {}
    for entry in entries:
        if entry.kind == CONTROL and entry.who:
            looks.setdefault(entry.who, style(fg=_HOLDERS[len(looks) % len(_HOLDERS)]))
    return looks


def holder(entries: Sequence[Entry], position: int) -> str:
    """Return who held control at a moment; "" for nobody, or when that is not known."""
    who = ""
    for entry in entries:
        if entry.time > position:
            break
        if entry.kind == CONTROL:
            who = entry.who
    return who


def _row_of_holders(columns: int, duration: int, entries: Sequence[Entry]) -> list[Style]:
    looks = holders(entries)
    row = [PLAIN] * columns
    for entry in entries:
        if entry.kind == CONTROL:
            x = min(columns - 1, entry.time * columns // duration)
            row[x:] = [looks.get(entry.who, PLAIN)] * (columns - x)
    return row


def typed_row(columns: int, by: str, keys: str) -> Row:
    """Return the line of the input track: who typed what last."""
    canvas = Canvas(columns, 1, _STATUS)
    name = f" {by or 'typed'}> "
    x = canvas.text(0, 0, name, _HEAD)
    canvas.text(x, 0, keys[-max(1, columns - x - 1) :] if keys else "(nothing recorded up to here)", _STATUS)
    return canvas.row(0)


def frame(grid: Grid, viewport: Viewport, below: Sequence[Row], needle: str = "") -> tuple[Grid, Viewport]:
    """Return the window's picture, and the viewport moved with the cursor. `needle` is marked wherever it stands.

    Under the recording's screen stand our rows; where there is little room only the last of them, or none.
    """
    columns, lines = viewport.columns, viewport.lines
    room = len(below) if lines >= _TIMELINE_FROM else min(1, lines - 1)
    kept = list(below)[len(below) - room :]
    inner = viewport.resized(columns, lines - len(kept)).followed(grid)
    if needle and inner.follow:
        inner = _showing(grid, inner, needle)
    shown = view(grid, inner)
    rows = tuple(marked(row, needle) for row in shown.rows) if needle else shown.rows
    picture = replace(shown, rows=rows + tuple(kept), title="")
    return picture, inner.resized(columns, lines)


def _showing(grid: Grid, window: Viewport, needle: str) -> Viewport:
    """Return the window moved to the first place where `needle` stands, if none of them is in sight."""
    places = []
    for y, row in enumerate(grid.rows):
        text = "".join(row.chars).casefold()
        at = text.find(needle.casefold()) if needle else -1
        if at >= 0:
            places.append((at, y))
    inside = [(x, y) for x, y in places if 0 <= y - window.top < window.lines and 0 <= x - window.left < window.columns]
    if not places or inside:
        return window
    x, y = places[0]
    down = 0 if 0 <= y - window.top < window.lines else y - window.top
    right = 0 if 0 <= x - window.left < window.columns else x - window.left
    return replace(window.panned(grid, right, down), follow=True)


def marked(row: Row, needle: str) -> Row:
    """Return the row with every place where `needle` stands (letters whatever their case) in another colour."""
    folded = [char.casefold() for char in row.chars]
    text, wanted = "".join(folded), needle.casefold()
    at = text.find(wanted) if wanted else -1
    if at < 0:
        return row
    cells = [x for x, char in enumerate(folded) for _ in char]  # which cell each letter of the text stands in
    styles = list(row.styles)
    while at >= 0:
        for x in range(cells[at], cells[at + len(wanted) - 1] + 1):
            styles[x] = _FOUND
        at = text.find(wanted, at + len(wanted))
    return Row(row.chars, tuple(styles))


def pile(rows: Sequence[Row], columns: int) -> Grid:
    """Return rows that scrolled by, each as wide as it was, as one picture at least `columns` wide."""
    width = max([columns, *(len(row.chars) for row in rows)])
    padded = tuple(
        row
        if len(row.chars) == width
        else Row(row.chars + (" ",) * (width - len(row.chars)), row.styles + (PLAIN,) * (width - len(row.styles)))
        for row in rows
    )
    return Grid(width, padded, cursor_visible=False)


def help_length(columns: int) -> int:
    """Return how many lines the table of keys has in a window that wide."""
    return -(-len(CONTROLS) // _beside(columns))


def _beside(columns: int) -> int:
    return max(1, min(2, (columns - 2) // _HELP_WIDTH))


def help_page(columns: int, lines: int, top: int) -> Grid:
    """Return the page of keys, in as many columns as there is room for, from line `top` on."""
    tall = help_length(columns)
    canvas = Canvas(columns, lines)
    canvas.text(1, 0, "Keys of the player", style(flags=BOLD))
    if lines > 1:
        canvas.text(0, lines - 1, " ↑↓ more · any other key: back" if tall > lines - 3 else " any key: back", _STATUS, columns)
    room = max(1, lines - 3)
    top = max(0, min(top, tall - room))
    for at, control in enumerate(CONTROLS):
        x, y = 1 + at // tall * _HELP_WIDTH, at % tall - top
        if 0 <= y < room:
            canvas.text(x, 2 + y, control.shown, style(fg=6), _KEY_WIDTH)
            canvas.text(x + _KEY_WIDTH, 2 + y, control.text, PLAIN, min(_HELP_WIDTH - _KEY_WIDTH, columns - x - _KEY_WIDTH))
    return canvas.frame()
