"""Typing together, time and rights that change, and a session that moves, through the real door."""

from __future__ import annotations

import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd
from tests.lab.tmux import Tmux
from tests.lab.waiting import until
from tests.stories.test_together import SHELL, Typist, chord

RULES = """
  - name: engineers-{name}
    effect: allow
    roles: [engineer, supervisor]
    actions: [connect, exec]
    endpoints: [{name}]
    terms: {{{terms}}}
"""
ENDPOINTS = {"share01": "typing: shared, input: true", "rest01": "handback: 3s", "brief01": "max: 8s"}


def put(bastion: Bastion, name: str, value: str) -> None:
    """Write a setting into the file that `init` made."""
    settings = bastion.home / "bastion.toml"
    text, count = re.subn(rf"^(# )?{name} = .*$", f"{name} = {value}", settings.read_text(), flags=re.MULTILINE)
    assert count == 1
    settings.write_text(text)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, furnished_home: Bastion, sshd: Sshd) -> Iterator[Bastion]:
    """A bastion of this module's own: web01, and endpoints with terms of their own; three may be in a session."""
    lives = Bastion(tmp_path_factory.mktemp("sharing") / "b")
    shutil.copytree(furnished_home.folder / "home", lives.home)
    lives.keys = furnished_home.keys
    policy = lives.home / "policies" / "default.yaml"
    all_of_them = 'actions: [connect, exec]\n    endpoints: ["*"]'
    assert all_of_them in policy.read_text()
    rules = "".join(RULES.format(name=name, terms=terms) for name, terms in ENDPOINTS.items())
    policy.write_text(policy.read_text().replace(all_of_them, "actions: [connect, exec]\n    endpoints: [web01]", 1) + rules)
    put(lives, "participants", "3")
    lives.start()
    for name in ENDPOINTS:
        lives.add_endpoint(name, sshd)
    yield lives
    lives.stop()


@pytest.fixture
def open_tmux(house: Bastion) -> Iterator[Callable[..., Tmux]]:
    """Open terminals that are closed, and whose sessions are ended, after the test."""
    opened: list[Tmux] = []

    def make(user: str, *args: str, **more: int) -> Tmux:
        opened.append(house.tmux(user, *args, options=SHELL, **more))
        return opened[-1]

    yield make
    for each in opened:
        each.close()
    for row in house.json("root1", "sessions"):
        house.ssh("root1", f"kill {row['id']} --reason over --yes")
    house.ssh("alice", "attach", options=SHELL)  # hears what was left to be told


def the_session(house: Bastion, user: str = "alice") -> str:
    (row,) = until(lambda: house.live(owner=user, state="running"), "it runs")
    return str(row["id"])


# ---------------------------------------------------------------- several type


def test_where_policy_shares_typing_two_write_in_the_same_vim_and_everybody_sees_who_may(house: Bastion, open_tmux: Callable[..., Tmux], tmp_path: Path) -> None:
    file = tmp_path / "both.txt"
    owner = open_tmux("alice", f"connect share01 -- vim.tiny -u NONE -N {file}")
    owner.text("ione by alice")
    owner.wait("one by alice")
    session = the_session(house)
    assert house.ssh("alice", f"invite {session[:8]} bob --as controller").returncode == 0
    other = open_tmux("bob", f"join {session[:8]} --as controller")
    other.wait("Typing is shared here: what you type is sent.")
    owner.wait("bob joined as controller, and types too.")
    other.wait("alice, bob type")
    looks_on = open_tmux("sup", f"join {session[:8]}", columns=100)
    looks_on.wait("alice, bob type")
    other.text(" two by bob")
    owner.wait("one by alice two by bob")
    owner.text(" three by alice")
    other.wait("two by bob three by alice")
    looks_on.text("nothing of sup's")
    chord(other, "w")
    other.wait("bob  types  from 127.0.0.1")
    owner.type("Escape")
    owner.text(":wq")
    owner.type("Enter")
    assert owner.wait_exit() == 0
    assert file.read_text() == "one by alice two by bob three by alice\n"
    transcript = until(lambda: house.ssh("aud", f"transcript {session}").stdout.decode(), "it is on file")
    types = re.findall(r"-- (\w+) types", transcript)
    assert types == ["alice", "bob", "alice"]
    assert set(re.findall(r"^\S+  (\w+)> ", transcript, re.MULTILINE)) <= {"alice", "bob"}


