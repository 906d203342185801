"""Styles as the bytes that switch a terminal's pen, for what that terminal can show.

Never writes text and never moves the cursor: only SGR, and OSC 8 where links are allowed.
"""
# ruff: noqa: PLR2004 - the numbers are those of palettes and of SGR

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from bastion.core.terminal.caps import MONO, TRUE_COLOR, Caps
from bastion.core.terminal.style import (
    BOLD,
    CONCEAL,
    DEFAULT,
    PLAIN,
    REVERSE,
    RGB,
    SET_BY,
    Color,
    Style,
    intern,
)

_UNDERLINES: Final = 5  # kinds of underline that SGR 4:n knows
_CACHE: Final = 4096  # transitions kept per kind of terminal; true colour can make endless ones
_LINK: Final = re.compile(r"https?://[!-~]{1,2000}", re.IGNORECASE)


class Ink:
    """The pens of one kind of terminal. Get one by `ink(caps)`; it only remembers answers."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._shown: dict[Style, Style] = {PLAIN: PLAIN}
        self._steps: dict[tuple[Style, Style], str] = {}
        self._coarse: dict[tuple[int, int, int, bool], tuple[Style, str]] = {}

    def shown(self, wanted: Style) -> Style:
        """Return the nearest style that this terminal shows; equal looks are the same object."""
        known = self._shown.get(wanted)
        if known is None:
            if len(self._shown) >= _CACHE:
                self._shown = {PLAIN: PLAIN}
            known = self._shown[wanted] = intern(_reduce(wanted, self._caps))
        return known

    def knows(self, wanted: Style) -> bool:
        """Whether `shown` has the answer at hand."""
        return wanted in self._shown

    def step(self, pen: Style, wanted: Style) -> str:
        """Return what turns the pen from one shown style into another."""
        if pen is wanted:
            return ""
        key = (pen, wanted)
        known = self._steps.get(key)
        if known is None:
            if len(self._steps) >= _CACHE:
                self._steps = {}
            known = self._steps[key] = _step(pen, wanted)
        return known

    def coarse(self, wanted: Style) -> tuple[Style, str]:
        """Return a rough style of a few hundred, and what makes it from any pen without a link.

        For pictures made of thousands of styles, which would cost more than they are worth.
        """
        flags = wanted.flags & (BOLD | REVERSE | CONCEAL)
        key = (_rough(wanted.fg), _rough(wanted.bg), flags, wanted.underline > 0)
        known = self._coarse.get(key)
        if known is None:
            rough = intern(_reduce(Style(*key[:3], underline=int(key[3])), self._caps))
            known = self._coarse[key] = (rough, f"\x1b[{';'.join(['', *_parts(PLAIN, rough)])}m")
        return known


@lru_cache(maxsize=64)
def ink(caps: Caps) -> Ink:
    """Return the pens for terminals of that kind."""
    return Ink(caps)


def _reduce(wanted: Style, caps: Caps) -> Style:
    fg = nearest(wanted.fg, caps.colors)
    bg = nearest(wanted.bg, caps.colors)
    flags = wanted.flags & caps.attributes
    if caps.colors == 8:  # bright colours are bold there, as they have always been
        if fg > 7:
            fg, flags = fg - 8, flags | (BOLD & caps.attributes)
        bg = bg - 8 if bg > 7 else bg
    if fg == bg != DEFAULT and wanted.fg != wanted.bg and caps.colors < TRUE_COLOR:
        fg = 0 if bg in _LIGHT else 7  # two colours became one: keep the text readable
    underline = wanted.underline if 0 <= wanted.underline <= _UNDERLINES else 1
    if underline and not caps.underline_styles:
        underline = 1
    under = nearest(wanted.underline_color, caps.colors) if caps.underline_styles else DEFAULT
    link = wanted.link if caps.links and _LINK.fullmatch(wanted.link) else ""
    return Style(fg, bg, flags, underline, under if underline else DEFAULT, link)


def _step(pen: Style, wanted: Style) -> str:
    link = f"\x1b]8;;{wanted.link}\x1b\\" if pen.link != wanted.link else ""
    if pen[:5] == wanted[:5]:
        return link
    fresh = ["", *_parts(PLAIN, wanted)]  # an empty parameter is a reset
    if pen.flags & ~wanted.flags or (pen.underline and not wanted.underline):
        words = fresh
    else:
        words = min(_parts(pen, wanted), fresh, key=lambda parts: sum(map(len, parts)) + len(parts))
    return f"\x1b[{';'.join(words)}m{link}"


def _parts(pen: Style, wanted: Style) -> list[str]:
    new = wanted.flags & ~pen.flags
    parts = [code for flag, code in SET_BY if new & flag]
    if wanted.underline != pen.underline:
        parts.append("4" if wanted.underline == 1 else f"4:{wanted.underline}")
    if wanted.fg != pen.fg:
        parts.append(_color(wanted.fg, 30))
    if wanted.bg != pen.bg:
        parts.append(_color(wanted.bg, 40))
    if wanted.underline_color != pen.underline_color:
        parts.append(_color(wanted.underline_color, 50))
    return parts


def _color(color: Color, base: int) -> str:
    if color == DEFAULT:
        return str(base + 9)
    if color & RGB:
        return f"{base + 8};2;{color >> 16 & 255};{color >> 8 & 255};{color & 255}"
    if color < 8 and base != 50:
        return str(base + color)
    if color < 16 and base != 50:
        return str(base + 52 + color)
    return f"{base + 8};5;{color}"


# ---- colours ------------------------------------------------------------------------------------

_SIXTEEN: Final = (
    (0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0),
    (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229),
    (127, 127, 127), (255, 0, 0), (0, 255, 0), (255, 255, 0),
    (92, 92, 255), (255, 0, 255), (0, 255, 255), (255, 255, 255),
)  # fmt: skip
_LEVELS: Final = (0, 95, 135, 175, 215, 255)
_NEAREST_LEVEL: Final = tuple(min(range(6), key=lambda index, part=part: abs(_LEVELS[index] - part)) for part in range(256))  # type: ignore[misc]
_LIGHT: Final = frozenset({2, 3, 6, 7, 10, 11, 14, 15}) | frozenset(range(244, 256))


@lru_cache(maxsize=4096)
def nearest(color: Color, colors: int) -> Color:
    """Return the colour of a terminal with `colors` colours that is nearest to `color`."""
    if color == DEFAULT or color < 0 or colors == MONO:
        return DEFAULT
    if colors == TRUE_COLOR:
        return color & (RGB | 0xFFFFFF) if color & RGB else color & 255
    if not color & RGB:
        color &= 255
        if color < min(colors, 16) or colors == 256:
            return color
        return color if color < 16 else _closest_of_sixteen(_palette(color))
    if colors < 256:
        return _few(color & 0xF8F8F8)
    red, green, blue = wanted = (color >> 16 & 255, color >> 8 & 255, color & 255)
    gray = min(max(((red + green + blue) // 3 - 3) // 10, 0), 23)
    cube = 16 + 36 * _NEAREST_LEVEL[red] + 6 * _NEAREST_LEVEL[green] + _NEAREST_LEVEL[blue]
    return min((_distance(_palette(cube), wanted), cube), (_distance(_palette(232 + gray), wanted), 232 + gray))[1]


@lru_cache(maxsize=32_768)
def _few(color: int) -> Color:
    """Return the nearest of sixteen; all that differ in the last three bits of a part share one answer."""
    return _closest_of_sixteen((color >> 16 & 255, color >> 8 & 255, color & 255))


def _palette(index: int) -> tuple[int, int, int]:
    if index < 16:
        return _SIXTEEN[index]
    if index >= 232:
        return (8 + 10 * (index - 232),) * 3
    index -= 16
    return _LEVELS[index // 36], _LEVELS[index // 6 % 6], _LEVELS[index % 6]


def _rough(color: Color) -> Color:
    """Return one of sixteen colours, from the upper three bits of each part."""
    few = color & (RGB | 0xE0E0E0) if color != DEFAULT and color & RGB else color
    return nearest(few, 16)


def _closest_of_sixteen(wanted: tuple[int, int, int]) -> int:
    return min(range(16), key=lambda index: _distance(_SIXTEEN[index], wanted))


def _distance(one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    """Return how different two colours look: the eye weighs green most, blue least."""
    red, green, blue = (a - b for a, b in zip(one, other, strict=True))
    return 3 * red * red + 6 * green * green + blue * blue
