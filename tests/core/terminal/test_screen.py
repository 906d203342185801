"""What each control sequence does to a screen, as most terminals have it."""

from __future__ import annotations

import pytest

from bastion.core.terminal import Screen, Terminal
from bastion.core.terminal.describe import color, describe, flags, text
from bastion.core.terminal.style import DEFAULT, RGB

FULL = "01234567890123456789"


def shown(data: str, columns: int = 20, lines: int = 4) -> tuple[list[str], tuple[int, int]]:
    """Rows without trailing blanks (and without empty rows at the end), and the cursor."""
    terminal = Terminal(columns, lines)
    terminal.feed(data.encode())
    rows = text(terminal.snapshot())
    while rows and not rows[-1]:
        rows.pop()
    return rows, terminal.cursor


SHOWN = {
    "text wraps only when the next character comes": (FULL, [FULL], (19, 0)),
    "and then to the next row": (FULL + "x", [FULL, "x"], (1, 1)),
    "carriage return ends a pending wrap": (FULL + "\rx", ["x" + FULL[1:]], (1, 0)),
    "a line feed ends a pending wrap": (FULL + "\nx", [FULL, " " * 19 + "x"], (19, 1)),
    "a scrolling line feed keeps it": ("\x1b[4H" + FULL + "\nx", ["", FULL, "", "x"], (1, 3)),
    "cursor up ends it": ("\n" + FULL + "\x1b[Ax", [" " * 19 + "x", FULL], (19, 0)),
    "erasing to the end of line erases nothing then": (FULL + "\x1b[K", [FULL], (19, 0)),
    "backspace goes two cells back from a written edge": (FULL + "\bx", [FULL[:18] + "x9"], (19, 0)),
    "no wrap without DECAWM": ("\x1b[?7l" + FULL + "ab", [FULL[:19] + "b"], (19, 0)),
    "insert mode pushes to the right": ("abc\r\x1b[4hX", ["Xabc"], (1, 0)),
    "insert and delete characters": ("abcdef\x1b[3G\x1b[2@\x1b[6G\x1b[P", ["ab  cef"], (5, 0)),
    "erase characters moves nothing": ("abcdef\x1b[2G\x1b[3X", ["a   ef"], (1, 0)),
    "insert lines keeps the column": ("a\r\nb\x1b[A\x1b[L", ["", "a", "b"], (1, 0)),
    "delete lines within margins": ("a\r\nb\r\nc\r\nd\x1b[1;3r\x1b[M", ["b", "c", "", "d"], (0, 0)),
    "reverse index scrolls at the top": ("a\x1b[H\x1bMb", ["b", "a"], (1, 0)),
    "scroll up and down": ("a\r\nb\r\nc\x1b[2S\x1b[T", ["", "c"], (1, 2)),
    "scrolling happens within margins only": ("a\r\nb\r\nc\r\nd\x1b[2;3r\x1b[3H\nx", ["a", "c", "x", "d"], (1, 2)),
    "origin mode counts from the top margin": ("\x1b[2;3r\x1b[?6h\x1b[9;2Hx", ["", "", " x"], (2, 2)),
    "a region of one row is refused": ("\x1b[2;2rx", ["x"], (1, 0)),
    "tabs go to the last column at most": ("\ta\tb\t\tc", ["        a       b  c"], (19, 0)),
    "tab stops can be cleared and set": ("\x1b[3g\x1b[5G\x1bH\r\tx", ["    x"], (5, 0)),
    "back tab": ("\x1b[18Gx\x1b[2Zy", ["        y        x"], (9, 0)),
    "repeat draws the last character again": ("ab\x1b[3bc", ["abbbbc"], (6, 0)),
    "repeat after a control repeats nothing": ("a\r\x1b[3bc", ["c"], (1, 0)),
    "repeat stops at the edge": ("a\x1b[99b", ["a" * 20], (19, 0)),
    "line drawing": ("\x1b(0lqk\x1b(Blqk", ["┌─┐lqk"], (6, 0)),
    "shift out uses G1": ("\x1b)0a\x0eq\x0fq", ["a─q"], (3, 0)),
    "a single shift lasts for one character": ("\x1b*0\x1bNqq", ["─q"], (2, 0)),
    "save and restore keep the character set": ("\x1b(0\x1b7\x1b(B\x1b8q", ["─"], (1, 0)),
    "wide characters wrap whole": ("x" * 19 + "日", ["x" * 19, "日"], (2, 1)),
    "half a wide character overwritten leaves a blank": ("日本\x1b[2Gx", [" x本"], (2, 0)),
    "combining marks join the cell before": ("e\u0301x", ["e\u0301x"], (2, 0)),
    "a zero width joiner joins, and the next emoji stands alone": ("👩\u200d💻x", ["👩\u200d💻x"], (5, 0)),
    "regional indicators take a column each": ("🇩🇪x", ["🇩🇪x"], (3, 0)),
    "C1 controls work": ("a\u009b3Cb\u0085c", ["a   b", "c"], (1, 1)),
    "device control strings are passed over": ("a\x1bPq#0;2~~\x1b\\b\x1b_G\x07f\x1b\\c\x1b^x\x1b\\d\x1bXy\x1b\\e", ["abcde"], (5, 0)),
    "a control acts within a sequence": ("a\x1b[3\nCb", ["a", "    b"], (5, 1)),
    "cancel ends a sequence": ("a\x1b[3\x18Cb", ["aCb"], (3, 0)),
    "an escape within a sequence begins another": ("a\x1b[3\x1b[2Cb", ["a  b"], (4, 0)),
    "private forms are not public ones": ("abc\x1b[>1J\x1b[?5C\x1b[=2K\x1b[<3Dx", ["abcx"], (4, 0)),
    "intermediates make other functions": ("abc\x1b[2 D\x1b[1$Jx", ["abcx"], (4, 0)),
    "columns cannot be switched to 132": ("abc\x1b[?3hx", ["abcx"], (4, 0)),
    "NEL goes to the start of the next line": ("ab\x1bEc", ["ab", "c"], (1, 1)),
    "newline mode": ("\x1b[20hab\nc", ["ab", "c"], (1, 1)),
    "reverse wrap": ("\x1b[?45h" + FULL + "x\b\by", [FULL[:19] + "y", "x"], (19, 0)),
    "the alternate screen is another one": ("main\x1b[?1049hother\x1b[?1049lx", ["mainx"], (5, 0)),
    "full reset clears all": ("abc\x1b[2;3r\x1bcx", ["x"], (1, 0)),
    "soft reset keeps the screen": ("abc\x1b[4h\x1b[2G\x1b[!px", ["axc"], (2, 0)),
    "alignment fills the screen": ("\x1b#8", ["E" * 20] * 4, (0, 0)),
    "invalid parameters mean the default": ("\x1b[;5Hx\x1b[0;0Hy", ["y   x"], (1, 0)),
}


