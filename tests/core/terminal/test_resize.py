"""The window changes its size: the main screen reflows as in tmux and xterm, the alternate is cut."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.terminal import Terminal
from bastion.core.terminal.describe import text
from tests.core.terminal.streams import FUZZ, outputs


def _after(data: bytes, *sizes: tuple[int, int], columns: int = 10, lines: int = 4) -> Terminal:
    terminal = Terminal(columns, lines)
    terminal.feed(data)
    for size in sizes:
        terminal.resize(*size)
    return terminal


def test_a_long_line_above_the_cursor_is_wrapped_anew() -> None:
    terminal = _after(b"abcdefghijkl\r\n$ ", (6, 4))
    assert text(terminal.snapshot()) == ["abcdef", "ghijkl", "$", ""]
    terminal.resize(20, 4)
    assert text(terminal.snapshot()) == ["abcdefghijkl", "$", "", ""]
    assert terminal.cursor == (2, 1)


def test_rows_below_the_cursor_go_first_when_the_window_gets_lower() -> None:
    terminal = _after(b"one\r\ntwo\r\nthree\r\nfour\x1b[2;2H", (10, 3))
    assert text(terminal.snapshot()) == ["one", "two", "three"]
    assert terminal.cursor == (1, 1)


def test_then_the_top_goes_into_the_scrollback_and_comes_back() -> None:
    terminal = _after(b"one\r\ntwo\r\nthree\r\nfour", (10, 2))
    assert text(terminal.snapshot()) == ["three", "four"]
    assert ["".join(row.chars) for row in terminal.scrollback()] == ["one", "two"]
    terminal.resize(10, 4)
    assert text(terminal.snapshot()) == ["one", "two", "three", "four"]
    assert terminal.cursor == (4, 3)
    assert terminal.scrollback() == []


def test_the_alternate_screen_is_cut_and_the_main_one_reflows_behind_it() -> None:
    terminal = _after(b"abcdefghijkl\r\n$ \x1b[?1049h\x1b[Habcdefghij", (6, 4))
    assert text(terminal.snapshot()) == ["abcdef", "", "", ""]
    terminal.feed(b"\x1b[?1049l")
    assert text(terminal.snapshot()) == ["abcdef", "ghijkl", "$", ""]
    assert terminal.cursor == (2, 2)


def test_margins_are_reset_and_tab_stops_grow() -> None:
    terminal = _after(b"\x1b[2;3r", (30, 6))
    terminal.feed(b"\x1b[6H\nx\r\t\t\ty")
    assert text(terminal.snapshot())[5] == "x" + " " * 23 + "y"


def test_a_wide_character_is_never_halved() -> None:
    terminal = _after("ab日本語cd\r\n".encode(), (5, 4))
    assert text(terminal.snapshot())[:3] == ["ab日", "本語c", "d"]
    cut = _after("\x1b[?1049h\x1b[Hab日本語cd".encode(), (5, 4))
    assert text(cut.snapshot())[0] == "ab日"


def test_of_many_changes_of_size_in_a_row_the_last_counts() -> None:
    terminal = Terminal(10, 4)
    terminal.push(b"abc")
    for columns in range(1, 50_000):
        terminal.push_resize(columns % 100 + 1, 3)
    terminal.push(b"d")
    terminal.catch_up()
    assert (terminal.columns, terminal.lines) == (100, 3)
    assert text(terminal.snapshot())[0] == "abcd"


@settings(max_examples=80 * FUZZ, deadline=None)
@given(outputs, st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=5))
def test_any_sequence_of_sizes_leaves_a_sound_screen(data: bytes, sizes: list[tuple[int, int]]) -> None:
    terminal = Terminal(20, 5)
    for columns, lines in sizes:
        terminal.feed(data)
        terminal.resize(columns, lines)
        grid = terminal.snapshot()
        assert (grid.columns, len(grid.rows)) == (columns, lines)
        assert all(len(row.chars) == columns and row.chars[0] for row in grid.rows)
        assert terminal.cursor[0] < columns
        assert terminal.cursor[1] < lines
    assert terminal.faults == 0


@settings(max_examples=40 * FUZZ, deadline=None)
@given(st.lists(st.integers(1, 35), min_size=1, max_size=12), st.integers(3, 30))
def test_lines_keep_their_text_through_another_width_and_back(lengths: list[int], columns: int) -> None:
    lines = ["".join(chr(97 + (n + at) % 26) for at in range(length)) for n, length in enumerate(lengths)]
    terminal = Terminal(20, 6)
    terminal.feed("\r\n".join([*lines, "$ "]).encode())
    before = ["".join(row.chars).rstrip() for row in terminal.scrollback()] + text(terminal.snapshot())
    terminal.resize(columns, 6)
    terminal.resize(20, 6)
    after = ["".join(row.chars).rstrip() for row in terminal.scrollback()] + text(terminal.snapshot())
    assert [row for row in after if row] == [row for row in before if row]


def test_what_a_narrower_alternate_screen_hides_comes_back_when_it_is_widened() -> None:
    terminal = Terminal(20, 3)
    terminal.feed("\x1b[?1049hleft\x1b[11Gright\x1b[31m!\x1b[2;1Hsecond line here\x1b[3;9H日本".encode())
    terminal.resize(9, 3)
    assert text(terminal.snapshot()) == ["left", "second li", ""]
    terminal.feed(b"\x1b[2;3H\x1b[K")
    terminal.resize(20, 3)
    assert text(terminal.snapshot()) == ["left      right!", "se       ne here", "          本"]
    assert terminal.snapshot().rows[0].styles[15].fg == 1


def test_what_was_erased_or_scrolled_on_a_narrower_alternate_screen_stays_away() -> None:
    for act in (b"\x1b[2J", b"\x1b[H\x1b[J", b"\x1b[H\x1b[K", b"\x1b[2K", b"\x1b[M", b"\x1b[3;1H\n\n\n"):
        terminal = Terminal(20, 1)
        terminal.feed(b"\x1b[?1049h" + b"x" * 20)
        terminal.resize(5, 1)
        terminal.feed(act)
        terminal.resize(20, 1)
        assert text(terminal.snapshot()) == [""], act


def test_a_row_erased_in_colour_is_no_text_that_a_narrower_screen_must_wrap() -> None:
    terminal = Terminal(20, 6)
    terminal.feed(b"\x1b[41mred\x1b[K\x1b[m\r\nplain\r\n")
    terminal.resize(10, 6)
    assert text(terminal.snapshot()) == ["red", "plain", "", "", "", ""]
    assert [style.bg for style in terminal.snapshot().rows[0].styles] == [1] * 10


def test_a_line_feed_ends_a_line_that_once_was_wrapped() -> None:
    terminal = Terminal(10, 4)
    terminal.feed(b"abcdefghijklm\x1b[H" + b"ABCDEFGHIJ\r\nnext")
    terminal.resize(20, 4)
    assert text(terminal.snapshot())[:2] == ["ABCDEFGHIJ", "next"]


def test_the_saved_cursor_stays_in_its_row_whatever_becomes_of_the_rows() -> None:
    terminal = Terminal(10, 4)
    terminal.feed(b"\x1b[2;3H\x1b7\x1b[H" + b"abcdefghij\r\n" * 4)
    terminal.resize(5, 3)
    terminal.feed(b"\x1b8")
    assert terminal.cursor == (2, 1)
