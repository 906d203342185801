"""The chord: one key that turns the next one into a command of the bastion. Pure and incremental.

A byte-level reader, since what people type may be cut anywhere; knows no command's meaning.
"""

from __future__ import annotations

from typing import Final, NamedTuple

CHORD: Final = 0x1D  # Ctrl-]: telnet's and virsh's escape, free in shells and editors that matter
_ESCAPE: Final = 0x1B
_ARROWS: Final = {0x41: "up", 0x42: "down", 0x43: "right", 0x44: "left"}
_SEQUENCES: Final = {name: b"\x1b[" + bytes([final]) for final, name in _ARROWS.items()}
WINDOW_KEYS: Final = frozenset("cnpsD0123456789")
"""Keys after the chord that are about a person's windows, not about the session in one of them."""


_TAKEN: Final = {"C": "the interrupt key", "H": "backspace", "I": "Tab", "J": "Enter", "M": "Enter", "[": "Escape"}


def parse_chord(text: str) -> int:
    """Return the byte of a key written like `C-]`. Raises `ValueError` with what is wrong, for people."""
    key = text[2:].upper()
    if text[:2] != "C-" or len(key) != 1 or not ("A" <= key <= "Z" or key in "[\\]^_"):
        raise ValueError("it is C- and a letter or one of \\ ] ^ _, like C-]")
    if key in _TAKEN:
        raise ValueError(f"C-{key.lower()} is {_TAKEN[key]} in every terminal; take another, like C-]")
    return ord(key) & 0x1F


def show_chord(byte: int | None) -> str:
    """Return what people call the key, like `Ctrl-]`."""
    return f"Ctrl-{chr((CHORD if byte is None else byte) | 0x40)}"


class Typed(NamedTuple):
    """Bytes meant for the endpoint."""

    data: bytes


class Command(NamedTuple):
    """A key pressed after the chord: a character, or `up`, `down`, `left`, `right`."""

    key: str


class ChordReader:
    """Splits what one participant types. Twice the chord is the chord itself, once."""

    __slots__ = ("_chord", "_sequence", "armed")

    def __init__(self, chord: int | None = CHORD) -> None:
        self._chord = chord
        self._sequence = b""  # an arrow key that came in part
        self.armed = False

    def plain(self, data: bytes) -> bool:
        """Return whether `data` holds nothing but input (the hot path's question)."""
        return not self.armed and (self._chord is None or self._chord not in data)

    def read(self, data: bytes) -> list[Typed | Command]:
        """Return what was typed and commanded, in order."""
        found: list[Typed | Command] = []
        rest = data
        while rest:
            if self.armed:
                taken, command = self._key(rest[0])
                rest = rest[taken:]
                if command is not None:
                    self.armed = False
                    found.append(command)
                continue
            at = -1 if self._chord is None else rest.find(self._chord)
            if at < 0:
                found.append(Typed(rest))
                break
            if at:
                found.append(Typed(rest[:at]))
            self.armed = True
            rest = rest[at + 1 :]
        return found

    def unread(self, parts: list[Typed | Command]) -> bytes:
        """Return the last of what `read` returned as bytes again, for who reads on; nothing is armed any more."""
        chord = b"" if self._chord is None else bytes([self._chord])
        again = [
            chord + _SEQUENCES.get(part.key, part.key.encode("latin-1"))
            if isinstance(part, Command)
            else chord * 2
            if part.data == chord
            else part.data
            for part in parts
        ]
        if self.armed:
            again.append(chord + self._sequence)
            self.armed, self._sequence = False, b""
        return b"".join(again)

    def _key(self, byte: int) -> tuple[int, Typed | Command | None]:
        """Take one byte after the chord: how many it used up, and what it makes (None: more must come)."""
        if not self._sequence:
            if byte == _ESCAPE:
                self._sequence = b"\x1b"
                return 1, None
            return 1, Typed(bytes([byte])) if byte == self._chord else Command(chr(byte))
        if len(self._sequence) == 1 and byte in b"[O":
            self._sequence += bytes([byte])
            return 1, None
        whole, self._sequence = len(self._sequence) > 1, b""
        if whole:
            return 1, Command(_ARROWS.get(byte, "\x1b"))
        return 0, Command("\x1b")  # an Escape alone, and another key after it
