"""The screen of one session: pyte's, with everything a terminal of today does.

Never parses and never speaks to anyone: a stream calls it, viewers look at its snapshots.
"""

from __future__ import annotations

from bastion.core.terminal.canvas import TAB_WIDTH
from bastion.core.terminal.grid import Grid
from bastion.core.terminal.line import Line, Packed, pack, unpack
from bastion.core.terminal.modes import Moded
from bastion.core.terminal.reflow import Layout, change_height, change_width


class Screen(Moded):
    """A screen of `columns` by `lines` cells, with at most `history` rows of scrollback."""

    def snapshot(self) -> Grid:
        """Return a picture; rows that did not change are the same objects as in the last one."""
        columns = self.columns
        return Grid(
            columns,
            tuple([line.row(columns) for line in self.rows]),
            (min(self.x, columns - 1), self.y),
            self.cursor_visible,
            self.cursor_shape,
            self.title,
        )

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """Change the size; the main screen reflows, the alternate is clipped (and shows again what was, when widened)."""
        lines = lines or self.lines
        columns = columns or self.columns
        if (lines, columns) == (self.lines, self.columns):
            return
        if self.on_alternate and self.other is not None:
            shown, hidden = self.rows, self.other
            main_saved = self.other_saved
            place = (main_saved.x, main_saved.y) if main_saved else (self.x, self.y)
            layout = self._resized_main(hidden, place[1], lines, columns)
            self.other = layout.rows
            if main_saved:
                self.other_saved = main_saved._replace(x=min(main_saved.x, columns - 1), y=layout.y)
            cut = change_height(Layout(shown, 0, self.y), self.lines, lines)
            self.rows = cut.rows[cut.base :]
            for line in self.rows:
                line.clip(self.columns, columns)
            self.y = cut.y
        else:
            layout = self._resized_main(self.rows, self.y, lines, columns)
            self.rows = layout.rows
            self.y = layout.y
        if self.saved:
            # Where it was, whatever became of the rows: so have it tmux and libvterm.
            self.saved = self.saved._replace(x=min(self.saved.x, columns - 1), y=min(self.saved.y, lines - 1))
        self.tabstops = {stop for stop in self.tabstops if stop < columns} | {
            stop for stop in range(0, columns, TAB_WIDTH) if stop >= self.columns
        }
        self.columns, self.lines = columns, lines
        self.x = min(self.x, columns - 1)
        self.y = max(0, min(self.y, lines - 1))
        self.top, self.bottom = 0, lines - 1

    def _resized_main(self, rows: list[Line], y: int, lines: int, columns: int) -> Layout:
        """Lay out the main screen's rows anew, with its scrollback."""
        old = [unpack(packed) for packed in self.scrollback.rows()]
        layout = change_height(Layout([*old, *rows], len(old), y), self.lines, lines)
        if columns != self.columns:
            layout = change_width(layout, lines, self.columns, columns)
        for line in layout.rows:
            if len(line.chars) > columns:
                line.cut(columns)
            line.shown = None
        self.scrollback.clear()
        self.scrollback.extend([pack(line) for line in layout.rows[: layout.base]])
        return layout._replace(rows=layout.rows[layout.base :], base=0)

    def history(self, count: int | None = None) -> list[Packed]:
        """Return the newest rows of scrollback, oldest first."""
        return self.scrollback.rows(count)
