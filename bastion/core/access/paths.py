"""Patterns for paths: `*` and `?` within a name, `**` for any number of names. Never touches a file, never backtracks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bastion.core.access.glob import MAX_PATTERN, Glob

ANY: Final = "**"


@dataclass(frozen=True, slots=True)
class PathGlob:
    """`/srv/in/**` (that folder and all below), `/etc/*.conf`, `~/in/*`. Two are equal when their texts are."""

    text: str
    _runs: tuple[tuple[Glob, ...], ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        runs: list[list[Glob]] = [[]]
        for name in self.text.split("/"):
            if name == ANY:
                runs.append([])
            else:
                runs[-1].append(Glob(name))
        object.__setattr__(self, "_runs", tuple(tuple(run) for run in runs))

    @property
    def rooted(self) -> str:
        """Return the spelling of paths that it speaks of: "/" from the root, "~" from the home, "" of either."""
        return self.text[0] if self.text[0] in "/~" else ""

    def matches(self, path: str) -> bool:
        """Return whether the whole path fits (a path without `.`, `..` and double slashes)."""
        names = path.split("/")
        if len(self._runs) == 1:
            return len(names) == len(self._runs[0]) and _fits(self._runs[0], names, 0)
        first, *middle, last = self._runs
        end = len(names) - len(last)
        if end < len(first) or not _fits(first, names, 0) or not _fits(last, names, end):
            return False
        at = len(first)
        for run in middle:
            at = next((start for start in range(at, end - len(run) + 1) if _fits(run, names, start)), -1)
            if at < 0:
                return False
            at += len(run)
        return True


def _fits(run: tuple[Glob, ...], names: list[str], at: int) -> bool:
    return all(glob.matches(names[at + number]) for number, glob in enumerate(run))


def read_path_glob(text: str) -> PathGlob:
    """Read one entry of `paths:`. Raises `ValueError` with what is wrong."""
    if len(text) > MAX_PATTERN:
        raise ValueError(f"a pattern has at most {MAX_PATTERN} characters")
    names = text.split("/")
    if names[0] not in {"", "~", ANY} or not text:
        raise ValueError("a path begins with / or ~/ (the login's home), or with **/ for any folder")
    if not text.isprintable() or any(name in {".", ".."} for name in names) or "" in names[1:]:
        raise ValueError("a path has no . or .. in it, no double slash and none at its end; for all below a folder write /srv/in/**")
    if any(ANY in name and name != ANY for name in names):
        raise ValueError("** stands for whole names: /srv/**/*.log")
    return PathGlob(text)
