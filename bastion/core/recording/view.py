"""How a replay looks around the screen: the timeline row, the status line, the line of typed keys. Pure pictures.

Never shows a text from a recording as it is: the canvas escapes it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from bastion.core.recording.playback import clock_text, speed_text
from bastion.core.recording.track import CONTROL, Entry
from bastion.core.terminal.paint import Canvas
from bastion.core.terminal.style import BOLD, DIM, PLAIN, REVERSE, Style, style
from bastion.core.terminal.viewport import Viewport, view
from bastion.core.text import text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bastion.core.terminal.grid import Grid, Row

HELP: Final = "space play · ←→ seek · [ ] marks · / find · +- speed · q quit"

_BARS: Final = "·▁▂▃▄▅▆▇█"
_STATUS: Final = style(flags=REVERSE)
_HEAD: Final = style(flags=REVERSE | BOLD)
_FUTURE: Final = style(flags=DIM)
_HOLDERS: Final = tuple(style(fg=color) for color in (2, 6, 3, 5, 4, 1))  # who held control, in order of first hold
_TIMELINE_FROM: Final = 6  # lines a window needs before one of them goes to the timeline


class State(NamedTuple):
    """What the status line says. Positions in microseconds."""

    position: int
    duration: int
    complete: bool
    speed: float
    word: str
    message: str = ""
    wall: str = ""


def status_row(columns: int, state: State) -> Row:
    """Return the last line: where, how fast, and what the keys do or the last thing that happened."""
    canvas = Canvas(columns, 1, _STATUS)
    total = clock_text(state.duration) + ("" if state.complete else "+")
    left = f" {clock_text(state.position)}/{total}  {speed_text(state.speed)}  {state.word}"
    if state.wall:
        left += f"  {state.wall}"
    right = state.message or HELP
    x = canvas.text(0, 0, left, _STATUS)
    room = columns - x - 3
    if room > 0:
        canvas.text(max(x + 2, columns - text_width(right) - 1), 0, right, _STATUS, min(room, text_width(right)))
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
        bars[min(columns - 1, entry.time * columns // length)] = "◆"
    return Timeline("".join(bars), tuple(_holders(columns, length, entries)), length)


def timeline_row(columns: int, position: int, prepared: Timeline) -> Row:
    """Return the row of time with the position in it."""
    canvas = Canvas(columns, 1)
    here = min(columns - 1, position * columns // prepared.duration)
    for x, (bar, look) in enumerate(zip(prepared.bars[:columns], prepared.looks, strict=False)):
        canvas.text(x, 0, bar, look if x <= here else _FUTURE)
    canvas.text(here, 0, "█", _HEAD)
    return canvas.row(0)


def _holders(columns: int, duration: int, entries: Sequence[Entry]) -> list[Style]:
    looks: dict[str, Style] = {"": PLAIN}
    row = [PLAIN] * columns
    for entry in entries:
        if entry.kind == CONTROL:
            look = looks.setdefault(entry.who, _HOLDERS[(len(looks) - 1) % len(_HOLDERS)])
            x = min(columns - 1, entry.time * columns // duration)
            row[x:] = [look] * (columns - x)
    return row


def typed_row(columns: int, by: str, keys: str) -> Row:
    """Return the line of the input track: who typed what last."""
    canvas = Canvas(columns, 1, _STATUS)
    name = f" {by or 'typed'}> "
    x = canvas.text(0, 0, name, _HEAD)
    canvas.text(x, 0, keys[-max(1, columns - x - 1) :], _STATUS)
    return canvas.row(0)


def frame(grid: Grid, viewport: Viewport, below: Sequence[Row]) -> tuple[Grid, Viewport]:
    """Return the window's picture, and the viewport moved with the cursor.

    Under the recording's screen stand our rows; where there is little room only the last of them, or none.
    """
    columns, lines = viewport.columns, viewport.lines
    room = len(below) if lines >= _TIMELINE_FROM else min(1, lines - 1)
    kept = list(below)[len(below) - room :]
    inner = viewport.resized(columns, lines - len(kept)).followed(grid)
    shown = view(grid, inner)
    picture = replace(shown, rows=shown.rows + tuple(kept), title="")
    return picture, inner.resized(columns, lines)
