"""What becomes of a screen's rows when the window changes its size.

Never loses what tmux and xterm both keep. Where terminals disagree it is done as xterm.js does: on the main
screen rows that were one line are wrapped anew, all but the line the cursor is in, which the shell draws
again; the alternate screen is clipped or extended, for its program draws it all again, and what was clipped comes
back when it is widened, until it is erased.
"""

from __future__ import annotations

from typing import NamedTuple

from bastion.core.terminal.line import Line


class Layout(NamedTuple):
    """Rows from the oldest in scrollback to the last on the screen; `base` of them are scrollback."""

    rows: list[Line]
    base: int
    y: int


def change_height(layout: Layout, old: int, new: int) -> Layout:
    """Add or drop rows: below the cursor first, then from or to the scrollback."""
    rows, base, y = layout
    for _ in range(old, new):
        if base > 0 and len(rows) <= base + y + 1:
            base -= 1
            y += 1
        else:
            rows.append(Line())
    for _ in range(new, old):
        if len(rows) > base + y + 1:
            rows.pop()
        else:
            base += 1
            y -= 1
    return Layout(rows, base, min(y, new - 1))


def _groups(rows: list[Line]) -> list[tuple[int, int]]:
    """Return start and end of each stretch of rows that is one line."""
    groups = []
    start = 0
    for at, line in enumerate(rows):
        if not line.wrapped or at + 1 == len(rows):
            groups.append((start, at + 1))
            start = at + 1
    return groups


def _rewrap(group: list[Line], old: int, new: int) -> list[Line]:
    """Return one line's cells in rows of `new` columns."""
    whole = Line()
    for line in group[:-1]:
        length = len(line.chars)
        whole.chars += line.chars
        whole.styles += line.styles
        if length < old - 1:
            # Cells before the edge were erased since: they stay a gap.
            whole.pad(len(whole.chars) + old - length)
    length = group[-1].length
    whole.chars += group[-1].chars[:length]
    whole.styles += group[-1].styles[:length]
    chars, styles = whole.chars, whole.styles
    if new == 1:
        # There is room for no wide character.
        for at in range(1, len(chars)):
            if chars[at] == "":
                chars[at - 1] = chars[at] = " "
    made: list[Line] = []
    at, count = 0, len(chars)
    while at < count:
        end = min(at + new, count)
        if end < count and chars[end] == "" and end - at > 1:
            end -= 1  # a wide character does not fit into the last column
        line = Line()
        line.wide = True
        line.chars, line.styles = chars[at:end], styles[at:end]
        line.wrapped = end < count
        made.append(line)
        at = end
    return made or [Line()]


def change_width(layout: Layout, lines: int, old: int, new: int) -> Layout:
    """Wrap lines anew from `old` to `new` columns, on a screen `lines` high."""
    found = _narrow(layout, lines, old, new) if new < old else _widen(layout, old, new)
    rows, base, y = found
    del rows[base + lines :]
    rows += [Line() for _ in range(base + lines - len(rows))]
    return Layout(rows, base, min(y, lines - 1))


def _widen(layout: Layout, old: int, new: int) -> Layout:
    """Join what was wrapped. The screen moves up by each row saved, or else the cursor does."""
    rows, base, y = layout
    cursor = base + y
    made: list[Line] = []
    for start, end in _groups(rows):
        group = rows[start:end]
        made += group if len(group) == 1 or start <= cursor < end else _rewrap(group, old, new)
    saved = len(rows) - len(made)
    for _ in range(saved):
        if base:
            base -= 1
        elif y:
            y -= 1
    return Layout(made, base, y)


def _narrow(layout: Layout, lines: int, old: int, new: int) -> Layout:
    """Wrap what is too long, from the last line up. The screen moves down by each row that is added.

    Blank rows at the bottom are used up first. That the cursor's line is looked for where the screen is by
    then, and not where it was, is xterm.js's way too.
    """
    rows, base, y = layout
    made: list[list[Line]] = []
    added = used = 0
    for start, end in reversed(_groups(rows)):
        group = rows[start:end]
        if start <= base + y < end or (len(group) == 1 and group[0].length <= new):
            made.append(group)
            continue
        fresh = _rewrap(group, old, new)
        more = max(0, len(fresh) - len(group))
        made.append(fresh)
        added += more
        for _ in range(more):
            if base:
                base += base < len(rows) - used + added - lines
            elif y < lines - 1:
                y += 1
                used += 1
            else:
                base += 1
    flat = [line for group in reversed(made) for line in group]
    return Layout(flat[: len(flat) - used], base, y)
