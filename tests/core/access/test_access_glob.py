"""Globs fit what people expect and never blow up."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.access.glob import Glob

from .world import examples


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [("web01", "web01", True), ("web01", "web012", False), ("*", "", True), ("a*a", "a", False), ("a*a", "aa", True), ("?", "", False),
     ("w?b*1", "web01", True), ("*ab*ab*", "abab", True), ("*ab*ab*", "aab", False), ("a*?c", "abc", True), ("a*?c", "ac", False), ("", "", True), ("", "a", False)],
)  # fmt: skip
def test_a_glob_fits_the_whole_text(pattern: str, text: str, fits: bool) -> None:
    assert Glob(pattern).matches(text) is fits


@settings(max_examples=examples(300), deadline=None)
@given(st.text("ab*?", max_size=8), st.text("ab", max_size=10))
def test_a_glob_agrees_with_the_regular_expression_of_the_same_meaning(pattern: str, text: str) -> None:
    meaning = re.compile("".join(".*" if char == "*" else "." if char == "?" else char for char in pattern), re.DOTALL)
    assert Glob(pattern).matches(text) is (meaning.fullmatch(text) is not None)


@settings(max_examples=examples(300), deadline=None)
@given(st.text("ab*?", max_size=6), st.text("ab*?", max_size=6), st.text("ab", max_size=8))
def test_a_glob_that_covers_another_matches_all_that_the_other_does(wide: str, narrow: str, text: str) -> None:
    if Glob(wide).covers(Glob(narrow)) and Glob(narrow).matches(text):
        assert Glob(wide).matches(text)


@pytest.mark.parametrize("pattern", ["*" * 100 + "a", "*a" * 60 + "b", "*?a" * 40 + "b", "a" * 30 + "*b" * 60])
def test_hostile_globs_cost_no_more_than_their_length_times_the_texts(pattern: str) -> None:
    start = time.process_time()
    assert not Glob(pattern).matches("a" * 2000 + "c")
    assert time.process_time() - start < 0.25  # a backtracking matcher takes longer than the universe has
