"""Keeps known secrets out of recordings: blots them out in a stream of output, also where chunks cut them.

Never holds more than the longest secret, or with patterns the last KiB of an unfinished line.

Theory of operation: the end of a chunk that could be the beginning of a secret is held until more comes or `flush` is
called (a prompt must not wait for ever). What was flushed stays known, so the rest of a secret whose beginning had to be
let go is still masked. A blot takes as many cells as what it hides, so that the screens of a recording stay aligned with
those that people saw; that tells the secret's length. Control sequences within a match stay. The mask sees bytes: a known
secret that is drawn with colours or cursor moves within it is not found, and patterns match within one line.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bastion.core.terminal.widths import width

BLOT: Final = "\N{FULL BLOCK}"
SHORTEST: Final = 6
"""Shorter secrets would blot out innocent words; they are not masked."""
LONGEST: Final = 256
"""Longer ones are looked for in pieces; it bounds what may be held back, and the work at the end of a chunk."""
LINE: Final = 1024
"""Bytes at the end of an unfinished line that patterns are looked for in."""

_FEW: Final = 8
_GRAM: Final = 3
_CONTROL: Final = re.compile(r"(\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]|[\x00-\x1f\x7f])")
_CONTROL_BYTES: Final = re.compile(_CONTROL.pattern.encode())
_PUBLIC: Final = b"b3BlbnNzaC1rZXktdjE"  # the line with which every private key of OpenSSH begins


class Found(Protocol):
    """Where something was found."""

    def start(self) -> int:
        """Return its first byte."""

    def end(self) -> int:
        """Return the byte after its last."""


class Searcher(Protocol):
    """A compiled pattern of bytes."""

    def search(self, text: bytes, pos: int = ..., /) -> Found | None:
        """Return the first match from `pos` on."""


def _any_of(literals: Sequence[bytes]) -> Searcher:
    return re.compile(b"|".join(map(re.escape, literals)))


@dataclass(frozen=True, slots=True)
class Rules:
    """What a mask looks for beside known secrets: `pattern`, whose matches begin with one of `starts`.

    `starts` are lower case and stand for any case; b"" stands for anything, so every unfinished line must wait.

    `any_of` compiles many literals, the longest first.
    """

    pattern: Searcher | None = None
    starts: tuple[bytes, ...] = ()
    any_of: Callable[[Sequence[bytes]], Searcher] = _any_of


def _pieces(secret: bytes) -> Iterable[bytes]:
    """Yield what to look for: each line on its own, since terminals turn line ends into CR LF."""
    for each in secret.splitlines():
        line = each.strip()
        if line.startswith((b"-----", _PUBLIC)):  # PEM headers are no secret
            continue
        start = 0
        while start < len(line):
            stop = start + LONGEST
            while stop < len(line) and 0x80 <= line[stop] < 0xC0:  # not within a character
                stop -= 1
            if len(line[start:stop]) >= SHORTEST:
                yield line[start:stop]
            start = stop if stop > start else start + LONGEST


def blot(secret: bytes) -> bytes:
    """Return what stands in a secret's place: the same count of cells, and its control sequences."""
    parts = _CONTROL.split(secret.decode("utf-8", "replace"))
    return "".join(part if index % 2 else BLOT * sum(max(0, width(each)) for each in part) for index, part in enumerate(parts)).encode()


