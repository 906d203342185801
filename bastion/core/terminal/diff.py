"""What to send so that a terminal showing one picture shows another.

Sends nothing but checked cell texts and these: CR, LF, BS, ESC M, CUP, CUF, EL 0, ED 0 and 2, SGR,
DECSTBM, REP, DECTCEM, ?2026, DECSCUSR, and by leave of `Caps` OSC 8 and OSC 2. Never asks anything.

Theory of operation. On entry and on exit the pen is reset, there are no margins, and the cursor is
where the picture says. Rows that are the same object cost nothing. Rows that moved are moved by a
scroll region. Then each changed row is drawn: in place, or erased from its first difference and
drawn anew, whichever is shorter. Erasing happens with a reset pen only, so terminals that erase
with the background colour and those that do not agree. A wide character is always written or
overwritten whole. After the last column, and after characters whose width terminals dispute, the
cursor counts as lost and is placed absolutely. A picture of thousands of styles is a hostile one:
past a budget its colours get rougher, so that no picture costs much more than its cells.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from bastion.core.terminal.glyphs import REPLACEMENT, ascii_text, glyph, known
from bastion.core.terminal.grid import Grid, Row, blank, blank_row
from bastion.core.terminal.ink import ink
from bastion.core.terminal.style import CONCEAL, PLAIN, Style
from bastion.core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Generator

    from bastion.core.terminal.caps import Caps

_NEAR: Final = 4  # unchanged cells between two changes that are cheaper written than jumped over
_REPEATED: Final = 12  # from here on REP is shorter whatever comes next
_ERASE: Final = 3  # blank cells at a row's end that cost as much as EL
_REDRAW: Final = 24  # changed cells from which on erasing and drawing anew may be shorter
_FEW: Final = 2  # changed rows that are not worth a scroll region
_TITLE: Final = 200
_BUDGET: Final = 1600  # changes of style and odd characters in one picture; past it, it gets rougher
_SLICE: Final = 600  # pieces of output: 5 ms where each has a style of its own
_SHAPES: Final = range(7)


def diff(before: Grid | None, after: Grid, caps: Caps) -> bytes:
    """Return what turns a terminal that shows `before` into one that shows `after`.

    `before` None: nothing is known but the pen and the cursor's visibility (shown); the screen is
    cleared. Another size: cleared likewise, but its modes count. Not for terminals whose
    `caps.full_screen` is False.
    """
    slices = diff_slices(before, after, caps)
    while True:
        try:
            next(slices)
        except StopIteration as done:
            data: bytes = done.value
            return data


def diff_slices(before: Grid | None, after: Grid, caps: Caps) -> Generator[None, None, bytes]:
    """Work `diff` out in steps of some milliseconds; only a picture of thousands of styles takes more than one."""
    if before is after:
        return b""
    pencil = _Pencil(after, caps)
    if before is None or before.columns != after.columns or len(before.rows) != len(after.rows):
        shown = before or blank(after.columns, len(after.rows))
        pencil.clear()
        base = list(blank(after.columns, len(after.rows)).rows)
    else:
        shown = before
        pencil.x, pencil.y = _within(before)
        base = list(before.rows)
        if caps.scroll_region and caps.wraps_late:
            _scroll(base, after.rows, pencil)
    yield from _draw(base, after.rows, pencil)
    return pencil.finish(shown)


class _Pencil:
    """The bytes so far and what the terminal's pen and cursor are after them. x < 0: lost."""

    def __init__(self, after: Grid, caps: Caps) -> None:
        self.after = after
        self.caps = caps
        self.ink = ink(caps)
        self.out: list[str] = []
        self.pen: Style = PLAIN
        self.x = -1
        self.y = -1
        self.jumps = 0
        self.limit = after.columns  # where the row being drawn must end
        self.budget = _BUDGET

    def clear(self) -> None:
        self.out.append("\x1b[m\x1b[H\x1b[2J")
        self.x = self.y = 0
        self.jumps += 1

    def move(self, x: int, y: int) -> None:
        if self.x == x and self.y == y:
            return
        self.jumps += 1
        ahead = x - self.x
        if self.x < 0 or self.y != y:
            if self.x >= 0 and x == 0 and y == self.y + 1:
                step = "\r\n"
            elif y == 0 and x == 0:
                step = "\x1b[H"
            else:
                step = f"\x1b[{y + 1};{x + 1}H" if x else f"\x1b[{y + 1}H"
        elif x == 0:
            step = "\r"
        elif ahead > 0:
            step = "\x1b[C" if ahead == 1 else f"\x1b[{ahead}C"
        else:
            step = "\b" * -ahead if ahead >= -_NEAR else f"\x1b[{y + 1};{x + 1}H"
        self.out.append(step)
        self.x, self.y = x, y

    def style(self, wanted: Style) -> None:
        if self.budget <= 0 and not self.ink.knows(wanted):
            shown, step = self.ink.coarse(wanted)
            if shown is not self.pen:
                self.out.append(f"\x1b]8;;\x1b\\{step}" if self.pen.link else step)
                self.pen = shown
            return
        self.budget -= not self.ink.knows(wanted)
        shown = self.ink.shown(wanted)
        if shown is not self.pen:
            self.budget -= 1
            self.out.append(self.ink.step(self.pen, shown))
            self.pen = shown

    def erase(self, x: int, y: int, sequence: str) -> None:
        self.move(x, y)
        self.style(PLAIN)
        self.out.append(sequence)

    def write(self, text: str, wanted: Style) -> None:
        """Write printable ASCII that ends inside the row."""
        self.style(wanted)
        size = len(text)
        if wanted.flags & CONCEAL and not self.caps.attributes & CONCEAL:
            text = " " * size
        if self.caps.rep and size >= _REPEATED and text == text[0] * size:
            text = f"{text[0]}\x1b[{size - 1}b"
        self.out.append(text)
        self.x += size
        if self.x >= self.after.columns:
            self.x = -1

    def cell(self, cell: str, width: int, wanted: Style) -> int:
        """Write one cell of whatever text, `width` as the picture has it.

        Returns the cells that it may have covered; those beyond `width` must be written again.
        """
        self.budget -= len(cell) > 1
        if self.budget <= 0 and not known(cell):
            cell = cell[:1]
        shape = glyph(cell)
        if not self.caps.unicode or (wanted.flags & CONCEAL & ~self.caps.attributes):
            text = ascii_text(shape.text, width)
            self.write(" " * width if wanted.flags & CONCEAL else text, wanted)
            return width
        columns = self.after.columns
        x, y = self.x, self.y
        end = x + width
        disputed = not shape.sure or shape.width != width
        text = shape.text
        if shape.most > width and x + shape.most > self.limit:  # it could wrap
            base = glyph(text[0])
            text = base.text if x + base.most <= self.limit else REPLACEMENT
            disputed = True
        self.style(wanted)
        if disputed and width > 1:
            self.out.append("  ")  # where it is drawn narrow, nothing old stands beside it
            self.x = -1 if end >= columns else end
            self.move(x, y)
        self.out.append(text)
        self.x = -1 if disputed or end >= columns else end
        return shape.most

    def finish(self, before: Grid) -> bytes:
        after, caps, out = self.after, self.caps, self.out
        self.style(PLAIN)
        busy = self.jumps > 1
        self.move(*_within(after))
        shape = after.cursor_shape
        if caps.cursor_shapes and shape != before.cursor_shape and shape in _SHAPES:
            out.append(f"\x1b[{shape} q")
        if caps.titles and after.title != before.title:
            out.append(f"\x1b]2;{safe_text(after.title, _TITLE)}\x1b\\")
        hidden = not before.cursor_visible
        if busy and caps.synchronized:
            out.insert(0, "\x1b[?2026h")
        elif busy and not hidden:
            out.insert(0, "\x1b[?25l")
            hidden = True
        if hidden is after.cursor_visible:
            out.append("\x1b[?25h" if after.cursor_visible else "\x1b[?25l")
        if busy and caps.synchronized:
            out.append("\x1b[?2026l")
        return "".join(out).encode()


