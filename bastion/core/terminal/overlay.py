"""A line of ours over somebody's own terminal, and how it is taken away without a trace.

Works on a terminal that was fed the same bytes as `screen` and stands between two sequences. Touches nothing that
it does not put back in the same breath: no saved cursor, no margins, no tab stop.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from bastion.core.terminal import charsets
from bastion.core.terminal.grid import Row
from bastion.core.terminal.modes import DECTCEM, Moded
from bastion.core.terminal.pencil import change
from bastion.core.terminal.style import PLAIN, Style


class Overlay(NamedTuple):
    """Bytes that show the line, and bytes that bring back exactly what stood there."""

    show: bytes
    hide: bytes


def overlay(screen: Moded, y: int, row: Row, last: str = "") -> Overlay:
    """Return how to show `row` on line `y` (from 0) and how to undo it, as long as nothing else was written since.

    `last` is the character that REP would repeat.
    """
    line = screen.rows[y]
    return Overlay(_drawn(screen, y, row.chars, row.styles, ""), _drawn(screen, y, line.chars, line.styles, last))


def _drawn(screen: Moded, y: int, chars: Sequence[str], styles: Sequence[Style], last: str) -> bytes:
    """Return bytes that draw cells on a line of a terminal in this state, and leave it in this state.

    The last column stays as it is: writing there could wrap or scroll.
    """
    end = screen.columns - 1
    if end < len(chars) and chars[end] == "":  # a wide character over the edge is left alone as a whole
        end -= 1
    parts = [*_calm(screen), f"\x1b[{y + 1};1H"]
    pen = screen.pen
    at = 0
    for style, cells in groupby(styles[:end]):
        count = len(list(cells))
        parts.append(change(pen, style))
        parts.append("".join(chars[at : at + count]))
        pen = style
        at += count
    if at < end:
        parts.append(change(pen, PLAIN))
        parts.append(f"\x1b[{end - at}X")  # beyond them all is plain blank
        pen = PLAIN
    return "".join([*parts, *_back(screen, pen, last)]).encode()


def _calm(screen: Moded) -> list[str]:
    """Return what makes writing plain: no origin, no insert mode, ASCII, no visible cursor."""
    parts = []
    if screen.private(DECTCEM):
        parts.append("\x1b[?25l")
    if screen.origin:
        parts.append("\x1b[?6l")
    if screen.insert:
        parts.append("\x1b[4l")
    for mark, name in zip("()*+", screen.sets, strict=True):
        if name != charsets.ASCII:
            parts.append(f"\x1b{mark}B")
    if screen.left:
        parts.append("\x0f")
    return parts


def _back(screen: Moded, pen: Style, last: str) -> list[str]:
    """Return what brings cursor, pen, character sets and modes back."""
    parts = []
    if screen.origin:
        parts.append("\x1b[?6h")
    offset = screen.top if screen.origin else 0
    x, y = screen.x, screen.y
    if x >= screen.columns:  # a wrap is pending: only writing the last character again brings that back
        line = screen.rows[y]
        x = screen.columns - 1
        char = line.chars[x] if x < len(line.chars) else " "
        if char == "" and x:
            x -= 1
            char = line.chars[x]
        style = line.styles[x] if x < len(line.styles) else PLAIN
        parts += [f"\x1b[{y - offset + 1};{x + 1}H", change(pen, style), char]
        pen = style
    else:
        parts.append(f"\x1b[{y - offset + 1};{x + 1}H")
    parts.append(change(pen, screen.pen))
    for mark, name in zip("()*+", screen.sets, strict=True):
        if name != charsets.ASCII:
            parts.append(f"\x1b{mark}{name}")
    if screen.left:
        parts.append(("", "\x0e", "\x1bn", "\x1bo")[screen.left])
    if screen.insert:
        parts.append("\x1b[4h")
    if screen.private(DECTCEM):
        parts.append("\x1b[?25h")
    before = screen.rows[y]
    beside = before.chars[x - 1 : x] == [last] and before.chars[x : x + 1] != [""]  # a wide one, written again, would move the cursor
    if last and 0 < screen.x < screen.columns and beside and before.styles[x - 1] is screen.pen and screen.plain:
        parts.append(f"\b{last}")  # so that a REP that follows repeats what the program wrote, not us
    return parts
