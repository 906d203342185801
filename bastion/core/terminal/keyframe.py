"""A keyframe: bytes that bring a fresh terminal of the same size into this screen's state.

Never holds what an endpoint sent as it sent it: all is made anew from cells and a short list of known
sequences, none of which asks for an answer. Scrollback is not in it.

Order matters: tab stops first, the main screen under an alternate one, rows, the saved cursor, margins,
the cursor (drawing the last cell again where a wrap is pending), the pen, and only then the modes that
would have changed how all of this is drawn.
"""

from __future__ import annotations

from itertools import groupby
from typing import Final

from bastion.core.terminal import charsets
from bastion.core.terminal.canvas import Saved
from bastion.core.terminal.line import Line
from bastion.core.terminal.modes import (
    BRACKETED_PASTE,
    DECAWM,
    DECTCEM,
    FOCUS,
    IRM,
    LNM,
    REMEMBERED,
    REVERSE_WRAP,
    SYNCHRONIZED,
    Moded,
)
from bastion.core.terminal.pencil import step, steps
from bastion.core.terminal.style import DEFAULT, PLAIN, Style

_BLANKS_WORTH_MOVING: Final = 4  # CSI n C takes four bytes
_BLANKS_WORTH_ERASING: Final = 8
_INPUT_MODES: Final = frozenset((FOCUS, BRACKETED_PASTE, SYNCHRONIZED, 2031, 2048, 1007))


class _Writer:
    """Collects the bytes, and knows which pen they leave behind."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.pen = PLAIN
        self.known = steps(PLAIN)

    def turn(self, style: Style) -> None:
        if style is not self.pen:
            text, self.known = self.known.get(style) or step(self.pen, style)
            self.parts.append(text)
            self.pen = style

    def write(self, text: str) -> None:
        self.parts.append(text)

    def goto(self, x: int, y: int) -> None:
        self.parts.append(f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H" if y else "\x1b[H")

    def sets(self, sets: tuple[str, ...], left: int) -> None:
        """Call up character sets, from the state where all are ASCII."""
        for mark, name in zip("()*+", sets, strict=True):
            if name != charsets.ASCII:
                self.write(f"\x1b{mark}{name}")
        if left > 1 and sets[left] == charsets.ASCII:
            self.write(f"\x1b{'()*+'[left]}B")  # a fresh xterm has Latin-1's upper half there
        if left:
            self.write(("", "\x0e", "\x1bn", "\x1bo")[left])

    def no_sets(self, sets: tuple[str, ...], left: int) -> None:
        for mark, name in zip("()*+", sets, strict=True):
            if name != charsets.ASCII:
                self.write(f"\x1b{mark}B")
        if left:
            self.write("\x0f")


def _row(out: _Writer, line: Line, columns: int, *, keep_blanks: bool, wrapping: bool) -> None:
    """Write one row's cells from its first column on; with `wrapping` the cursor still is in the row above."""
    chars, styles = line.chars, line.styles
    count = len(chars)
    if not keep_blanks:
        while count and chars[count - 1] == " " and styles[count - 1] is PLAIN:
            count -= 1
    at = 0
    pen, known, add = out.pen, out.known, out.parts.append  # spelled out: a full screen has hundreds of runs
    for style, cells in groupby(styles if count == len(styles) else styles[:count]):
        end = at + len([*cells])
        text = "".join(chars[at:end]) or " "
        if text[0] == " " and (short := _shorter(style, text, end, count, columns)) and not (wrapping and at == 0):
            # (Where a wrap is pending only a character wraps: erasing and moving would act in the row above.)
            text = short
            if style is PLAIN:  # moved over, whatever the pen
                add(text)
                at = end
                continue
        if style is not pen:
            turn, known = known.get(style) or step(pen, style)
            add(turn)
            pen = style
        add(text)
        at = end
    out.pen, out.known = pen, known


