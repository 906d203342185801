"""Telnet's own language, byte by byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bastion.backends.dialer.telnet_protocol import BINARY, DO, DONT, ECHO, IAC, NAWS, SB, SE, SGA, TTYPE, WILL, WONT, TelnetProtocol


def made(term: str = "xterm-256color") -> tuple[TelnetProtocol, bytearray]:
    said = bytearray()
    protocol = TelnetProtocol(said.extend, term, 80, 24)
    protocol.greet()
    said.clear()
    return protocol, said


def test_a_server_gets_echo_character_mode_terminal_and_size() -> None:
    protocol, said = made()
    shown = protocol.receive(bytes([IAC, WILL, ECHO, IAC, WILL, SGA, IAC, DO, TTYPE, IAC, DO, NAWS, IAC, SB, TTYPE, 1, IAC, SE]) + b"login: ")
    assert shown == b"login: "
    assert said == bytes([IAC, DO, ECHO, IAC, SB, NAWS, 0, 80, 0, 24, IAC, SE, IAC, SB, TTYPE, 0]) + b"XTERM-256COLOR" + bytes([IAC, SE])
    said.clear()
    protocol.resize(255, 300)
    assert said == bytes([IAC, SB, NAWS, 0, 255, 255, 1, 44, IAC, SE])


def test_what_is_not_spoken_is_declined_once_and_a_repeated_wish_is_not_answered_again() -> None:
    protocol, said = made()
    protocol.receive(bytes([IAC, DO, 39, IAC, WILL, 5, IAC, DO, ECHO, IAC, WILL, ECHO, IAC, WILL, ECHO, IAC, WONT, ECHO, IAC, WONT, ECHO]))
    assert said == bytes([IAC, WONT, 39, IAC, DONT, 5, IAC, WONT, ECHO, IAC, DO, ECHO, IAC, DONT, ECHO])


def test_newlines_and_the_escape_byte_pass_both_ways() -> None:
    protocol, _ = made()
    assert protocol.receive(b"a\r\0b\r\nc\xff\xffd") == b"a\rb\r\nc\xffd"
    assert protocol.send(b"a\r\xffb") == b"a\r\0\xff\xffb"
    assert protocol.send(b"one\ntwo\r\n", lines=True) == b"one\r\0two\r\0"
    protocol.receive(bytes([IAC, WILL, BINARY, IAC, DO, BINARY]))
    assert protocol.send(b"a\r") == b"a\r"
    assert protocol.receive(b"a\r\0") == b"a\r\0"


@given(st.binary(max_size=400), st.integers(1, 7))
def test_pieces_show_what_the_whole_shows_and_nothing_raises(data: bytes, step: int) -> None:
    whole, answers = made()
    cut, other = made()
    shown = whole.receive(data)
    assert b"".join(cut.receive(data[at : at + step]) for at in range(0, len(data), step)) == shown
    assert answers == other
    assert len(answers) <= 64 * 200


def test_a_flood_of_options_is_not_answered_for_ever() -> None:
    protocol, said = made()
    protocol.receive(bytes([IAC, WILL, 99]) * 10_000 + bytes([IAC, SB, TTYPE]) + bytes(100_000))
    assert len(said) <= 600
