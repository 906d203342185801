"""Several windows in one connection, under tmux through the real door: what is redrawn is what stood there."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pyte
import pytest

from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd
from tests.lab.tmux import Tmux
from tests.lab.waiting import until

COUNTER = "PS1='$ '; clear; i=0; while :; do i=$((i+1)); printf '\\033[7mtick\\033[m %d\\n' $i; sleep 0.04; done"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, furnished_home: Bastion, sshd: Sshd) -> Iterator[Bastion]:
    """A bastion of this module's own, with web01 and db01."""
    lives = Bastion(tmp_path_factory.mktemp("windows") / "b")
    shutil.copytree(furnished_home.folder / "home", lives.home)
    lives.keys = furnished_home.keys
    lives.start()
    lives.add_endpoint("db01", sshd)
    yield lives
    lives.stop()


@pytest.fixture
def open_tmux(desk: Bastion) -> Iterator[Callable[..., Tmux]]:
    """Open terminals that are closed, and whose sessions are ended, after the test."""
    opened: list[Tmux] = []

    def make(user: str, *args: str, **more: int) -> Tmux:
        opened.append(desk.tmux(user, *args, options=("-tt",), **more))
        return opened[-1]

    yield make
    for each in opened:
        each.close()
    for row in desk.json("root1", "sessions"):
        desk.ssh("root1", f"kill {row['id']} --reason over --yes")
    desk.ssh("alice", "attach", options=("-tt",))  # hears what was left to be told


def cells(window: Tmux) -> list[object]:
    """Return what is on the screen, cell by cell with its look, as another emulator reads tmux's capture."""
    text = window.screen(colours=True).rstrip("\n").split("\n")
    screen = pyte.Screen(300, 120)
    pyte.Stream(screen).feed("\r\n".join(text))
    blank = screen.default_char
    found = []
    for y in range(120):
        row = [screen.buffer[y][x] for x in range(300)]
        while row and row[-1] == blank:
            row.pop()
        found.append(tuple(row))
    while found and not found[-1]:
        found.pop()
    return [*found, window.cursor]


def comes_back(window: Tmux, before: list[object]) -> None:
    until(lambda: cells(window) == before, f"the same screen again; now:\n{window.screen()}", 10)


def vim(window: Tmux, file: Path, text: str) -> list[object]:
    """Start vim with colours, type, and return the screen."""
    window.wait("~")
    window.text(f"PS1='$ '; LC_ALL=C.UTF-8 vim.tiny -u NONE -N {file}")
    window.type("Enter")
    window.wait("[New]")
    window.text("i" + text)
    window.wait("-- INSERT --")
    window.wait(text.rpartition("\n")[2])
    return cells(window)


def prompt(window: Tmux, text: str) -> None:
    """Give the shell a prompt of its own on an empty screen."""
    window.text(f"PS1='{text[:1]}''{text[1:]}'; clear")  # what is typed does not look like what it makes
    window.type("Enter")
    window.wait(text.strip())


def choose(window: Tmux, name: str) -> None:
    """Pick an endpoint in the menu."""
    window.wait("to choose from")
    window.text(name)
    window.type("Enter")


def test_two_sessions_are_switched_with_the_exact_screen(desk: Bastion, open_tmux: Callable[..., Tmux], tmp_path: Path) -> None:
    window = open_tmux("alice")
    choose(window, "web01")
    before = vim(window, tmp_path / "a", "written in window one, 漢字")
    window.type("C-]", "c")
    choose(window, "db01")
    window.wait("~")
    window.text(COUNTER)
    window.type("Enter")
    window.wait("tick 30")
    window.type("C-]", "n")
    comes_back(window, before)
    window.type("C-]", "2")
    window.wait("tick 50")
    seen = int(window.screen().split("tick ")[-1].split()[0])
    window.wait(f"tick {seen + 5}")
    window.type("C-]", "p")
    comes_back(window, before)
    window.text(", and then more")
    window.wait("and then more")
    window.type("Escape")
    window.text(":wq")
    window.type("Enter")
    window.wait("$ ")
    assert (tmp_path / "a").read_text() == "written in window one, 漢字, and then more\n"


