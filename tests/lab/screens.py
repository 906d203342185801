"""Real terminals as judges: bytes go into tmux or xterm, and the screen they show comes out as cells.

Never judges itself. What these programs cannot tell of a cell (tmux and xterm say nothing of the colour of a cell that
was only erased, xterm nothing of some attributes) is named, so that nobody compares it.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bastion.core.terminal import Terminal
from bastion.core.terminal.describe import describe
from tests.lab.waiting import until

_START: Final = "tty > tty.new && mv tty.new tty && stty raw -echo && exec sleep 10000"
_CLEAN: Final = b"\x1b[?1049l\x1bc"
SECONDS: Final = 20.0


class Shown(NamedTuple):
    """A screen as a terminal tells it: cells as `describe` has them, the cursor as it would report it."""

    cells: list[list[list[str]]]
    cursor: tuple[int, int]
    alternate: bool


class _Pane:
    """The other end of a terminal's own tty: what is written there it shows, what it answers is read there."""

    untold = ""

    def __init__(self, name: str) -> None:
        self._tty = os.open(name, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._tty)

    def ask(self, data: bytes, answer: bytes) -> re.Match[bytes]:
        """Write, and wait for an answer."""
        view = memoryview(data)
        got = b""
        while True:
            readable, writable, _ = select.select([self._tty], [self._tty] if view else [], [], SECONDS)
            if not readable and not writable:
                raise AssertionError(f"no answer {answer!r}, only {got!r}")
            if writable:
                view = view[os.write(self._tty, view[:1024]) :]
            if readable:
                got += os.read(self._tty, 4096)
                found = re.search(answer, got)
                if found:
                    return found

    def show(self, data: bytes) -> Shown:
        """Show that on a clean screen."""
        where = self.ask(_CLEAN + data + b"\x1b[6n", rb"\x1b\[(\d+);(\d+)R")
        cells, alternate = self._look()
        return Shown(cells, (int(where[2]) - 1, int(where[1]) - 1), alternate)

    def _look(self) -> tuple[list[list[list[str]]], bool]:
        raise NotImplementedError

    def close(self) -> None:
        os.close(self._tty)


def _cells(rows: list[str], columns: int, lines: int, start: str = "") -> list[list[list[str]]]:
    """Return the cells of rows of text with SGR in it."""
    terminal = Terminal(columns, lines)
    terminal.feed((start + "".join(f"\x1b[{y + 1}H{row}" for y, row in enumerate(rows[:lines]))).encode())
    cells: list[list[list[str]]] = describe(terminal.snapshot(), alternate=False)["cells"]
    return cells


class TmuxScreen(_Pane):
    """One pane of a tmux of its own."""

    def __init__(self, folder: Path, columns: int, lines: int) -> None:
        self._size = (columns, lines)
        self._command = ["tmux", "-S", str(folder / f"tmux{columns}x{lines}"), "-u", "-f", os.devnull]
        self._environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        self._environment.pop("TMUX", None)
        self._call("new-session", "-d", "-x", str(columns), "-y", str(lines), "exec sleep 10000", ";", "set-option", "-g", "status", "off")
        self._call("set-option", "-w", "window-size", "manual", ";", "resize-window", "-x", str(columns), "-y", str(lines))
        name, size = self._call("display-message", "-p", "#{pane_tty} #{pane_width}x#{pane_height}").split()
        assert size == f"{columns}x{lines}"
        super().__init__(name)

    def _call(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments], env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=SECONDS
        )
        return done.stdout.decode("utf-8", "replace")

    def _look(self) -> tuple[list[list[list[str]]], bool]:
        told = self._call("capture-pane", "-p", "-e", "-N", ";", "display-message", "-p", "#{alternate_on}").rstrip("\n")
        *rows, alternate = told.split("\n")
        return _cells(rows, *self._size, start="\x1b)0"), alternate == "1"

    def close(self) -> None:
        super().close()
        self._call("kill-server")


class XtermScreen(_Pane):
    """An xterm on a display of its own; it tells its screen by printing it."""

    untold = "diso"

    def __init__(self, folder: Path, columns: int, lines: int, display: str) -> None:
        self._size = (columns, lines)
        self._folder = folder / f"xterm{columns}x{lines}"
        self._folder.mkdir()
        options = {"printerCommand": "cat > printed.new && mv printed.new printed", "printAttributes": "2", "printerAutoClose": "true", "utf8": "3", "boldColors": "false"}
        resources = [word for name, value in options.items() for word in ("-xrm", f"XTerm*{name}: {value}")]
        self._process = subprocess.Popen(
            ["xterm", "-u8", "-fn", "fixed", "-geometry", f"{columns}x{lines}", *resources, "-e", "sh", "-c", _START],
            cwd=self._folder, env={**os.environ, "DISPLAY": display, "LC_ALL": "C.UTF-8"}, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        name = until((self._folder / "tty").exists, "xterm") and (self._folder / "tty").read_text().strip()
        super().__init__(name)
        until(lambda: os.get_terminal_size(self._tty) == (columns, lines), "xterm's size")

    def _look(self) -> tuple[list[list[list[str]]], bool]:
        alternate = self.ask(b"\x1b[?1049$p", rb"\x1b\[\?1049;(\d)\$y")[1] == b"1"
        printed = self._folder / "printed"
        self.ask(b"\x1b[?19h\x1b[i\x1b[5n", rb"\x1b\[0n")
        until(printed.exists, "what xterm prints", every=0.001)
        # It writes the attributes before each character that has some, and says nothing where they end.
        rows = printed.read_bytes().decode("utf-8", "replace").replace("\uffff", "").split("\r\n")  # (which stands for a wide character's right half)
        printed.unlink()
        rows = [re.sub(r"(\x1b\[[\d;:]*m)([^\x1b])", "\\1\\2\x1b[m", row) for row in rows]
        return _cells(rows, *self._size), alternate

    def close(self) -> None:
        super().close()
        self._process.terminate()
        self._process.wait(SECONDS)


@contextlib.contextmanager
def display() -> Iterator[str]:
    """Run an X server that shows nothing anywhere."""
    reading, writing = os.pipe()
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "3000x2000x24", "-nolisten", "tcp"],
        pass_fds=(writing,), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        try:
            yield f":{os.read(reading, 20).decode().strip()}"
        finally:
            os.close(reading)
            os.close(writing)
            server.terminate()


def missing(*programs: str) -> list[str]:
    """Return which of these programs are not installed."""
    return [program for program in programs if shutil.which(program) is None]