def _within(grid: Grid) -> tuple[int, int]:
    """Return where the cursor is left: a picture may count it one past the last column."""
    x, y = grid.cursor
    return min(max(x, 0), grid.columns - 1), min(max(y, 0), len(grid.rows) - 1)


# ---- moved rows ---------------------------------------------------------------------------------


def _scroll(base: list[Row], rows: tuple[Row, ...], pencil: _Pencil) -> None:
    """Move rows that only changed their place, and change `base` as the terminal will."""
    changed = [y for y, row in enumerate(rows) if base[y] is not row and base[y] != row]
    if len(changed) <= _FEW:
        return
    first, last = changed[0], changed[-1]
    empty = blank_row(len(rows[0].chars))
    where: dict[tuple[str, ...], int] = {}
    for y in range(first, last + 1):
        chars = base[y].chars
        where[chars] = -1 if chars in where else y  # a text that stands twice says nothing
    votes: Counter[int] = Counter()
    for y in range(first, last + 1):
        source = where.get(rows[y].chars, -1)
        if source >= 0 and source != y and rows[y].chars != empty.chars:
            votes[source - y] += 1
    if not votes:
        return
    shift = votes.most_common(1)[0][0]
    moved = [
        y
        for y in range(max(first, first - shift), min(last, last - shift) + 1)
        if rows[y].chars != empty.chars and base[y + shift] == rows[y]
    ]
    if not moved:
        return
    top, bottom = min(moved[0], moved[0] + shift), max(moved[-1], moved[-1] + shift)
    gained = sum(base[y] != rows[y] for y in moved)
    spoilt = sum(base[y] == rows[y] and rows[y] != empty for y in range(top, bottom + 1)
                 if not (top <= y + shift <= bottom and base[y + shift] == rows[y]))  # fmt: skip
    if gained - spoilt < _FEW:
        return
    _move_rows(base, top, bottom, shift, pencil, empty)


