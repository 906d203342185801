"""Random pictures for the renderer's tests. Never makes a picture that a screen could not hold."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st

from bastion.core.terminal.grid import Grid, Row, blank_row
from bastion.core.terminal.style import PLAIN, RGB, Style, style
from bastion.core.text import char_width

if TYPE_CHECKING:
    from random import Random

FUZZ = float(os.environ.get("BASTION_FUZZ", "1"))
COLOURED = (
    style(1), style(bg=4), style(3, 12, 1), style(200, 17), style(RGB | 0x123456, flags=4),
    style(9, flags=16 | 2), style(underline=1), style(underline=3, underline_color=5),
    style(flags=128 | 64), style(flags=8), style(link="https://example.org/a"), style(15, 8),
)  # fmt: skip
LETTERS = "abcdefgXYZ0123.-/"
STRANGE = (
    "é",
    "─",
    "│",
    "漢",
    "字",
    "한",
    "e\u0301",
    "👍",
    "👩\u200d💻",
    "❤\ufe0f",
    "±",
    "क",
    "\ue0b0",
)


def examples(count: int) -> settings:
    return settings(max_examples=max(int(count * FUZZ), 1), deadline=None)


def random_row(random: Random, columns: int, looks: tuple[Style, ...], strange: float) -> Row:
    chars: list[str] = []
    styles: list[Style] = []
    look = PLAIN
    while len(chars) < columns:
        if random.random() < 0.2:
            look = random.choice(looks)
        kind = random.random()
        if kind < 0.15:
            count = min(random.randint(1, 30), columns - len(chars))
            cell, fill = [" "] * count, random.choice((look, PLAIN))
            chars += cell
            styles += [fill] * count
            continue
        cell_text = random.choice(STRANGE) if random.random() < strange else random.choice(LETTERS)
        wide = char_width(cell_text[0]) == 2 or "\ufe0f" in cell_text
        if wide and len(chars) + 2 > columns:
            cell_text, wide = "z", False
        chars += [cell_text, ""] if wide else [cell_text]
        styles += [look] * (1 + wide)
    return Row(tuple(chars), tuple(styles))


def random_grid(
    random: Random, columns: int, lines: int, looks: tuple[Style, ...] = (PLAIN, *COLOURED),
    strange: float = 0.1,
) -> Grid:  # fmt: skip
    rows = tuple(blank_row(columns) if random.random() < 0.25 else random_row(random, columns, looks, strange) for _ in range(lines))
    return Grid(
        columns,
        rows,
        (random.randrange(columns), random.randrange(lines)),
        cursor_visible=random.random() < 0.8,
        cursor_shape=random.choice((0, 0, 2, 5)),
    )


def changed(random: Random, grid: Grid, looks: tuple[Style, ...], strange: float) -> Grid:
    """Return what a program would make of a picture: some cells, a scroll, a cleared part."""
    rows = list(grid.rows)
    columns, lines = grid.columns, len(rows)
    for _ in range(random.randint(0, 3)):
        kind = random.random()
        y = random.randrange(lines)
        if kind < 0.4:
            x = random.randrange(columns)
            fresh = random_row(random, columns, looks, strange)
            end = min(x + random.randint(1, 12), columns)
            rows[y] = splice(rows[y], fresh, x, end)
        elif kind < 0.7:
            top, bottom = sorted((y, random.randrange(lines)))
            count = random.randint(1, 3)
            part = rows[top : bottom + 1]
            fresh_rows = [random_row(random, columns, looks, strange) for _ in range(count)]
            part = part[count:] + fresh_rows if kind < 0.55 else fresh_rows + part[:-count]
            rows[top : bottom + 1] = part[: bottom + 1 - top]
            rows = (rows + [blank_row(columns)] * lines)[:lines]
        elif kind < 0.85:
            rows[y:] = [blank_row(columns)] * (lines - y)
        else:
            rows[y] = random_row(random, columns, looks, strange)
    return Grid(
        columns,
        tuple(rows),
        (random.randrange(columns), random.randrange(lines)),
        cursor_visible=random.random() < 0.8,
        cursor_shape=random.choice((0, 2)),
        title=random.choice(("", "one", "two")),
    )


def splice(old: Row, new: Row, start: int, end: int) -> Row:
    """Return `old` with the cells of `new` from start to end; halves at the seams become blanks."""
    chars = list(old.chars[:start] + new.chars[start:end] + old.chars[end:])
    styles = old.styles[:start] + new.styles[start:end] + old.styles[end:]
    for seam in (start, end):
        if 0 < seam < len(chars):
            mended = (old, new) if seam == start else (new, old)
            if mended[0].chars[seam] == "" and chars[seam] != "":
                chars[seam - 1] = " "
            if chars[seam] == "" and mended[0].chars[seam] != "":
                chars[seam] = " "
            elif chars[seam] == "" and mended[0].chars[seam] == "":
                chars[seam - 1] = chars[seam] = " "
    if chars[0] == "":
        chars[0] = " "
    return Row(tuple(chars), tuple(styles))


seeds = st.integers(0, 2**32)
sizes = st.tuples(st.integers(1, 40), st.integers(1, 12))