def test_the_list_shows_titles_who_types_and_where_something_happened(open_tmux: Callable[..., Tmux]) -> None:
    window = open_tmux("alice")
    choose(window, "web01")
    window.wait("~")
    window.text("printf '\\033]2;my build\\007'; sleep 1; echo built; sleep 100")
    window.type("Enter")
    window.type("C-]", "c")
    choose(window, "db01")
    window.wait("~")
    window.type("C-]", "s")
    screen = window.wait("new output")
    rows = {line[3:6].strip(): line for line in screen.splitlines()}
    assert "menu" in rows["0"]
    assert "@web01" in rows["1"] and "my build" in rows["1"] and "alice" in rows["1"] and "●" in rows["1"]
    assert "@db01" in rows["2"] and "running" in rows["2"] and "new output" not in rows["2"]
    window.type("Up", "Enter")
    window.wait("built")
    window.type("C-]", "s")
    window.wait("3 open")
    window.type("Escape")
    window.wait("built")


def test_a_switch_amid_a_sequence_and_amid_a_character_tears_nothing(open_tmux: Callable[..., Tmux]) -> None:
    window = open_tmux("alice")
    choose(window, "web01")
    window.wait("~")
    window.text("clear; stty -echo; printf 'whole \\033[3'; read x; printf '1mred\\033[m \\346\\274'; read x; printf '\\242 end\\n'")
    window.type("Enter")
    window.wait("whole")
    window.type("C-]", "c")
    window.wait("to choose from")
    window.type("C-]", "1")
    window.wait("whole")
    window.type("Enter")
    window.wait("red")
    assert "\x1b[31mred" in window.screen(colours=True)
    window.type("C-]", "c")
    window.wait("to choose from")
    window.type("C-]", "1")
    window.wait("whole red")
    window.type("Enter")
    assert "whole red 漢 end" in window.wait("end")


def test_what_is_typed_right_after_a_switch_reaches_the_new_window_only(open_tmux: Callable[..., Tmux]) -> None:
    window = open_tmux("alice")
    choose(window, "web01")
    window.wait("~")
    prompt(window, "one$ ")
    window.type("C-]", "c")
    choose(window, "db01")
    window.wait("~")
    prompt(window, "two$ ")
    window.type("C-]", "1", "e", "c", "h", "o", "Space", "h", "e", "r", "e", "C-]", "2", "t", "h", "e", "r", "e")
    assert "two$ there" in window.wait("two$ there")
    window.type("C-]", "n")
    assert "one$ echo here" in window.wait("one$ echo here")


def test_a_window_that_was_resized_meanwhile_comes_back_in_its_new_size(open_tmux: Callable[..., Tmux]) -> None:
    window = open_tmux("alice")
    choose(window, "web01")
    window.wait("~")
    window.type("C-]", "c")
    window.wait("to choose from")
    window.resize(100, 30)
    window.type("C-]", "n")
    window.wait("~")
    window.text("stty size")
    window.type("Enter")
    window.wait("30 100")


def test_detach_and_attach_from_another_terminal_bring_the_exact_screen(
    desk: Bastion, open_tmux: Callable[..., Tmux], tmp_path: Path
) -> None:
    window = open_tmux("alice", "connect web01")
    before = vim(window, tmp_path / "b", "left here")
    window.type("C-]", "d")
    assert window.wait_exit() == 0
    assert "Detached" in window.screen()
    [row] = desk.live("alice", detached=True)
    other = open_tmux("alice", f"attach {row['id'][:6]}")
    other.wait("left here")
    comes_back(other, before)
    other.text(" and found again")
    other.wait("left here and found again")


