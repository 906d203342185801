"""How a cell looks: colours and attributes, interned so that equal styles are the same object.

Never knows where a cell is or what it says.
"""

from __future__ import annotations

from typing import Final, NamedTuple

Color = int
"""-1 is the terminal's default, 0-255 the palette, `RGB | 0xrrggbb` true colour."""

DEFAULT: Final[Color] = -1
RGB: Final[int] = 1 << 24

BOLD: Final = 1
DIM: Final = 2
ITALIC: Final = 4
BLINK: Final = 8
REVERSE: Final = 16
CONCEAL: Final = 32
STRIKE: Final = 64
OVERLINE: Final = 128

SET_BY: Final = (
    (BOLD, "1"),
    (DIM, "2"),
    (ITALIC, "3"),
    (BLINK, "5"),
    (REVERSE, "7"),
    (CONCEAL, "8"),
    (STRIKE, "9"),
    (OVERLINE, "53"),
)
"""Each attribute with the SGR parameter that sets it."""


class Style(NamedTuple):
    """A cell's look. `underline`: 0 none, 1 single, 2 double, 3 curly, 4 dotted, 5 dashed (SGR 4:n).

    Compare with `is`: make every one through `style()` or `intern()`.
    """

    fg: Color = DEFAULT
    bg: Color = DEFAULT
    flags: int = 0
    underline: int = 0
    underline_color: Color = DEFAULT
    link: str = ""


PLAIN: Final[Style] = Style()
_POOL_LIMIT: Final = 65_536  # true colour can make endless styles; past this the pool starts anew
_pool: dict[Style, Style] = {PLAIN: PLAIN}


def intern(wanted: Style) -> Style:
    """Return the one shared object equal to `wanted`.

    The pool is bounded: after `_POOL_LIMIT` styles it is emptied, which costs sharing, never
    correctness (`is` may then say "different" for equal styles; a diff only sends a little more).
    """
    known = _pool.get(wanted)
    if known is not None:
        return known
    if len(_pool) >= _POOL_LIMIT:
        _pool.clear()
        _pool[PLAIN] = PLAIN
    _pool[wanted] = wanted
    return wanted


def style(
    fg: Color = DEFAULT,
    bg: Color = DEFAULT,
    flags: int = 0,
    underline: int = 0,
    underline_color: Color = DEFAULT,
    link: str = "",
) -> Style:
    """Return the interned style with these parts."""
    return intern(Style(fg, bg, flags, underline, underline_color, link))
