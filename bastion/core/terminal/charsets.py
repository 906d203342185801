"""The character sets a program can call up with `ESC (` and its kin.

Never maps anything but printable ASCII. Only those sets that terminals in use agree on are here:
ASCII, British, and the DEC special graphics that draw lines; any other name means ASCII.
"""

from __future__ import annotations

from typing import Final

ASCII: Final = "B"
BRITISH: Final = "A"
GRAPHICS: Final = "0"

_LINES: Final = dict(
    zip("_`abcdefghijklmnopqrstuvwxyz{|}~", " ◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True),
)

MAPS: Final[dict[str, dict[int, str]]] = {
    GRAPHICS: {ord(ascii_): drawn for ascii_, drawn in _LINES.items()},
    BRITISH: {ord("#"): "£"},
}


def known(name: str) -> str:
    """Return the set of that name, ASCII for one that is not kept."""
    return name if name in MAPS else ASCII
