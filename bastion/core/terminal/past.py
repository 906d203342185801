"""The end of the scrollback as bytes that bring the same rows into a fresh terminal's scrollback.

For keyframes: who makes a window larger sees rows again that had scrolled away. Like a keyframe it is made anew from
cells, never from what an endpoint sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bastion.core.terminal.line import unpack
from bastion.core.terminal.pencil import change
from bastion.core.terminal.style import PLAIN

if TYPE_CHECKING:
    from bastion.core.terminal.screen import Screen

ROWS: Final = 120
"""Rows taken along: as many as come back when a usual window becomes a large one."""


def past(screen: Screen, count: int = ROWS) -> bytes:
    """Return bytes for a fresh terminal of this size: afterwards it is blank as before, with these rows scrolled away."""
    rows = screen.history(count)
    if not rows:
        return b""
    parts: list[str] = []
    pen = PLAIN
    lines = [unpack(packed) for packed in rows]
    main = (screen.other if screen.on_alternate else screen.rows) or screen.rows
    top, look = (main[0].chars, main[0].styles[0]) if main[0].chars else ([" "], PLAIN)
    continued = False
    for at, line in enumerate(lines):
        following = lines[at + 1].chars if at + 1 < len(lines) else top
        chars, styles = line.chars, line.styles
        wide = following[1:2] == [""]  # a wide character that did not fit left the last column empty
        continues = bool(line.wrapped and following) and len(chars) >= screen.columns - wide
        end = len(chars)
        while not continues and end > continued and chars[end - 1] == " " and styles[end - 1] is PLAIN:
            end -= 1
        for char, style in zip(chars[:end], styles[:end], strict=True):
            if style is not pen:
                parts.append(change(pen, style))
                pen = style
            parts.append(char)
        if pen is not PLAIN:
            parts.append(change(pen, PLAIN))
            pen = PLAIN
        continued = continues
        if not continues:
            parts.append("\r\n")
        elif at + 1 == len(lines):
            parts.append(change(PLAIN, look) + top[0] + change(look, PLAIN) + "\r")  # it goes on on the screen
    parts.append(f"\x1b[{screen.lines}H" + "\n" * min(len(rows), screen.lines - 1) + "\x1b[H")
    return "".join(parts).encode()
