"""The other way round: from a style to the control sequences that select it.

Never writes a link that is not of the web's kind, nor anything that asks a terminal for an answer.
"""

from __future__ import annotations

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
_LOOK: Final = slice(2, 5)  # flags and underline


def change(before: Style, after: Style) -> str:
    """Return the shortest text that turns the pen from one style to the other."""
    parts = ""
    if after[:5] != before[:5]:
        if after[_LOOK] == before[_LOOK] and (after.fg & after.bg & RGB):  # true colours: no reset is shorter
            codes = [_color(after.fg, 30)] if after.fg != before.fg else []
            if after.bg != before.bg:
                codes.append(_color(after.bg, 40))
            parts = f"\x1b[{';'.join(codes)}m"
        else:
            afresh = "\x1b[" + ";".join(["", *_added(_NOTHING, after)]) + "m"
            if before.flags & ~after.flags:
                parts = afresh
            else:
                parts = min("\x1b[" + ";".join(_added(before, after)) + "m", afresh, key=len)
    if after.link != before.link:
        parts += f"\x1b]8;;{after.link}\x1b\\"
    return parts


Steps = dict[Style, "tuple[str, Steps]"]
"""From one style: to others the text that leads there, and what is known from there on."""

_STEPS_MAX: Final = 8192
_steps: dict[Style, Steps] = {}
_known = 0


def steps(style: Style) -> Steps:
    """Return what is known from a style. It may be emptied at any time: `step` then works it out again."""
    found = _steps.get(style)
    if found is None:
        found = _steps[style] = {}
    return found


def step(before: Style, after: Style) -> tuple[str, Steps]:
    """Work out a change of style and remember it. Bounded: true colour can make endless ones."""
    global _known  # noqa: PLW0603 - the size of the module's cache
    if _known >= _STEPS_MAX or len(_steps) >= _STEPS_MAX:
        for each in _steps.values():
            each.clear()
        _steps.clear()
        _known = 0
    answer = (change(before, after), steps(after))
    steps(before)[after] = answer
    _known += 1
    return answer
