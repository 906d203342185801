"""A picture of a terminal as SVG: for reports and tickets. Pure text from cells, nothing an endpoint wrote as markup.

No font is embedded: the viewer's own monospace font is used, each run of cells stretched to its exact width.
"""

from __future__ import annotations

import re
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Final

from bastion.core.terminal.style import BOLD, CONCEAL, DEFAULT, DIM, ITALIC, OVERLINE, REVERSE, RGB, STRIKE, Style

if TYPE_CHECKING:
    from bastion.core.terminal.grid import Grid, Row

_WIDTH: Final = 8.4  # of a cell, for a font of 14 px
_HEIGHT: Final = 17
_BASE: Final = 13  # of the letters within a cell
_PAD: Final = 10
_FG: Final = "#d0d0d0"
_BG: Final = "#101418"
_SIXTEEN: Final = (
    *("#2e3436", "#cc0000", "#4e9a06", "#c4a000", "#3465a4", "#75507b", "#06989a", "#d3d7cf"),
    *("#7c7f7a", "#ef2929", "#8ae234", "#fce94f", "#729fcf", "#ad7fa8", "#34e2e2", "#eeeeec"),
)
_LEVELS: Final = (0, 95, 135, 175, 215, 255)
_CUBE, _GREYS = 16, 232
_UNFIT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")  # what XML cannot hold, or what is none


def svg(grid: Grid, caption: str = "") -> str:
    """Return the picture as an SVG document; `caption` (a line of ours) stands under it."""
    lines = len(grid.rows) + (2 if caption else 0)
    width, height = grid.columns * _WIDTH + 2 * _PAD, lines * _HEIGHT + 2 * _PAD
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.1f}" height="{height}" viewBox="0 0 {width:.1f} {height}">',
        f'<rect width="100%" height="100%" rx="6" fill="{_BG}"/>',
        f'<g font-family="ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="14" fill="{_FG}" xml:space="preserve">',
    ]
    for y, row in enumerate(grid.rows):
        parts += _row(row, y)
    if grid.cursor_visible:
        x, y = grid.cursor
        parts.append(f'<rect x="{_x(x)}" y="{_y(y)}" width="{_WIDTH}" height="{_HEIGHT}" fill="{_FG}" fill-opacity="0.5"/>')
    if caption:
        parts.append(f'<text x="{_x(0)}" y="{_y(lines - 1) + _BASE}" fill="#7c7f7a">{_text(caption)}</text>')
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _row(row: Row, y: int) -> list[str]:
    backs, texts = [], []
    at = 0
    for style, cells in groupby(zip(row.styles, row.chars, strict=True), key=lambda cell: cell[0]):
        chars = [char for _, char in cells]
        start, count = at, len(chars)
        at += count
        fg, bg = _colours(style)
        if bg != _BG:
            backs.append(f'<rect x="{_x(start)}" y="{_y(y)}" width="{count * _WIDTH:.1f}" height="{_HEIGHT}" fill="{bg}"/>')
        if style.flags & CONCEAL:
            continue
        looks = _looks(style, fg)
        for x, text, size in _words(chars, start):
            texts.append(f'<text x="{_x(x)}" y="{_y(y) + _BASE}" textLength="{size * _WIDTH:.1f}"{looks}>{_text(text)}</text>')
    return backs + texts


def _words(chars: list[str], start: int) -> list[tuple[int, str, int]]:
    """Return what is not blank as (column, text, cells); wide and joined characters stand alone, so that all stay in place."""
    found: list[tuple[int, str, int]] = []
    text, first = "", 0
    for x, char in enumerate([*chars, " "]):
        wide = x + 1 < len(chars) and chars[x + 1] == ""
        alone = wide or not char.isascii()
        if text and (char in (" ", "") or alone):
            found.append((start + first, text, x - first))
            text = ""
        if alone:
            found.append((start + x, char, 2 if wide else 1))
        elif char not in (" ", ""):
            first = first if text else x
            text += char
    return found


def _looks(style: Style, fg: str) -> str:
    lines = [
        name
        for wanted, name in ((style.underline, "underline"), (style.flags & STRIKE, "line-through"), (style.flags & OVERLINE, "overline"))
        if wanted
    ]
    looks = f' fill="{fg}"' if fg != _FG else ""
    looks += ' font-weight="bold"' if style.flags & BOLD else ""
    looks += ' font-style="italic"' if style.flags & ITALIC else ""
    looks += ' fill-opacity="0.6"' if style.flags & DIM else ""
    return looks + (f' text-decoration="{" ".join(lines)}"' if lines else "")


def _colours(style: Style) -> tuple[str, str]:
    fg = _colour(style.fg, _FG)
    bg = _colour(style.bg, _BG)
    return (bg, fg) if style.flags & REVERSE else (fg, bg)


def _colour(value: int, usual: str) -> str:
    if value == DEFAULT:
        return usual
    if value & RGB:
        return f"#{value & 0xFFFFFF:06x}"
    if value < _CUBE:
        return _SIXTEEN[value]
    if value >= _GREYS:
        return f"#{8 + 10 * (value - _GREYS):02x}" + f"{8 + 10 * (value - _GREYS):02x}" * 2
    red, rest = divmod(value - _CUBE, 36)
    return "#" + "".join(f"{_LEVELS[level]:02x}" for level in (red, *divmod(rest, 6)))


def _text(text: str) -> str:
    return escape(_UNFIT.sub("\ufffd", text))


def _x(column: int) -> str:
    return f"{_PAD + column * _WIDTH:.1f}"


def _y(line: int) -> int:
    return _PAD + line * _HEIGHT
