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
from bastion.core.terminal.keyframe import drawable_again
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
    end = screen.columns - 1  # the last column stays as it is: writing there could wrap or scroll
    if line.chars[end : end + 1] == [""] or row.chars[end : end + 1] == ("",):  # a wide character there is left alone as a whole
        end -= 1
    return Overlay(_drawn(screen, y, end, row.chars, row.styles, ""), _drawn(screen, y, end, line.chars, line.styles, last))


def _drawn(screen: Moded, y: int, end: int, chars: Sequence[str], styles: Sequence[Style], last: str) -> bytes:
    """Return bytes that draw the cells before `end` on a line of a terminal in this state, and leave it in this state."""
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
        on, off = ("", "") if screen.autowrap else ("\x1b[?7h", "\x1b[?7l")
        parts += [f"\x1b[{y - offset + 1};{x + 1}H", change(pen, style), on, char, off]
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
    again, width = drawable_again(screen, last)
    return [*parts, "\b" * width, again]  # so that a REP that follows repeats what the program wrote, not us