def _shorter(style: Style, text: str, end: int, count: int, columns: int) -> str:
    """Return what does for a run of blanks on a blank row, nothing where writing them is as short."""
    size = len(text)
    if size == 1 or text.strip(" ") or style[2:] != PLAIN[2:] or style.fg != DEFAULT:
        return ""
    if style is PLAIN:
        return f"\x1b[{size}C" if end < count and size > _BLANKS_WORTH_MOVING else ""
    if end == columns:
        return "\x1b[K"
    return f"\x1b[{size}X\x1b[{size}C" if size > _BLANKS_WORTH_ERASING else ""


def _rows(out: _Writer, rows: list[Line], columns: int, *, main: bool) -> None:
    """Write all rows onto a blank screen whose cursor is at home."""
    below = 0  # the row that CR LF would lead to
    flows = False
    for y, line in enumerate(rows):
        wrapping = flows
        if not line.chars:
            flows = False
            continue
        if not flows:
            if y == below and y:
                out.write("\r\n")
            elif y:
                out.goto(0, y)
        wraps = main and line.wrapped and y + 1 < len(rows) and bool(rows[y + 1].chars)
        if wraps:
            wide_next = rows[y + 1].chars[1:2] == [""]
            flows = len(line.chars) == columns or (len(line.chars) == columns - 1 and wide_next)
        else:
            flows = False
        if flows and line.chars[-1] == " " and line.styles[-1] is not PLAIN:
            # An erasing sequence would leave the cursor in the row.
            _plainly(out, line)
        else:
            _row(out, line, columns, keep_blanks=main, wrapping=wrapping)
        below = y + 1


def _plainly(out: _Writer, line: Line) -> None:
    for char, style in zip(line.chars, line.styles, strict=True):
        out.turn(style)
        out.write(char)


def _saved(out: _Writer, saved: Saved) -> None:
    """Bring the cursor and all that DECSC keeps into the saved state."""
    if saved.origin:
        out.write("\x1b[?6h")
    out.goto(saved.x, saved.y)
    out.turn(saved.pen)
    out.sets(saved.sets, saved.left)


def _unsaved(out: _Writer, saved: Saved) -> None:
    out.no_sets(saved.sets, saved.left)
    if saved.origin:
        out.write("\x1b[?6l")
    out.turn(PLAIN)


def _keyboard(out: _Writer, kitty: list[int]) -> None:
    if kitty[0]:
        out.write(f"\x1b[={kitty[0]};1u")
    for flags in kitty[1:]:
        out.write(f"\x1b[>{flags}u")


def _alternate(out: _Writer, screen: Moded) -> None:
    """Write the main screen and put the alternate one over it."""
    _rows(out, screen.other or [], screen.columns, main=True)
    _keyboard(out, screen.other_kitty)
    saved = screen.other_saved
    if saved is None:
        out.turn(PLAIN)
        out.write("\x1b[?1047h")
    else:
        _saved(out, saved)
        out.write("\x1b[?1049h")
        _unsaved(out, saved)
        if saved.pen.bg != PLAIN.bg:
            out.write("\x1b[2J")
    out.write("\x1b[H")


def _cursor(out: _Writer, screen: Moded) -> None:
    """Set margins and origin, and place the cursor."""
    if screen.margins is not None:
        out.write(f"\x1b[{screen.top + 1};{screen.bottom + 1}r")
    if screen.origin:
        out.write("\x1b[?6h")
    offset = screen.top if screen.origin else 0
    x, y = screen.x, screen.y
    if x < screen.columns:
        out.goto(x, y - offset)
        return
    line = screen.rows[y]
    x = screen.columns - 1
    char = line.chars[x] if x < len(line.chars) else " "
    if char == "" and x:
        x -= 1
        char = line.chars[x]
    out.goto(x, y - offset)
    out.turn(line.styles[x] if x < len(line.styles) else PLAIN)
    out.write(char)


