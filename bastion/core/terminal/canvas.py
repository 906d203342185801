"""A screen's cells, its cursor and how text is drawn on them.

Knows no control sequence: those arrive as calls, from a stream.

Theory of operation. `rows` is the list of lines on view. `x` runs from 0 to `columns`: there, after the
last column was written, the next character wraps first ("pending wrap"); whatever moves the cursor ends
that. Text is drawn by runs: what takes one column each is put into a row by slice assignment, and only
the odd ones (combining marks, emoji) are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import pyte
from pyte.screens import Cursor, Margins

from bastion.core.terminal import charsets
from bastion.core.terminal.line import NEVER, Line, filled
from bastion.core.terminal.scrollback import Scrollback
from bastion.core.terminal.sgr import Transitions, transitions
from bastion.core.terminal.style import DEFAULT, PLAIN, Style, style
from bastion.core.terminal.widths import SEGMENTS, width

MARKS_MAX: Final = 16
"""Code points that may combine with one character. Terminals keep 5 (libvterm), 10 (tmux) or all."""

TAB_WIDTH: Final = 8


class _Glyphs(dict[str, str]):
    """One string object per character, so that a screen of CJK does not hold thousands of copies."""

    LIMIT: Final = 8192

    def __missing__(self, char: str) -> str:
        if len(self) >= self.LIMIT:
            self.clear()
        self[char] = char
        return char


_glyph: Final = _Glyphs().__getitem__


class _Narrow(dict[str, "tuple[str, ...] | None"]):
    """The cells of texts that take a column a character, None for others; short ones are remembered.

    What full-screen programs draw their frames with comes again and again.
    """

    LIMIT: Final = 4096
    LENGTH: Final = 16

    def __missing__(self, text: str) -> tuple[str, ...] | None:
        cells = None if SEGMENTS.search(text) else tuple(map(_glyph, text))
        if len(text) <= self.LENGTH:
            if len(self) >= self.LIMIT:
                self.clear()
            self[text] = cells
        return cells


_narrow: Final = _Narrow()


class Saved(NamedTuple):
    """What DECSC keeps."""

    x: int = 0
    y: int = 0
    pen: Style = PLAIN
    sets: tuple[str, str, str, str] = (charsets.ASCII,) * 4
    left: int = 0
    origin: bool = False


class Canvas(pyte.Screen):
    """Rows, cursor, pen and margins. Sizes are in cells, positions from 0."""

    def __init__(self, columns: int, lines: int, history: int = 1000) -> None:
        self.columns = columns
        self.lines = lines
        self.rows = [Line() for _ in range(lines)]
        self.scrollback = Scrollback(history)
        self.left_text: list[str] | None = None  # texts of rows that left, when somebody collects them
        self.x = self.y = 0
        self.top, self.bottom = 0, lines - 1
        self.pen = PLAIN
        self.transitions: Transitions = transitions(PLAIN)
        self.sets = [charsets.ASCII] * 4  # G0 to G3
        self.left = 0  # which of them is in use (GL)
        self.shift = 0  # which of them the next character alone uses; 0 none
        self.autowrap = True
        self.insert = self.origin = self.newline = self.reverse_wrap = False
        self.plain = True  # ASCII text can be put as it is
        self.on_alternate = False
        self.tabstops = set(range(TAB_WIDTH, columns, TAB_WIDTH))

    # -- what pyte's users look at -------------------------------------------------------------

    @property
    def cursor(self) -> Cursor:  # type: ignore[override]
        """Return where the cursor is; `x` is the last column while a wrap is pending."""
        return Cursor(min(self.x, self.columns - 1), self.y)

    @property
    def margins(self) -> Margins | None:  # type: ignore[override]
        """Return the scrolling region, None for the whole screen."""
        if self.top == 0 and self.bottom == self.lines - 1:
            return None
        return Margins(self.top, self.bottom)

    @property
    def display(self) -> list[str]:
        """Return the rows as text, each padded to the screen's width."""
        return ["".join(line.row(self.columns).chars) for line in self.rows]

    # -- drawing --------------------------------------------------------------------------------

    def draw(self, data: str) -> None:
        """Draw text at the cursor. Control characters in it are passed over."""
        if self.plain and data.isascii():
            self.put(data)
        elif not self.plain:
            self._draw_mapped(data)
        else:
            self.draw_mixed(data)

    def put(self, text: Sequence[str]) -> None:
        """Draw characters that take one column each, one element a cell."""
        x = self.x
        count = len(text)
        end = x + count
        if end > self.columns:
            self._put_long(text)
            return
        line = self.rows[self.y]
        line.shown = None
        chars = line.chars
        have = len(chars)
        if x >= have:
            if x > have:
                line.pad(x)
            chars += text
            line.styles += [self.pen] * count
        else:
            if line.wide:
                self._split_wide(line, x, end)
            if count == 1:
                chars[x] = text[0]
                line.styles[x] = self.pen
            else:
                chars[x:end] = text
                line.styles[x:end] = [self.pen] * count
        self.x = end if end < self.columns or self.autowrap else end - 1

    def _split_wide(self, line: Line, start: int, end: int) -> None:
        """Blank the halves that remain of wide characters when the cells between are written over."""
        chars = line.chars
        if chars[start] == "" and start:
            chars[start - 1] = " "
            line.styles[start - 1] = self.pen
        if end < len(chars) and chars[end] == "":
            chars[end] = " "
            line.styles[end] = self.pen

    def _put_long(self, text: Sequence[str]) -> None:
        """Draw across the right edge."""
        at, count, columns = 0, len(text), self.columns
        while at < count:
            if self.x >= columns:
                if not self.autowrap:
                    self.x = columns - 1
                    self.put(text[count - 1 :])
                    break
                self._wrap()
            part = text[at : at + columns - self.x]
            self.put(part)
            at += len(part)
        if self.x >= columns and not self.autowrap:
            self.x = columns - 1

    def _wrap(self) -> None:
        """Go on in the next row, which belongs to this one."""
        self.rows[self.y].wrapped = True
        self.x = 0
        self.index()

    def _put_wide(self, text: str) -> None:
        """Draw characters that take two columns each."""
        at, count, columns = 0, len(text), self.columns
        if columns < 2:  # noqa: PLR2004 - there is no room for a wide character anywhere
            return
        while at < count:
            room = (columns - self.x) // 2
            if room <= 0:
                if not self.autowrap:
                    return
                self._wrap()
                room = columns // 2
            part = text[at : at + room]
            cells = [""] * (2 * len(part))
            cells[::2] = map(_glyph, part)
            self.rows[self.y].wide = True
            self.put(cells)
            at += len(part)
        if self.x >= columns and not self.autowrap:
            self.x = columns - 1

    def draw_mixed(self, text: str) -> None:
        """Draw text that is not all ASCII, as it is."""
        cells = _narrow[text]
        if cells is not None:
            self.put(cells)
            return
        pieces = SEGMENTS.split(text)
        for at in range(0, len(pieces) - 1, 3):
            narrow, wide, odd = pieces[at], pieces[at + 1], pieces[at + 2]
            if narrow:
                self._put_narrow(narrow)
            if wide:
                self._put_wide(wide)
            elif odd:
                for char in odd:
                    self._put_odd(char)
        if pieces[-1]:
            self._put_narrow(pieces[-1])

    def _put_narrow(self, text: str) -> None:
        self.put(text if text.isascii() else tuple(map(_glyph, text)))

    def _put_odd(self, char: str) -> None:
        """Draw one character of any width."""
        columns = width(char)
        if columns == 1:
            self.put((_glyph(char),))
        elif columns == 2:  # noqa: PLR2004 - columns
            self._put_wide(char)
        elif columns == 0:
            self._combine(char)

    def _combine(self, mark: str) -> None:
        """Add a mark to the character before the cursor."""
        line = self.rows[self.y]
        at = self.x - 1
        if at < 0:
            return
        line.pad(at + 1)
        if line.chars[at] == "" and at:
            at -= 1
        cell = line.chars[at]
        if len(cell) <= MARKS_MAX:
            line.shown = None
            line.chars[at] = cell + mark

    def _draw_mapped(self, text: str) -> None:
        """Draw with a character set, a single shift or insert mode at work."""
        if self.shift:
            table = charsets.MAPS.get(self.sets[self.shift])
            first, text = text[0], text[1:]
            self.shift = 0
            self.refresh_plain()
            self._draw_inserting(first.translate(table) if table else first)
            if not text:
                return
        table = charsets.MAPS.get(self.sets[self.left])
        if table:
            text = text.translate(table)
        self._draw_inserting(text)

    def _draw_inserting(self, text: str) -> None:
        if not self.insert:
            self.draw_mixed(text)
            return
        for char in text:
            columns = width(char)
            if columns > 0:
                if self.x + columns > self.columns:
                    if self.autowrap:
                        self._wrap()
                    else:
                        self.x = self.columns - 1
                self.insert_characters(columns)
            self.draw_mixed(char)

    def refresh_plain(self) -> None:
        """Work out anew whether ASCII text can be put as it is."""
        self.plain = not (self.insert or self.shift or self.sets[self.left] in charsets.MAPS)

    # -- rows coming and going -------------------------------------------------------------------

    @property
    def blank(self) -> Style:
        """Return the style of an erased cell: the pen's background and nothing else."""
        background = self.pen.bg
        return PLAIN if background == DEFAULT else style(bg=background)

    def index(self) -> None:
        """Move down a row; at the bottom margin, scroll."""
        y = self.y
        if y != self.bottom:
            if y < self.lines - 1:
                self.y = y + 1
        elif self.top:
            self.scroll(self.top, y, 1)
        else:
            line = self.rows.pop(0)
            if not self.on_alternate and line is not GHOST:  # as `leave` does: one call less for each line of output
                if self.scrollback.limit:
                    self.scrollback.push(line)
                if self.left_text is not None:
                    self.left_text.append(line.text())
            if self.pen.bg == DEFAULT and line is not GHOST:
                line.chars = []  # its cells are kept elsewhere: the object can serve again
                line.styles = []
                line.wrapped = line.wide = False
                line.shown = line.hidden = None
                line.erased = NEVER
            else:
                line = filled(self.columns, self.blank)
            self.rows.insert(y, line)

    def leave(self, line: Line) -> None:
        """See off a row that leaves the main screen at the top."""
        if line is not GHOST:
            if self.scrollback.limit:
                self.scrollback.push(line)
            if self.left_text is not None:
                self.left_text.append(line.text())

    def scroll(self, top: int, bottom: int, count: int) -> None:
        """Move the rows from `top` to `bottom` up by `count` (down when negative), blanks following."""
        rows, size = self.rows, bottom - top + 1
        blank, columns = self.blank, self.columns
        if count >= 0:
            count = min(count, size)
            if top == 0 and not self.on_alternate:
                for line in rows[:count]:
                    self.leave(line)
            del rows[top : top + count]
            at = bottom + 1 - count
            rows[at:at] = [filled(columns, blank) for _ in range(count)]
        else:
            count = min(-count, size)
            del rows[bottom + 1 - count : bottom + 1]
            rows[top:top] = [filled(columns, blank) for _ in range(count)]
        if bottom < self.lines - 1 or count < 0:
            rows[bottom].wrapped = False
        if top:
            rows[top - 1].wrapped = False

    def insert_characters(self, count: int | None = None) -> None:
        """Insert blanks at the cursor; what is pushed over the right edge is lost."""
        raise NotImplementedError


GHOST: Final = Line()
"""Stands for a row whose text already is in the scrollback, until it leaves the screen unseen."""