def _move_rows(base: list[Row], top: int, bottom: int, shift: int, pencil: _Pencil, empty: Row) -> None:
    whole = top == 0 and bottom == len(base) - 1
    count = abs(shift)
    if not whole:
        pencil.out.append(f"\x1b[{top + 1};{bottom + 1}r")
    pencil.x = -1  # margins home the cursor, in most terminals
    if shift > 0:
        pencil.move(0, bottom)
        pencil.out.append("\n" * count)
        base[top : bottom + 1] = [*base[top + count : bottom + 1], *[empty] * count]
    else:
        pencil.move(0, top)
        pencil.out.append("\x1bM" * count)
        base[top : bottom + 1] = [*[empty] * count, *base[top : bottom + 1 - count]]
    if not whole:
        pencil.out.append("\x1b[r")
        pencil.x = -1
    pencil.jumps += 1


# ---- changed rows -------------------------------------------------------------------------------


def _draw(base: list[Row], rows: tuple[Row, ...], pencil: _Pencil) -> Generator[None, None, None]:
    bottom = len(rows)
    changed = [y for y, row in enumerate(rows) if base[y] is not row and base[y] != row]
    if not changed:
        return
    ends = {y: _text_end(rows[y]) for y in changed}
    lowest = bottom
    if sum(1 for y in changed if not ends[y]) > 1:  # several rows become empty: at the end, by ED
        empty = blank_row(pencil.after.columns)
        while lowest > 0 and (rows[lowest - 1] == empty):
            lowest -= 1
        if sum(1 for y in changed if y >= lowest) > 1:
            pencil.erase(0, lowest, "\x1b[J")
        else:
            lowest = bottom
    rested = len(pencil.out)
    for y in changed:
        if y >= lowest:
            break
        if len(pencil.out) - rested > _SLICE:
            rested = len(pencil.out)
            yield
        old, new = base[y], rows[y]
        if y == bottom - 1 and not pencil.caps.wraps_late:
            old, new = _without_corner(old), _without_corner(new)
            pencil.limit -= 1
        _draw_row(old, new, y, min(ends[y], pencil.limit), pencil)


