"""The mask: no chunking lets a secret through, and nothing else is changed."""

from __future__ import annotations

import itertools
import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.recording.mask import MASK, Mask

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
SECRETS = (b"hunter2hunter2", b"abcabcabd", b"abcabcabdef", b"s3cr3t-passw0rd")
PIECES = st.sampled_from([*SECRETS, b"abc", b"abcabc", b"hunter2", b"a", b"d", b"ef", b"\r\n", b"words ", b"s3cr3t-"])


def cut(text: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(text) + 1) for place in places} | {0, len(text)})
    return [text[start:stop] for start, stop in itertools.pairwise(ends)]


@settings(max_examples=100 * FUZZ, deadline=None)
@given(st.lists(PIECES, max_size=12).map(b"".join), st.lists(st.integers(0, 200), max_size=20))
def test_any_cut_gives_what_the_whole_would(text: bytes, places: list[int]) -> None:
    whole = re.sub(b"|".join(sorted(map(re.escape, SECRETS), key=len, reverse=True)), MASK, text)
    mask = Mask(SECRETS)
    out = b"".join(mask.feed(chunk) for chunk in cut(text, places)) + mask.flush()
    assert out == whole
    assert mask.masked == whole.count(MASK)


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
    assert len(out) <= len(text) + len(MASK) * mask.masked


def test_the_end_of_a_secret_whose_beginning_was_let_go_is_masked() -> None:
    mask = Mask([b"s3cr3t-passw0rd"])
    assert mask.feed(b"password: s3cr3t") == b"password: "
    assert mask.flush() == b"s3cr3t"
    assert mask.feed(b"-pass") == b""
    assert mask.feed(b"w0rd\r\n") == MASK + b"\r\n"


def test_letters_typed_one_by_one_show_at_most_their_flushed_part() -> None:
    mask = Mask([b"s3cr3t-passw0rd"])
    out = b""
    for letter in b"s3cr3t-passw0rd":
        out += mask.feed(bytes([letter]))
    assert out == MASK


def test_each_line_of_a_private_key_is_a_secret_but_its_frame_is_not() -> None:
    key = b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\nAAAAAAABAAAAMwAA\n-----END OPENSSH PRIVATE KEY-----\n"
    mask = Mask([key])
    out = mask.feed(key.replace(b"\n", b"\r\n")) + mask.flush()
    assert out.count(MASK) == 2
    assert b"b3Blbn" not in out
    assert out.startswith(b"-----BEGIN")


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
    assert out == (b"token=" + MASK * 4 + b"\n") * 2
