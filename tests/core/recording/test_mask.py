"""The mask: no chunking lets a secret through, and nothing else is changed."""

from __future__ import annotations

import itertools
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.recording.mask import BLOT, Mask, Rules, blot

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
SECRETS = (b"hunter2hunter2", b"abcabcabd", b"abcabcabdef", b"s3cr3t-passw0rd")
PIECES = st.sampled_from([*SECRETS, b"abc", b"abcabc", b"hunter2", b"a", b"d", b"ef", b"\r\n", b"words ", b"s3cr3t-"])


def cut(text: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[start:stop] for start, stop in itertools.pairwise(ends)]


@settings(max_examples=100 * FUZZ, deadline=None)
@given(st.lists(PIECES, max_size=12).map(b"".join), st.lists(st.integers(0, 200), max_size=20))
def test_any_cut_gives_what_the_whole_would(text: bytes, places: list[int]) -> None:
    whole = re.sub(b"|".join(sorted(map(re.escape, SECRETS), key=len, reverse=True)), lambda found: blot(found[0]), text)
    mask = Mask(SECRETS)
    out = b"".join(mask.feed(chunk) for chunk in cut(text, places)) + mask.flush()
    assert out == whole
    assert len(whole.decode()) == len(text.decode()), "cells stay where they were"


@settings(max_examples=100 * FUZZ, deadline=None)
@given(
    st.lists(PIECES, max_size=12).map(b"".join),
    st.lists(st.integers(0, 200), max_size=20),
    st.lists(st.booleans(), min_size=25, max_size=25),
)
def test_no_secret_comes_through_whole_however_it_is_flushed(text: bytes, places: list[int], flushes: list[bool]) -> None:
    mask = Mask(SECRETS)
    out = b""
    for chunk, flush in zip(cut(text, places), flushes, strict=False):
        out += mask.feed(chunk)
        assert mask.held < max(map(len, SECRETS))
        if flush:
            out += mask.flush()
    out += mask.flush()
    assert not any(secret in out for secret in SECRETS)
    assert len(out.decode()) == len(text.decode())


def test_the_end_of_a_secret_whose_beginning_was_let_go_is_masked() -> None:
    mask = Mask([b"s3cr3t-passw0rd"])
    assert mask.feed(b"password: s3cr3t") == b"password: "
    assert mask.flush() == b"s3cr3t"
    assert mask.feed(b"-pass") == b""
    assert mask.feed(b"w0rd\r\n") == blot(b"-passw0rd") + b"\r\n"


def test_letters_typed_one_by_one_show_at_most_their_flushed_part() -> None:
    mask = Mask([b"s3cr3t-passw0rd"])
    out = b""
    for letter in b"s3cr3t-passw0rd":
        out += mask.feed(bytes([letter]))
    assert out == blot(b"s3cr3t-passw0rd")


def test_each_line_of_a_private_key_is_a_secret_but_its_frame_is_not() -> None:
    key = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\nAAAAAAABAAAAMwAA\nQyNTUxOQAAACDlwb\n-----END OPENSSH PRIVATE KEY-----\n"
    mask = Mask([key])
    out = mask.feed(key.replace(b"\n", b"\r\n")) + mask.flush()
    assert out.decode().count(BLOT) == 32
    assert b"AAAA" not in out
    assert out.startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----\r\nb3BlbnNzaC1rZXktdjEA\r\n"), "what every key begins with is no secret"


@pytest.mark.parametrize("secret", [b"", b"abc", b"\n", b"     "])
def test_secrets_too_short_to_tell_from_words_are_not_looked_for(secret: bytes) -> None:
    mask = Mask([secret])
    assert mask.feed(b"abc     abc") == b"abc     abc"


def test_text_without_secrets_passes_at_once_and_unchanged() -> None:
    mask = Mask(SECRETS)
    text = b"nothing of interest here. " * 1000
    assert mask.feed(text) is text
    assert mask.held == 0


