"""Nothing an endpoint sends breaks, stalls or fattens a terminal."""

from __future__ import annotations

import gc
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.terminal import Screen, Terminal
from bastion.core.terminal.terminal import CELLS_MAX, SLICE
from tests.core.terminal.streams import FUZZ, outputs, sizes

SLOWEST = 0.05
"""Seconds of processor time that no slice may take; the loop's own limit is a fifth of it."""


def _slowest_slice(terminal: Terminal, data: bytes) -> float:
    gc.freeze()  # as a service does after its start: else the test's own objects are searched through
    terminal.push(data)
    slowest = 0.0
    while terminal.backlog:
        start = time.process_time()
        terminal.advance(SLICE)
        slowest = max(slowest, time.process_time() - start)
    return slowest


HOSTILE = {
    "a line of a megabyte": b"x" * 1_000_000,
    "a million newlines": b"\n" * 1_000_000,
    "a hundred thousand newlines on the alternate screen": b"\x1b[?1049h" + b"\n" * 100_000,
    "5,000 digits": b"\x1b[" + b"9" * 5_000 + b"m",
    "many times 5,000 digits": (b"\x1b[" + b"9" * 5_000 + b"A") * 40,
    "a hundred thousand parameters": b"\x1b[" + b"1;" * 100_000 + b"m",
    "20,000 combining marks": b"a" + "\u0301".encode() * 20_000,
    "an OSC of ten megabytes": b"\x1b]0;" + b"t" * 10_000_000 + b"\x07",
    "a DCS that never ends": b"\x1bP" + b"q" * 3_000_000,
    "an APC full of escapes": b"\x1b_" + b"\x1b" * 200_000,
    "alternate screens on and off": b"\x1b[?1049h\x1b[?1049l" * 20_000,
    "alignment patterns": b"\x1b#8" * 60_000,
    "clears": b"\x1b[2J" * 60_000,
    "full resets": b"\x1bc" * 60_000,
    "great scrolls": b"\x1b[9999S\x1b[9999T\x1b[9999L\x1b[9999M" * 8_000,
    "great repeats": b"x\x1b[9999b\r" * 30_000,
    "colours without end": b"".join(b"\x1b[38;2;%d;%d;%dmx" % (n % 256, n // 256 % 256, n // 65536) for n in range(60_000)),
    "links without end": b"".join(b"\x1b]8;;https://example.org/%d\x07x" % n for n in range(20_000)),
    "escapes": b"\x1b" * 500_000,
    "unfinished sequences": b"\x1b[1;" * 100_000,
    "controls within sequences": b"\x1b[\n\x08\t" * 60_000,
    "broken characters": b"\xf0\x9f\xc3\xff" * 100_000,
    "emoji": "👩\u200d💻".encode() * 20_000,
    "tabs": b"\t\r" * 100_000,
    "tab stops": b"\x1bH\x1b[C" * 50_000,
    "keyboards": b"\x1b[>31u" * 50_000,
    "many parameters of modes": (b"\x1b[?" + b"1049;47;" * 30 + b"h") * 1_000,
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=["80x24", "200x60"])
def test_no_slice_of_hostile_output_takes_long_and_memory_stays_small(what: str, size: tuple[int, int]) -> None:
    terminal = Terminal(*size)
    data = HOSTILE[what]
    took = min(_slowest_slice(Terminal(*size), data[: 8_000 * FUZZ]) for _ in range(2))
    assert took < SLOWEST
    tracemalloc.start()
    terminal.feed(data[:3_000])
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 2_000_000
    assert terminal.faults == 0
    assert len(terminal.pending) < 20_000


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (1000, 1), (1000, 200), (400, 500)])
def test_extreme_sizes_are_no_slower(size: tuple[int, int]) -> None:
    for what in ("a line of a megabyte", "alignment patterns", "clears", "great scrolls", "emoji", "alternate screens on and off"):
        assert min(_slowest_slice(Terminal(*size), HOSTILE[what][: 500 * FUZZ]) for _ in range(2)) < SLOWEST, what


@settings(max_examples=150 * FUZZ, deadline=None)
@given(sizes, outputs)
def test_made_up_output_raises_nothing(size: tuple[int, int], data: bytes) -> None:
    terminal = Terminal(*size)
    terminal.feed(data)
    terminal.resize(*reversed(size))
    terminal.feed(data)
    grid = terminal.snapshot()
    assert terminal.faults == 0
    assert all(len(row.chars) == len(row.styles) == grid.columns for row in grid.rows)
    assert all(row.chars[0] for row in grid.rows)
    assert 0 <= terminal.cursor[0] < terminal.columns
    assert 0 <= terminal.cursor[1] < terminal.lines


@settings(max_examples=50 * FUZZ, deadline=None)
@given(st.binary(max_size=3000))
def test_random_bytes_raise_nothing(data: bytes) -> None:
    terminal = Terminal(40, 10)
    terminal.feed(data)
    assert terminal.faults == 0


@settings(max_examples=50 * FUZZ, deadline=None)
@given(sizes, outputs)
def test_no_cell_ever_holds_a_control_character(size: tuple[int, int], data: bytes) -> None:
    terminal = Terminal(*size)
    terminal.feed(data)
    for row in terminal.snapshot().rows:
        for char in "".join(row.chars):
            assert char >= " "
            assert not "\x7f" <= char < "\xa0"


def test_an_exception_resets_that_screen_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(20, 3)
    terminal.feed(b"before")

    def broken(_self: Screen, _data: str) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(Screen, "put", broken)
        terminal.feed(b"bang\x1b[")
    assert terminal.faults == 1
    assert terminal.pending == b""
    terminal.feed(b"after")
    assert "".join(terminal.snapshot().rows[0].chars).strip() == "after"


def test_a_size_out_of_bounds_is_brought_within_them() -> None:
    terminal = Terminal(0, -5)
    assert (terminal.columns, terminal.lines) == (1, 1)
    terminal.resize(2**31, 2**32 - 1)
    assert terminal.columns == 1000
    assert terminal.columns * terminal.lines <= CELLS_MAX


def test_links_are_kept_only_to_the_web() -> None:
    terminal = Terminal(20, 1)
    terminal.feed(b"\x1b]8;;javascript:alert(1)\x07a\x1b]8;;file:///etc/passwd\x07b\x1b]8;id=1;https://example.org/\x1b\\c\x1b]8;;\x07d")
    assert [style.link for style in terminal.snapshot().rows[0].styles[:4]] == ["", "", "https://example.org/", ""]


def test_clipboard_and_colour_requests_are_counted_and_not_shown() -> None:
    terminal = Terminal(20, 1)
    terminal.feed(b"\x1b]52;c;aGk=\x07\x1b]10;?\x07\x1b]4;1;?\x1b\\\x1bP$qm\x1b\\\x1b_Gf=100\x1b\\shown")
    assert terminal.screen.noted == {"52": 1, "10": 1, "4": 1, "P": 1, "_": 1}
    assert "".join(terminal.snapshot().rows[0].chars).strip() == "shown"
