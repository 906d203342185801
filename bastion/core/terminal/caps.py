"""What a person's terminal can do, judged from its TERM name and a few environment words.

Never asks the terminal: an answer would mix with what the person types.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from bastion.core.terminal import style

MONO: Final = 0
TRUE_COLOR: Final = 1 << 24

_VT100: Final = style.BOLD | style.BLINK | style.REVERSE
_COMMON: Final = _VT100 | style.DIM | style.ITALIC | style.CONCEAL | style.STRIKE
_ALL: Final = _COMMON | style.OVERLINE


@dataclass(frozen=True, slots=True)
class Caps:
    """The abilities that `diff` may rely on. The defaults are the least that addresses a cursor.

    colors: 0, 8, 16, 256 or `TRUE_COLOR`.
    attributes: the style flags it draws; others are left out (concealed text becomes blanks).
    wraps_late: writing the last column leaves the cursor there until the next character.
    full_screen: can be addressed at all; where False, speak plain lines instead.
    links, titles: whether links and titles may be sent. Off unless a setting or a caller says so.
    """

    colors: int = MONO
    attributes: int = style.BOLD | style.REVERSE
    underline_styles: bool = False
    synchronized: bool = False
    scroll_region: bool = False
    rep: bool = False
    unicode: bool = True
    alternate: bool = False
    cursor_shapes: bool = False
    paste: bool = False
    wraps_late: bool = False
    full_screen: bool = True
    links: bool = False
    titles: bool = False

    @staticmethod
    def of(term: str, colorterm: str = "", locale: str = "", *, links: bool = False) -> Caps:
        """Judge a terminal by its TERM, COLORTERM and locale (LC_ALL, LC_CTYPE or LANG).

        `links`: whether links may be sent to terminals that can show them. Unknown names get the least. All three come from the client, so they are only compared
        with known words. An empty locale says nothing; one that names another character set
        than UTF-8 (or "C") means ASCII.
        """
        name = term.lower() if len(term) <= _LONGEST_NAME else ""
        caps = next((known for pattern, known in _FAMILIES if re.match(pattern, name)), Caps())
        if caps.full_screen:
            caps = replace(caps, colors=_colors(name, colorterm, caps.colors))
        if locale and not _UTF8.search(locale[:_LONGEST_NAME]):
            caps = replace(caps, unicode=False)
        if not links:
            caps = replace(caps, links=False)
        return caps


_LONGEST_NAME: Final = 64
_UTF8: Final = re.compile(r"utf-?8", re.IGNORECASE)


def _colors(name: str, colorterm: str, usual: int) -> int:
    if re.search(r"-(mono|m)\b", name):
        return MONO
    if usual == MONO and "color" not in name:
        return MONO
    if "-direct" in name or colorterm.lower() in {"truecolor", "24bit"}:
        return TRUE_COLOR
    if "-256color" in name:
        return max(usual, 256)
    if "-16color" in name or "-88color" in name:
        return max(usual, 16)
    return usual


# What a name promises is what its oldest living bearers do: "xterm" is claimed by dozens of
# programs, so it gets no REP (mosh, old Konsole), no ?2026, and underlines of one kind only.
_MODERN: Final = Caps(
    colors=TRUE_COLOR,
    attributes=_ALL,
    underline_styles=True,
    synchronized=True,
    scroll_region=True,
    rep=True,
    alternate=True,
    cursor_shapes=True,
    paste=True,
    wraps_late=True,
    links=True,
)
_XTERM: Final = replace(_MODERN, colors=16, attributes=_COMMON, underline_styles=False, synchronized=False, rep=False)
_MULTIPLEXER: Final = replace(_XTERM, colors=8, attributes=_COMMON & ~style.ITALIC, links=False)
_PUTTY: Final = replace(_XTERM, attributes=_VT100 | style.DIM, cursor_shapes=False, links=False)
_RXVT: Final = replace(_XTERM, colors=8, attributes=_VT100, cursor_shapes=False, links=False)
_CONSOLE: Final = Caps(colors=8, attributes=_VT100 | style.DIM, scroll_region=True, wraps_late=True)
_VT: Final = Caps(attributes=_VT100, scroll_region=True, unicode=False, wraps_late=True)
_FAMILIES: Final[tuple[tuple[str, Caps], ...]] = (
    (r"$|dumb|unknown$|emacs", Caps(full_screen=False)),
    (r"xterm-(kitty|ghostty)|kitty|foot|alacritty|wezterm|contour|ghostty|rio$", _MODERN),
    (r"tmux", replace(_XTERM, colors=256, rep=True)),
    (r"screen", _MULTIPLEXER),
    (r"putty", _PUTTY),
    (r"xterm|vte|gnome|konsole|mintty|ms-terminal|iterm|st\b|nsterm", _XTERM),
    (r"rxvt", _RXVT),
    (r"linux", _CONSOLE),
    (r"vt[1-5]\d\d", _VT),
)