def test_a_dropped_connection_detaches_every_window(desk: Bastion, open_tmux: Callable[..., Tmux], tmp_path: Path) -> None:
    window = open_tmux("alice")
    choose(window, "web01")
    before = vim(window, tmp_path / "c", "cut off")
    window.type("C-]", "c")
    choose(window, "db01")
    window.wait("~")
    os.kill(window.pid, signal.SIGKILL)
    rows = until(lambda: len(desk.live("alice", detached=True)) == 2 and desk.live("alice", detached=True), "both sessions detached")
    [mine] = [row["id"] for row in rows if row["endpoint"] == "web01"]
    again = open_tmux("alice")
    again.wait("resume your session on web01")
    again.text(mine[:8])
    again.type("Enter")
    again.wait("cut off")
    comes_back(again, before)


def test_leaving_all_windows_at_once_detaches_them(desk: Bastion, open_tmux: Callable[..., Tmux]) -> None:
    window = open_tmux("alice")
    for name in ("web01", "db01"):
        choose(window, name)
        window.wait("~")
        if name == "web01":
            window.type("C-]", "c")
    window.type("C-]", "D")
    assert window.wait_exit() == 0
    assert "Left 2 windows" in window.screen()
    assert len(desk.live("alice", detached=True)) == 2


def test_a_session_that_ended_meanwhile_leaves_its_reason_for_the_next_login_once(desk: Bastion, open_tmux: Callable[..., Tmux]) -> None:
    for _ in range(2):
        window = open_tmux("alice", "connect web01")
        window.wait("~")
        window.type("C-]", "d")
        window.wait_exit()
    first, second = (row["id"] for row in desk.live("alice", detached=True))
    assert desk.ssh("root1", f"kill {first} --reason maintenance --yes").returncode == 0
    menu = open_tmux("alice")
    text = " ".join(menu.wait("while you were away").split())
    assert "web01" in text and "maintenance" in text and "root1" in text
    menu.type("C-c")
    assert menu.wait_exit() == 0
    menu = open_tmux("alice")
    assert "while you were away" not in menu.wait("to choose from")
    assert desk.ssh("root1", f"kill {second} --reason elsewhere --yes").returncode == 0
    told = desk.ssh("alice", "attach", options=("-tt",))
    assert b"elsewhere" in told.stdout
    assert b"no session to go back to" in told.stdout


def test_the_end_of_one_window_leads_to_another_and_the_last_one_gives_the_exit_code(open_tmux: Callable[..., Tmux]) -> None:
    window = open_tmux("alice", "connect web01")
    window.wait("~")
    prompt(window, "first$ ")
    window.type("C-]", "c")
    choose(window, "db01")
    window.wait("~")
    window.text("exit 4")
    window.type("Enter")
    screen = window.wait("exit status 4")
    assert "first$" in screen and "db01: ended" in screen
    window.text("exit 7")
    window.type("Enter")
    assert window.wait_exit() == 7


def test_leaving_the_menu_leads_back_to_the_session_it_was_opened_from(open_tmux: Callable[..., Tmux]) -> None:
    window = open_tmux("alice", "connect web01")
    window.wait("~")
    prompt(window, "still$ ")
    before = cells(window)
    window.type("C-]", "c")
    window.wait("back")
    window.type("C-c")
    comes_back(window, before)
    window.text("exit 3")
    window.type("Enter")
    assert window.wait_exit() == 3


def test_a_joined_session_is_a_window_too(open_tmux: Callable[..., Tmux]) -> None:
    owner = open_tmux("alice", "connect web01")
    owner.wait("~")
    owner.text("clear; echo look-at-this")
    owner.type("Enter")
    owner.wait("look-at-this")
    window = open_tmux("sup")
    window.wait("alice on web01")
    choose(window, "alice on web01")
    window.wait("alice types")
    window.wait("look-at-this")
    before = cells(window)
    window.type("C-]", "c")
    choose(window, "db01")
    window.wait("~")
    window.type("C-]", "1")
    comes_back(window, before)
    window.type("C-]", "d")
    window.wait("to choose from")


def test_without_windows_the_keys_say_so(desk: Bastion, open_tmux: Callable[..., Tmux]) -> None:
    window = open_tmux("alice", "connect web01 -- cat")
    until(lambda: desk.live("alice", state="running"), "the session runs")
    window.type("C-]", "c")
    window.wait("There are no windows here")
