"""A canvas for our own screens: text at places, made into a `Grid`.

Never lets a control character in, and never writes half a wide character.
"""

from __future__ import annotations

from bastion.core.terminal.grid import Grid, Row, blank_row
from bastion.core.terminal.style import PLAIN, Style
from bastion.core.text import char_width, safe_text, text_width


class Canvas:
    """A picture being painted, `columns` x `lines`, all blank at first."""

    def __init__(self, columns: int, lines: int, style: Style = PLAIN) -> None:
        self.columns = columns
        self.lines = lines
        self._chars = [[" "] * columns for _ in range(lines)]
        self._styles = [[style] * columns for _ in range(lines)]

    def text(self, x: int, y: int, text: str, style: Style = PLAIN, width: int | None = None) -> int:
        """Write `text` from (x, y) and return the column after it.

        With `width` exactly so many cells are written: longer text ends in "…", shorter is filled
        with blanks. Text outside the canvas is clipped. Controls are shown escaped.
        """
        if not 0 <= y < self.lines:
            return x
        text = safe_text(text)
        end = self.columns if width is None else min(x + width, self.columns)
        if width is not None:
            text = clip(text, max(min(width, self.columns - max(x, 0)), 0))
        chars, styles = self._chars[y], self._styles[y]
        for character in text:
            size = char_width(character)
            if size == 0:
                at = x - 1 if x > 0 and chars[x - 1] else x - 2
                if 0 <= at < self.columns:
                    chars[at] += character
                continue
            if x + size > end:
                break
            if x >= 0:
                self._break_wide(chars, x, x + size)
                chars[x] = character
                styles[x] = style
                if size > 1:
                    chars[x + 1] = ""
                    styles[x + 1] = style
            x += size
        if width is not None and x < end:
            self.fill(x, y, end - x, style)
            x = end
        return x

    def fill(self, x: int, y: int, width: int, style: Style) -> None:
        """Make `width` cells from (x, y) blank in that style."""
        if not 0 <= y < self.lines:
            return
        start, end = max(x, 0), min(x + width, self.columns)
        if start < end:
            self._break_wide(self._chars[y], start, end)
            self._chars[y][start:end] = [" "] * (end - start)
            self._styles[y][start:end] = [style] * (end - start)

    @staticmethod
    def _break_wide(chars: list[str], start: int, end: int) -> None:
        """Blank the other halves of wide characters that are about to be overwritten in part."""
        if chars[start] == "":
            chars[start - 1] = " "
        if end < len(chars) and chars[end] == "":
            chars[end] = " "

    def row(self, y: int) -> Row:
        """Return one painted line."""
        return Row(tuple(self._chars[y]), tuple(self._styles[y]))

    def frame(self, cursor: tuple[int, int] | None = None, title: str = "") -> Grid:
        """Return the picture; without `cursor` it shows none."""
        empty = blank_row(self.columns)
        rows = tuple(map(self.row, range(self.lines)))
        return Grid(
            self.columns,
            tuple(empty if row == empty else row for row in rows),
            cursor or (0, 0),
            cursor_visible=cursor is not None,
            title=title,
        )


def clip(text: str, width: int) -> str:
    """Return safe text that takes at most `width` cells; where cut it ends in "…"."""
    if text_width(text) <= width:
        return text
    room, kept = width - 1, 0
    for index, character in enumerate(text):
        kept += char_width(character)
        if kept > room:
            return text[:index] + "…" if width > 0 else ""
    return text


def line(columns: int, text: str, style: Style = PLAIN) -> Row:
    """Return one row of that width, filled with the text and its style: a status line."""
    canvas = Canvas(columns, 1, style)
    canvas.text(0, 0, text, style, columns)
    return canvas.row(0)
