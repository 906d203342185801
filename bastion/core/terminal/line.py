"""One row of a screen while it is being drawn on, and the small form it takes in scrollback.

Knows no escape sequence and no position.
"""

from __future__ import annotations

from typing import Final, NamedTuple, cast

from bastion.core.terminal.grid import Row, blank_row
from bastion.core.terminal.style import PLAIN, Style

NEVER: Final = 1 << 16
"""A column that no row has."""


class Line:
    """Cells in two parallel lists, only as long as what was written: beyond them all is plain blank.

    `chars` and `styles` mean what they mean in `Row`. `wrapped`: the text goes on in the row below.
    `shown` is the immutable copy of the last snapshot, None since the row changed. `wide`: there may be
    halves of wide characters among the cells; False means there are none. `hidden`: cells beyond the edge of a
    screen that was made narrower, which come back when it is made wider. `erased`: from this column on cells
    were blanked in a colour, and nothing but what was written since is text that a new width must keep.
    """

    __slots__ = ("chars", "erased", "hidden", "shown", "styles", "wide", "wrapped")

    def __init__(self) -> None:
        self.chars: list[str] = []
        self.styles: list[Style] = []
        self.wrapped = False
        self.wide = False
        self.shown: Row | None = None
        self.hidden: Row | None = None
        self.erased = NEVER

    @property
    def length(self) -> int:
        """Return how many columns of text there are."""
        chars = self.chars
        end = len(chars)
        while end > self.erased and chars[end - 1] == " ":
            end -= 1
        return end

    def pad(self, length: int) -> None:
        """Make the lists at least that long."""
        missing = length - len(self.chars)
        if missing > 0:
            self.chars += [" "] * missing
            self.styles += [PLAIN] * missing

    def cut(self, length: int) -> None:
        """Forget what stands at that column and beyond, halves of wide characters included."""
        chars = self.chars
        if len(chars) > length:
            if chars[length] == "" and length:
                chars[length - 1] = " "
            del chars[length:]
            del self.styles[length:]

    def clip(self, old: int, new: int) -> None:
        """Fit to another width: what stands beyond a nearer edge is hidden, and comes back with the next farther one."""
        self.shown = None
        if self.hidden is None and len(self.chars) <= new:
            return
        self.pad(old)
        chars, styles = self.chars, self.styles
        if self.hidden is not None:
            chars += self.hidden.chars
            styles += self.hidden.styles
        if len(chars) > new and chars[new] == "" and new:
            chars[new - 1] = chars[new] = " "
        self.hidden = Row(tuple(chars[new:]), tuple(styles[new:])) if len(chars) > new and new < old else None
        del chars[new:]
        del styles[new:]

    def row(self, columns: int) -> Row:
        """Return the immutable copy, the same object as long as nothing changes."""
        shown = self.shown
        if shown is None or len(shown.chars) != columns:
            missing = columns - len(self.chars)
            if missing == columns:
                shown = _blank(columns)
            else:
                shown = Row(
                    (*self.chars, *(" ",) * missing) if missing else tuple(self.chars),
                    (*self.styles, *(PLAIN,) * missing) if missing else tuple(self.styles),
                )
            self.shown = shown
        return shown

    def text(self) -> str:
        """Return what the row says, without trailing blanks."""
        return "".join(self.chars).rstrip(" ")


_blanks: dict[int, Row] = {}
_BLANKS_LIMIT: Final = 64


def _blank(columns: int) -> Row:
    found = _blanks.get(columns)
    if found is None:
        if len(_blanks) >= _BLANKS_LIMIT:
            _blanks.clear()
        found = _blanks[columns] = blank_row(columns)
    return found


def filled(columns: int, style: Style) -> Line:
    """Return a new blank row; erased cells take the background of the pen (back-colour erase)."""
    line = Line()
    if style is not PLAIN:
        line.chars = [" "] * columns
        line.styles = [style] * columns
        line.erased = 0
    return line


class Packed(NamedTuple):
    """A row at rest: `text` has one character a cell, or is cells joined by NUL where that cannot be.

    `runs` is one style for all cells, or alternating length and style.
    """

    text: str
    runs: Style | tuple[int | Style, ...]
    wrapped: bool
    erased: int


_new: Final = tuple.__new__  # a third of the time of calling the class, and this is done for each row
_SEPARATOR: Final = "\0"  # no cell can hold it


def pack(line: Line) -> Packed:
    """Return the small form."""
    chars, styles = line.chars, line.styles
    if not chars:
        return _PACKED_EMPTY
    text = "".join(chars)
    if len(text) != len(chars) or (not text.isascii() and "" in chars):
        text = _SEPARATOR.join(chars) + _SEPARATOR
    first, size = styles[0], len(styles)
    # The count compares different styles part by part, which is slow: so a look at three of them first.
    if first is styles[-1] is styles[size // 2] and styles.count(first) == size:
        return _new(Packed, (text, first, line.wrapped, line.erased))
    # By identity: styles are interned, and groupby would call back for each run.
    runs: list[int | Style] = []
    at = 0
    for now, style in enumerate(styles):
        if style is not first:
            runs += (now - at, first)
            at, first = now, style
    runs += (size - at, first)
    return _new(Packed, (text, tuple(runs), line.wrapped, line.erased))


_PACKED_EMPTY: Final = Packed("", PLAIN, wrapped=False, erased=NEVER)


def unpack(packed: Packed) -> Line:
    """Return a row to draw on or show again."""
    line = Line()
    line.wide = True
    text = packed.text
    line.chars = text.split(_SEPARATOR)[:-1] if text.endswith(_SEPARATOR) else list(text)
    line.wrapped = packed.wrapped
    line.erased = packed.erased
    runs = packed.runs
    if isinstance(runs, Style):
        line.styles = [runs] * len(line.chars)
    else:
        pairs = iter(runs)
        for length in pairs:
            line.styles += [cast("Style", next(pairs))] * cast("int", length)
    return line
