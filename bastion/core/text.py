"""Text from outside made safe to show: one sanitiser, and how many cells a text takes.

Never trusts a name, a banner or an error text, and never changes printable text.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Final

from wcwidth import wcwidth

LIMIT: Final = 1024
"""Longest result of `safe_text` by default: a name or a reason fits, a banner bomb does not."""

_MARKS: Final = 4  # combining marks shown on one character; written languages need up to three
# Printable to Unicode, yet drawn as nothing or as a space: two names could look alike with them.
_UNSEEN: Final = frozenset(map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0))) | frozenset(
    chr(point) for first, last in ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF)) for point in range(first, last + 1)
)
_PRIVATE: Final = "Co"  # prompt symbols live there; they are one cell wide and harmless


def safe_text(text: str, limit: int = LIMIT) -> str:
    r"""Return `text` with everything that acts or hides made visible: ESC becomes `\x1b`.

    Shown as escapes: C0 and C1 controls, line and paragraph separators, bidirectional controls,
    zero-width and other unseen characters, spaces other than U+0020, lone surrogates, unassigned
    characters, and combining marks beyond the fourth on one character (or with nothing to stand
    on). A backslash stays as it is: the result is for eyes, not for parsing back. Results longer
    than `limit` characters are cut and end in "…".
    """
    if text.isascii() and text.isprintable() and len(text) <= limit:
        return text
    out: list[str] = []
    size = 0
    marks = _MARKS  # nothing to stand on yet
    for character in text[: limit + 1]:
        piece = character
        if character in _UNSEEN or not (character.isprintable() or unicodedata.category(character) == _PRIVATE):
            piece = _escape(character)
            marks = _MARKS
        elif unicodedata.category(character)[0] == "M":
            if marks >= _MARKS:
                piece = _escape(character)
            marks += 1
        else:
            marks = 0
        out.append(piece)
        size += len(piece)
        if size > limit:
            return "".join(out)[: max(limit - 1, 0)] + "…"
    return "".join(out)


def _escape(character: str) -> str:
    point = ord(character)
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    digits = f"{point:x}"
    if len(digits) <= len("ff"):
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if len(digits) <= len("ffff") else f"\\U{point:08x}"


@lru_cache(maxsize=8192)
def char_width(character: str) -> int:
    """Return the cells that one character takes: 0, 1 or 2 (0 for controls too)."""
    if "\U0001f1e6" <= character <= "\U0001f1ff":
        return 1  # regional indicators: terminals draw one cell each, the tables say two
    return max(wcwidth(character), 0)


def text_width(text: str) -> int:
    """Return the cells that a text takes on one line."""
    if text.isascii():
        return len(text)
    return sum(map(char_width, text))
