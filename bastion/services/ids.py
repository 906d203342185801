"""Names for new things. Never draws randomness itself: that comes in by the port.

Records get 128 bits in hex. Sessions, requests and whatever people read aloud or type get 80 bits as 16 characters
of Crockford's base 32, in lower case: no `i`, `l`, `o` or `u` to confuse with `1`, `0` or `v`.
"""

from __future__ import annotations

from typing import Final, Protocol

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
RECORD_BYTES: Final = 16
SPOKEN_BYTES: Final = 10


class Ids(Protocol):
    """Makes identifiers that are never used twice and cannot be guessed."""

    def new_id(self) -> str:
        """Return a name for a stored record: 32 hex digits."""

    def session_id(self) -> str:
        """Return a name that people type (sessions, requests): 16 characters of `ALPHABET`."""


def spell(value: bytes) -> str:
    """Return bytes in base 32; five bytes make eight characters (the length must be a multiple of five)."""
    if len(value) % 5:
        raise ValueError("the length must be a multiple of five bytes")
    number = int.from_bytes(value, "big")
    count = len(value) * 8 // 5
    return "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(count)))


def read(text: str) -> str:
    """Return an identifier as `spell` writes it, from what a person typed (capitals, `O` for 0, `I` or `L` for 1)."""
    return text.strip().lower().translate({ord("o"): "0", ord("i"): "1", ord("l"): "1"})
