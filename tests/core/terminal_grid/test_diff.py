"""The renderer: what it sends makes one picture of another, on every kind of terminal."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.core.terminal.caps import TRUE_COLOR, Caps
from bastion.core.terminal.diff import diff, diff_slices
from bastion.core.terminal.glyphs import glyph
from bastion.core.terminal.grid import Grid, Row, blank, blank_row
from bastion.core.terminal.ink import ink
from bastion.core.terminal.paint import Canvas
from bastion.core.terminal.style import PLAIN, RGB, Style, style
from tests.core.terminal_grid.pictures import (
    COLOURED,
    changed,
    examples,
    random_grid,
    seeds,
    sizes,
)
from tests.core.terminal_grid.strict import StrictTerminal

XTERM = Caps.of("xterm-256color")
KITTY = replace(Caps.of("xterm-kitty"), links=True, titles=True)
KINDS = [
    KITTY,
    XTERM,
    replace(XTERM, colors=TRUE_COLOR),
    Caps.of("linux"),
    Caps.of("tmux-256color"),
    Caps.of("nobody-knows"),
    Caps(),
]
LOOKS = (PLAIN, *COLOURED)


def shown(grid: Grid, caps: Caps, before: Grid | None = None) -> Grid:
    """Return what a terminal with those abilities can show of a picture."""
    pens = ink(caps)
    rows = []
    for y, row in enumerate(grid.rows):
        limit = grid.columns - (y == len(grid.rows) - 1 and not caps.wraps_late)
        chars = [glyph(c).text if c else c for c in row.chars]
        for x, cell in enumerate(row.chars):  # what could wrap is cut to what cannot
            if cell and x + glyph(cell).most > limit:
                chars[x] = chars[x][0]
        styles = [pens.shown(s) for s in row.styles]
        for x, look in enumerate(row.styles):
            if look.flags & 32 and not caps.attributes & 32 and chars[x]:
                chars[x] = " "
        rows.append(Row(tuple(chars), tuple(styles)))
    result = replace(grid, rows=tuple(rows), cursor_shape=grid.cursor_shape)
    if not caps.cursor_shapes:
        result = replace(result, cursor_shape=0)
    elif before is None and grid.cursor_shape == 0:
        result = replace(result, cursor_shape=0)
    return result if caps.titles else replace(result, title="")


def without_corner(grid: Grid) -> Grid:
    row = grid.rows[-1]
    keep = max(len(row.chars) - 3, 0)
    cut = Row(row.chars[:keep], row.styles[:keep])
    return replace(grid, rows=(*grid.rows[:-1], cut))


def undisputed(shown: Grid, grid: Grid) -> Grid:
    """Return the picture without the characters that terminals show in their own ways."""
    rows = []
    for row, source in zip(shown.rows, grid.rows, strict=True):
        chars = list(row.chars)
        for x, cell in enumerate(source.chars):
            if cell and not glyph(cell).sure:
                chars[x : x + 1 + (source.chars[x + 1 : x + 2] == ("",))] = "?" * (1 + (source.chars[x + 1 : x + 2] == ("",)))
        rows.append(Row(tuple(chars), row.styles))
    return replace(shown, rows=tuple(rows))


def same(terminal: StrictTerminal, grid: Grid, caps: Caps) -> None:
    got, want = terminal.grid(), shown(grid, caps)
    if not caps.wraps_late:
        got, want = without_corner(got), without_corner(want)
    if not terminal.joins:
        got, want = undisputed(got, grid), undisputed(want, grid)
    for y, (one, other) in enumerate(zip(got.rows, want.rows, strict=True)):
        assert one.chars == other.chars, f"row {y}"
        assert one.styles == other.styles, f"row {y}"
    assert (got.cursor, got.cursor_visible) == (want.cursor, want.cursor_visible)
    assert (got.cursor_shape, got.title) == (want.cursor_shape, want.title)
    assert terminal.pen is PLAIN
    assert (terminal.top, terminal.bottom) == (0, terminal.lines - 1)


@examples(500)
@given(seeds, sizes, st.sampled_from(KINDS), st.booleans())
def test_any_picture_becomes_any_other_on_every_kind_of_terminal(seed: int, size: tuple[int, int], caps: Caps, joins: bool) -> None:
    random = Random(seed)
    columns, lines = size
    first, second = (random_grid(random, columns, lines, LOOKS, 0.2) for _ in range(2))
    terminal = StrictTerminal(columns, lines, late=caps.wraps_late, joins=joins)
    for before, after in ((None, first), (first, second)):
        terminal.hides = terminal.shows = 0
        terminal.feed(diff(before, after, caps))
        same(terminal, after, caps)
        assert terminal.hides <= 1
        assert terminal.shows <= 1


@examples(500)
@given(seeds, sizes, st.sampled_from(KINDS), st.booleans())
def test_a_history_of_edits_scrolls_and_clears_never_drifts(seed: int, size: tuple[int, int], caps: Caps, joins: bool) -> None:
    random = Random(seed)
    columns, lines = size
    now = random_grid(random, columns, lines, LOOKS, 0.1)
    terminal = StrictTerminal(columns, lines, late=caps.wraps_late, joins=joins)
    terminal.feed(diff(None, now, caps))
    for _ in range(6):
        after = changed(random, now, LOOKS, 0.1)
        terminal.feed(diff(now, after, caps))
        same(terminal, after, caps)
        now = after


@examples(60)
@given(seeds)
def test_pyte_shows_the_same_text_and_colours(seed: int) -> None:
    random = Random(seed)
    looks = (PLAIN, style(1), style(2, flags=1), style(200, flags=4), style(underline=1))
    caps = replace(XTERM, cursor_shapes=False, attributes=1 | 4 | 16)
    screen = pyte.Screen(30, 8)
    stream = pyte.Stream(screen)
    now = None
    for _ in range(3):
        after = random_grid(random, 30, 8, looks, 0.0) if now is None else changed(random, now, looks, 0.0)
        stream.feed(diff(now, after, caps).decode())
        assert screen.display == ["".join(row.chars) for row in after.rows]
        for y, row in enumerate(after.rows):
            for x, look in enumerate(row.styles):
                cell = screen.buffer[y][x]
                assert cell.bold == bool(look.flags & 1)
                assert (cell.fg == "red") == (look.fg == 1)
        now = after


@examples(300)
@given(st.lists(st.text(max_size=4), min_size=12, max_size=12), seeds)
def test_no_cell_text_whatever_makes_the_terminal_act(cells: list[str], seed: int) -> None:
    random = Random(seed)
    cells = [random.choice((c, "\x1b[2J", "\x9b5n", "\u202e", "", "\r\n", "漢", c)) for c in cells]
    grid = Grid(6, (Row(tuple(cells[:6]), (PLAIN,) * 6), Row(tuple(cells[6:]), (PLAIN,) * 6)))
    for caps in (XTERM, Caps.of("vt100")):
        sent = diff(None, grid, caps)
        terminal = StrictTerminal(6, 2, joins=False)
        terminal.feed(sent)  # raises on anything that is not on the short list
        text = sent.decode()
        assert text.count("\x1b[2J") == 1
        assert not any("\x80" <= c <= "\x9f" or c in "\u202e\u2066\u200f" for c in text)
        if not caps.unicode:
            assert text.isascii()


@examples(150)
@given(seeds, sizes)
def test_a_terminal_without_unicode_gets_ascii_of_the_same_widths(seed: int, size: tuple[int, int]) -> None:
    random = Random(seed)
    caps = Caps.of("vt100")
    now = random_grid(random, *size, LOOKS, 0.3)
    terminal = StrictTerminal(*size)
    terminal.feed(diff(None, now, caps))
    for _ in range(3):
        after = changed(random, now, LOOKS, 0.3)
        sent = diff(now, after, caps)
        assert sent.isascii()
        terminal.feed(sent)
        assert terminal.grid().cursor == after.cursor
        for got, want in zip(terminal.grid().rows, after.rows, strict=True):
            for x, cell in enumerate(want.chars):
                if cell.isascii() and cell and not want.styles[x].flags & 32:
                    assert got.chars[x] == cell
        now = after


def test_a_cursor_counted_past_the_last_column_is_taken_as_on_it() -> None:
    before = replace(blank(5, 2), cursor=(5, 0))
    canvas = Canvas(5, 2)
    canvas.text(3, 0, "x")
    terminal = StrictTerminal(5, 2)
    terminal.x = 4
    terminal.feed(diff(before, canvas.frame((5, 1)), XTERM))
    assert terminal.grid().rows[0].chars[3] == "x"
    assert (terminal.x, terminal.y) == (4, 1)


def test_a_typed_letter_costs_one_byte() -> None:
    canvas = Canvas(80, 24)
    canvas.text(0, 0, "$ l")
    before = canvas.frame((3, 0))
    canvas.text(3, 0, "s")
    assert diff(before, canvas.frame((4, 0)), XTERM) == b"s"


def test_nothing_changed_sends_nothing() -> None:
    grid = random_grid(Random(1), 80, 24)
    assert diff(grid, replace(grid), XTERM) == b""


def test_a_log_that_scrolls_under_a_status_line_sends_the_new_line_only() -> None:
    def log(start: int) -> Grid:
        canvas = Canvas(80, 24)
        for y in range(23):
            canvas.text(0, y, f"line {start + y} " + chr(97 + (start + y) % 26) * 40)
        canvas.text(0, 23, "status", style(0, 7))
        return canvas.frame((0, 22))

    sent = diff(log(0), log(2), XTERM)
    assert sent.count(b"line ") == 2
    assert b"\x1b[1;23r" in sent
    assert len(sent) < 180
    assert diff(log(2), log(0), XTERM).count(b"line ") == 2
    without = diff(log(0), log(2), Caps())
    assert b"r" not in without.replace(b"r" * 5, b"") or len(without) > len(sent)


def test_a_picture_of_another_size_is_drawn_anew() -> None:
    small, large = blank(10, 4), random_grid(Random(3), 20, 6, (PLAIN,), 0.0)
    terminal = StrictTerminal(20, 6)
    terminal.show(random_grid(Random(4), 20, 6))
    terminal.visible, terminal.shape = True, 0
    terminal.feed(diff(small, large, XTERM))
    same(terminal, large, XTERM)


def test_a_cleared_screen_is_erased_not_overwritten() -> None:
    full = random_grid(Random(5), 80, 24)
    assert len(diff(full, blank(80, 24), XTERM)) < 30


@pytest.mark.parametrize(
    ("link", "sent"),
    [
        ("https://example.org/x", True),
        ("http://example.org", True),
        ("javascript:alert(1)", False),
        ("file:///etc/passwd", False),
        ("https://example.org/\x1b]52;c;AA\x07", False),
        ("https://exämple.org", False),
        ("https://a/" + "x" * 5000, False),
    ],
)
def test_a_link_leaves_only_as_http_and_only_when_allowed(link: str, sent: bool) -> None:
    row = Row(("a", "b"), (style(link=link), PLAIN))
    grid = Grid(2, (row,))
    assert (link.encode() in diff(None, grid, KITTY)) is sent
    assert b"\x1b]" not in diff(None, grid, XTERM)


def test_a_title_leaves_only_when_asked_and_without_controls() -> None:
    grid = replace(blank(4, 2), title="a\x07\x1b]52;c;x\x07" + "y" * 999)
    assert b"]" not in diff(None, grid, XTERM)
    sent = diff(None, grid, KITTY)
    assert b"\x1b]2;a\\x07\\x1b]52;c;x" in sent
    assert b"\x07" not in sent
    assert len(sent) < 300


def test_hidden_text_stays_hidden_where_the_terminal_cannot_conceal() -> None:
    row = Row(tuple("pässword"), (style(flags=32),) * 8)
    for caps in (Caps.of("vt100"), Caps.of("linux"), Caps()):
        sent = diff(None, Grid(8, (row,)), caps)
        assert b"word" not in sent
        assert b"ss" not in sent


def test_characters_of_disputed_width_are_followed_by_an_absolute_place() -> None:
    row = Row(("👩\u200d💻", "", "x", " "), (PLAIN,) * 4)
    sent = diff(blank(4, 1), Grid(4, (row,), (3, 0)), XTERM).decode()
    assert "👩\u200d💻\x1b[1;3Hx" in sent


def test_a_change_of_a_right_half_alone_writes_the_whole_character() -> None:
    wide = ("漢", "", "x")
    before = Grid(3, (Row(wide, (PLAIN,) * 3),))
    after = Grid(3, (Row(wide, (PLAIN, style(1), PLAIN)),), (2, 0))
    terminal = StrictTerminal(3, 1)
    terminal.show(before)
    terminal.feed(diff(before, after, XTERM))
    assert terminal.grid().rows[0].chars == wide


def test_a_picture_of_ten_thousand_styles_gets_rougher_but_says_the_same() -> None:
    random = Random(8)

    def rainbow() -> Grid:
        looks = [tuple(style(RGB | random.randrange(1 << 24), RGB | random.randrange(1 << 24), 1) for _ in range(200)) for _ in range(50)]
        return Grid(200, tuple(Row(tuple(random.choices("abc", k=200)), s) for s in looks))

    caps = replace(XTERM, colors=TRUE_COLOR)
    terminal, before = StrictTerminal(200, 50), None
    for after in (rainbow(), rainbow()):
        sent = diff(before, after, caps)
        assert len(sent) < 250_000  # exact, it would be 350,000
        terminal.feed(sent)
        assert [row.chars for row in terminal.grid().rows] == [row.chars for row in after.rows]
        assert terminal.grid().rows[0].styles == after.rows[0].styles
        assert terminal.pen is PLAIN
        before = after


def test_a_wide_character_in_the_last_column_never_wraps() -> None:
    row = Row(("a", "漢"), (PLAIN,) * 2)
    sent = diff(None, Grid(2, (row, blank_row(2))), XTERM).decode()
    assert "漢" not in sent
    assert "\ufffd" in sent


@pytest.mark.parametrize(
    ("caps", "look", "sgr"),
    [
        (XTERM, style(RGB | 0xFF0000), "38;5;196"),
        (XTERM, style(RGB | 0x808080), "38;5;244"),
        (Caps.of("xterm"), style(196), "91"),
        (Caps.of("linux"), style(9), "1;31"),
        (Caps.of("linux"), style(bg=RGB | 0x0000F0), "44"),
        (Caps.of("vt100"), style(9, 4, 16), "7"),
        (KITTY, style(RGB | 0x010203), "38;2;1;2;3"),
        (XTERM, style(underline=3), "4"),
        (KITTY, style(underline=3, underline_color=1), "4:3;58;5;1"),
    ],
)
def test_colours_come_down_to_what_the_terminal_has(caps: Caps, look: Style, sgr: str) -> None:
    grid = Grid(2, (Row(("a", "b"), (look, PLAIN)),))
    sent = diff(blank(2, 1), grid, caps).decode()
    assert f"\x1b[{sgr}ma" in sent or f"\x1b[;{sgr}ma" in sent


def test_text_stays_readable_when_two_colours_become_one() -> None:
    look = ink(Caps.of("linux")).shown(style(RGB | 0x202020, RGB | 0x000000))
    assert look.fg != look.bg


SLOWEST_STEP = 0.03
"""Seconds of processor time; a third of it on a quiet machine."""


@pytest.mark.parametrize("caps", [XTERM, replace(XTERM, colors=TRUE_COLOR), Caps.of("linux"), Caps.of("xterm")], ids=["256", "true", "8", "16"])
def test_a_picture_where_each_cell_has_colours_of_its_own_is_worked_out_in_short_steps(caps: Caps) -> None:
    def picture(seed: int) -> Grid:
        looks = [style(RGB | (seed + n) * 7919 % 0xFFFFFF, RGB | (seed + n) * 104_729 % 0xFFFFFF) for n in range(200 * 60)]
        rows = [Row(tuple(chr(33 + (seed + y + x) % 90) for x in range(200)), tuple(looks[y * 200 : y * 200 + 200])) for y in range(60)]
        return Grid(200, tuple(rows))

    def steps(seed: int) -> list[float]:
        slices, times = diff_slices(picture(seed), picture(seed + 7), caps), []
        while True:
            start = time.process_time()
            ended = next(slices, "end") == "end"
            times.append(time.process_time() - start)
            if ended:
                return times

    found = min((steps(seed) for seed in (1, 20_001, 40_001)), key=max)
    assert len(found) > 2
    assert max(found) < SLOWEST_STEP


def test_steps_give_the_bytes_that_the_whole_gives() -> None:
    one, two = random_grid(Random(5), 80, 24, COLOURED), random_grid(Random(6), 80, 24, COLOURED)
    slices = diff_slices(one, two, XTERM)
    while True:
        try:
            next(slices)
        except StopIteration as done:
            assert done.value == diff(one, two, XTERM)
            break
