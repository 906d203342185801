"""Skipping ahead ends exactly where drawing everything ends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.terminal import Terminal
from bastion.core.terminal.terminal import SKIP_FROM
from tests.core.terminal.streams import FUZZ, differing, pieces

_line = st.builds(
    lambda parts, count, end: b"".join(parts) * count + end,
    st.lists(
        st.sampled_from(
            [
                b"text ",
                b"2026 INFO",
                b"\x1b[31m",
                b"\x1b[0;1;44mx",
                b"\x1b[m",
                b"\x1b[0m",
                b"\x1b[7mreversed",
                b"\x1b[K",
                b"\t",
                b"\b\b",
                b"\r",
                b"y" * 90,
                "中文é".encode(),
                "e\u0301".encode(),
                b"\xff",
                b"\x1b(B",
                b"\x1b[3D\x1b[2P",
                b"\x07",
            ]
        ),
        max_size=6,
    ),
    st.integers(1, 40),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n", b""]),
)
_bare_line = st.lists(
    st.sampled_from([b"text ", b"2026 INFO", b"\x1b[31m", b"\x1b[0;1;44mx", b"\x1b[m", b"\x1b[K", b"\r", b"y" * 90, b"\x1b(B", b"\x07", b"\0", b"\t", b"\b",
                     "é".encode(), b"z" * 79, b"w" * 20, b""]),
    max_size=4,
).map(b"".join)  # fmt: skip
_bare_flood = st.builds(
    lambda mode, lines, count: b"\r\n" * 50 + mode + b"\n".join(lines) * count,
    st.sampled_from([b"", b"", b"\x1b[20h", b"\x1b[44m", b"\x1b[?1049h" + b"\n" * 50, b"\x1b[?7l"]),
    st.lists(_bare_line, min_size=2, max_size=12),
    st.integers(300, 900),
)
_flood = st.builds(lambda lines, count: b"".join(lines) * count, st.lists(_line, min_size=1, max_size=12), st.integers(1, 60))
_backlog = st.lists(st.one_of(_flood, _flood, _flood, pieces), min_size=1, max_size=5).map(b"".join)
_sizes = st.sampled_from([(80, 24, 1000), (80, 24, 0), (20, 5, 30), (1, 3, 10), (40, 1, 20), (132, 50, 300)])


def _both(size: tuple[int, int, int], data: bytes) -> tuple[Terminal, Terminal]:
    """One terminal that drew everything, one that was let skip."""
    columns, lines, history = size
    drawn, skipped = (Terminal(columns, lines, history=history) for _ in range(2))
    drawn.feed(data)
    skipped.push(data)
    skipped.catch_up()
    return drawn, skipped


@settings(max_examples=60 * FUZZ, deadline=None)
@given(_sizes, _backlog)
def test_skipping_and_drawing_end_in_the_same_state(size: tuple[int, int, int], data: bytes) -> None:
    data *= max(1, 2 * SKIP_FROM // max(1, len(data)))
    drawn, skipped = _both(size, data[: 4 * SKIP_FROM])
    assert differing(drawn, skipped) == []
    assert drawn.pending == skipped.pending
    assert drawn.scrollback() == skipped.scrollback()
    assert drawn.offset == skipped.offset


@settings(max_examples=30 * FUZZ, deadline=None)
@given(_sizes, st.lists(st.one_of(_bare_flood, _bare_flood, _bare_flood, pieces), min_size=1, max_size=3).map(b"".join))
def test_lines_that_end_in_a_bare_line_feed_are_skipped_to_the_same_state(size: tuple[int, int, int], data: bytes) -> None:
    drawn, skipped = _both(size, data[: 4 * SKIP_FROM])
    assert differing(drawn, skipped) == []
    assert drawn.scrollback() == skipped.scrollback()


@pytest.mark.parametrize("flood", [b"staircase %d\n" * 12_000, b"\n" * 200_000, bytes(400_000), b"\x1b[3H" + bytes(400_000), b"a\0b\r\n" * 60_000])
def test_floods_without_lines_to_see_are_not_drawn(flood: bytes) -> None:
    terminal = Terminal(80, 24)
    terminal.feed(b"\r\n" * 24)
    calls: list[int] = []
    index, put = terminal.screen.index, terminal.screen.put
    terminal.screen.index = lambda: (calls.append(1), index())[1]  # type: ignore[method-assign, func-returns-value]
    terminal.screen.put = lambda text: (calls.append(1), put(text))[1]  # type: ignore[method-assign, func-returns-value]
    terminal.push(flood)
    terminal.catch_up()
    assert len(calls) < 4000
    assert terminal.backlog == 0


def test_a_flood_of_lines_is_skipped_and_not_drawn() -> None:
    data = b"".join(b"line %d\r\n" % number for number in range(50_000))
    terminal = Terminal(80, 24)
    drawn: list[int] = []
    put = terminal.screen.put
    terminal.screen.put = lambda text: (drawn.append(len(text)), put(text))[1]  # type: ignore[method-assign, func-returns-value]
    terminal.push(data)
    terminal.catch_up()
    assert sum(drawn) < len(data) / 50
    assert "".join(terminal.snapshot().rows[22].chars).strip() == "line 49999"
    assert len(terminal.scrollback()) == 1000


def test_what_was_skipped_is_in_the_scrollback_and_reflows() -> None:
    data = b"".join(b"\x1b[3%dmline %d of many\r\n" % (number % 8, number) for number in range(20_000))
    drawn, skipped = _both((80, 24, 500), data)
    for terminal in (drawn, skipped):
        terminal.resize(10, 24)
    assert differing(drawn, skipped) == []
    assert drawn.scrollback() == skipped.scrollback()


def test_lines_that_were_skipped_are_told_for_search() -> None:
    terminal = Terminal(80, 24, searchable=True)
    terminal.push(b"".join(b"\x1b[32mline %d\x1b[m\r\n" % number for number in range(10_000)))
    terminal.catch_up()
    told = [text for _, text in terminal.drain_lines()]
    assert [f"line {number}" for number in range(10_000)] == told
    assert terminal.drain_lines() == []
