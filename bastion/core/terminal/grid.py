"""A picture of a terminal: cells, cursor and size, as a value.

Rows are immutable and shared between pictures, so "the same row" is `is`. Knows no escape sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from bastion.core.terminal.style import PLAIN, Style


class Row(NamedTuple):
    """One line of cells: two parallel tuples of the grid's width.

    `chars[x]` is the cell's text: " " when blank, "" for the right half of a wide character, else one
    character with its combining marks. `styles[x]` is interned.
    """

    chars: tuple[str, ...]
    styles: tuple[Style, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """What a terminal of `columns` x `len(rows)` shows. `cursor` is (x, y) from 0."""

    columns: int
    rows: tuple[Row, ...]
    cursor: tuple[int, int] = (0, 0)
    cursor_visible: bool = True
    cursor_shape: int = 0
    title: str = ""


def blank_row(columns: int, style: Style = PLAIN) -> Row:
    """Return an empty row of that width."""
    return Row((" ",) * columns, (style,) * columns)


def blank(columns: int, lines: int) -> Grid:
    """Return an empty grid of that size, cursor at the top left."""
    row = blank_row(columns)
    return Grid(columns, (row,) * lines)