@pytest.mark.parametrize("name", SHOWN)
def test_text_and_cursor(name: str) -> None:
    data, rows, cursor = SHOWN[name]
    assert shown(data) == (rows, cursor)


def test_invalid_bytes_are_dropped() -> None:
    terminal = Terminal(20, 1)
    terminal.feed(b"a\xffb\xe4\xb8c\xc3\xa9")
    assert text(terminal.snapshot()) == ["abcé"]


STYLES = {
    "1;2;3;4;5;7;8;9;53": ("d", "d", "bdiukrcso"),
    "1;2;22": ("d", "d", ""),
    "31;42": ("p1", "p2", ""),
    "97;103": ("p15", "p11", ""),
    "38;5;9;48;5;250": ("p9", "p250", ""),
    "38;2;1;2;3;48:2::10:11:12": ("#010203", "#0a0b0c", ""),
    "38:2:1:2:3": ("#010203", "d", ""),
    "38:5:7": ("p7", "d", ""),
    "4:3": ("d", "d", "u"),
    "4:3;4:0": ("d", "d", ""),
    "21": ("d", "d", "u"),
    "58:5:1;1": ("d", "d", "b"),
    "58;2;1;2;3;1": ("d", "d", "b"),
    "38;5;300;1": ("d", "d", "b"),
    "38;9;1": ("d", "d", "b"),
    "1;38;5": ("d", "d", "b"),
    "31;": ("d", "d", ""),
    "99999999999999999999;1": ("d", "d", "b"),
}


@pytest.mark.parametrize("parameters", STYLES)
def test_select_graphic_rendition(parameters: str) -> None:
    terminal = Terminal(3, 1)
    terminal.feed(f"\x1b[{parameters}mx".encode())
    style = terminal.snapshot().rows[0].styles[0]
    assert (color(style.fg), color(style.bg), flags(style)) == STYLES[parameters]


@pytest.mark.parametrize(
    "erasing", ["\x1b[K", "\x1b[J", "\x1b[2K", "\x1b[X", "\x1b[@", "\x1b[P", "\x1b[L", "\x1b[M", "\x1b[S", "\x1b[T", "\x1bM"]
)
def test_erased_cells_take_the_background_alone(erasing: str) -> None:
    terminal = Terminal(4, 1)
    terminal.feed(f"\x1b[1;4;31;44m{erasing}".encode())
    blank = next(style for style in terminal.snapshot().rows[0].styles if style.bg != DEFAULT)
    assert (blank.fg, blank.bg, blank.flags, blank.underline) == (DEFAULT, 4, 0, 0)


