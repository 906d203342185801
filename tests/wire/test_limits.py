"""Clamps: what a client says about its terminal, and what we work with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.wire import DEFAULT_LIMITS, clamp_size, clean_term, safe_text


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ((0, 0), (80, 24)),
        ((1, 1), (1, 1)),
        ((80, 24), (80, 24)),
        ((65_535, 65_535), (1000, 200)),
        ((2**31, 2**31), (1000, 200)),
        ((2**32 - 1, 0), (1000, 24)),
        ((0, 2**32 - 1), (80, 500)),
        ((400, 500), (400, 500)),
        ((401, 500), (401, 498)),
    ],
)
def test_a_terminal_size_is_clamped(said: tuple[int, int], meant: tuple[int, int]) -> None:
    assert clamp_size(*said, 0, 0, DEFAULT_LIMITS)[:2] == meant


@given(*[st.integers(0, 2**32 - 1)] * 4)
def test_no_size_escapes_the_clamp(cols: int, rows: int, width: int, height: int) -> None:
    size = clamp_size(cols, rows, width, height, DEFAULT_LIMITS)
    assert 1 <= size.cols <= 1000
    assert 1 <= size.rows <= 500
    assert size.cols * size.rows <= 200_000
    assert 0 <= size.width <= 65_535
    assert 0 <= size.height <= 65_535


@pytest.mark.parametrize(
    "hostile", [b"", b"\x1b]0;x\x07", b"A" * 65, b"A" * 100_000, b"../../etc/passwd", b"xt\xff", "ｘterm".encode(), b"a\n"]
)
def test_a_hostile_term_becomes_xterm(hostile: bytes) -> None:
    assert clean_term(hostile) == "xterm"


@pytest.mark.parametrize("name", ["xterm-256color", "screen.xterm-256color", "rxvt+x", "dumb"])
def test_an_honest_term_is_kept(name: str) -> None:
    assert clean_term(name.encode()) == name


@given(st.one_of(st.text(), st.binary()))
def test_text_from_a_peer_is_always_one_printable_ascii_line(value: str | bytes) -> None:
    text = safe_text(value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) <= 300
