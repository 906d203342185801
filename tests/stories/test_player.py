"""Replay over stock ssh in a real terminal: a session with an editor, two people and a change of size, seen again."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest

from tests.lab.bastion import Bastion
from tests.lab.tmux import Tmux
from tests.lab.waiting import until

SHELL = ("connect", "web01", "--", "PS1=%", "exec", "sh")


@pytest.fixture(scope="module")
def recorded(bastion: Bastion) -> str:
    """Return the id of a recording of 40 lines of a build, vim, control to bob and back, and two changes of size."""
    before = {row["id"] for row in bastion.live()}
    alice = bastion.tmux("alice", *SHELL, columns=90, lines=24)
    alice.wait("%")
    (session,) = until(lambda: [row["id"] for row in bastion.live(owner="alice", state="running") if row["id"] not in before], "it runs")
    alice.text("for i in $(seq 10 49); do echo compiling $i; done")
    alice.type("Enter")
    alice.wait("compiling 49")
    alice.text("vim.tiny -u NONE -N -n")
    alice.type("Enter")
    alice.wait("~")
    alice.text("ithe secret plan")
    alice.wait("secret plan")
    alice.type("Escape")
    alice.text(":q!")
    alice.type("Enter")
    alice.wait("compiling 49")
    assert bastion.ssh("alice", f"invite {session} bob --as controller").returncode == 0
    bob = bastion.tmux("bob", "join", session, "--as", "controller", columns=90, lines=24)
    bob.wait("compiling 49")
    assert bastion.ssh("alice", f"give {session} bob").returncode == 0
    bob.text("echo bob was here")
    bob.type("Enter")
    bob.wait("bob was here\n")
    assert bastion.ssh("bob", f"give {session} alice").returncode == 0
    resized(alice, 70, 12)
    alice.text("echo small")
    alice.type("Enter")
    alice.wait("\nsmall")
    resized(alice, 100, 30)
    alice.text("echo large; exit 3")
    alice.type("Enter")
    until(lambda: not [row for row in bastion.live() if row["id"] == session], "it ended")
    alice.close()
    bob.close()
    return session


def resized(window: Tmux, columns: int, lines: int) -> None:
    """Give the window another size, and wait until the endpoint knows it."""
    window.resize(columns, lines)

    def known() -> bool:
        window.text("stty size")
        window.type("Enter")
        return f"\n{lines} {columns}\n" in window.screen()

    until(known, "the endpoint knows the size")


@pytest.fixture
def player(bastion: Bastion, recorded: str, request: pytest.FixtureRequest) -> Iterator[Tmux]:
    """A replay at its start, paused."""
    columns, lines = request.param
    opened = bastion.tmux("aud", "replay", recorded, "--speed", "0.25", columns=columns, lines=lines)
    opened.wait("playing")
    opened.text(" ")
    opened.wait("paused")
    yield opened
    opened.close()


@pytest.mark.parametrize("player", [(80, 24), (120, 40), (40, 10)], indirect=True, ids=["80x24", "120x40", "40x10"])
def test_a_replay_is_seen_searched_scrolled_and_left_in_any_window(player: Tmux, recorded: str) -> None:
    player.text("/secret plan")
    player.type("Enter")
    assert player.wait("found 'sec").startswith("the secret plan")
    player.type("End")
    player.wait("large\n")
    player.text("N")
    player.wait("the secret plan")
    player.type("End")
    player.wait("large\n")
    for _ in range(12):
        if "compiling 10\n" in player.screen():
            break
        before = player.screen()
        player.type("PPage")
        until(lambda before=before: player.screen() != before, "a page further up")
    shown = player.wait("compiling 10\n")
    assert "scrolled back" in shown
    found = [int(number) for number in re.findall(r"compiling (\d\d)\n", shown)]
    assert found == list(range(10, 10 + len(found)))
    player.type("Escape")
    player.wait("scrolled back", gone=True)
    player.text("?")
    player.wait("Keys of the player")
    player.type("Space")
    player.wait("Keys of the player", gone=True)
    player.text("0")
    player.text("]")
    player.text("y")
    player.text("q")
    left = player.wait(f"replay {recorded} --at +0:")
    assert "Keys" not in left
    assert player.flags("alternate_on") == "0"


@pytest.mark.parametrize("player", [(100, 40)], indirect=True)
def test_markers_lead_to_the_changes_of_control_and_say_who_held_it(player: Tmux) -> None:
    player.wait("● alice")
    told = []
    for _ in range(8):
        player.text("]")
        time.sleep(0.2)  # a marker may stand where the last one did: nothing on the screen need change
        last = player.screen().rstrip("\n").rpartition("\n")[2]
        told.append(last)
        if "no marker" in last:
            break
    assert any("alice -> bob" in each and "● bob" in each for each in told), told
    assert any("bob -> alice" in each and "● alice" in each for each in told), told


def test_the_last_screen_is_the_one_that_was_left_after_the_changes_of_size(bastion: Bastion, recorded: str) -> None:
    player = bastion.tmux("aud", "replay", recorded, "--at", "+0:59:59", columns=100, lines=32)
    shown = player.wait(" end").split("\n")
    at = next(number for number, line in enumerate(shown) if "echo small" in line)
    assert shown[at + 1] == "small"
    assert "30 100" in shown
    assert "large" in shown
    assert any("compiling 49" in line for line in shown), "what the larger window brought back is there"
    player.close()


def test_a_live_session_is_followed_rewound_and_followed_again(bastion: Bastion) -> None:
    before = {row["id"] for row in bastion.live()}
    alice = bastion.tmux("alice", *SHELL)
    alice.wait("%")
    (session,) = until(lambda: [row["id"] for row in bastion.live(owner="alice", state="running") if row["id"] not in before], "it runs")
    watching = bastion.tmux("aud", "replay", session)
    watching.wait("LIVE")
    alice.text("echo fi''rst")
    alice.type("Enter")
    watching.wait("first\n")
    watching.type("Home")
    watching.text(" ")
    watching.wait("first\n", gone=True)
    alice.text("echo sec''ond")
    alice.type("Enter")
    alice.wait("second\n")
    watching.type("End")
    watching.wait("second\n")
    watching.wait("LIVE")
    alice.text("exit")
    alice.type("Enter")
    watching.wait("LIVE", gone=True)
    watching.wait(" end")
    watching.close()
    alice.close()


def test_without_a_terminal_a_replay_is_a_transcript_that_says_so(bastion: Bastion, recorded: str) -> None:
    done = bastion.ssh("aud", f"replay {recorded}")
    assert done.returncode == 0
    assert b"a player needs a terminal (ssh -t)" in done.stderr
    assert b"compiling 49\n" in done.stdout
    assert b"\x1b" not in done.stdout
    picture = bastion.ssh("aud", f"export {recorded} --svg")
    assert picture.returncode == 0
    assert picture.stdout.startswith(b"<svg")
    assert b">large</text>" in picture.stdout
