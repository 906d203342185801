"""Where in the policy's files a thing was written, and what is wrong there. Never reads a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple

from bastion.core.errors import Misconfigured

Path = tuple[str | int, ...]
"""The way to a value in a document: keys and list positions."""

_SHOWN = 64  # longest piece of a file, or of what a person typed, that is quoted back
_LISTED = 30  # names one can choose from that are listed
_PROBLEMS = 100  # more lines than this help nobody


class Place(NamedTuple):
    """A line of a file, as people look it up."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """One file as plain data (dict, list, str, int, bool, None). `lines`: path -> line, of the key where it has one."""

    file: str
    data: object
    lines: Mapping[Path, int] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Return the line of `path`, or of the nearest thing around it."""
        for length in range(len(path), -1, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return Place(self.file, line)
        return Place(self.file, 1)


@dataclass(frozen=True, slots=True)
class PolicyWarning:
    """Something in the policy that works but is probably not meant."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


class Problems:
    """What was found wrong, collected so that one look mends it all."""

    def __init__(self) -> None:
        self.found: list[tuple[str, Place, str]] = []

    def add(self, code: str, place: Place, text: str) -> None:
        """Note one problem. `code` is the last part of the error's code."""
        if len(self.found) < _PROBLEMS:
            self.found.append((code, place, text))

    def raise_if_any(self) -> None:
        """Raise `Misconfigured` with the first problem as `public` and all of them, one a line, as `detail`."""
        if not self.found:
            return
        lines = [f"{place}: {text}" for _, place, text in self.found]
        more = len(lines) - 1
        also = f" (and {more} more problem{'s' if more > 1 else ''})" if more else ""
        raise Misconfigured(f"policy.{self.found[0][0]}", lines[0] + also, "\n".join(lines))


def shown(value: object, limit: int = _SHOWN) -> str:
    """Return `value` as it may be quoted to a person: short, on one line, nothing that moves a cursor."""
    text = value if isinstance(value, str) else repr(value)
    short = text if len(text) <= limit else text[: limit - 3] + "..."
    return short if short.isprintable() else ascii(short)[1:-1]


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or what there is to choose from when nothing is near."""
    names = list(known)
    if near := get_close_matches(wrong[:_SHOWN], names, n=1, cutoff=0.6):
        return f"; did you mean {near[0]!r}?"
    if not names:
        return ""
    return "; known: " + ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
