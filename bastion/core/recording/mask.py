"""Keeps known secrets out of recordings: replaces them in a stream of output, also where chunks cut them.

Never holds more than the longest secret, and never says how long a secret was.

Theory of operation: the end of a chunk that could be the beginning of a secret is held until more comes or `flush` is
called (a prompt must not wait for ever). What was flushed stays known, so the rest of a secret whose beginning had to be
let go is still masked. The mask sees bytes: a secret that is drawn with colours or cursor moves within it is not found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK: Final = b"[masked]"
SHORTEST: Final = 6
"""Shorter secrets would blot out innocent words; they are not masked."""
LONGEST: Final = 256
"""Longer ones are looked for in pieces; it bounds what may be held back, and the work at the end of a chunk."""

_FEW: Final = 8


def _pieces(secret: bytes) -> Iterable[bytes]:
    """Yield what to look for: each line on its own, since terminals turn line ends into CR LF."""
    for each in secret.splitlines():
        line = each.strip()
        if line.startswith(b"-----"):  # PEM headers are no secret
            continue
        for start in range(0, len(line), LONGEST):
            piece = line[start : start + LONGEST]
            if len(piece) >= SHORTEST:
                yield piece


class Mask:
    """One stream's mask. `feed` all output through it; what it returns may be recorded."""

    def __init__(self, secrets: Iterable[bytes]) -> None:
        wanted = sorted({piece for secret in secrets for piece in _pieces(secret)}, key=len, reverse=True)
        self._wanted = wanted
        self._pattern = re.compile(b"|".join(map(re.escape, wanted))) if wanted else None
        self._beginnings = {piece[:size] for piece in wanted for size in range(1, len(piece))}
        self._reach = len(wanted[0]) - 1 if wanted else 0
        self._known = b""  # let go by `flush`: the beginning of a secret may be in it
        self._held = b""
        self.masked = 0
        """How many secrets were masked."""

    @property
    def held(self) -> int:
        """Bytes that wait because a secret may begin with them."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """Return the output that may be recorded now."""
        if self._pattern is None:
            return data
        if not self._held and not self._known and not self._has(data) and not self._begins(data, 0):
            return data  # the hot path: nothing here, and nothing can begin here
        return self._run(data, final=False)

    def flush(self) -> bytes:
        """Let go of what is held: nothing more comes for now, or at all."""
        return self._run(b"", final=True) if self._held else b""

    def _run(self, data: bytes, *, final: bool) -> bytes:
        if self._pattern is None:
            return data
        known = len(self._known)
        text = self._known + self._held + data
        out: list[bytes] = []
        at = known  # what stands before was let go or masked
        search = 0
        while True:
            hold = len(text) - (0 if final else self._begins(text, search))
            found = self._pattern.search(text, search)
            if found is None or found.start() >= hold:  # also when a longer secret may still begin where this one does
                break
            if found.end() <= known:  # it was let go whole
                search = found.start() + 1
                continue
            out += (text[at : max(at, found.start())], MASK)
            self.masked += 1
            at = search = found.end()
        out.append(text[at : max(at, hold)])
        if final:
            self._known, self._held = text[max(search, len(text) - self._reach) :], b""
        elif hold < known:  # the beginning was let go, so only the rest can be held
            self._known, self._held = text[hold:known], text[known:]
        else:
            self._known, self._held = b"", text[hold:]
        return b"".join(out)

    def _has(self, data: bytes) -> bool:
        if len(self._wanted) <= _FEW:  # a search for one text is ten times as fast as a pattern of many
            return any(secret in data for secret in self._wanted)
        return self._pattern is not None and self._pattern.search(data) is not None

    def _begins(self, text: bytes, start: int) -> int:
        """Return how many bytes at the end of `text`, from `start` on, may be the beginning of a secret."""
        for size in range(min(self._reach, len(text) - start), 0, -1):
            if text[-size:] in self._beginnings:
                return size
        return 0