def test_pastes_of_two_who_type_at_once_stay_whole_and_each_line_is_its_authors(house: Bastion, tmp_path: Path) -> None:
    file = tmp_path / "typed"
    alice = Typist(house.ssh_argv("alice", f"connect share01 -- sh -c 'stty raw -echo; echo ready; cat > {file}'", options=SHELL), tmp_path / "a")
    people = {"alice": alice}
    try:
        alice.wait(b"ready")
        session = the_session(house)
        assert house.ssh("alice", f"invite {session} bob --as controller").returncode == 0
        people["bob"] = Typist(house.ssh_argv("bob", f"join {session} --as controller", options=SHELL), tmp_path / "b")
        people["bob"].wait(b"alice, bob type")
        pastes = {who: [b"\x1b[200~" + f"<{who}-{n}:".encode() + b"%c" % (97 + n) * 20_000 + b">\x1b[201~" for n in range(6)] for who in people}

        def paste(who: str) -> None:
            for one in pastes[who]:
                people[who].send(one)

        at_once = [threading.Thread(target=paste, args=(who,)) for who in people]
        for thread in at_once:
            thread.start()
        for thread in at_once:
            thread.join()
        whole = sum(len(one) for mine in pastes.values() for one in mine)
        until(lambda: file.exists() and file.stat().st_size >= whole, "everything arrived")
        typed = file.read_bytes()
        assert len(typed) == whole
        for one in (one for mine in pastes.values() for one in mine):
            assert typed.count(one) == 1
        for who in people:
            assert [int(n) for n in re.findall(rb"<%b-(\d):" % who.encode(), typed)] == list(range(6))
    finally:
        for typist in people.values():
            typist.close()
        for row in house.live():
            house.ssh("root1", f"kill {row['id']} --reason over --yes")


# ---------------------------------------------------------------- time


def test_a_keyboard_that_rests_with_somebody_else_goes_back_with_notice_marker_and_audit(house: Bastion, open_tmux: Callable[..., Tmux]) -> None:
    owner = open_tmux("alice", "connect rest01")
    owner.wait("~")
    session = the_session(house)
    assert house.ssh("alice", f"invite {session[:8]} bob --as controller").returncode == 0
    other = open_tmux("bob", f"join {session[:8]} --as controller")
    other.wait("alice types")
    chord(other, "r")
    owner.wait("bob asks for the keyboard")
    chord(owner, "g")
    other.wait("You have the keyboard")
    other.wait("bob did not type for 3s: the keyboard goes back to alice.")
    owner.wait("bob did not type for 3s")
    owner.text("echo mine-$((40+2))")
    owner.type("Enter")
    owner.wait("mine-42")
    other.wait("alice types")
    moved = [(row["actor"], row["reason"]) for row in house.audit("control.moved") if row["session"] == session]
    assert moved == [("alice", "alice -> bob"), ("system", "bob -> alice")]


def test_a_session_that_may_not_go_on_says_so_on_every_screen_before_it_ends_with_its_reason(house: Bastion, open_tmux: Callable[..., Tmux]) -> None:
    owner = open_tmux("alice", "connect brief01")
    owner.wait("This session ends in ")
    viewer = open_tmux("sup", f"join {the_session(house)[:8]}", columns=120)
    viewer.wait("1m left")
    assert owner.wait_exit(20) == 75
    assert "The longest time that policy allows is over." in owner.screen()
    assert viewer.wait_exit() == 75


# ---------------------------------------------------------------- rights


