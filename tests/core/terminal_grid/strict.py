"""A terminal that understands only what the renderer may send, and raises on anything else.

Never guesses: a move after the last column, text at a wrap, or half a wide character is an error.
"""

from __future__ import annotations

import re

from bastion.core.terminal.grid import Grid, Row
from bastion.core.terminal.style import DEFAULT, PLAIN, RGB, Style, intern
from bastion.core.text import char_width

_TOKEN = re.compile(
    r"\x1b\[(?P<private>\??)(?P<numbers>[0-9;:]*)(?P<final> ?[A-Za-z])"
    r"|\x1b\](?P<osc>8;;|2;)(?P<string>[^\x00-\x1f\x7f-\x9f]*)\x1b\\"
    r"|(?P<control>\x1bM|[\r\n\b])"
    r"|(?P<text>[^\x00-\x1f\x7f-\x9f])"
)
_FLAGS = {"1": 1, "2": 2, "3": 4, "5": 8, "7": 16, "8": 32, "9": 64, "53": 128}


class Unexpected(Exception):
    """The renderer sent something it must not."""


class StrictTerminal:
    """Cells, pen and cursor. `late`: the cursor stays at the last column until the next character.

    `joins`: emoji sequences are one character of two cells; else each part is drawn for itself.
    """

    def __init__(self, columns: int, lines: int, *, late: bool = True, joins: bool = True) -> None:
        self.columns, self.lines = columns, lines
        self.late, self.joins = late, joins
        self.fresh = False  # nothing but text came since the last character
        self.cells = [[(" ", PLAIN)] * columns for _ in range(lines)]
        self.x = self.y = 0
        self.lost = False  # the last column was written, or a width is disputed
        self.pen = PLAIN
        self.visible, self.shape, self.title = True, 0, ""
        self.top, self.bottom = 0, lines - 1
        self.hides = self.shows = 0
        self.last = ""

    def show(self, grid: Grid) -> None:
        """Put a picture on the screen, as if drawn before."""
        self.cells = [list(zip(row.chars, row.styles, strict=True)) for row in grid.rows]
        (self.x, self.y), self.visible = grid.cursor, grid.cursor_visible
        self.shape, self.title = grid.cursor_shape, grid.title

    def feed(self, data: bytes) -> None:
        text = data.decode()
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise Unexpected(text[at : at + 20])
            at = match.end()
            if match["text"]:
                self._print(match["text"])
                self.fresh = True
                continue
            self.fresh = False
            if match["control"]:
                self._control(match["control"])
            elif match["osc"] == "8;;":
                self.pen = intern(self.pen._replace(link=match["string"]))
            elif match["osc"]:
                self.title = match["string"]
            else:
                self._csi(match["private"], match["numbers"], match["final"])

    def grid(self) -> Grid:
        rows = tuple(Row(tuple(c for c, _ in line), tuple(s for _, s in line)) for line in self.cells)
        return Grid(self.columns, rows, (self.x, self.y), self.visible, self.shape, self.title)

    def _place(self) -> None:
        if self.lost:
            raise Unexpected("a step from a place that terminals do not agree on")

    def _control(self, control: str) -> None:
        if control == "\x1bM":
            self._place()
            if self.y == self.top:
                self._scroll(-1)
            else:
                self.y -= 1
        elif control == "\r":
            self._place()
            self.x = 0
        elif control == "\b":
            self._place()
            if self.x == 0:
                raise Unexpected("a step back over the edge")
            self.x -= 1
        elif self.y == self.bottom:
            self._place()
            self._scroll(1)
        else:
            self._place()
            self.y += 1

    def _scroll(self, by: int) -> None:
        if self.pen is not PLAIN:
            raise Unexpected("scrolling with a coloured pen")
        blank = [[(" ", PLAIN)] * self.columns]
        region = self.cells[self.top : self.bottom + 1]
        self.cells[self.top : self.bottom + 1] = region[1:] + blank if by > 0 else blank + region[:-1]

    def _csi(self, private: str, body: str, final: str) -> None:
        if final == "m" and not private:
            self._sgr(body)
            return
        numbers = [int(part or 0) for part in body.split(";")] if body else []
        match private + final, numbers:
            case "H", []:
                self.x = self.y = 0
                self.lost = False
            case "H", [y] | [y, _]:
                self.x, self.y, self.lost = (
                    (numbers[1] if len(numbers) > 1 else 1) - 1,
                    y - 1,
                    False,
                )
                if not (0 <= self.x < self.columns and 0 <= self.y < self.lines):
                    raise Unexpected(f"a place outside: {body}")
            case "C", [] | [_]:
                self._place()
                self.x += numbers[0] if numbers else 1
                if self.x >= self.columns:
                    raise Unexpected("a step over the edge")
            case "K", []:
                self._place()
                self._erase(self.y, self.x)
            case "J", []:
                self._place()
                self._erase(self.y, self.x)
                for y in range(self.y + 1, self.lines):
                    self._erase(y, 0)
            case "J", [2]:
                for y in range(self.lines):
                    self._erase(y, 0)
            case "r", []:
                self.top, self.bottom = 0, self.lines - 1
                self.x = self.y = 0
                self.lost = False
            case "r", [top, bottom] if 1 <= top < bottom <= self.lines:
                self.top, self.bottom = top - 1, bottom - 1
                self.x = self.y = 0
                self.lost = False
            case "b", [count] if self.last:
                for _ in range(count):
                    self._print(self.last)
            case "?h", [25]:
                self.visible, self.shows = True, self.shows + 1
            case "?l", [25]:
                self.visible, self.hides = False, self.hides + 1
            case "?h" | "?l", [2026]:
                pass
            case " q", [shape] if shape <= 6:
                self.shape = shape
            case _:
                raise Unexpected(f"CSI {private}{body}{final}")

    def _erase(self, y: int, start: int) -> None:
        if self.pen is not PLAIN:
            raise Unexpected("erasing with a coloured pen: terminals differ")
        if start and self.cells[y][start][0] == "":
            raise Unexpected("half a wide character is erased")
        self.cells[y][start:] = [(" ", PLAIN)] * (self.columns - start)

    def _print(self, character: str) -> None:
        width = char_width(character)
        line = self.cells[self.y]
        at = self.x if self.lost else self.x - 1
        at -= at > 0 and line[at][0] == ""
        if width == 0 or (self.joins and self.fresh and line[at][0].endswith("\u200d")):
            if not self.fresh:
                raise Unexpected("a mark with nothing to stand on")
            line[at] = (line[at][0] + character, line[at][1])
            if self.joins and character == "\ufe0f" and not self.lost and line[at + 1][0]:
                line[at + 1] = ("", line[at][1])
                self.x = at + 2
                if self.x == self.columns:
                    self.lost, self.x = True, at + 1
            return
        self._place()
        if self.x + width > self.columns:
            raise Unexpected("a wide character at the edge")
        end = self.x + width
        if line[self.x][0] == "" and self.x:
            line[self.x - 1] = ("?", PLAIN)  # what is left of half a character is anybody's guess
        if end < self.columns and line[end][0] == "":
            line[end] = ("?", PLAIN)
        line[self.x] = (character, self.pen)
        if width == 2:
            line[self.x + 1] = ("", self.pen)
        self.last = character
        self.x = end
        if end == self.columns:
            if not self.late and self.y == self.lines - 1:
                raise Unexpected("the corner was written: the screen scrolls")
            self.lost, self.x = True, end - 1

    def _sgr(self, body: str) -> None:
        parts = body.split(";")
        pen = self.pen
        while parts:
            part = parts.pop(0)
            if part in {"", "0"}:
                pen = PLAIN._replace(link=pen.link)
            elif part in _FLAGS:
                pen = pen._replace(flags=pen.flags | _FLAGS[part])
            elif part == "4" or re.fullmatch("4:[2-5]", part):
                pen = pen._replace(underline=int(part[-1]) if ":" in part else 1)
            else:
                pen = self._color(pen, int(part), parts)
        self.pen = intern(pen)

    @staticmethod
    def _color(pen: Style, code: int, parts: list[str]) -> Style:
        name = {3: "fg", 4: "bg", 9: "fg", 10: "bg", 5: "underline_color"}[code // 10]
        kind = code % 10
        if code // 10 in {9, 10}:
            color = kind + 8
        elif kind == 9:
            color = DEFAULT
        elif kind < 8 and name != "underline_color":
            color = kind
        elif kind == 8 and parts.pop(0) == "5":
            color = int(parts.pop(0))
        else:
            red, green, blue = (int(parts.pop(0)) for _ in range(3))
            color = RGB | red << 16 | green << 8 | blue
        return pen._replace(**{name: color})