def _modes(out: _Writer, screen: Moded, *, with_input: bool) -> None:  # noqa: C901 - one clause a mode
    """Set what differs from a fresh terminal."""
    private = [mode for mode in sorted(REMEMBERED) if screen.private(mode)]
    if not with_input:
        private = [mode for mode in private if mode not in _INPUT_MODES]
    if screen.reverse_wrap:
        private.append(REVERSE_WRAP)
    if with_input:
        private += [mode for mode in (screen.mouse, screen.mouse_encoding) if mode]
    if private:
        out.write(f"\x1b[?{';'.join(map(str, private))}h")
    hidden = [mode for mode in (DECAWM, DECTCEM) if not screen.private(mode)]
    if hidden:
        out.write(f"\x1b[?{';'.join(map(str, hidden))}l")
    if screen.insert:
        out.write(f"\x1b[{IRM}h")
    if screen.newline:
        out.write(f"\x1b[{LNM}h")
    if screen.cursor_shape:
        out.write(f"\x1b[{screen.cursor_shape} q")
    if with_input:
        if screen.keypad:
            out.write("\x1b=")
        if screen.modify_keys is not None:
            out.write(f"\x1b[>4;{screen.modify_keys}m")
        _keyboard(out, screen.kitty)


def _titles(out: _Writer, screen: Moded) -> None:
    if screen.title and screen.title == screen.icon_name:
        out.write(f"\x1b]0;{screen.title}\x07")
        return
    if screen.icon_name:
        out.write(f"\x1b]1;{screen.icon_name}\x07")
    if screen.title:
        out.write(f"\x1b]2;{screen.title}\x07")


def drawable_again(screen: Moded, last: str) -> tuple[str, int]:
    """Return what to write so that the cell before the cursor is drawn again by that character, and its columns.

    Nothing where the cell holds something else, or where drawing would not have the same effect.
    """
    line, x = screen.rows[screen.y], screen.x
    if not (last and not screen.insert and not screen.shift and 0 < x < screen.columns and x <= len(line.chars)):
        return "", 0
    if line.chars[x : x + 1] == [""]:
        return "", 0  # the cursor stands on the right half of a wide character: writing that again would move it on
    wide = line.chars[x - 1] == "" and x > 1
    at = x - 1 - wide
    if screen.sets[screen.left] == charsets.BRITISH:
        return "", 0  # xterm draws other letters in it
    table = charsets.MAPS.get(screen.sets[screen.left])
    shown = last.translate(table) if table else last
    cell = line.chars[at]
    if line.styles[at] is not screen.pen or cell[:1] != shown:
        return "", 0
    return last + cell[1:], 1 + wide


def dump(screen: Moded, *, last: str = "", with_input: bool = True) -> bytes:
    """Return the keyframe of a screen.

    `last` is the character that REP would repeat, if any. `with_input=False` leaves out what changes the
    bytes a terminal sends (mouse, paste, focus, keyboard), for those who only look on.
    """
    out = _Writer()
    if screen.tabstops != screen.default_tabstops():
        out.write("\x1b[3g")
        for stop in sorted(screen.tabstops):
            out.write(f"\x1b[{stop + 1}G\x1bH")
        out.write("\r")
    if screen.on_alternate:
        _alternate(out, screen)
    _rows(out, screen.rows, screen.columns, main=not screen.on_alternate)
    if screen.saved is not None:
        _saved(out, screen.saved)
        out.write("\x1b7")
        _unsaved(out, screen.saved)
    _cursor(out, screen)
    _titles(out, screen)
    again, width = drawable_again(screen, last)
    # REP repeats what was drawn last, and that must be the last thing then.
    out.write("\b" * width)
    out.turn(screen.pen)
    _modes(out, screen, with_input=with_input)
    out.sets(tuple(screen.sets), screen.left)
    if again:
        out.write(again)
    elif screen.shift:
        out.write("\x1bN" if screen.shift == 2 else "\x1bO")  # noqa: PLR2004 - G2
    return "".join(out.parts).encode()