def _without_corner(row: Row) -> Row:
    """Return the row as shown at the bottom where a written corner scrolls: its end stays blank."""
    lost = 2 if row.chars[-1] == "" and len(row.chars) > 1 else 1
    filler = blank_row(lost)
    return Row(row.chars[:-lost] + filler.chars, row.styles[:-lost] + filler.styles)


def _text_end(row: Row) -> int:
    """Return where the row's plain blank tail begins."""
    chars, styles = row
    x = len(chars)
    while x and chars[x - 1] == " " and (styles[x - 1] is PLAIN or styles[x - 1] == PLAIN):
        x -= 1
    return x


def _draw_row(old: Row, new: Row, y: int, end: int, pencil: _Pencil) -> None:
    changed = [x for x, (a, b, s, t) in enumerate(zip(old.chars, new.chars, old.styles, new.styles, strict=True)) if a != b or s is not t]
    if not changed:
        return
    mark = (len(pencil.out), pencil.pen, pencil.x, pencil.y, pencil.jumps)
    _draw_cells(old, new, y, end, changed, pencil)
    blanks = new.chars[changed[0] : end].count(" ")
    if len(changed) < _REDRAW or blanks * 2 < end - changed[0]:
        return
    in_place = pencil.out[mark[0] :]
    state = (pencil.pen, pencil.x, pencil.y, pencil.jumps)
    del pencil.out[mark[0] :]
    _, pencil.pen, pencil.x, pencil.y, pencil.jumps = mark
    start = _whole(changed[0], old, new)
    pencil.erase(start, y, "\x1b[K")
    cleared = Row(
        new.chars[:start] + (" ",) * (len(new.chars) - start),
        new.styles[:start] + (PLAIN,) * (len(new.chars) - start),
    )
    again = [x for x in range(start, end) if new.chars[x] != " " or new.styles[x] is not PLAIN]
    _draw_cells(cleared, new, y, end, again, pencil)
    if sum(map(len, pencil.out[mark[0] :])) >= sum(map(len, in_place)):
        pencil.out[mark[0] :] = in_place
        pencil.pen, pencil.x, pencil.y, pencil.jumps = state


def _whole(x: int, old: Row, new: Row) -> int:
    """Return the column at or before `x` that begins a character in both rows."""
    while x > 0 and (old.chars[x] == "" or new.chars[x] == ""):
        x -= 1
    return x


def _draw_cells(old: Row, new: Row, y: int, end: int, changed: list[int], pencil: _Pencil) -> None:
    """Draw the changed columns; those from `end` on are blank and erased, or written if few."""
    width = len(new.chars)
    tail = [x for x in changed if x >= end]
    if len(tail) > _ERASE:
        erased = tail[0]
        changed = changed[: len(changed) - len(tail)]
    else:
        erased = width
    done = 0
    spans: list[tuple[int, int]] = []
    for x in changed:
        if x < done:
            continue
        start, stop = _whole(x, old, new), x + 1
        while stop < width and (old.chars[stop] == "" or new.chars[stop] == ""):
            stop += 1
        if spans and start - spans[-1][1] <= _NEAR:
            start = spans.pop()[0]
        spans.append((start, stop))
        done = stop
    for start, stop in spans:
        pencil.move(start, y)
        _write_span(old, new, start, stop, y, pencil)
    if erased < width:
        pencil.erase(erased, y, "\x1b[K")


def _write_span(old: Row, new: Row, start: int, stop: int, y: int, pencil: _Pencil) -> None:
    chars, styles = new
    x = start
    while x < stop:
        look = styles[x]
        run = x + 1
        while run < stop and styles[run] is look:
            run += 1
        text = "".join(chars[x:run])
        if len(text) == run - x and text.isascii() and text.isprintable():
            pencil.move(x, y)
            pencil.write(text, look)
            x = run
            continue
        run = x
        while run < stop and styles[run] is look:
            wide = run + 1 < len(chars) and chars[run + 1] == "" and chars[run] != ""
            pencil.move(run, y)
            covered = run + pencil.cell(chars[run], 1 + wide, look)
            run += 1 + wide
            while stop < pencil.limit and (stop < covered or old.chars[stop] == "" or chars[stop] == ""):
                stop += 1
        x = run
