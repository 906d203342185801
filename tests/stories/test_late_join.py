"""Who joins late sees the exact screen, and everything that comes after it; also when their window changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.tmux import Tmux
from tests.lab.waiting import until

COLUMNS, LINES = 80, 24
_LINE_DRAWING = str.maketrans("lqk", "┌─┐")  # tmux shows drawn lines as they came: by character set, or as characters

# name: (what is typed at the shell, when it is on the screen, keys that change it, when that is on the screen)
SCENES = {
    "vim": ("vim.tiny -u NONE -N -R '+set number hlsearch' '+/the' {text}", "[readonly]", ["n", "n", "C-d"], None),
    "less": ("less -R {coloured}", "coloured line 22", ["Space", "/", "4", "2", "Enter"], "coloured line 42"),
    "coloured ls": ("clear; ls -la --color=always /etc | head -60 | tail -22; echo e''nd", "end", ["l", "s", "Enter"], None),
    "alternate screen": (r"printf '\033[?1049h\033[2J\033[5;10H\033[1;33;44mboxed\033[m\033[7;20H\033[4mlined\033[m'; cat", "lined", ["x", "y", "Enter"], "xy"),
    "wide characters": (r"clear; for i in 1 2 3; do printf '\346\274\242\345\255\227 caf\303\251 e\314\201 \360\237\231\202 \033[38;5;208morange\033[48;2;1;2;3mtrue\033[m\n'; done; printf '%78s\346\274\242\n' .", ".", ["Enter"], None),
    "lines and scroll region": (r"clear; printf '\033(0lqqqk\033(B\033[3;8r\033[8;1H'; seq 1 9; printf '\033[r\033[20;1H'; cat", "9", ["d", "o", "n", "e", "Enter"], "done"),
}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    made = {"text": folder / "text.txt", "coloured": folder / "coloured.txt"}
    made["text"].write_text("".join(f"{i} the quick fox, thé 漢字 fox {'=' * (i % 60)}\n" for i in range(200)))
    made["coloured"].write_text("".join(f"\x1b[{31 + i % 7}m\x1b[{1 if i % 3 else 7}mcoloured line {i}\x1b[m plain\n" for i in range(100)))
    return made


def picture(window: Tmux) -> tuple[list[str], str]:
    """Return the session's part of the screen, colours included, and where the cursor is."""
    lines = re.sub("\x0e([a-~]*)\x0f?", lambda found: found[1].translate(_LINE_DRAWING), window.screen(colours=True)).replace("\x0f", "").split("\n")
    return lines[:LINES], window.flags("cursor_x", "cursor_y", "cursor_flag")


def same(viewer: Tmux, controller: Tmux) -> None:
    """Wait until both show the same; say where they differ."""
    try:
        until(lambda: picture(viewer) == picture(controller), "both show the same", 10)
    except AssertionError:
        (left, at), (right, there) = picture(viewer), picture(controller)
        differing = [(i, a, b) for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b]
        raise AssertionError(f"cursor {at} / {there}, (line, viewer, controller): {differing}") from None


@pytest.mark.parametrize("scene", list(SCENES))
def test_a_late_viewer_sees_the_controllers_exact_screen_and_what_follows(bastion: Bastion, files: dict[str, Path], scene: str) -> None:
    command, ready, keys, then = SCENES[scene]
    before = {row["id"] for row in bastion.live()}
    controller = bastion.tmux("alice", "connect web01", columns=COLUMNS, lines=LINES, options=("-tt",))
    viewer = None
    try:
        controller.wait("~")
        controller.text(command.format(**files))
        controller.type("Enter")
        controller.wait(ready)
        (session,) = [row["id"] for row in bastion.live(owner="alice") if row["id"] not in before]
        viewer = bastion.tmux("sup", f"join {session}", columns=COLUMNS, lines=LINES + 1, options=("-t", "-o", "SetEnv=COLORTERM=truecolor"))
        viewer.wait(ready)
        same(viewer, controller)
        first = picture(controller)
        controller.type(*keys)
        if then:
            controller.wait(then)
        until(lambda: picture(controller) != first, "the controller's screen changed")
        same(viewer, controller)
        viewer.resize(50, 12)
        until(lambda: viewer.flags("pane_width") == "50", "the window is small")
        controller.type("Space")
        viewer.resize(COLUMNS, LINES + 1)
        until(lambda: viewer.flags("pane_width") == str(COLUMNS), "the window is large")
        same(viewer, controller)
        assert controller.flags("pane_width", "pane_height") == f"{COLUMNS} {LINES}"
    finally:
        controller.close()
        if viewer:
            viewer.close()
        until(lambda: bastion.ssh("sup", f"kill {session} --reason over --yes").returncode in (0, 66), "it is over")


def test_a_viewer_follows_when_the_controllers_window_changes(bastion: Bastion) -> None:
    before = {row["id"] for row in bastion.live()}
    controller = bastion.tmux("alice", "connect web01", columns=COLUMNS, lines=LINES, options=("-tt",))
    viewer = None
    try:
        controller.wait("~")
        (session,) = until(lambda: [row["id"] for row in bastion.live(owner="alice") if row["id"] not in before], "it is live")
        viewer = bastion.tmux("sup", f"join {session}", columns=120, lines=41)
        controller.resize(100, 30)
        controller.text("clear; tput cols; seq 1 25")
        controller.type("Enter")
        controller.wait("25")
        until(lambda: [line[:100].rstrip() for line in viewer.screen().split("\n")[:30]] == controller.screen().split("\n")[:30], "both show the same")
        assert [row["columns"] for row in bastion.live(id=session)] == [100]
    finally:
        controller.close()
        if viewer:
            viewer.close()
        bastion.ssh("sup", f"kill {session} --reason over --yes")
