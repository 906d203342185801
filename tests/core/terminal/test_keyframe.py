"""A keyframe and the pending bytes rebuild a screen, and its future."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from bastion.core.terminal import Terminal
from bastion.core.terminal.describe import text
from tests.core.terminal import elsewhere, judge
from tests.core.terminal.elsewhere import prefixes
from tests.core.terminal.elsewhere import rebuilt as rebuilt_in
from tests.core.terminal.streams import FUZZ, differing, outputs, sizes
from tests.lab.screens import Shown, TmuxScreen

ASKS = re.compile(rb"\x1b\[[?>]?\d*[cn]|\x1b\[\d*(?:;\d*)*t|\x1b\](?![0128];)|\x1bP|\x1b_|\x1b\^|\x1bX|\x1bZ|\x05")


def rebuilt(terminal: Terminal) -> Terminal:
    again = Terminal(terminal.columns, terminal.lines)
    again.feed(terminal.dump() + terminal.pending)
    return again


@pytest.mark.parametrize("name", judge.names()[:: 1 if FUZZ > 1 else 2])
def test_each_kilobyte_of_a_real_stream_can_be_rebuilt(name: str) -> None:
    recorded = judge.stream(name)
    terminal = Terminal(recorded.columns, recorded.lines)
    resizes = list(recorded.resizes)
    stops = sorted({*range(0, len(recorded.data), 1000), *(offset for offset, _, _ in resizes), len(recorded.data)})
    done = 0
    for stop in stops:
        terminal.feed(recorded.data[done:stop])
        done = stop
        while resizes and resizes[0][0] == stop:
            terminal.resize(*resizes.pop(0)[1:])
        assert differing(terminal, rebuilt(terminal)) == []


@pytest.mark.parametrize("drawn", ["a", "中", "e\u0301", "😀", "\x1b(0q", "\x0e\x1b)0lq", "\x1b[31m日", "😀\ufe0f"])
def test_what_was_drawn_last_is_repeated_after_a_keyframe_as_it_is_after_the_stream(drawn: str) -> None:
    terminal = Terminal(20, 3)
    terminal.feed(b"before " + drawn.encode())
    again = rebuilt(terminal)
    for each in (terminal, again):
        each.feed(b"\x1b[2b")
    assert differing(terminal, again) == []
    assert terminal.cursor[0] > len("before ") + 1


@pytest.mark.parametrize("rest", [b" \x1b[mb", b"  ", b"      \x1b[mb", b"      "])
@pytest.mark.parametrize("pen", [b"", b"\x1b[101m"])
def test_a_row_that_wraps_into_blanks_is_rebuilt(pen: bytes, rest: bytes) -> None:
    for columns in (6, 7, 20):
        terminal = Terminal(columns, 3)
        terminal.feed(b"a" * columns + pen + rest)
        assert differing(terminal, rebuilt(terminal)) == []


@settings(max_examples=100 * FUZZ, deadline=None)
@given(sizes, outputs, outputs)
def test_what_comes_after_a_keyframe_has_the_same_effect(size: tuple[int, int], before: bytes, after: bytes) -> None:
    terminal = Terminal(*size)
    terminal.feed(before)
    again = rebuilt(terminal)
    assert differing(terminal, again) == []
    terminal.feed(after)
    again.feed(after)
    assert differing(terminal, again) == []


@settings(max_examples=60 * FUZZ, deadline=None)
@given(sizes, outputs)
def test_a_keyframe_holds_nothing_that_makes_a_terminal_answer(size: tuple[int, int], data: bytes) -> None:
    terminal = Terminal(*size)
    terminal.feed(data)
    assert ASKS.findall(terminal.dump()) == []


def test_a_viewers_keyframe_leaves_the_keyboard_and_mouse_alone() -> None:
    terminal = Terminal(20, 3)
    terminal.feed(b"\x1b[?1000;1006;2004;1004h\x1b=\x1b[>1u\x1b[>4;2mtext")
    full, looking_on = Terminal(20, 3), Terminal(20, 3)
    full.feed(terminal.dump())
    looking_on.feed(terminal.dump(with_input=False))
    assert full.modes == terminal.modes
    assert looking_on.modes == Terminal(20, 3).modes
    assert text(looking_on.snapshot()) == ["text", "", ""]


SHOWN_BY_TMUX = ("vim-edit", "mc", "htop", "git-log", "nano", "dialog-linux", "less", "man", "utf8-vim", "tmux-inside", "vttest-2")


@pytest.fixture(scope="module")
def tmux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TmuxScreen]:
    """A real tmux of 80 x 24."""
    screen = TmuxScreen(tmp_path_factory.mktemp("tmux"), 80, 24)
    yield screen
    screen.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("program", SHOWN_BY_TMUX)
def test_tmux_shows_from_a_keyframe_each_cell_and_the_cursor_as_ours(tmux: TmuxScreen, program: str) -> None:
    """All streams at each kilobyte, in tmux and in xterm: scripts/keyframes_elsewhere.py."""
    for offset, terminal in prefixes(f"{program}-80x24", 1000 if FUZZ > 1 else 2900):
        assert rebuilt_in(terminal, tmux) == [], offset


def test_a_keyframe_that_is_not_the_screen_is_told() -> None:
    terminal = Terminal(4, 1)
    terminal.feed(b"ab\x1b[1mc")
    shown = Shown([[["a", "d", "d", ""], ["b", "d", "d", ""], ["c", "d", "d", ""], [" ", "d", "d", ""]]], (2, 0), alternate=True)
    assert elsewhere.differing(terminal, shown, "") == [
        "cell 2,0 is ('c', 'd', 'd', ''), not ('c', 'd', 'd', 'b')", "cursor at (2, 0), not (3, 0)", "alternate screen: True",
    ]  # fmt: skip
