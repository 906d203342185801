"""A grid told in plain data, for programs and tests that compare screens.

Never leaves out a cell, and never says what a cell does not show (links).
"""

from __future__ import annotations

from typing import Any, Final

from bastion.core.terminal.grid import Grid
from bastion.core.terminal.style import (
    BLINK,
    BOLD,
    CONCEAL,
    DEFAULT,
    DIM,
    ITALIC,
    OVERLINE,
    REVERSE,
    RGB,
    STRIKE,
    Color,
    Style,
)

_LETTERS: Final = (
    ("b", BOLD),
    ("d", DIM),
    ("i", ITALIC),
    ("u", 0),
    ("k", BLINK),
    ("r", REVERSE),
    ("c", CONCEAL),
    ("s", STRIKE),
    ("o", OVERLINE),
)


def color(value: Color) -> str:
    """Return `d` for the default, `p7` for a palette's colour, `#rrggbb` for a true one."""
    if value == DEFAULT:
        return "d"
    return f"#{value & 0xFFFFFF:06x}" if value & RGB else f"p{value}"


def flags(style: Style) -> str:
    """Return a letter for each attribute, in a fixed order."""
    return "".join(letter for letter, bit in _LETTERS if (style.flags & bit if bit else style.underline))


def describe(grid: Grid, *, alternate: bool) -> dict[str, Any]:
    """Return size, cursor, title and cells, each `[text, foreground, background, flags]`."""
    return {
        "cols": grid.columns,
        "rows": len(grid.rows),
        "cursor": list(grid.cursor),
        "visible": grid.cursor_visible,
        "alt": alternate,
        "title": grid.title,
        "cells": [
            [[char, color(style.fg), color(style.bg), flags(style)] for char, style in zip(row.chars, row.styles, strict=True)]
            for row in grid.rows
        ],
    }


def text(grid: Grid) -> list[str]:
    """Return the rows as text, without trailing blanks."""
    return ["".join(row.chars).rstrip(" ") for row in grid.rows]
