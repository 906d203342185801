"""The one sanitiser: nothing that acts or hides gets through, and plain text stays as it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.text import char_width, safe_text, text_width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web01", "web01"),
        ("\x1b]0;pwn\x07", "\\x1b]0;pwn\\x07"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b31m", "\\x9b31m"),
        ("user\u202etxt", "user\\u202etxt"),
        ("ad\u200bmin", "ad\\u200bmin"),
        ("ad\u00admin", "ad\\xadmin"),
        ("a\u2028b", "a\\u2028b"),
        ("a\u00a0b", "a\\xa0b"),
        ("\u3164", "\\u3164"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("❤\ufe0f", "❤\\ufe0f"),
        ("DOMAIN\\user", "DOMAIN\\user"),
        ("é ü 漢字 ★ \ue0b0", "é ü 漢字 ★ \ue0b0"),
        ("\u0301x", "\\u0301x"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_what_acts_or_hides_is_shown_and_the_rest_stays(text: str, shown: str) -> None:
    assert safe_text(text) == shown


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=()), max_size=200), st.integers(1, 100))
def test_no_text_whatever_brings_a_control_or_exceeds_its_bound(text: str, limit: int) -> None:
    shown = safe_text(text, limit)
    assert len(shown) <= limit
    assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"} for c in shown)
    shown.encode()


def test_a_stack_of_marks_is_cut_after_four() -> None:
    assert safe_text("e" + "\u0301" * 500, 2000).startswith("e" + "\u0301" * 4 + "\\u0301")


def test_a_huge_text_costs_no_more_than_its_bound() -> None:
    assert safe_text("x" * 10**7, 10) == "x" * 9 + "…"


def test_widths_are_those_that_terminals_use() -> None:
    assert [char_width(c) for c in "a漢é\u0301\x1b\U0001f1e6"] == [1, 2, 1, 0, 0, 1]
    assert text_width("漢字ab") == 6
