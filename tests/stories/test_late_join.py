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

_ON_BLANKS = {"bg", "4", "7", "9"}  # what is seen of a blank: not that it is bold, or would be written in red

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


def picture(window: Tmux) -> tuple[list[list[tuple[str, str]]], str]:
    """Return the session's part of the screen as (character, style) cells, and where the cursor is.

    Behind the last column (tmux counts on there) it looks as it does on it.
    """
    x, y, seen = window.flags("cursor_x", "cursor_y", "cursor_flag").split()
    return cells(window.screen(colours=True))[:LINES], f"{min(int(x), COLUMNS - 1)} {y} {seen}"


def cells(capture: str) -> list[list[tuple[str, str]]]:
    """Read tmux's capture, which says the same picture in several ways: where a style ends, how a line is drawn."""
    look: dict[str, str] = {}
    drawn = False
    rows: list[list[tuple[str, str]]] = [[]]
    for sequence, character in re.findall(r"\x1b\[([\d;:]*)m|(.|\n)", capture):
        if character == "\n":
            rows.append([])
        elif character in {"\x0e", "\x0f"}:
            drawn = character == "\x0e"
        elif character:
            seen = {key: value for key, value in look.items() if key in _ON_BLANKS} if character == " " else look
            rows[-1].append((character.translate(_LINE_DRAWING) if drawn else character, str(sorted(seen.items()))))
        else:
            _restyle(look, sequence.replace(":", ";").split(";"))
    for row in rows:
        while row and row[-1] == (" ", "[]"):
            row.pop()
    return rows


def _restyle(look: dict[str, str], codes: list[str]) -> None:
    while codes:
        code = codes.pop(0)
        if code in {"", "0"}:
            look.clear()
        elif code in {"38", "48"}:
            size = 2 if codes[0] == "5" else 4
            look["fg" if code == "38" else "bg"] = ";".join(codes[:size])
            del codes[:size]
        elif code in {"39", "49"}:
            look.pop("fg" if code == "39" else "bg", None)
        elif len(code) > 1 and code[:-1] in {"3", "9", "4", "10"}:
            look["fg" if code[:-1] in {"3", "9"} else "bg"] = code
        else:
            look[code] = "on"


def same(viewer: Tmux, controller: Tmux) -> None:
    """Wait until both show the same; say where they differ."""
    try:
        until(lambda: picture(viewer) == picture(controller), "both show the same", 10)
    except AssertionError:
        (left, at), (right, there) = picture(viewer), picture(controller)
        differing = [(i, a, b) for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b]
        raise AssertionError(f"cursor {at} / {there}, (line, viewer, controller): {differing[:3]}") from None


def test_late_viewers_see_the_controllers_exact_screen_and_what_follows_also_after_their_own_resize(
    bastion: Bastion, files: dict[str, Path]
) -> None:
    """All scenes side by side: what the bastion says to a controller covers a line for six seconds, and goes away."""
    controllers: dict[str, Tmux] = {}
    viewers: dict[str, Tmux] = {}
    sessions: dict[str, str] = {}
    try:
        for scene, (command, ready, _, _) in SCENES.items():
            before = {row["id"] for row in bastion.live()}
            controllers[scene] = one = bastion.tmux("alice", "connect web01", columns=COLUMNS, lines=LINES, options=("-tt",))
            one.wait("~")
            one.text(command.format(**files))
            one.type("Enter")
            one.wait(ready)
            (sessions[scene],) = [row["id"] for row in bastion.live(owner="alice") if row["id"] not in before]
        for scene, session in sessions.items():
            options = ("-t", "-o", "SetEnv=COLORTERM=truecolor")
            viewers[scene] = bastion.tmux("sup", f"join {session}", columns=COLUMNS, lines=LINES + 1, options=options)
        for scene, viewer in viewers.items():
            viewer.wait(SCENES[scene][1])
            same(viewer, controllers[scene])
        for scene, (_, _, keys, then) in SCENES.items():
            first = picture(controllers[scene])
            controllers[scene].type(*keys)
            if then:
                controllers[scene].wait(then)
            until(lambda one=controllers[scene], first=first: picture(one) != first, "the controller's screen changed")
            same(viewers[scene], controllers[scene])
        for scene, viewer in viewers.items():
            viewer.resize(50, 12)
            until(lambda viewer=viewer: viewer.flags("pane_width") == "50", "the window is small")
            controllers[scene].type("Space")
            viewer.resize(COLUMNS, LINES + 1)
            until(lambda viewer=viewer: viewer.flags("pane_width") == str(COLUMNS), "the window is large")
        for scene, viewer in viewers.items():
            same(viewer, controllers[scene])
            assert controllers[scene].flags("pane_width", "pane_height") == f"{COLUMNS} {LINES}"
    finally:
        for window in (*controllers.values(), *viewers.values()):
            window.close()
        for session in sessions.values():
            bastion.ssh("sup", f"kill {session} --reason over --yes")


def test_the_comparison_sees_a_difference_in_a_character_a_colour_or_an_attribute() -> None:
    plain, red, bold = cells("ab \n"), cells("a\x1b[31mb\x1b[0m\n"), cells("a\x1b[1mb\n\x1b[0m")
    assert plain == cells("ab\n")
    assert red == cells("a\x1b[31mb\n\x1b[39m")
    assert len({str(one) for one in (plain, red, bold, cells("ac\n"))}) == 4


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
        until(
            lambda: [line[:100].rstrip() for line in viewer.screen().split("\n")[:30]] == controller.screen().split("\n")[:30],
            "both show the same",
        )
        assert [row["columns"] for row in bastion.live(id=session)] == [100]
    finally:
        controller.close()
        if viewer:
            viewer.close()
        bastion.ssh("sup", f"kill {session} --reason over --yes")
