"""The other way round: from a style to the control sequences that select it.

Never writes a link that is not of the web's kind, nor anything that asks a terminal for an answer.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from bastion.core.terminal.style import (
    DEFAULT,
    RGB,
    SET_BY,
    Color,
    Style,
)

_BRIGHT, _INDEXED = 8, 16


def _color(value: Color, base: int) -> str:
    """Return the parameters for a foreground (`base` 30) or background (40)."""
    if value == DEFAULT:
        return str(base + 9)
    if value & RGB:
        return f"{base + 8};2;{value >> 16 & 255};{value >> 8 & 255};{value & 255}"
    if value < _BRIGHT:
        return str(base + value)
    if value < _INDEXED:
        return str(base + 60 + value - _BRIGHT)
    return f"{base + 8};5;{value}"


def _underline_color(value: Color) -> str:
    # With colons: who does not know 58 would take the parts for blink and bold.
    if value == DEFAULT:
        return "59"
    if value & RGB:
        return f"58:2::{value >> 16 & 255}:{value >> 8 & 255}:{value & 255}"
    return f"58:5:{value}"


def _added(before: Style, after: Style) -> list[str]:
    """Return what must be switched on or changed, where nothing must be switched off."""
    codes = [code for bit, code in SET_BY if after.flags & ~before.flags & bit]
    if after.underline != before.underline:
        codes.append({0: "24", 1: "4"}.get(after.underline, f"4:{after.underline}"))
    if after.fg != before.fg:
        codes.append(_color(after.fg, 30))
    if after.bg != before.bg:
        codes.append(_color(after.bg, 40))
    if after.underline_color != before.underline_color:
        codes.append(_underline_color(after.underline_color))
    return codes


_NOTHING: Final = Style()


@lru_cache(maxsize=4096)
def change(before: Style, after: Style) -> str:
    """Return the shortest text that turns the pen from one style to the other."""
    parts = ""
    if after[:5] != before[:5]:
        afresh = "\x1b[" + ";".join(["", *_added(_NOTHING, after)]) + "m"
        if before.flags & ~after.flags:
            parts = afresh
        else:
            parts = min("\x1b[" + ";".join(_added(before, after)) + "m", afresh, key=len)
    if after.link != before.link:
        parts += f"\x1b]8;;{after.link}\x1b\\"
    return parts
