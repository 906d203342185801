"""The canvas: text at places, clipped and escaped, wide characters whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bastion.core.terminal.paint import Canvas, clip, line
from bastion.core.terminal.style import style
from bastion.core.text import text_width
from tests.core.terminal_grid.pictures import examples


def rows(canvas: Canvas) -> list[str]:
    return ["".join(row.chars) for row in canvas.frame().rows]


def test_text_stands_where_it_is_put_and_says_where_it_ended() -> None:
    canvas = Canvas(10, 2)
    assert canvas.text(2, 1, "漢字x") == 7
    assert rows(canvas) == [" " * 10, "  漢字x   "]
    assert canvas.row(1).chars[2:6] == ("漢", "", "字", "")


def test_text_outside_is_clipped_on_every_side() -> None:
    canvas = Canvas(5, 2)
    canvas.text(-2, 0, "abcdefghij")
    canvas.text(0, -1, "x")
    canvas.text(0, 2, "x")
    canvas.text(9, 1, "x")
    assert rows(canvas) == ["cdefg", " " * 5]


def test_a_field_is_filled_or_ends_in_an_ellipsis() -> None:
    canvas = Canvas(12, 2, style())
    canvas.text(0, 0, "web", style(1), 6)
    canvas.text(0, 1, "webserver", style(1), 6)
    assert rows(canvas) == ["web" + " " * 9, "webse…" + " " * 6]
    assert canvas.row(0).styles[5] is style(1)
    assert canvas.row(0).styles[6] is style()


def test_half_overwritten_wide_characters_leave_a_blank() -> None:
    canvas = Canvas(6, 1)
    canvas.text(0, 0, "漢字漢")
    canvas.text(1, 0, "ab")
    assert canvas.row(0).chars == (" ", "a", "b", " ", "漢", "")


def test_controls_are_shown_escaped() -> None:
    canvas = Canvas(12, 1)
    canvas.text(0, 0, "a\x1b[2J")
    assert rows(canvas) == ["a\\x1b[2J    "]


def test_marks_join_the_character_before() -> None:
    canvas = Canvas(4, 1)
    canvas.text(0, 0, "e\u0301x漢\u0301")
    assert canvas.row(0).chars == ("e\u0301", "x", "漢\u0301", "")


def test_a_line_fills_its_row() -> None:
    row = line(8, "alice", style(0, 7))
    assert "".join(row.chars) == "alice   "
    assert set(row.styles) == {style(0, 7)}


@examples(200)
@given(st.text(max_size=30), st.integers(-5, 15), st.integers(0, 14), st.integers(1, 12))
def test_any_text_at_any_place_keeps_every_row_whole(text: str, x: int, width: int, columns: int) -> None:
    canvas = Canvas(columns, 1)
    canvas.text(0, 0, "漢" * 6)
    canvas.text(x, 0, text, width=width)
    row = canvas.row(0)
    assert len(row.chars) == len(row.styles) == columns
    assert row.chars[0] != ""
    for at, cell in enumerate(row.chars):
        wide = text_width(cell) == 2
        assert wide is (at + 1 < columns and row.chars[at + 1] == "")
    assert text_width(clip("漢字abc", width)) <= width
