"""Keys from raw bytes, however they are cut; what no person typed is swallowed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.keys import PASTE_LIMIT, Key, KeyDecoder


def names(data: bytes) -> list[str]:
    decoder = KeyDecoder()
    keys = decoder.feed(data) + decoder.flush()
    return [key.text if key.name == "text" else key.name for key in keys]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"aZ \xc3\xa9\xe6\xbc\xa2", ["a", "Z", " ", "é", "漢"]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D\x1b[H\x1b[F", ["up", "down", "right", "left", "home", "end"]),
        (b"\x1bOA\x1bOB\x1bOH\x1bOF\x1bOM", ["up", "down", "home", "end", "enter"]),
        (b"\x1b[1~\x1b[4~\x1b[7~\x1b[8~", ["home", "end", "home", "end"]),
        (b"\x1b[5~\x1b[6~\x1b[2~\x1b[3~", ["pageup", "pagedown", "insert", "delete"]),
        (b"\x1b[1;5C\x1b[1;3A\x1b[1;2D", ["ctrl-right", "alt-up", "shift-left"]),
        (b"\r", ["enter"]),
        (b"\n", ["enter"]),
        (b"\r\n\r", ["enter", "enter"]),
        (b"\x7f\x08\t\x1b[Z", ["backspace", "backspace", "tab", "backtab"]),
        (b"\x03\x04\x15\x17\x0c\x12", ["ctrl-c", "ctrl-d", "ctrl-u", "ctrl-w", "ctrl-l", "ctrl-r"]),
        (b"\x1d\x00", ["ctrl-]", "ctrl-space"]),
        (b"\x1b", ["escape"]),
        (b"\x1b\x1b", ["escape", "escape"]),
        (b"\x1bx\x1b\x7f", ["alt-x", "alt-backspace"]),
        (b"\x1bOP\x1b[15~\x1b[24~\x1b[[Ax", ["x"]),  # function keys mean nothing here
        (b"\x1b[<0;1;2Mx\x1b[M !!y\x1b[Iz", ["x", "y", "z"]),  # mouse and focus neither
        (b"\x1b[99;5u\x1b[27;5;99~\x1b[97u", ["ctrl-c", "ctrl-c", "a"]),
        (b"\x1b]11;rgb:0/0/0\x1b\\a\x1b]52;c;x\x07b\x1bP1$r0m\x1b\\c", ["a", "b", "c"]),
        (b"\x1b[?62;1;6c\x1b[12;40Rk", ["k"]),  # a terminal's answers
        (b"\xff\xfea\xc3(\x9b", ["a", "("]),
        (b"\x1b[12\x03", ["ctrl-c"]),  # a sequence broken off
        (b"\x1b[12\x1b[A", ["up"]),
    ],
)
def test_bytes_become_keys(data: bytes, expected: list[str]) -> None:
    assert names(data) == expected


def test_a_paste_is_one_key_and_its_line_end_chooses_nothing() -> None:
    keys = KeyDecoder().feed("\x1b[200~web\r\n漢\x1b[A\x1b[201~x".encode())
    assert keys == [Key("paste", "web\r\n漢\x1b[A"), Key("text", "x")]


def test_a_paste_is_bounded_and_the_typing_after_it_is_not_lost() -> None:
    decoder = KeyDecoder()
    keys = decoder.feed(b"\x1b[200~" + b"a" * 100_000)
    for _ in range(3):
        keys += decoder.feed(b"b" * 100_000)
    keys += decoder.feed(b"\x1b[201~q")
    assert [len(key.text) for key in keys] == [PASTE_LIMIT, 1]


def test_a_paste_without_an_end_does_not_swallow_the_keyboard_for_ever() -> None:
    decoder = KeyDecoder()
    decoder.feed(b"\x1b[200~")
    for _ in range(20):
        decoder.feed(b"x" * 65_536)
    assert Key("ctrl-c") in decoder.feed(b"\x03")


def test_an_escape_waits_until_it_is_flushed() -> None:
    decoder = KeyDecoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.pending
    assert decoder.flush() == [Key("escape")]
    assert not decoder.pending
    assert decoder.feed(b"[A") == [Key("text", "["), Key("text", "A")]


def test_endless_sequences_hold_no_memory_and_end() -> None:
    decoder = KeyDecoder()
    for start in (b"\x1b[", b"\x1b]", b"\x1bP"):
        assert decoder.feed(start) == []
        for _ in range(50):
            assert decoder.feed(b"1;" * 1000) == []
        assert len(decoder._held) < 100
        assert decoder.feed(b"\x1b\\" if start != b"\x1b[" else b"A") == []
        assert decoder.feed(b"z") == [Key("text", "z")]


def test_a_string_begun_by_a_key_press_does_not_swallow_what_is_typed_later() -> None:
    decoder = KeyDecoder()
    assert decoder.feed(b"\x1b]") == []
    assert decoder.pending
    decoder.flush()
    assert decoder.feed(b"a") == [Key("text", "a")]
    assert decoder.feed(b"\x1b]0;x\x1b") == []
    assert decoder.feed(b"[A") == [Key("up")]


PIECES = st.sampled_from(
    [b"a", b"\xc3\xa9", b"\xe6\xbc\xa2", b"\x1b[A", b"\x1bOB", b"\x1b[1;5C", b"\x1b[200~p\xc3\xa9q\r\x1b[201~",
     b"\r\n", b"\r", b"\x03", b"\x1b]0;x\x1b\\", b"\x1b]0;x\x07", b"\x1bP+\x1b\\", b"\x1b[M !!", b"\x1b[[A",
     b"\x1b[<1;2;3m", b"\xff", b"\x7f", b"\x1b[" + b"9" * 90 + b"A"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12), st.lists(st.integers(1, 7), max_size=80))
def test_cutting_the_bytes_anywhere_changes_nothing(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    whole = KeyDecoder().feed(data)
    decoder, parts, at = KeyDecoder(), [], 0
    for cut in [*cuts, len(data)]:
        parts += decoder.feed(data[at : at + cut])
        at += cut
    assert parts == whole


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_whatever_break_the_decoder_or_pass_a_control(data: bytes) -> None:
    decoder = KeyDecoder()
    for key in decoder.feed(data) + decoder.flush():
        if key.name == "text":
            assert len(key.text) == 1
            assert key.text >= " "
            assert not "\x7f" <= key.text <= "\x9f"
