"""Patterns with `*` (any run) and `?` (one character). Never backtracks, so no pattern can hang us.

A star can always take the leftmost place where the next piece fits: what comes later only needs more
text behind it. So each piece is looked for once, and `**************a` costs what `*a` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

MAX_PATTERN = 256
"""Names have 64 characters and label values seldom more; a longer pattern is a mistake."""


@dataclass(frozen=True, slots=True)
class Glob:
    """A compiled pattern. Two patterns are equal when their texts are."""

    text: str
    head: str = field(init=False, compare=False, repr=False)
    tail: str = field(init=False, compare=False, repr=False)
    plain: bool = field(init=False, compare=False, repr=False)
    _single: bool = field(init=False, compare=False, repr=False)
    _pieces: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        pieces = self.text.split("*")
        # `head` and `tail` are what every match starts and ends with: a cheap test before the real one
        object.__setattr__(self, "head", pieces[0].split("?", 1)[0])
        object.__setattr__(self, "tail", pieces[-1].rsplit("?", 1)[-1] if len(pieces) > 1 else "")
        object.__setattr__(self, "plain", len(pieces) == 1 and "?" not in self.text)
        object.__setattr__(self, "_single", "?" in self.text)
        object.__setattr__(self, "_pieces", tuple(pieces))

    def matches(self, text: str) -> bool:
        """Return whether the whole of `text` fits; at most len(pattern) x len(text) steps."""
        if self.plain:
            return text == self.text
        if self._single:
            return _match(self._pieces, text, _fits, _find)
        return _match(self._pieces, text, str.startswith, str.find)

    def covers(self, other: Glob) -> bool:
        """Return whether everything `other` matches is surely matched here (False may also mean: not known)."""
        # a star in the other's text can only be swallowed by a star here; a `?` here could swallow one wrongly
        return self.text == other.text or ("?" not in self.text and self.matches(other.text))


@dataclass(frozen=True, slots=True)
class Form:
    """A pattern for numbers of tickets: `#` a digit, `@` a letter, `?` one and `*` any number of characters.

    All of them are visible ASCII, so nothing that looks like another sign gets through.
    """

    text: str

    def matches(self, text: str) -> bool:
        """Return whether the whole of `text` has this form."""
        if len(text) > MAX_PATTERN or not text.isascii() or not text.isprintable() or " " in text:
            return False
        return _match(tuple(self.text.split("*")), text, _has_form, _find_form)


def _match(pieces: tuple[str, ...], text: str, fits: Callable[[str, str, int], bool], find: Callable[[str, str, int, int], int]) -> bool:
    """Match what stands between the stars: first and last at the ends, the others at the leftmost place in turn."""
    if len(pieces) == 1:
        return len(text) == len(pieces[0]) and fits(text, pieces[0], 0)
    at, end = len(pieces[0]), len(text) - len(pieces[-1])
    if end < at or not fits(text, pieces[0], 0) or not fits(text, pieces[-1], end):
        return False
    for piece in pieces[1:-1]:
        at = find(text, piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def _fits(text: str, piece: str, at: int) -> bool:
    """Like `str.startswith`, but `?` in the piece fits any character. The caller knows that there is room."""
    return all(wanted in {"?", got} for wanted, got in zip(piece, text[at : at + len(piece)], strict=True))


def _find(text: str, piece: str, start: int, end: int) -> int:
    """Like `str.find`, but `?` in the piece fits any character."""
    return next((at for at in range(start, end - len(piece) + 1) if _fits(text, piece, at)), -1)


def _has_form(text: str, piece: str, at: int) -> bool:
    return all(
        got.isdigit() if wanted == "#" else got.isalpha() if wanted == "@" else wanted in {"?", got}
        for wanted, got in zip(piece, text[at : at + len(piece)], strict=True)
    )


def _find_form(text: str, piece: str, start: int, end: int) -> int:
    return next((at for at in range(start, end - len(piece) + 1) if _has_form(text, piece, at)), -1)
