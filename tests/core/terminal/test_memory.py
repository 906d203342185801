"""What a terminal takes of memory: hundreds of sessions share one process."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

from bastion.core.terminal import Terminal

FILLED_KB, HISTORY_KB, FRESH_KB = 65, 900, 20


def kilobytes(make: Callable[[], Terminal]) -> float:
    """Return what one more terminal takes, what all share not counted."""
    make()
    gc.collect()
    tracemalloc.start()
    try:
        kept = make()
        gc.collect()
        taken: int = tracemalloc.get_traced_memory()[0]
        assert kept.columns
        return taken / 1024
    finally:
        tracemalloc.stop()


def filled() -> Terminal:
    terminal = Terminal(80, 24)
    for line in range(24):
        for at in range(0, 80, 4):
            look = b"\x1b[%d;%dH\x1b[38;5;%d;48;5;%dm" % (line + 1, at + 1, (line * 7 + at) % 256, (line + at * 3) % 256)
            terminal.feed(look + b"text")
    return terminal


def with_history() -> Terminal:
    terminal = Terminal(80, 24)
    for line in range(1100):
        terminal.feed(b"\x1b[3%dm%-40d\x1b[1m%039d\x1b[m\r\n" % (line % 8, line, line))
    assert len(terminal.scrollback()) == 1000
    return terminal


def test_a_terminal_nobody_wrote_to_takes_next_to_nothing() -> None:
    assert kilobytes(lambda: Terminal(80, 24)) < FRESH_KB


def test_a_screen_full_of_colours() -> None:
    assert kilobytes(filled) < FILLED_KB


def test_a_thousand_coloured_rows_of_scrollback() -> None:
    assert kilobytes(with_history) < HISTORY_KB


def test_what_a_flood_leaves_behind_is_bounded() -> None:
    def flooded() -> Terminal:
        terminal = Terminal(80, 24)
        for _ in range(8):
            terminal.push(b"".join(b"line %d of a flood\r\n" % n for n in range(20_000)))
            terminal.catch_up()
        return terminal

    assert kilobytes(flooded) < HISTORY_KB
