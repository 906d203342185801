"""A line of ours over somebody's own terminal, and how it is taken away without a trace.

Works on a terminal that was fed the same bytes as `screen` and stands between two sequences. Touches nothing that
cannot be put back: no saved cursor, no margins, no modes but those it restores in the same breath.
"""

from __future__ import annotations

from typing import NamedTuple

from bastion.core.terminal.grid import Row
from bastion.core.terminal.keyframe import drawn_row
from bastion.core.terminal.modes import Moded


class Overlay(NamedTuple):
    """Bytes that show the line, and bytes that bring back exactly what stood there."""

    show: bytes
    hide: bytes


def overlay(screen: Moded, y: int, row: Row) -> Overlay:
    """Return how to show `row` on line `y` (from 0) and how to undo it, as long as nothing else was written since."""
    cells = screen.rows[y] if y < len(screen.rows) else None
    return Overlay(
        drawn_row(screen, y, row.chars, row.styles),
        drawn_row(screen, y, tuple(cells.chars) if cells else (), tuple(cells.styles) if cells else ()),
    )
