"""Cell texts made fit to leave: no control ever, and how far a terminal's width can be relied on.

Never passes a character that makes a terminal act; what it cannot show becomes U+FFFD.
"""
# ruff: noqa: RUF001 - look-alikes are what the table is for

from __future__ import annotations

import unicodedata
from typing import Final, NamedTuple

from bastion.core.text import char_width

REPLACEMENT: Final = "\ufffd"
_LONGEST: Final = 32  # code points in one cell: a family emoji has 11, a stack of accents more
_CACHE: Final = 16_384

# Marks, embeddings, overrides and isolates that reorder a line; separators; annotations.
_ACTING: Final = frozenset(map(chr, (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A)))) | frozenset(
    map(chr, (*range(0xFFF9, 0xFFFC), 0xFEFF, *range(0x206A, 0x2070)))
)
# What all terminals agree is one cell (Latin to Cyrillic, lines, blocks) or two (CJK, Hangul).
_NARROW: Final = ((0xA1, 0xAC), (0xAE, 0x2FF), (0x370, 0x482), (0x48A, 0x52F), (0x2500, 0x259F))
_WIDE: Final = ((0x3041, 0x3096), (0x30A1, 0x30FA), (0x3400, 0x4DB5), (0x4E00, 0x9FA5),
                (0xAC00, 0xD7A3), (0xFF01, 0xFF60))  # fmt: skip


class Glyph(NamedTuple):
    """A cell's text as it may leave.

    width: the cells that the tables give it, 1 or 2. most: the cells that the terminal least versed
    in emoji uses for it. sure: every terminal uses `width`.
    """

    text: str
    width: int
    most: int
    sure: bool


_EMOJI: Final = 0x1F000  # from here on old and new tables disagree


_known: dict[str, Glyph] = {}


def glyph(cell: str) -> Glyph:
    """Return the safe text of one cell and the width that the tables give it (1 or 2)."""
    found = _known.get(cell)
    if found is None:
        if len(_known) >= _CACHE:
            _known.clear()
        found = _known[cell] = _judge(cell)
    return found


def known(cell: str) -> bool:
    """Whether `glyph` has the answer at hand."""
    return cell in _known


def _judge(cell: str) -> Glyph:
    text = "".join(REPLACEMENT if _acts(c) else c for c in cell[:_LONGEST])
    if not text:
        return Glyph(" ", 1, 1, sure=True)
    width = char_width(text[0])
    if width == 0:  # a mark alone would change the cell before
        text, width = " " + text, 1
    point = ord(text[0])
    if len(text) > 1:
        if "\ufe0f" in text:  # shown as an emoji: two cells in newer tables
            width = 2
        return Glyph(text, width, max(sum(map(char_width, text)), width), sure=False)
    sure = (
        " " <= text <= "~" or any(first <= point <= last for first, last in _NARROW) or any(first <= point <= last for first, last in _WIDE)
    )
    return Glyph(text, width, 2 if point >= _EMOJI else width, sure)


def _acts(character: str) -> bool:
    return character in _ACTING or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}


_LOOKS_LIKE: Final = {
    "-": "─━–—",
    "|": "│┃║▌▐",
    "+": "┌┍┎┏┐┑┒┓└┕┖┗┘┙┚┛├┝┠┣┤┥┨┫┬┯┰┳┴┷┸┻┼┿╂╋╔╗╚╝╠╣╦╩╬╭╮╯╰✓",
    "=": "═",
    "#": "█▓▒░▀▄■",
    "*": "●•★☆",
    ".": "·",
    ">": "›»→▸▶",
    "<": "‹«←↵◂◀",
    "^": "↑",
    "v": "↓",
    "~": "…",
    "'": "‘’",
    '"': "“”",
    "x": "✗",
    " ": "\xa0",
}
_ASCII: Final = {ord(c): plain for plain, drawn in _LOOKS_LIKE.items() for c in drawn}


def ascii_text(cell: str, width: int) -> str:
    """Return what an ASCII-only terminal shows for a cell, exactly `width` characters."""
    first = unicodedata.normalize("NFKD", cell[:1].translate(_ASCII))[:1]
    return (first if " " <= first <= "~" else "?").ljust(width)
