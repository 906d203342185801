"""A window of one size onto a picture of another: it follows the cursor, or is moved by hand.

Never changes the picture it shows, nor its size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from bastion.core.terminal.grid import Grid, Row, blank_row
from bastion.core.terminal.style import DIM, style

_MARGIN: Final = 4  # cells kept between the cursor and the window's edge
_FRAME: Final = style(flags=DIM)


@dataclass(frozen=True, slots=True)
class Viewport:
    """A window of `columns` x `lines` whose top left cell shows (left, top) of the picture.

    `follow`: it moves with the cursor; panning by hand ends that until `following()`.
    `status`: its last line is kept for a status line (from two lines on).
    """

    columns: int
    lines: int
    left: int = 0
    top: int = 0
    follow: bool = True
    status: bool = False

    @property
    def height(self) -> int:
        """The lines that show the picture."""
        return self.lines - 1 if self.status and self.lines > 1 else self.lines

    def resized(self, columns: int, lines: int) -> Viewport:
        """Return the window in another size."""
        return replace(self, columns=max(columns, 1), lines=max(lines, 1))

    def panned(self, grid: Grid, right: int, down: int) -> Viewport:
        """Return the window moved by that many cells, stopping at the picture's edges."""
        return replace(
            self,
            left=max(min(self.left + right, grid.columns - self.columns), 0),
            top=max(min(self.top + down, len(grid.rows) - self.height), 0),
            follow=False,
        )

    def following(self) -> Viewport:
        """Return the window tied to the cursor again."""
        return replace(self, follow=True)

    def followed(self, grid: Grid) -> Viewport:
        """Return the window moved as little as keeps the cursor in sight; by hand: only kept within.

        Sideways it jumps by a third of its width, for each such move redraws every row.
        """
        kept = self.panned(grid, 0, 0)
        here = self if kept.place == self.place else replace(kept, follow=self.follow)
        if not here.follow:
            return here
        x, y = grid.cursor
        width, height = here.columns, here.height
        side, edge = min(_MARGIN, (width - 1) // 2), min(_MARGIN, (height - 1) // 2)
        left, top = here.left, here.top
        if x < left + side and left:
            left = x - side - width // 3
        elif x > left + width - 1 - side:
            left = x - width + 1 + side + width // 3
        if y < top + edge:
            top = y - edge
        elif y > top + height - 1 - edge:
            top = y - height + 1 + edge
        moved = here.panned(grid, left - here.left, top - here.top)
        return here if moved.place == here.place else replace(moved, follow=True)

    @property
    def place(self) -> tuple[int, int]:
        """The picture's cell at the top left."""
        return self.left, self.top

    def cropped(self, grid: Grid) -> bool:
        """Whether the picture is larger than the window."""
        return grid.columns > self.columns or len(grid.rows) > self.height


def view(grid: Grid, viewport: Viewport, status: Row | None = None) -> Grid:
    """Return what the window shows; `status` stands on its last line where one is kept for it.

    A smaller picture stands at the top left, its right and lower edges drawn. Rows that need no
    cut are the picture's own, so that a diff passes over them.
    """
    columns, height = viewport.columns, viewport.height
    left, top = viewport.left, viewport.top
    shown = grid.rows[top : top + height]
    fits = left == 0 and grid.columns == columns
    rows = list(shown) if fits else [_cut(row, left, columns) for row in shown]
    if len(rows) < height:
        rows.append(_lower_edge(grid.columns - left, columns))
        rows.extend([blank_row(columns)] * (height - len(rows)))
    if height < viewport.lines:
        rows.append(blank_row(columns) if status is None else _cut(status, 0, columns, edge=False))
    x, y = grid.cursor[0] - left, grid.cursor[1] - top
    inside = 0 <= x < columns and 0 <= y < height
    return Grid(
        columns,
        tuple(rows),
        (min(max(x, 0), columns - 1), min(max(y, 0), height - 1)),
        cursor_visible=grid.cursor_visible and inside,
        cursor_shape=grid.cursor_shape,
        title=grid.title,
    )


def _cut(row: Row, left: int, columns: int, *, edge: bool = True) -> Row:
    """Return `columns` cells of a row; wide characters cut in half become blanks."""
    chars, styles = row.chars[left : left + columns], row.styles[left : left + columns]
    if chars and chars[0] == "":
        chars = (" ", *chars[1:])
    last = left + columns
    if last < len(row.chars) and row.chars[last] == "" and chars[-1] != "":
        chars = (*chars[:-1], " ")
    missing = columns - len(chars)
    if not missing:
        return Row(chars, styles)
    filler = blank_row(missing)
    drawn = ("│", *filler.chars[1:]) if edge else filler.chars
    look = (_FRAME, *filler.styles[1:]) if edge else filler.styles
    return Row((*chars, *drawn), (*styles, *look))


def _lower_edge(width: int, columns: int) -> Row:
    line = ("─" * min(width, columns) + "┘")[:columns] if width < columns else "─" * columns
    rest = columns - len(line)
    return Row((*line, *" " * rest), (_FRAME,) * len(line) + blank_row(rest).styles)
