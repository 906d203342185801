"""The chord: one key that turns the next one into a command of the bastion. Pure and incremental.

A byte-level reader, since what people type may be cut anywhere; knows no command's meaning.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

CHORD: Final = 0x1D  # Ctrl-]: telnet's and virsh's escape, free in shells and editors that matter
_ESCAPE: Final = 0x1B
_ARROWS: Final = {"A": "up", "B": "down", "C": "right", "D": "left"}
_SEQUENCES: Final = {name: f"\x1b[{final}".encode() for final, name in _ARROWS.items()}
_LONGEST: Final = 32  # bytes of a key told as a sequence
_CTRL: Final = 4
_SHIFT: Final = 1
_LOCKS: Final = 64 | 128  # Caps Lock and Num Lock are told with each key, too
_RELEASE: Final = 3
_PRIVATE: Final = 0xE000  # from here on: Shift, Ctrl and their like, pressed on their own
_UPPER: Final = str.maketrans("/1;,.-=", "?!:<>_+")  # where the shifted key is not told: as on most keyboards
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


class _Pressed(NamedTuple):
    """A key that the terminal told as a sequence (modifyOtherKeys, or the kitty protocol): programs may ask for that."""

    code: int
    shifted: int
    modifiers: int
    event: int


_KEY: Final = re.compile(rb"\x1b\[(?:27;(\d{1,4});(\d{1,7})~|(\d{1,7})(?::(\d{0,7}))?(?::\d*)?(?:;(\d{0,4})(?::(\d))?)?(?:;[\d:]*)?u)")


def _pressed(found: re.Match[bytes]) -> _Pressed:
    modifiers, code, kitty, shifted, more, event = found.groups()
    if kitty is None:
        return _Pressed(int(code), 0, int(modifiers) - 1, 1)
    return _Pressed(int(kitty), int(shifted or 0), int(more or 1) - 1, int(event or 1))


class ChordReader:
    """Splits what one participant types. Twice the chord is the chord itself, once.

    A program may have the terminal tell keys as sequences; the chord is known in those forms, too, if they come in one
    piece (a lone ESC is never held back).
    """

    __slots__ = ("_chord", "_codes", "_sequence", "armed")

    def __init__(self, chord: int | None = CHORD) -> None:
        self._chord = chord
        self._codes = () if chord is None else (chord | 0x40, chord | 0x60)
        self._sequence = b""  # a key told as a sequence that came in part
        self.armed = False

    def plain(self, data: bytes) -> bool:
        """Return whether `data` holds nothing but input (the hot path's question)."""
        if self.armed:
            return False
        if self._chord is None:
            return True
        return self._chord not in data and (_ESCAPE not in data or self._coded(data) is None)

    def read(self, data: bytes) -> list[Typed | Command]:
        """Return what was typed and commanded, in order."""
        found: list[Typed | Command] = []
        rest = data
        while rest:
            if self.armed:
                taken, command = self._key(rest)
                rest = rest[taken:]
                if command is not None:
                    self.armed = False
                    found.append(command)
                continue
            start, end, pressed = self._next(rest)
            if start:
                found.append(Typed(rest[:start]))
            self.armed = pressed
            rest = rest[end:]
        return found

    def unread(self, parts: list[Typed | Command]) -> bytes:
        """Return the last of what `read` returned as bytes again, for who reads on; nothing is armed any more."""
        chord = b"" if self._chord is None else bytes([self._chord])
        again = [
            chord + _SEQUENCES.get(part.key, part.key.encode("latin-1", "ignore"))
            if isinstance(part, Command)
            else part.data * 2
            if part.data == chord or self._coded(part.data) is not None
            else part.data
            for part in parts
        ]
        if self.armed:
            again.append(chord + self._sequence)
            self.armed, self._sequence = False, b""
        return b"".join(again)

    def _next(self, data: bytes) -> tuple[int, int, bool]:
        """Return where the next chord begins and ends, and whether it was pressed (or let go); the end where there is none."""
        at = -1 if self._chord is None else data.find(self._chord)
        coded = self._coded(data) if self._chord is not None and _ESCAPE in data else None
        if coded is not None and not 0 <= at < coded.start():
            return coded.start(), coded.end(), _pressed(coded).event != _RELEASE
        return (at, at + 1, True) if at >= 0 else (len(data), len(data), False)

    def _coded(self, data: bytes) -> re.Match[bytes] | None:
        """Return the first place where the chord stands as a sequence."""
        for found in _KEY.finditer(data):
            key = _pressed(found)
            if key.code in self._codes and key.modifiers & ~_LOCKS == _CTRL:
                return found
        return None

    def _key(self, data: bytes) -> tuple[int, Typed | Command | None]:
        """Take a key after the chord: how many bytes it used up, and what it makes (None: more must come)."""
        if not self._sequence and data[0] != _ESCAPE:
            return 1, Typed(data[:1]) if data[0] == self._chord else Command(chr(data[0]))
        for used in range(1, len(data) + 1):
            sequence = self._sequence + data[:used]
            kind, final = sequence[1:2], sequence[-1]
            if len(sequence) == 2 and kind not in b"[O":  # noqa: PLR2004 - an Escape alone, and another key after it
                self._sequence = b""
                return used - 1, Command("\x1b")
            if len(sequence) > 2 and (0x40 <= final <= 0x7E or final < 0x20 or len(sequence) > _LONGEST):  # noqa: PLR2004 - its last byte
                self._sequence = b""
                return used, self._told(sequence)
        self._sequence += data
        return len(data), None

    def _told(self, sequence: bytes) -> Typed | Command | None:
        """Return what a key that came as a sequence makes; None for one that is none, such as Shift alone."""
        found = _KEY.fullmatch(sequence)
        if found is None:
            return Command(_ARROWS.get(chr(sequence[-1]), "\x1b"))
        key = _pressed(found)
        if key.event == _RELEASE or key.code >= _PRIVATE:
            return None
        if self._coded(sequence) is not None:
            return Typed(sequence)
        text = chr(key.shifted or key.code)
        if key.modifiers & _SHIFT and not key.shifted:
            text = text.translate(_UPPER).upper()
        return Command(text)