def test_a_changed_policy_takes_the_keyboard_and_then_the_place_from_who_may_no_longer(house: Bastion, open_tmux: Callable[..., Tmux]) -> None:
    policy = house.home / "policies" / "default.yaml"
    before = policy.read_text()
    owner = open_tmux("alice", "connect web01")
    owner.wait("~")
    session = the_session(house)
    assert house.ssh("alice", f"invite {session[:8]} bob --as controller").returncode == 0
    other = open_tmux("bob", f"join {session[:8]} --as controller")
    other.wait("alice types")
    chord(other, "r")
    owner.wait("bob asks for the keyboard")
    chord(owner, "g")
    other.wait("You have the keyboard")
    try:
        policy.write_text(before.replace("    actions: [join, control]", "    actions: [join]"))
        assert house.ssh("root1", "policy reload").returncode == 0
        other.wait("bob is viewer now")
        other.wait("alice types")
        other.text("echo not-$((40+2))")
        owner.text("echo yes-$((40+2))")
        owner.type("Enter")
        owner.wait("yes-42")
        assert "not-" not in owner.screen()
        policy.write_text(before.replace("    actions: [join, control]", "    actions: [control]"))
        assert house.ssh("root1", "policy reload").returncode == 0
        other.wait("Policy no longer allows it")
        assert other.wait_exit() == 75
        owner.wait("bob may no longer be here.")
    finally:
        policy.write_text(before)
        assert house.ssh("root1", "policy reload").returncode == 0
    left = [row for row in house.audit("session.left") if row["session"] == session]
    assert [(row["actor"], row["subject"], row["reason"]) for row in left] == [("system", "bob", "session.revoked")]


def test_one_more_than_the_setting_allows_is_told_in_one_line_and_audited(house: Bastion, open_tmux: Callable[..., Tmux]) -> None:
    owner = open_tmux("alice", "connect web01")
    owner.wait("~")
    session = the_session(house)
    for _ in range(2):
        open_tmux("sup", f"join {session[:8]}").wait("alice types")
    done = house.ssh("sup", f"join {session[:8]}", options=SHELL)
    assert (done.returncode, (done.stdout + done.stderr).decode().replace("\r", "").count("\n")) == (69, 1)
    assert b"That session is full: 3 take part." in done.stdout + done.stderr
    refused = house.audit("session.join_refused")[-1]
    assert (refused["actor"], refused["session"], refused["reason"]) == ("sup", session, "That session is full: 3 take part.")


# ---------------------------------------------------------------- a session moves


def test_a_session_left_open_on_another_terminal_moves_to_the_one_that_attaches(house: Bastion, open_tmux: Callable[..., Tmux], tmp_path: Path) -> None:
    old = Typist(house.ssh_argv("alice", "connect web01", options=SHELL), tmp_path / "old")
    try:
        old.send(b"PS1='$ '; clear; echo left-$((40+2))\r")
        old.wait(b"left-42")
        session = the_session(house)
        os.kill(old.ssh.pid, signal.SIGSTOP)  # as where the old line hangs: nothing is read there any more
        new = open_tmux("alice", f"attach {session[:8]}")
        new.wait("left-42")
        new.text("echo here-$((40+2))")
        new.type("Enter")
        new.wait("here-42")
        os.kill(old.ssh.pid, signal.SIGCONT)
        old.wait(b"You went on with this session from 127.0.0.1.")
        assert old.ssh.wait(15) == 0
        assert b"here-42" not in old.seen.read_bytes()
    finally:
        old.close()
    assert [row["detached"] for row in house.live(id=session)] == [False]
    assert [row["reason"] for row in house.audit("session.attached") if row["session"] == session] == ["moved from 127.0.0.1 to 127.0.0.1"]


# ---------------------------------------------------------------- the key


def test_the_key_is_a_setting_and_every_hint_names_it(own_bastion: Bastion) -> None:
    own_bastion.stop()
    put(own_bastion, "chord", "'C-m'")
    done = own_bastion.program("serve", check=False)
    assert done.returncode == 78
    assert b"sessions.chord" in done.stderr
    assert b"C-m is Enter in every terminal; take another, like C-]" in done.stderr
    put(own_bastion, "chord", "'C-a'")
    own_bastion.start()
    window = own_bastion.tmux("alice", "connect web01", options=SHELL)
    try:
        window.wait("~")
        window.type("C-]", "?")
        window.type("C-a", "?")
        window.wait("Ctrl-A and then:")
        assert "Ctrl-]" not in window.screen()
        window.type("C-a", "c")
        window.wait("Your sessions go on: Ctrl-A n goes back")
        window.type("C-a", "n")
        window.type("C-a", "5")
        window.wait("There is no window 5. Ctrl-A s lists those there are.")
        window.type("C-a", "d")
        window.wait("Detached.")
        assert window.wait_exit() == 0
    finally:
        window.close()
