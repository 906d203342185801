"""The renderer's bytes in a real terminal: tmux shows what the picture says.

The program in the pane writes what it is given, asks for the cursor's place and answers when the
terminal has: by then everything before was drawn, so nothing here waits for a time.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from bastion.core.terminal.caps import TRUE_COLOR, Caps
from bastion.core.terminal.diff import diff
from bastion.core.terminal.fullscreen import enter, leave
from bastion.core.terminal.grid import Grid, Row
from bastion.core.terminal.style import PLAIN, RGB, Style, style
from tests.core.terminal_grid.pictures import FUZZ, changed, random_grid
from tests.core.terminal_grid.strict import StrictTerminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS, LINES = 60, 15
LOOKS = (
    PLAIN, style(1), style(bg=4), style(3, 12, 1), style(200, 17), style(RGB | 0x123456, flags=4),
    style(9, flags=16 | 2), style(underline=1), style(flags=64), style(15, 8, 8),
)  # fmt: skip
PANE = """
import os, sys, tty
tty.setraw(0)
orders, done = open(sys.argv[1], "rb", 0), open(sys.argv[2], "wb", 0)
while (size := orders.readline()):
    data = b""
    while len(data) < int(size):
        data += orders.read(int(size) - len(data))
    data += b"\\x1b[6n"
    while data:
        data = data[os.write(1, data):]
    answer = b""
    while not answer.endswith(b"R"):
        answer += os.read(0, 1)
    done.write(b"k")
"""


class Tmux:
    """One pane of a tmux server of its own."""

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / "tmux")
        orders, done = folder / "orders", folder / "done"
        os.mkfifo(orders)
        os.mkfifo(done)
        script = folder / "pane.py"
        script.write_text(PANE)
        self._tmux(
            "-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES),
            sys.executable, str(script), str(orders), str(done),
            ";", "set", "-g", "status", "off", ";", "resize-window", "-x", str(COLUMNS), "-y", str(LINES),
        )  # fmt: skip
        self._orders = orders.open("wb", 0)
        self._done = os.open(done, os.O_RDONLY)

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-u", "-S", self._socket, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout

    def write(self, data: bytes) -> None:
        self._orders.write(b"%d\n" % len(data) + data)
        ready, _, _ = select.select([self._done], [], [], 20)
        assert ready, "the terminal never answered"
        assert os.read(self._done, 1) == b"k"

    def grid(self) -> Grid:
        rows, pen = [], PLAIN
        for text in self._tmux("capture-pane", "-p", "-e", "-N").split("\n")[:LINES]:
            terminal = StrictTerminal(COLUMNS + 1, 1)
            terminal.pen = pen
            terminal.feed(text.encode())
            pen = terminal.pen
            cells = terminal.cells[0][:COLUMNS]
            rows.append(Row(tuple(c for c, _ in cells), tuple(s for _, s in cells)))
        x, y, flag = self.state("#{cursor_x} #{cursor_y} #{cursor_flag}").split()
        return Grid(COLUMNS, tuple(rows), (int(x), int(y)), flag == "1")

    def state(self, template: str) -> str:
        return self._tmux("display-message", "-p", template).strip()

    def close(self) -> None:
        self._orders.close()
        os.close(self._done)
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    pane = Tmux(tmp_path)
    yield pane
    pane.close()


def looks_of(row: Row) -> list[tuple[str, Style]]:
    """Return the cells as they look; a blank's ink is nothing that one can see."""
    seen = []
    for cell, look in zip(row.chars, row.styles, strict=True):
        shown = look
        if cell == " " and not look.underline and not look.flags & (16 | 64):
            shown = style(bg=look.bg)
        seen.append((cell, shown))
    return seen


def test_tmux_shows_random_pictures_and_their_changes_exactly(tmux: Tmux) -> None:
    caps = replace(Caps.of("tmux-256color"), colors=TRUE_COLOR)
    random = Random(7)
    now: Grid | None = None
    tmux.write(enter(caps))
    for turn in range(int(25 * FUZZ)):
        fresh = now is None or turn % 8 == 7
        after = random_grid(random, COLUMNS, LINES, LOOKS, 0.0) if fresh or now is None else changed(random, now, LOOKS, 0.0)
        tmux.write(diff(now, after, caps))
        shown = tmux.grid()
        for y, (got, want) in enumerate(zip(shown.rows, after.rows, strict=True)):
            assert looks_of(got) == looks_of(want), f"turn {turn}, row {y}"
        assert (shown.cursor, shown.cursor_visible) == (after.cursor, after.cursor_visible)
        now = after


def agreed(row: Row) -> Row:
    """Return the row without the sequences that this tmux and newer tables measure differently."""
    return Row(tuple("漢" if "\u200d" in c or "\ufe0f" in c else c for c in row.chars), row.styles)


def test_tmux_shows_wide_and_combined_characters_where_they_belong(tmux: Tmux) -> None:
    caps = Caps.of("tmux-256color")
    random = Random(11)
    tmux.write(enter(caps))
    now: Grid | None = None
    for turn in range(int(15 * FUZZ)):
        after = random_grid(random, COLUMNS, LINES, (PLAIN,), 0.3)
        after = replace(after, rows=tuple(map(agreed, after.rows)))
        tmux.write(diff(now, after, caps))
        for y, (got, want) in enumerate(zip(tmux.grid().rows, after.rows, strict=True)):
            assert got.chars == want.chars, f"turn {turn}, row {y}"
        now = after


def test_the_screen_that_stood_there_before_comes_back_exactly(tmux: Tmux) -> None:
    caps = Caps.of("xterm-256color")
    tmux.write(b"\x1b[2;3Hbefore \x1b[1;31mred\x1b[m $ ")
    before = tmux.grid()
    last = replace(random_grid(Random(2), COLUMNS, LINES, LOOKS, 0.0), cursor_shape=5)
    tmux.write(enter(caps, paste=True) + diff(None, last, caps))
    assert tmux.state("#{alternate_on}") == "1"
    tmux.write(leave(caps, last))
    assert tmux.state("#{alternate_on} #{keypad_cursor_flag} #{mouse_any_flag}") == "0 0 0"
    assert tmux.grid() == before
