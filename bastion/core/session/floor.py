"""Whose turn it is where several may type at once: what belongs together stays whole. Never sends a byte.

Theory of operation. Keys of several people may mix, key by key. A paste may not: who is in the middle of one (a
bracketed paste that has not ended, a piece too large to be a key, a character or a sequence cut in two) has the floor,
and what the others type meanwhile is held, in order, until the floor is free. It is free when the paste has ended, or
soon after its last piece; nobody keeps it for longer than `LONGEST_SECONDS`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

PASTE_SECONDS: Final = 2.0  # without a byte, in the middle of a bracketed paste: its end was lost
BURST_SECONDS: Final = 0.15  # a terminal hands a long paste on in pieces of a few KB, without pauses
LONGEST_SECONDS: Final = 30.0
BURST_BYTES: Final = 32  # no key and no mouse report is that long
MOST_HELD: Final = 64 * 1024  # bytes of one person; beyond, their client's window closes
_START: Final = b"\x1b[200~"
_END: Final = b"\x1b[201~"
_ESCAPE: Final = 0x1B


class Turn(NamedTuple):
    """Bytes of one person whose turn it is."""

    who: str
    data: bytes


class Floor:
    """Lets people type one after the other where it matters. Times are those of the events."""

    def __init__(self) -> None:
        self._holder = ""
        self._until = 0.0
        self._since = 0.0
        self._tails: dict[str, bytes] = {}
        self._pasting: set[str] = set()
        self._held: list[Turn] = []
        self._sizes: dict[str, int] = {}

    @property
    def holds(self) -> bool:
        """Return whether something waits for its turn."""
        return bool(self._held)

    def full(self, who: str) -> bool:
        """Return whether so much of theirs waits that they should type no more for now."""
        return self._sizes.get(who, 0) > MOST_HELD

    def seconds_left(self, at: float) -> float:
        """Return how long the floor is taken if nothing more comes."""
        return max(0.0, self._until - at)

    def typed(self, at: float, who: str, data: bytes) -> list[Turn]:
        """Take what somebody typed; return what goes on now, in order."""
        found = self.due(at)
        if self._holder not in ("", who) or any(turn.who == who for turn in self._held):
            self._held.append(Turn(who, data))
            self._sizes[who] = self._sizes.get(who, 0) + len(data)
            return found
        return [*found, self._take(at, who, data)]

    def due(self, at: float) -> list[Turn]:
        """Return what is held no longer."""
        if self._holder and at >= self._until:
            self._pasting.discard(self._holder)
            self._holder = ""
        found: list[Turn] = []
        at_first = len(self._held) + 1
        while self._held and len(self._held) < at_first:  # the last one let through may have left the floor free
            at_first = len(self._held)
            waiting, self._held = self._held, []
            behind: set[str] = set()
            for turn in waiting:
                if self._holder in ("", turn.who) and turn.who not in behind:
                    self._sizes[turn.who] -= len(turn.data)
                    found.append(self._take(at, *turn))
                else:
                    self._held.append(turn)
                    behind.add(turn.who)
        return found

    def gone(self, who: str) -> None:
        """Forget somebody who may type no more: what of theirs is held goes nowhere."""
        self._held = [turn for turn in self._held if turn.who != who]
        self._sizes.pop(who, None)
        self._tails.pop(who, None)
        self._pasting.discard(who)
        if self._holder == who:
            self._holder = ""

    def clear(self) -> None:
        """Forget everything that is held, and who has the floor."""
        self._holder = ""
        self._held.clear()
        self._sizes.clear()
        self._pasting.clear()

    def _take(self, at: float, who: str, data: bytes) -> Turn:
        """Note what goes on, and whether more of it must come before anybody else's."""
        text = self._tails.get(who, b"") + data
        start, end = text.rfind(_START), text.rfind(_END)
        if start > end:
            self._pasting.add(who)
        elif end >= 0:
            self._pasting.discard(who)
        self._tails[who] = text[1 - len(_START) :]
        wanted = PASTE_SECONDS if who in self._pasting else BURST_SECONDS if len(data) >= BURST_BYTES or _torn(text) else 0.0
        if self._holder != who:
            self._since = at
        if text.endswith(_END):
            self._holder = ""
        elif wanted:
            self._holder = who
            self._until = min(at + wanted, self._since + LONGEST_SECONDS)
        return Turn(who, data)  # a short piece may be a paste's last: what is left of the floor's time runs out by itself


def _torn(text: bytes) -> bool:
    """Return whether it ends within a character or a sequence."""
    for back in range(1, min(4, len(text)) + 1):
        byte = text[-back]
        if byte & 0xC0 == 0xC0:  # noqa: PLR2004 - the first byte of a UTF-8 character
            return back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)  # noqa: PLR2004 - and how many it has
        if byte & 0xC0 != 0x80:  # noqa: PLR2004 - one of those that follow
            break
    at = text.rfind(_ESCAPE)
    rest = text[at + 1 :] if at >= 0 else b"\r"
    return rest in (b"", b"[", b"O") or (rest[:1] == b"[" and all(0x20 <= byte < 0x40 for byte in rest[1:]))  # noqa: PLR2004 - no final byte yet
