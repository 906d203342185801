"""The parser can stop and go on at any byte."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.terminal import Terminal
from tests.core.terminal import judge
from tests.core.terminal.streams import FUZZ, differing, outputs, sizes


@settings(max_examples=60 * FUZZ, deadline=None)
@given(sizes, outputs, st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_how_output_is_cut_into_chunks_changes_nothing(size: tuple[int, int], data: bytes, cuts: list[int]) -> None:
    whole, bytewise, chunked = (Terminal(*size) for _ in range(3))
    whole.feed(data)
    for byte in data:
        bytewise.feed(bytes([byte]))
    at = 0
    while at < len(data):
        step = cuts[at % len(cuts)]
        chunked.feed(data[at : at + step])
        at += step
    assert differing(whole, bytewise) == []
    assert differing(whole, chunked) == []
    assert whole.pending == bytewise.pending == chunked.pending
    assert whole.faults == 0


def test_the_last_column_without_wrapping_is_the_same_in_one_chunk_or_two() -> None:
    whole, cut = Terminal(2, 2), Terminal(2, 2)
    whole.feed(b"a\x1b[?7lhello\x1b[?7hx")
    cut.feed(b"a\x1b[?7lh")
    cut.feed(b"ello\x1b[?7hx")
    assert differing(whole, cut) == []


def test_a_character_whose_mark_comes_in_the_next_chunk_is_repeated_all_the_same() -> None:
    whole, cut = Terminal(9, 1), Terminal(9, 1)
    whole.feed("e\u0301\x1b[2b".encode())
    cut.feed(b"e")
    cut.feed("\u0301".encode())
    again = Terminal(9, 1)
    again.feed(cut.dump() + cut.pending)
    for terminal in (cut, again):
        terminal.feed(b"\x1b[2b")
        assert "".join(terminal.snapshot().rows[0].chars).strip() == "e\u0301ee"
        assert differing(whole, terminal) == []


def test_nothing_is_repeated_after_a_string_that_came_in_two_chunks() -> None:
    for between in (b"\x1b^", b"\x1b[" + b"1" * 600 + b"m"):
        terminal = Terminal(9, 1)
        terminal.feed(b"e" + between[:-1])
        for byte in between[-1:] + b"\x1b[2b":
            terminal.feed(bytes([byte]))
        assert "".join(terminal.snapshot().rows[0].chars).strip() == "e"


def test_a_real_stream_byte_by_byte_shows_the_same() -> None:
    for name in ("vim-edit-80x24", "mc-80x24", "unicode-cat-80x24", "tmux-inside-80x24"):
        recorded = judge.stream(name)
        whole, bytewise = Terminal(recorded.columns, recorded.lines), Terminal(recorded.columns, recorded.lines)
        whole.feed(recorded.data)
        for byte in recorded.data:
            bytewise.feed(bytes([byte]))
        assert differing(whole, bytewise) == []


@settings(max_examples=40 * FUZZ, deadline=None)
@given(sizes, outputs, st.integers(0, 50))
def test_waiting_bytes_parsed_in_slices_end_like_bytes_fed_at_once(size: tuple[int, int], data: bytes, step: int) -> None:
    fed, pushed = Terminal(*size), Terminal(*size)
    fed.feed(data)
    fed.resize(33, 7)
    fed.feed(data)
    pushed.push(data)
    pushed.push_resize(33, 7)
    pushed.push(data)
    assert pushed.backlog == 2 * len(data)
    while pushed.backlog:
        before = pushed.backlog
        assert pushed.advance(step + 1) <= before
    pushed.catch_up()
    assert differing(fed, pushed) == []