def test_true_colours_are_told_from_the_palette() -> None:
    assert color(RGB | 0x00FF01) == "#00ff01"


def test_modes_are_remembered() -> None:
    terminal = Terminal(20, 2)
    terminal.feed(b"\x1b[?1;1002;1006;1004;2004;2026h\x1b=\x1b[?25l\x1b[5 q\x1b[>5u\x1b[>4;2m\x1b[?5h")
    modes = terminal.modes
    assert modes.application_cursor
    assert modes.application_keypad
    assert (modes.mouse, modes.mouse_encoding) == (1002, 1006)
    assert modes.focus
    assert modes.bracketed_paste
    assert modes.synchronized
    assert modes.reverse_video
    assert not modes.cursor_visible
    assert (modes.cursor_shape, modes.kitty_keyboard, modes.modify_other_keys) == (5, 5, 2)
    terminal.feed(b"\x1b[<u\x1b[?1002l")
    assert (terminal.modes.kitty_keyboard, terminal.modes.mouse) == (0, 0)


def test_titles() -> None:
    terminal = Terminal(20, 1)
    terminal.feed("\x1b]0;both é\x07".encode())
    assert (terminal.title, terminal.screen.icon_name) == ("both é", "both é")
    terminal.feed(b"\x1b]2;title\x1b\\\x1b]1;icon\x1b\\")
    assert (terminal.title, terminal.screen.icon_name) == ("title", "icon")
    terminal.feed(b"\x1b]2;" + b"x" * 5000 + b"\x07")
    assert len(terminal.title) == 1024


def test_each_screen_has_its_own_saved_cursor() -> None:
    terminal = Terminal(20, 4)
    terminal.feed(b"\x1b[2;3H\x1b7\x1b[?47h\x1b[4;4H\x1b7\x1b[H\x1b[?47l\x1b8")
    assert terminal.cursor == (2, 1)


def test_an_unchanged_row_is_the_same_object_in_the_next_snapshot() -> None:
    terminal = Terminal(20, 3)
    terminal.feed(b"one\r\ntwo\r\nthree")
    before = terminal.snapshot()
    terminal.feed(b"\x1b[2Hx\x1b[1m\x1b[3;9H\x1b[K")
    after = terminal.snapshot()
    assert after.rows[0] is before.rows[0]
    assert after.rows[1] is not before.rows[1]
    assert after.rows[2] is before.rows[2]
    terminal.feed(b"\x1b[3;3H\r\n")
    assert terminal.snapshot().rows[0] is after.rows[1]


def test_pytes_own_stream_can_drive_the_screen() -> None:
    import pyte

    screen = Screen(10, 2)
    pyte.Stream(screen).feed("ab\x1b[2;3Hx\x1b[1;1H\x1b[P")
    assert screen.display == ["b         ", "  x       "]
    assert (screen.cursor.x, screen.cursor.y) == (0, 0)


def test_a_description_names_every_cell() -> None:
    terminal = Terminal(4, 2)
    terminal.feed("\x1b[1;31m日x".encode())
    told = describe(terminal.snapshot(), alternate=False)
    assert told["cells"][0] == [["日", "p1", "d", "b"], ["", "p1", "d", "b"], ["x", "p1", "d", "b"], [" ", "d", "d", ""]]
    assert (told["cols"], told["rows"], told["cursor"], told["visible"], told["alt"]) == (4, 2, [3, 0], True, False)


def test_scrollback_keeps_the_newest_rows_of_the_main_screen() -> None:
    terminal = Terminal(10, 2, history=3)
    terminal.feed(b"".join(b"\x1b[3%dmrow %d\r\n" % (n, n) for n in range(8)) + b"\x1b[?1049h" + b"other\r\n" * 9)
    assert ["".join(row.chars) for row in terminal.scrollback()] == ["row 4", "row 5", "row 6"]
    assert terminal.scrollback(1)[0].styles[0].fg == 6
    terminal.feed(b"\x1b[3J")
    assert terminal.scrollback() == []


def test_lines_for_search_come_as_they_leave_or_change() -> None:
    terminal = Terminal(20, 2, searchable=True)
    terminal.feed(b"first\r\nsecond\r\nthird")
    assert terminal.drain_lines() == [(20, "first"), (20, "second"), (20, "third")]
    terminal.feed(b"\rTHIRD")
    assert terminal.drain_lines() == [(26, "THIRD")]
    assert terminal.drain_lines() == []
    assert Terminal(20, 2).drain_lines() == []