class Mask:
    """One stream's mask. `feed` all output through it; what it returns may be recorded."""

    def __init__(self, secrets: Iterable[bytes], rules: Rules = Rules()) -> None:
        self._rules = rules
        self._wanted: list[bytes] = []
        self._known = b""  # let go by `flush`: the beginning of a secret may be in it
        self._held = b""
        self.masked = 0
        """How many secrets were masked."""
        self._literal = False
        for secret in secrets:
            self.learn(secret)
        if not self._wanted:
            self._compile()

    def learn(self, secret: bytes) -> None:
        """Look for this one, too, from now on."""
        fresh = set(_pieces(secret)).difference(self._wanted)
        if fresh:
            self._wanted += fresh
            self._compile()

    def _compile(self) -> None:
        self._wanted.sort(key=len, reverse=True)
        self._literals = self._rules.any_of(self._wanted) if self._wanted else None
        self._sorted = sorted(self._wanted)
        self._grams = {one[at : at + _GRAM] for one in self._wanted for at in range(len(one) - _GRAM)}
        self._short = {one[:size] for one in self._wanted for size in range(1, _GRAM)}
        self._reach = len(self._wanted[0]) - 1 if self._wanted else 0
        self._memory = max(self._reach, LINE if self._rules.pattern is not None else 0)

    @property
    def held(self) -> int:
        """Bytes that wait because a secret may begin with them."""
        return len(self._held)

    @property
    def holds_literal(self) -> bool:
        """Whether they are the beginning of a known secret, not only of what a pattern may match."""
        return bool(self._held) and self._literal

    def feed(self, data: bytes) -> bytes:
        """Return the output that may be recorded now."""
        if not self._held and not self._known and not self._has(data) and self._holds_from(data, 0) == len(data):
            return data  # the hot path: nothing here, and nothing can begin here
        return self._run(data, final=False)

    def flush(self) -> bytes:
        """Let go of what is held: nothing more comes for now, or at all."""
        return self._run(b"", final=True) if self._held else b""

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        mask = Mask(self._wanted, self._rules)
        return (mask.feed(text.encode("utf-8", "surrogateescape")) + mask.flush()).decode("utf-8", "surrogateescape")

    def shows(self, screen: bytes) -> bool:
        """Return whether terminal output that draws a screen draws a secret, be it broken by colours or the end of a row."""
        return any(self._has(text) for text in (screen, _CONTROL_BYTES.sub(b"", screen)))

    # ------------------------------------------------------------ the inside

    def _run(self, data: bytes, *, final: bool) -> bytes:
        known = len(self._known)
        text = self._known + self._held + data
        out: list[bytes] = []
        at = known  # what stands before was let go or masked
        search = 0
        while True:
            hold = len(text) if final else self._holds_from(text, search)
            found = self._next(text, search)
            if found is None or found[0] >= hold:  # also when a longer secret may still begin where this one does
                break
            start, end = found
            if end <= known:  # it was let go whole
                search = start + 1
                continue
            out += (text[at : max(at, start)], blot(text[max(at, start) : end]))
            self.masked += 1
            at = search = end
        out.append(text[at : max(at, hold)])
        if final:
            self._known, self._held = text[max(search, len(text) - self._memory) :], b""
        elif hold < known:  # the beginning was let go, so only the rest can be held
            self._known, self._held = text[hold:known], text[known:]
        else:
            self._known, self._held = b"", text[hold:]
        return b"".join(out)

    def _next(self, text: bytes, start: int) -> tuple[int, int] | None:
        """Return where the first secret from `start` on is."""
        found = []
        if self._literals is not None and (match := self._literals.search(text, start)):
            found.append((match.start(), -match.end()))
        place = self._match(text, start)
        if place is not None:
            found.append((place[0], -place[1]))
        if not found:
            return None
        first, end = min(found)
        return first, -end

    def _match(self, text: bytes, start: int) -> tuple[int, int] | None:
        """Return where the first match of a pattern is, up to the end of its line."""
        pattern = self._rules.pattern
        while pattern is not None and start < len(text) and (match := pattern.search(text, start)):
            begin, end = match.start(), match.end()
            stops = [stop for stop in (text.find(b"\n", begin, end), text.find(b"\r", begin, end)) if stop >= 0]
            end = min(stops, default=end)
            if end > begin:
                return begin, end
            start = begin + 1
        return None

    def _has(self, data: bytes) -> bool:
        if self._rules.pattern is not None and self._match(data, 0) is not None:
            return True
        if len(self._wanted) <= _FEW:  # a search for one text is ten times as fast as a pattern of many
            return any(secret in data for secret in self._wanted)
        return self._literals is not None and self._literals.search(data, 0) is not None

    def _holds_from(self, text: bytes, start: int) -> int:
        """Return from where on `text` (looked at from `start`) must wait for more."""
        begins = self._begins(text, start)
        self._literal = begins > 0
        hold = len(text) - begins
        return hold if self._rules.pattern is None else min(hold, self._line_begins(text, start))

    def _begins(self, text: bytes, start: int) -> int:
        """Return how many bytes at the end of `text`, from `start` on, may be the beginning of a known secret."""
        most = min(self._reach, len(text) - start)
        if most >= _GRAM and text[-_GRAM:] in self._grams:
            for size in range(most, _GRAM - 1, -1):
                piece = text[-size:]
                place = bisect_left(self._sorted, piece)
                if place < len(self._sorted) and self._sorted[place].startswith(piece) and piece != self._sorted[place]:
                    return size
                if place + 1 < len(self._sorted) and piece == self._sorted[place] and self._sorted[place + 1].startswith(piece):
                    return size
        for size in range(min(most, _GRAM - 1), 0, -1):
            if text[-size:] in self._short:
                return size
        return 0

    def _line_begins(self, text: bytes, start: int) -> int:
        """Return from where on the unfinished line may be the beginning of what a pattern matches."""
        first = max(start, text.rfind(b"\n") + 1, text.rfind(b"\r") + 1, len(text) - LINE)
        line = text[first:].lower()
        hold = len(line)
        for begin in self._rules.starts:
            place = line.find(begin)
            if place >= 0:
                hold = min(hold, place)
                continue
            for size in range(min(len(begin) - 1, len(line)), 0, -1):
                if line.endswith(begin[:size]):
                    hold = min(hold, len(line) - size)
                    break
        return first + hold
