"""Select Graphic Rendition: from a style and the parameters of `CSI … m` to the next style.

Never raises on what an endpoint sends: what is not understood changes nothing.

A transition is worked out once and then remembered in a graph: each style has a dictionary from the
control text to (next style, its dictionary), so a colour change in a running stream is one look-up.
"""

from __future__ import annotations

from typing import Final

from bastion.core.terminal.style import (
    BLINK,
    BOLD,
    CONCEAL,
    DEFAULT,
    DIM,
    ITALIC,
    OVERLINE,
    PLAIN,
    REVERSE,
    RGB,
    STRIKE,
    Style,
    intern,
)

Transitions = dict[str, "tuple[Style, Transitions]"]

_ON: Final = {1: BOLD, 2: DIM, 3: ITALIC, 5: BLINK, 7: REVERSE, 8: CONCEAL, 9: STRIKE, 53: OVERLINE}
_OFF: Final = {
    22: BOLD | DIM,
    23: ITALIC,
    25: BLINK,
    27: REVERSE,
    28: CONCEAL,
    29: STRIKE,
    55: OVERLINE,
}
_FOREGROUND, _BACKGROUND, _UNDERLINE = 38, 48, 58
_INDEXED, _TRUE_COLOUR = 5, 2
_BYTE_MAX: Final = 255
_UNDERLINE_MAX: Final = 5
_DIGITS_MAX: Final = 9  # longer numbers mean nothing in SGR; int() of thousands of digits is refused


def _number(text: str) -> int:
    if not text:
        return 0
    return int(text) if len(text) <= _DIGITS_MAX else int(text[-_DIGITS_MAX:]) + 10**_DIGITS_MAX


def _colour(kind: int, parts: list[int]) -> int | None:
    """Return the colour after `38;KIND`, or None where it is not one."""
    if kind == _INDEXED:
        return parts[0] if parts and parts[0] <= _BYTE_MAX else None
    if kind == _TRUE_COLOUR and len(parts) >= 3 and all(part <= _BYTE_MAX for part in parts[:3]):  # noqa: PLR2004
        return RGB | parts[0] << 16 | parts[1] << 8 | parts[2]
    return None


class _Pen:
    """A style while one control sequence changes it."""

    __slots__ = ("bg", "fg", "flags", "link", "underline", "underline_color")

    def __init__(self, style: Style) -> None:
        self.fg, self.bg, self.flags, self.underline, self.underline_color, self.link = style

    def reset(self) -> None:
        self.fg = self.bg = self.underline_color = DEFAULT
        self.flags = self.underline = 0

    def paint(self, target: int, colour: int) -> None:
        if target == _FOREGROUND:
            self.fg = colour
        elif target == _BACKGROUND:
            self.bg = colour
        else:
            self.underline_color = colour

    def one(self, code: int) -> None:  # noqa: C901, PLR0912 - a table in the shape of code
        if code == 0:
            self.reset()
        elif code in _ON:
            self.flags |= _ON[code]
        elif code in _OFF:
            self.flags &= ~_OFF[code]
        elif 30 <= code <= 37:  # noqa: PLR2004
            self.fg = code - 30
        elif 40 <= code <= 47:  # noqa: PLR2004
            self.bg = code - 40
        elif 90 <= code <= 97:  # noqa: PLR2004
            self.fg = code - 82
        elif 100 <= code <= 107:  # noqa: PLR2004
            self.bg = code - 92
        elif code == 39:  # noqa: PLR2004
            self.fg = DEFAULT
        elif code == 49:  # noqa: PLR2004
            self.bg = DEFAULT
        elif code == 59:  # noqa: PLR2004
            self.underline_color = DEFAULT
        elif code == 4:  # noqa: PLR2004
            self.underline = 1
        elif code == 21:  # noqa: PLR2004
            self.underline = 2
        elif code == 24:  # noqa: PLR2004
            self.underline = 0

    def sub(self, parts: list[str]) -> None:
        """Apply one parameter written with colons, such as `4:3` or `38:2::10:20:30`."""
        code = _number(parts[0])
        if code == 4:  # noqa: PLR2004
            shape = _number(parts[1])
            if shape <= _UNDERLINE_MAX:
                self.underline = shape
        elif code in (_FOREGROUND, _BACKGROUND, _UNDERLINE):
            kind = _number(parts[1])
            rest = parts[2:]
            if kind == _TRUE_COLOUR and len(rest) > 3:  # noqa: PLR2004 - with a colour space id first
                rest = rest[1:]
            colour = _colour(kind, [_number(part) for part in rest])
            if colour is not None:
                self.paint(code, colour)
        else:
            self.one(code)

    def apply(self, body: str) -> None:
        params = body.split(";")
        at = 0
        while at < len(params):
            param = params[at]
            at += 1
            if ":" in param:
                self.sub(param.split(":"))
                continue
            code = _number(param)
            if code not in (_FOREGROUND, _BACKGROUND, _UNDERLINE):
                self.one(code)
                continue
            if at >= len(params) or ":" in params[at]:
                continue
            kind = _number(params[at])
            if kind not in (_INDEXED, _TRUE_COLOUR):
                at += 1
                continue
            width = 1 if kind == _INDEXED else 3
            values = params[at + 1 : at + 1 + width]
            at += 1 + width
            if any(":" in value for value in values):
                continue
            colour = _colour(kind, [_number(value) for value in values])
            if colour is not None:
                self.paint(code, colour)


def select(style: Style, body: str) -> Style:
    """Return the style after `CSI body m`; `body` holds digits, `;` and `:` only."""
    if not body or body == "0":
        return intern(PLAIN._replace(link=style.link)) if style.link else PLAIN
    pen = _Pen(style)
    pen.apply(body)
    return intern(Style(pen.fg, pen.bg, pen.flags, pen.underline, pen.underline_color, pen.link))


_GRAPH_LIMIT: Final = 8192
_TOKEN_MAX: Final = 128  # longer ones are not worth remembering
_graph: dict[Style, Transitions] = {}
_known = 0


def transitions(style: Style) -> Transitions:
    """Return the dictionary of what is known to follow from this style."""
    found = _graph.get(style)
    if found is None:
        found = _graph[style] = {}
    return found


def follow(style: Style, token: str) -> tuple[Style, Transitions]:
    """Work out one or more SGR sequences in a row, and remember the answer.

    The graph is bounded: when full it is emptied in place, so dictionaries that screens still hold
    are empty too and keep nothing alive.
    """
    global _known  # noqa: PLW0603 - the size of the module's cache
    if _known >= _GRAPH_LIMIT or len(_graph) >= _GRAPH_LIMIT:
        for each in _graph.values():
            each.clear()
        _graph.clear()
        _known = 0
    after = style
    for body in token[2:-1].split("m\x1b["):
        after = select(after, body)
    answer = (after, transitions(after))
    if len(token) <= _TOKEN_MAX:
        transitions(style)[token] = answer
        _known += 1
    return answer
