"""Taking a terminal away from a program in the middle of anything, so that another screen can be drawn on it exactly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.terminal import Terminal
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.fullscreen import page, settle

CAPS = Caps.of("xterm-256color")
PIECES = [
    b"\x1b[?1049h", b"\x1b[?47h", b"\x1b[3;7r", b"\x1b[?6h", b"\x1b[4h", b"\x1b[20h", b"\x1b[?7l", b"\x1b[?25l", b"\x1b[?5h", b"\x1b[?1002h",
    b"\x1b[?1006h", b"\x1b[?2004h", b"\x1b[?1004h", b"\x1b[?2026h", b"\x1b=", b"\x1b(0", b"\x1b)0\x0e", b"\x1b[1;31;44m", b"\x1b[4 q", b"\x1b[>4;2m",
    b"\x1b[=5;1u", b"\x1b[>1u", b"\x1b[5;5H", b"\x1b7", b"text\r\n", "漢字".encode(), b"\x1b[2J",
]  # fmt: skip
UNFINISHED = [b"", b"\x1b", b"\x1b[", b"\x1b[38;5", b"\x1b]0;tit", b"\x1bP1$r", b"\xe6\xbc", b"\x1b]8;;http://x"]


def state(terminal: Terminal) -> tuple[object, ...]:
    grid = terminal.snapshot()
    modes = terminal.modes
    return (grid.rows, grid.cursor, grid.cursor_visible, grid.cursor_shape, modes, terminal.alternate, terminal.screen.insert, terminal.screen.origin)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=8), st.sampled_from(UNFINISHED), st.lists(st.sampled_from(PIECES), max_size=8))
def test_after_any_program_another_session_is_drawn_as_on_a_fresh_terminal(one: list[bytes], cut: bytes, other: list[bytes]) -> None:
    session = Terminal(20, 8)
    session.feed(b"".join(other))
    keyframe = session.dump() + session.pending
    fresh, used = Terminal(20, 8), Terminal(20, 8)
    used.feed(b"".join(one) + cut)
    used.feed(settle(CAPS) + b"\x1b[H\x1b[2J")
    for terminal in (fresh, used):
        terminal.feed(keyframe)
    assert state(used) == state(fresh)


@pytest.mark.parametrize("cut", UNFINISHED)
def test_a_terminal_left_on_its_main_screen_keeps_text_and_cursor(cut: bytes) -> None:
    terminal = Terminal(20, 8)
    terminal.feed(b"one\r\ntwo\x1b[3;6r\x1b[2;3H\x1b[31m" + cut)
    terminal.feed(settle(CAPS, alternate=False) + b"!")
    assert "".join(terminal.snapshot().rows[1].chars).rstrip() in {"tw!", "tw\ufffd!"}
    assert terminal.snapshot().rows[1].styles[2].fg == -1


def test_a_page_scrolls_away_what_stood_there_and_erases_nothing() -> None:
    terminal = Terminal(20, 5)
    terminal.feed(b"$ ls\r\nfile\r\n$ ssh bastion\r\n" + page(5) + b"hello")
    assert [row for row in ("".join(row.chars).rstrip() for row in terminal.snapshot().rows) if row] == ["hello"]
    assert terminal.cursor == (5, 0)
    assert ["".join(row.chars).rstrip() for row in terminal.scrollback()][:3] == ["$ ls", "file", "$ ssh bastion"]
