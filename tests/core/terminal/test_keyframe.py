"""A keyframe and the pending bytes rebuild a screen, and its future."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings

from bastion.core.terminal import Terminal
from bastion.core.terminal.describe import text
from tests.core.terminal import judge
from tests.core.terminal.streams import FUZZ, differing, outputs, sizes

ASKS = re.compile(rb"\x1b\[[?>]?\d*[cn]|\x1b\[\d*(?:;\d*)*t|\x1b\](?![0128];)|\x1bP|\x1b_|\x1b\^|\x1bX|\x1bZ|\x05")


def rebuilt(terminal: Terminal) -> Terminal:
    again = Terminal(terminal.columns, terminal.lines)
    again.feed(terminal.dump() + terminal.pending)
    return again


@pytest.mark.parametrize("name", judge.names()[:: 1 if FUZZ > 1 else 2])
def test_each_kilobyte_of_a_real_stream_can_be_rebuilt(name: str) -> None:
    recorded = judge.stream(name)
    terminal = Terminal(recorded.columns, recorded.lines)
    resizes = list(recorded.resizes)
    stops = sorted({*range(0, len(recorded.data), 1000), *(offset for offset, _, _ in resizes), len(recorded.data)})
    done = 0
    for stop in stops:
        terminal.feed(recorded.data[done:stop])
        done = stop
        while resizes and resizes[0][0] == stop:
            terminal.resize(*resizes.pop(0)[1:])
        assert differing(terminal, rebuilt(terminal)) == []


@pytest.mark.parametrize("drawn", ["a", "中", "e\u0301", "😀", "\x1b(0q", "\x0e\x1b)0lq", "\x1b[31m日", "😀\ufe0f"])
def test_what_was_drawn_last_is_repeated_after_a_keyframe_as_it_is_after_the_stream(drawn: str) -> None:
    terminal = Terminal(20, 3)
    terminal.feed(b"before " + drawn.encode())
    again = rebuilt(terminal)
    for each in (terminal, again):
        each.feed(b"\x1b[2b")
    assert differing(terminal, again) == []
    assert terminal.cursor[0] > len("before ") + 1


@pytest.mark.parametrize("rest", [b" \x1b[mb", b"  ", b"      \x1b[mb", b"      "])
@pytest.mark.parametrize("pen", [b"", b"\x1b[101m"])
def test_a_row_that_wraps_into_blanks_is_rebuilt(pen: bytes, rest: bytes) -> None:
    for columns in (6, 7, 20):
        terminal = Terminal(columns, 3)
        terminal.feed(b"a" * columns + pen + rest)
        assert differing(terminal, rebuilt(terminal)) == []


@settings(max_examples=100 * FUZZ, deadline=None)
@given(sizes, outputs, outputs)
def test_what_comes_after_a_keyframe_has_the_same_effect(size: tuple[int, int], before: bytes, after: bytes) -> None:
    terminal = Terminal(*size)
    terminal.feed(before)
    again = rebuilt(terminal)
    assert differing(terminal, again) == []
    terminal.feed(after)
    again.feed(after)
    assert differing(terminal, again) == []


@settings(max_examples=60 * FUZZ, deadline=None)
@given(sizes, outputs)
def test_a_keyframe_holds_nothing_that_makes_a_terminal_answer(size: tuple[int, int], data: bytes) -> None:
    terminal = Terminal(*size)
    terminal.feed(data)
    assert ASKS.findall(terminal.dump()) == []


def test_a_viewers_keyframe_leaves_the_keyboard_and_mouse_alone() -> None:
    terminal = Terminal(20, 3)
    terminal.feed(b"\x1b[?1000;1006;2004;1004h\x1b=\x1b[>1u\x1b[>4;2mtext")
    full, looking_on = Terminal(20, 3), Terminal(20, 3)
    full.feed(terminal.dump())
    looking_on.feed(terminal.dump(with_input=False))
    assert full.modes == terminal.modes
    assert looking_on.modes == Terminal(20, 3).modes
    assert text(looking_on.snapshot()) == ["text", "", ""]


@pytest.fixture(scope="module")
def tmux() -> Iterator[tuple[list[str], int]]:
    """A real tmux with one empty pane of 80 x 24, and that pane's terminal."""
    program = shutil.which("tmux")
    if program is None:
        pytest.fail("tmux is needed to compare keyframes with a real terminal: scripts/test installs it")
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "-S", str(Path(folder) / "socket"), "-u", "-f", os.devnull]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
        environment.pop("TMUX", None)

        def call(*arguments: str) -> str:
            done = subprocess.run(
                [*command, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=10
            )
            return done.stdout.decode("utf-8", "replace").strip()

        call("new-session", "-d", "-x", "80", "-y", "24", "exec sleep 1000", ";", "set-option", "-g", "status", "off")
        call("set-option", "-w", "window-size", "manual", ";", "resize-window", "-x", "80", "-y", "24")
        place, size = call("display-message", "-p", "#{pane_tty} #{pane_width}x#{pane_height}").split()
        assert size == "80x24"
        pane = os.open(place, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(pane)
        yield command, pane
        os.close(pane)
        call("kill-server")


def _written(pane: int, data: bytes) -> None:
    """Write, and wait for the answer to a status report: then all before it was parsed."""
    os.write(pane, b"\x1b[?1049l\x1bc" + data + b"\x18\x1b[5n")
    answer = b""
    while b"\x1b[0n" not in answer:
        answer += os.read(pane, 4096)


@pytest.mark.timeout(60)
def test_tmux_shows_from_the_keyframe_what_it_shows_from_the_stream(tmux: tuple[list[str], int]) -> None:
    command, pane = tmux
    for name in ("vim-edit", "mc", "htop", "git-log", "nano", "dialog", "less", "man"):
        recorded = judge.stream(f"{name}-80x24")
        for stop in range(1000, min(len(recorded.data), 6000), 1700):
            terminal = Terminal(80, 24)
            terminal.feed(recorded.data[:stop])
            _written(pane, terminal.dump())
            told = subprocess.run(
                [*command, "capture-pane", "-p", ";", "display-message", "-p", "#{cursor_x} #{cursor_y} #{alternate_on}"],
                capture_output=True, check=True, timeout=10, env={**os.environ, "LC_ALL": "C.UTF-8"},
            ).stdout.decode()  # fmt: skip
            *rows, status = told.rstrip("\n").split("\n")
            shown = text(terminal.snapshot())
            assert [row.rstrip() for row in rows] == [row.rstrip() for row in shown], (name, stop)
            x, y, alternate = map(int, status.split())
            assert (min(x, 79), y, bool(alternate)) == (*terminal.cursor, terminal.alternate), (name, stop)
