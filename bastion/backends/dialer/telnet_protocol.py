"""Telnet as bytes in and bytes out (RFC 854, 855, 1143): options, subnegotiations, newlines. Never reads a socket.

What is spoken: ECHO and SGA of the far side, TTYPE (RFC 1091), NAWS (RFC 1073) and BINARY (RFC 856); all else is declined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

IAC: Final = 255
DONT: Final = 254
DO: Final = 253
WONT: Final = 252
WILL: Final = 251
SB: Final = 250
SE: Final = 240
BRK: Final = 243
IP: Final = 244
BINARY: Final = 0
ECHO: Final = 1
SGA: Final = 3
TTYPE: Final = 24
NAWS: Final = 31
_IS: Final = 0
_SEND: Final = 1
_THEIRS: Final = frozenset({BINARY, ECHO, SGA})
_OURS: Final = frozenset({BINARY, SGA, TTYPE, NAWS})
_MOST_SUB: Final = 512  # bytes of a subnegotiation; ours have a dozen
_MOST_CHANGES: Final = 200  # option changes of one connection; more is a loop or an attack
_CR: Final = 13
_LF: Final = 10


class TelnetProtocol:
    """One connection's protocol. `answer(data)` sends what the protocol itself has to say."""

    def __init__(self, answer: Callable[[bytes], None], term: str, columns: int, lines: int) -> None:
        self._answer = answer
        self._term = (term or "DUMB").upper().encode("ascii", "replace")[:40]
        self._size = (columns, lines)
        self.theirs: set[int] = set()
        """Options that are on at the far side."""
        self.ours: set[int] = set()
        self._asked_theirs: set[int] = set()
        self._asked_ours: set[int] = set()
        self._changes = 0
        self._command = bytearray()  # IAC and what followed, unfinished
        self._sub: bytearray | None = None
        self._after_cr = False

    def greet(self) -> None:
        """Offer what we have, and ask for character mode."""
        for option in (TTYPE, NAWS):
            self._asked_ours.add(option)
            self._answer(bytes([IAC, WILL, option]))
        self._asked_theirs.add(SGA)
        self._answer(bytes([IAC, DO, SGA]))

    # ------------------------------------------------------------ inward

    def receive(self, data: bytes) -> bytes:
        """Take bytes from the wire; return what they show."""
        if not self._command and self._sub is None and not self._after_cr and IAC not in data and _CR not in data:
            return data
        shown = bytearray()
        for byte in data:
            self._take(byte, shown)
        return bytes(shown)

    def _take(self, byte: int, shown: bytearray) -> None:
        command = self._command
        if command:
            command.append(byte)
            self._commanded(command, shown)
        elif byte == IAC:
            command.append(byte)
        elif self._sub is not None:
            if len(self._sub) < _MOST_SUB:
                self._sub.append(byte)
        elif self._after_cr:
            self._after_cr = False
            if byte != 0:
                self._plain(byte, shown)
        else:
            self._plain(byte, shown)

    def _plain(self, byte: int, shown: bytearray) -> None:
        shown.append(byte)
        self._after_cr = byte == _CR and BINARY not in self.theirs

    def _commanded(self, command: bytearray, shown: bytearray) -> None:
        kind = command[1]
        if kind in (WILL, WONT, DO, DONT):
            if len(command) < 3:  # noqa: PLR2004 - IAC, verb, option
                return
            self._negotiate(kind, command[2])
        elif kind == IAC:
            if self._sub is not None:
                self._sub.append(IAC)
            else:
                shown.append(IAC)
        elif kind == SB:
            self._sub = bytearray()
        elif kind == SE and self._sub is not None:
            sub, self._sub = bytes(self._sub), None
            if sub[:2] == bytes([TTYPE, _SEND]) and TTYPE in self.ours:
                self._answer(bytes([IAC, SB, TTYPE, _IS]) + self._term + bytes([IAC, SE]))
        command.clear()

    def _negotiate(self, verb: int, option: int) -> None:
        self._changes += 1
        if self._changes > _MOST_CHANGES:
            return
        far = verb in (WILL, WONT)
        on, asked, may = (self.theirs, self._asked_theirs, _THEIRS) if far else (self.ours, self._asked_ours, _OURS)
        yes, no = (DO, DONT) if far else (WILL, WONT)
        if verb in (WILL, DO):
            if option in may:
                if option not in on:
                    on.add(option)
                    if option not in asked:
                        self._answer(bytes([IAC, yes, option]))
                    if option == NAWS:
                        self._tell_size()
            elif option not in asked:
                self._answer(bytes([IAC, no, option]))
        elif option in on:
            on.discard(option)
            self._answer(bytes([IAC, no, option]))
        asked.discard(option)

    # ------------------------------------------------------------ outward

    def send(self, data: bytes, *, lines: bool = False) -> bytes:
        """Return how bytes stand on the wire. `lines`: they come from a file, so LF ends a line."""
        if lines:
            data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r")
        data = data.replace(b"\xff", b"\xff\xff")
        return data if BINARY in self.ours else data.replace(b"\r", b"\r\0")

    def resize(self, columns: int, lines: int) -> None:
        """Tell another size, where the far side wants to know."""
        self._size = (columns, lines)
        if NAWS in self.ours:
            self._tell_size()

    def _tell_size(self) -> None:
        size = b"".join(max(0, min(side, 65535)).to_bytes(2, "big") for side in self._size)
        self._answer(bytes([IAC, SB, NAWS]) + size.replace(b"\xff", b"\xff\xff") + bytes([IAC, SE]))
