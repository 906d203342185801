"""A window onto a picture of another size: follows, pans, frames, and cuts nothing in half."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from bastion.core.terminal.caps import Caps
from bastion.core.terminal.diff import diff
from bastion.core.terminal.paint import Canvas, line
from bastion.core.terminal.viewport import Viewport, view
from tests.core.terminal_grid.pictures import examples, random_grid, seeds
from tests.core.terminal_grid.strict import StrictTerminal

if TYPE_CHECKING:
    from bastion.core.terminal.grid import Grid


def text_of(grid: Grid) -> list[str]:
    return ["".join(row.chars) for row in grid.rows]


def numbered(columns: int, lines: int, cursor: tuple[int, int] = (0, 0)) -> Grid:
    canvas = Canvas(columns, lines)
    for y in range(lines):
        canvas.text(0, y, f"{y:02}" + "0123456789" * 30)
    return canvas.frame(cursor)


def test_a_window_of_the_same_size_shows_the_very_rows() -> None:
    grid = numbered(80, 24)
    shown = view(grid, Viewport(80, 24).followed(grid))
    assert all(a is b for a, b in zip(grid.rows, shown.rows, strict=True))


def test_a_small_window_shows_the_cursor_at_the_bottom_right() -> None:
    grid = numbered(80, 24, (79, 23))
    window = Viewport(20, 6).followed(grid)
    shown = view(grid, window)
    assert shown.cursor == (19, 5)
    assert shown.cursor_visible
    assert text_of(shown)[-1] == text_of(grid)[-1][60:]


@examples(150)
@given(seeds, st.integers(1, 90), st.integers(1, 30), st.booleans())
def test_a_following_window_always_shows_the_cursor(seed: int, columns: int, lines: int, status: bool) -> None:
    random = Random(seed)
    grid = numbered(60, 20)
    window = Viewport(columns, lines, status=status)
    for _ in range(10):
        grid = replace(grid, cursor=(random.randrange(60), random.randrange(20)))
        window = window.followed(grid)
        shown = view(grid, window)
        assert shown.cursor_visible
        x, y = shown.cursor
        assert shown.rows[y].chars[x] == grid.rows[grid.cursor[1]].chars[grid.cursor[0]]
        assert len(shown.rows) == lines
        assert {len(row.chars) for row in shown.rows} == {columns}


def test_the_window_stays_while_the_cursor_moves_inside_its_margins() -> None:
    grid = numbered(80, 24, (40, 12))
    window = Viewport(40, 12).followed(grid)
    near = replace(grid, cursor=(42, 11))
    assert window.followed(near) is window


def test_a_window_moved_by_hand_stays_at_the_edges_until_it_follows_again() -> None:
    grid = numbered(80, 24, (0, 0))
    window = Viewport(20, 6).panned(grid, 500, 500)
    assert (window.left, window.top) == (60, 18)
    assert window.followed(grid) == window
    assert not view(grid, window).cursor_visible
    back = window.following().followed(grid)
    assert (back.left, back.top) == (0, 0)


def test_a_smaller_picture_is_framed() -> None:
    shown = view(numbered(4, 2), Viewport(8, 4))
    assert text_of(shown) == ["0001│   ", "0101│   ", "────┘   ", " " * 8]


def test_the_status_line_takes_the_last_line_and_never_the_only_one() -> None:
    grid = numbered(30, 5)
    status = line(30, "owner 30x5")
    shown = view(grid, Viewport(20, 4, status=True).followed(grid), status)
    assert text_of(shown)[-1] == "owner 30x5".ljust(20)
    assert text_of(shown)[0].startswith("00012345")
    only = view(grid, Viewport(20, 1, status=True).followed(grid), status)
    assert text_of(only)[0].startswith("00012345")


@examples(150)
@given(seeds, st.integers(1, 50), st.integers(1, 12), st.integers(0, 20), st.integers(0, 6))
def test_no_window_cuts_a_wide_character_in_half_on_the_screen(seed: int, columns: int, lines: int, right: int, down: int) -> None:
    grid = random_grid(Random(seed), 40, 10, strange=0.5)
    window = Viewport(columns, lines).panned(grid, right, down)
    shown = view(grid, window)
    for row in shown.rows:
        assert row.chars[0] != ""
        for x, cell in enumerate(row.chars):
            if cell == "漢":
                assert row.chars[x + 1] == ""
    terminal = StrictTerminal(columns, lines)
    caps = Caps.of("xterm-256color")
    terminal.feed(diff(None, shown, caps))
    after = view(grid, window.panned(grid, 1, 1))
    terminal.feed(diff(shown, after, caps))
    assert terminal.grid().cursor == after.cursor
