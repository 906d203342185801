"""The overlay comes and goes, and the terminal is as if it had never been."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.terminal import Terminal
from bastion.core.terminal.overlay import overlay
from bastion.core.terminal.paint import line
from bastion.core.terminal.style import REVERSE, style
from tests.core.terminal.streams import differing

PIECES = st.sampled_from(
    [b"hello", b"\r\n", b"\x1b[31m", b"\x1b[44m", b"\x1b[m", b"\x1b[5;9r", b"\x1b[?6h", b"\x1b[?6l", b"\x1b[4h", b"\x1b[4l", b"\x1b(0", b"\x1b(B", b"\x0e",
     b"\x0f", b"\x1b)0", "漢字".encode(), "e\u0301".encode(), b"\x1b[3;7H", b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b7", b"\x1b8", b"\x1b[?25l", b"\x1b[?25h",
     b"x" * 20, b"\x1b[2J", b"\x1b[K", b"\x1b[?7l", b"\x1b[?7h", b"\x1b[r", b"\x1b[8;1H", b"\n\n\n", b"\x1b[2 q", b"\t", b"\x1b[1;20H#", b"\x1b[3b"]
)  # fmt: skip


@settings(max_examples=300 * int(os.environ.get("BASTION_FUZZ", "1")), deadline=None)
@given(before=st.lists(PIECES, max_size=25), after=st.lists(PIECES, max_size=8), y=st.integers(0, 7))
def test_an_overlay_that_was_hidden_leaves_no_trace_in_any_state(before: list[bytes], after: list[bytes], y: int) -> None:
    plain, real = Terminal(20, 8), Terminal(20, 8)
    for terminal in (plain, real):
        terminal.feed(b"".join(before))
    drawn = overlay(plain.screen, y, line(20, " bob looks on ", style(flags=REVERSE)), plain.stream.last)
    real.feed(drawn.show)
    assert "".join(real.snapshot().rows[y].chars).startswith(" bob looks on")
    assert real.cursor == plain.cursor
    real.feed(drawn.hide)
    assert differing(plain, real) == []
    for terminal in (plain, real):
        terminal.feed(b"".join(after))
    assert real.snapshot() == plain.snapshot()
    assert real.modes == plain.modes


def test_neither_keyframe_nor_overlay_moves_a_cursor_that_stands_inside_a_wide_character() -> None:
    real = Terminal(20, 8)
    real.feed("\U0001f600\b".encode())
    again = Terminal(20, 8)
    again.feed(real.dump())
    assert again.snapshot() == real.snapshot()
    drawn = overlay(real.screen, 3, line(20, " bob ", style(flags=REVERSE)), real.stream.last)
    again.feed(drawn.show + drawn.hide)
    assert again.snapshot() == real.snapshot()
