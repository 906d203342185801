"""Moving the cursor, erasing, inserting, deleting and scrolling: what control sequences ask of a screen.

Never draws text. The method names are pyte's where pyte has the function, so that its own stream could
drive this screen too. A count or position that is missing or 0 means 1, as everywhere in ECMA-48.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Any

from bastion.core.terminal.canvas import TAB_WIDTH, Canvas
from bastion.core.terminal.line import filled
from bastion.core.terminal.style import PLAIN
from bastion.core.terminal.widths import width


class Editor(Canvas):
    """A canvas that can be edited."""

    _ordered: tuple[set[int] | None, list[int]] = (None, [])  # the tab stops and the same in order, see `_stops`

    # -- cursor ---------------------------------------------------------------------------------

    def _unwrap(self) -> None:
        """End a pending wrap: the cursor stands on the last column."""
        if self.x >= self.columns:
            self.x = self.columns - 1

    def carriage_return(self) -> None:
        """Move to the first column."""
        self.x = 0

    def linefeed(self) -> None:
        """Move down a row, scrolling; in newline mode to its start.

        Where it scrolls, the cursor has not moved and a pending wrap stays (libvterm, tmux).
        """
        if self.y != self.bottom:
            self.rows[self.y].wrapped = False
            if self.x >= self.columns:
                self.x = self.columns - 1
        self.index()
        if self.newline:
            self.x = 0

    def next_line(self) -> None:
        """Move to the start of the next row, scrolling (NEL, and CR LF in one)."""
        self.x = 0
        if self.y != self.bottom:
            self.rows[self.y].wrapped = False
        self.index()

    def reverse_index(self) -> None:
        """Move up a row; at the top margin, scroll down."""
        if self.y == self.top:
            self.scroll(self.top, self.bottom, -1)
            return
        self._unwrap()
        if self.y > 0:
            self.y -= 1

    def backspace(self) -> None:
        """Move left a column; with reverse wrap from the first column to the end of the row above."""
        if self.reverse_wrap and self.autowrap:
            if self.x > 0:
                self.x = min(self.x, self.columns) - 1
            elif self.top < self.y <= self.bottom and self.rows[self.y - 1].wrapped:
                self.y -= 1
                self.rows[self.y].wrapped = False
                self.x = self.columns - 1
            return
        self._unwrap()
        if self.x > 0:
            self.x -= 1

    def tab(self, count: int | None = None) -> None:
        """Move to the next tab stop, at most to the last column."""
        if self.x < self.columns - 1:
            stops = self._stops()
            at = bisect_right(stops, self.x) + min(count or 1, self.columns) - 1
            self.x = min(stops[at], self.columns - 1) if at < len(stops) else self.columns - 1

    def back_tab(self, count: int | None = None) -> None:
        """Move to the tab stop before (CBT)."""
        self._unwrap()
        stops = self._stops()
        at = bisect_left(stops, self.x) - min(count or 1, self.columns)
        self.x = stops[at] if at >= 0 else 0

    def set_tab_stop(self) -> None:
        """Set a tab stop in the cursor's column."""
        stop = min(self.x, self.columns - 1)
        if stop not in self.tabstops:
            insort(self._stops(), stop)
            self.tabstops.add(stop)

    def clear_tab_stop(self, how: int = 0) -> None:
        """Clear the tab stop in the cursor's column (0) or all (3)."""
        stop = min(self.x, self.columns - 1)
        if how == 0 and stop in self.tabstops:
            self._stops().remove(stop)
            self.tabstops.discard(stop)
        elif how == 3:  # noqa: PLR2004
            self.tabstops.clear()

    def _stops(self) -> list[int]:
        """Return the tab stops in order: sorted once and kept so, since an endpoint may tab at every byte."""
        kept = self._ordered
        if kept[0] is not self.tabstops or len(kept[1]) != len(self.tabstops):
            kept = self._ordered = (self.tabstops, sorted(self.tabstops))
        return kept[1]

    def cursor_up(self, count: int | None = None) -> None:
        """Move up, at most to the top margin when below it."""
        self._unwrap()
        limit = self.top if self.y >= self.top else 0
        self.y = max(limit, self.y - (count or 1))

    def cursor_down(self, count: int | None = None) -> None:
        """Move down, at most to the bottom margin when above it."""
        self._unwrap()
        limit = self.bottom if self.y <= self.bottom else self.lines - 1
        self.y = min(limit, self.y + (count or 1))

    def cursor_up1(self, count: int | None = None) -> None:
        """Move up to the start of a row."""
        self.cursor_up(count)
        self.x = 0

    def cursor_down1(self, count: int | None = None) -> None:
        """Move down to the start of a row."""
        self.cursor_down(count)
        self.x = 0

    def cursor_forward(self, count: int | None = None) -> None:
        """Move right, at most to the last column."""
        self.x = min(self.columns - 1, self.x + (count or 1))

    def cursor_back(self, count: int | None = None) -> None:
        """Move left, at most to the first column."""
        self._unwrap()
        self.x = max(0, self.x - (count or 1))

    def cursor_to_column(self, column: int | None = None) -> None:
        """Move to a column, counted from 1."""
        self.x = min(self.columns, column or 1) - 1

    def cursor_to_line(self, line: int | None = None) -> None:
        """Move to a row, counted from 1; in origin mode from the top margin."""
        self._unwrap()
        self._to_line(line or 1)

    def _to_line(self, line: int) -> None:
        if self.origin:
            self.y = min(self.top + line - 1, self.bottom)
        else:
            self.y = (line if line < self.lines else self.lines) - 1

    def cursor_position(self, line: int | None = None, column: int | None = None) -> None:
        """Move to a row and column, counted from 1."""
        column = column or 1
        line = line or 1
        self.x = (column if column < self.columns else self.columns) - 1
        if self.origin:
            self._to_line(line)
        else:
            self.y = (line if line < self.lines else self.lines) - 1

    def cursor_down_absolute(self, count: int | None = None) -> None:
        """Move down without regard to margins (VPR)."""
        self._unwrap()
        self.y = min(self.lines - 1, self.y + (count or 1))

    def set_margins(self, top: int | None = None, bottom: int | None = None) -> None:
        """Set the scrolling region, rows counted from 1, and move home."""
        first = (top or 1) - 1
        last = min(bottom or self.lines, self.lines) - 1
        if last > first:
            self.top, self.bottom = first, last
            self.cursor_position()

    # -- erasing --------------------------------------------------------------------------------

    def erase(self, y: int, start: int, end: int) -> None:
        """Blank the cells of row `y` from `start` to before `end`, with the pen's background."""
        line, blank = self.rows[y], self.blank
        chars, styles = line.chars, line.styles
        have = len(chars)
        if start >= have and blank is PLAIN:
            return
        line.shown = None
        if start < have and start and chars[start] == "":
            chars[start - 1] = " "
            styles[start - 1] = blank
        if end < have and chars[end] == "":
            chars[end] = " "
            styles[end] = blank
        if blank is PLAIN and end >= have:
            del chars[start:]
            del styles[start:]
            return
        line.pad(start)
        if end >= self.columns:
            line.erased = start
        count = end - start
        chars[start:end] = [" "] * count
        styles[start:end] = [blank] * count

    def _erase_rows(self, start: int, end: int) -> None:
        """Blank whole rows, from `start` to before `end`."""
        columns, blank = self.columns, self.blank
        self.rows[start:end] = [filled(columns, blank) for _ in range(start, end)]
        if start and end > start:
            self.rows[start - 1].wrapped = False

    def erase_in_line(self, how: int = 0, private: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - pyte's signature
        """Erase to the end (0), to the cursor (1) or the whole row (2)."""
        x, y, columns = self.x, self.y, self.columns
        if how == 0:
            if x >= columns:
                return  # with a wrap pending there is nothing to the right
            self.erase(y, x, columns)
            self.rows[y].wrapped = False
            if x == 0:
                self.rows[y].hidden = None
                if y:
                    self.rows[y - 1].wrapped = False
        elif how == 1:
            self.erase(y, 0, min(x + 1, columns))
            if y:
                self.rows[y - 1].wrapped = False
        elif how == 2:  # noqa: PLR2004
            self.erase(y, 0, columns)
            self.rows[y].wrapped = False
            self.rows[y].hidden = None
            if y:
                self.rows[y - 1].wrapped = False

    def erase_in_display(self, how: int = 0, *_args: Any, **_kwargs: Any) -> int:  # type: ignore[override]
        """Erase to the end (0), to the cursor (1), the screen (2) or the scrollback (3).

        Returns the rows touched, for whoever counts the effort.
        """
        if how == 0:
            self.erase_in_line(0)
            self._erase_rows(self.y + 1, self.lines)
            return self.lines - self.y
        if how == 1:
            self._erase_rows(0, self.y)
            self.erase_in_line(1)
            return self.y
        if how == 2:  # noqa: PLR2004
            self._erase_rows(0, self.lines)
            return self.lines
        if how == 3:  # noqa: PLR2004
            self.scrollback.clear()
        return 0

    def erase_characters(self, count: int | None = None) -> None:
        """Erase cells from the cursor on; nothing moves."""
        x = min(self.x, self.columns - 1)
        self.erase(self.y, x, min(self.columns, x + (count or 1)))

    # -- inserting and deleting (a pending wrap stays, as in libvterm and tmux) ------------------

    def insert_characters(self, count: int | None = None) -> None:
        """Insert blanks at the cursor; what is pushed over the right edge is lost."""
        columns = self.columns
        x = min(self.x, columns - 1)
        count = min(count or 1, columns - x)
        line, blank = self.rows[self.y], self.blank
        line.shown = None
        line.wrapped = False
        if x >= len(line.chars) and blank is PLAIN:
            return
        line.pad(x)
        chars, styles = line.chars, line.styles
        if x and x < len(chars) and chars[x] == "":
            chars[x - 1] = chars[x] = " "
        chars[x:x] = [" "] * count
        styles[x:x] = [blank] * count
        line.cut(columns)

    def delete_characters(self, count: int | None = None) -> None:
        """Delete cells at the cursor; blanks come in from the right."""
        columns = self.columns
        x = min(self.x, columns - 1)
        count = min(count or 1, columns - x)
        line, blank = self.rows[self.y], self.blank
        line.shown = None
        line.wrapped = False
        chars, styles = line.chars, line.styles
        if blank is not PLAIN:
            line.pad(columns)
        have = len(chars)
        if x and x < have and chars[x] == "":
            chars[x - 1] = " "
        if x + count < have and chars[x + count] == "":
            chars[x + count] = " "
        del chars[x : x + count]
        del styles[x : x + count]
        if blank is not PLAIN:
            chars += [" "] * count
            styles += [blank] * count

    def insert_lines(self, count: int | None = None) -> int:  # type: ignore[override]
        """Insert blank rows at the cursor, within the margins; the cursor stays (libvterm, tmux)."""
        if not self.top <= self.y <= self.bottom:
            return 0
        self.scroll(self.y, self.bottom, -(count or 1))
        return min(count or 1, self.lines)

    def delete_lines(self, count: int | None = None) -> int:  # type: ignore[override]
        """Delete rows at the cursor, within the margins; the cursor stays (libvterm, tmux)."""
        if not self.top <= self.y <= self.bottom:
            return 0
        count = min(count or 1, self.bottom - self.y + 1)
        rows, columns, blank = self.rows, self.columns, self.blank
        del rows[self.y : self.y + count]
        at = self.bottom + 1 - count
        rows[at:at] = [filled(columns, blank) for _ in range(count)]
        if self.y:
            rows[self.y - 1].wrapped = False
        return count

    def scroll_up(self, count: int | None = None) -> int:
        """Scroll the region up (SU); the cursor stays."""
        self.scroll(self.top, self.bottom, count or 1)
        return min(count or 1, self.lines)

    def scroll_down(self, count: int | None = None) -> int:
        """Scroll the region down (SD); the cursor stays."""
        self.scroll(self.top, self.bottom, -(count or 1))
        return min(count or 1, self.lines)

    def repeat(self, char: str, count: int | None = None) -> None:
        """Draw a character again, at most to the end of the row (REP)."""
        room = (self.columns - self.x) // max(1, width(char))
        if room > 0:
            self.draw(char * min(count or 1, room))

    def alignment_display(self) -> int:  # type: ignore[override]
        """Fill the screen with E (DECALN)."""
        self.top, self.bottom = 0, self.lines - 1
        self.x = self.y = 0
        columns = self.columns
        rows = []
        for _ in range(self.lines):
            line = filled(columns, PLAIN)
            line.chars = ["E"] * columns
            line.styles = [PLAIN] * columns
            rows.append(line)
        self.rows[:] = rows
        return self.lines * (2 + columns // 64)

    def default_tabstops(self) -> set[int]:
        """Return the tab stops of a screen this wide after a reset."""
        return set(range(TAB_WIDTH, self.columns, TAB_WIDTH))
