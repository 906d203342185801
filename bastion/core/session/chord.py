"""The chord: one key that turns the next one into a command of the bastion. Pure and incremental.

A byte-level reader, since what people type may be cut anywhere; knows no command's meaning.
"""

from __future__ import annotations

from typing import Final, NamedTuple

CHORD: Final = 0x1D  # Ctrl-]: telnet's and virsh's escape, free in shells and editors that matter


WINDOW_KEYS: Final = frozenset("cnpsD0123456789")
"""Keys after the chord that are about a person's windows, not about the session in one of them."""


class Typed(NamedTuple):
    """Bytes meant for the endpoint."""

    data: bytes


class Command(NamedTuple):
    """A key pressed after the chord."""

    key: str


class ChordReader:
    """Splits what one participant types. Twice the chord is the chord itself, once."""

    __slots__ = ("_chord", "armed")

    def __init__(self, chord: int | None = CHORD) -> None:
        self._chord = chord
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
                self.armed = False
                first, rest = rest[:1], rest[1:]
                found.append(Typed(first) if first[0] == self._chord else Command(first.decode("latin-1")))
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
        if self._chord is None:
            return b"".join(part.data for part in parts if isinstance(part, Typed))
        chord = bytes([self._chord])
        again = [
            chord + part.key.encode("latin-1") if isinstance(part, Command) else chord * 2 if part.data == chord else part.data for part in parts
        ]
        if self.armed:
            self.armed = False
            again.append(chord)
        return b"".join(again)