def test_a_long_token_is_masked_from_end_to_end() -> None:
    token = b"".join(b"%05d" % n for n in range(200))
    mask = Mask([token])
    out = b"".join(mask.feed(b"token=" + token + b"\n") for _ in range(2)) + mask.flush()
    assert out == (b"token=" + blot(token) + b"\n") * 2


def test_a_blot_takes_the_cells_of_what_it_hides_and_leaves_control_sequences() -> None:
    assert blot("gehe\u0301im".encode()).decode() == BLOT * 6
    assert blot("密码".encode()).decode() == BLOT * 4
    assert blot(b"se\x1b[31mcret\x1b]0;t\x07\r").decode() == f"{BLOT * 2}\x1b[31m{BLOT * 4}\x1b]0;t\x07\r"


@pytest.mark.parametrize("cut_at", range(1, 30))
def test_a_secret_in_utf8_is_found_wherever_a_chunk_cuts_it(cut_at: int) -> None:
    secret = "pässwörd-€-密码".encode()
    text = b"shown: " + secret + b"\r\n"
    mask = Mask([secret])
    out = mask.feed(text[:cut_at]) + mask.feed(text[cut_at:]) + mask.flush()
    assert out.decode() == f"shown: {BLOT * 15}\r\n"


RULES = Rules(re.compile(rb"AKIA[0-9A-Z]{4}|pw=[^ \r\n]+|\bid [0-9]+"), (b"akia", b"pw=", b""))
LINES = st.sampled_from([b"AKIA", b"AKIAAB12", b"pw=", b"x", b" ", b"\r\n", b"id 12", b"pw=ab cd", b"\xc3\xa4", b"AK"])


@settings(max_examples=100 * FUZZ, deadline=None)
@given(st.lists(LINES, max_size=12).map(b"".join), st.lists(st.integers(0, 100), max_size=20))
def test_patterns_mask_the_same_however_the_output_is_cut(text: bytes, places: list[int]) -> None:
    whole = re.sub(RULES.pattern, lambda found: blot(found[0]), text)  # type: ignore[call-overload]
    mask = Mask((), RULES)
    out = b"".join(mask.feed(chunk) for chunk in cut(text, places)) + mask.flush()
    assert out == whole


def test_a_pattern_that_cannot_begin_here_holds_nothing() -> None:
    mask = Mask((), Rules(re.compile(rb"AKIA[0-9A-Z]{16}"), (b"akia",)))
    prompt = b"alice@web01:~$ "
    assert mask.feed(prompt) is prompt
    assert mask.feed(b"echo A") == b"echo "
    assert mask.feed(b" B") == b"A B"


def test_a_pattern_never_eats_more_than_its_line() -> None:
    mask = Mask((), Rules(re.compile(rb"(?s)token.*"), (b"token",)))
    assert mask.feed(b"token 1\r\nnext\r\n") == blot(b"token 1") + b"\r\nnext\r\n"


def test_what_is_learnt_later_is_masked_from_then_on() -> None:
    mask = Mask(())
    assert mask.feed(b"hunter2hunter2\n") == b"hunter2hunter2\n"
    mask.learn(b"hunter2hunter2")
    assert mask.feed(b"hunter2hunter2\n") == blot(b"hunter2hunter2") + b"\n"
    assert mask.text("psql -W hunter2hunter2 \udcff") == f"psql -W {BLOT * 14} \udcff"


def test_a_screen_that_draws_a_secret_in_pieces_is_recognised() -> None:
    mask = Mask([b"hunter2hunter2"])
    assert mask.shows(b"\x1b[1;75Hhunter\x1b[2;1H2hunter2")
    assert mask.shows(b"\x1b[31mhunter2\x1b[m\x1b]2;t\x07hunter2")
    assert not mask.shows(b"\x1b[31mhunter2 hunter2")


def test_looking_for_a_key_of_many_lines_keeps_up_with_a_flood() -> None:
    import time

    key = b"\n".join(b"%070d" % n for n in range(38))
    mask = Mask([key])
    flood = [b"a line of ordinary output, number %d\r\n" % n for n in range(20_000)]
    start = time.thread_time()
    assert b"".join(map(mask.feed, flood)) == b"".join(flood)
    assert time.thread_time() - start < 3
