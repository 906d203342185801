"""Sessions under supervision: dropped, detached, taken up again, paused, ended; from another seat and from the host."""

from __future__ import annotations

import os
import re
import shlex
import signal
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.tmux import Tmux
from tests.lab.waiting import until

SHELL = ("-tt",)


def shell(bastion: Bastion, user: str = "alice", **more: int) -> tuple[Tmux, str]:
    """Open a session in a terminal; return it with the session's id."""
    before = {row["id"] for row in bastion.live()}
    window = bastion.tmux(user, "connect web01", options=SHELL, **more)
    window.wait("~")
    (new,) = until(lambda: [row["id"] for row in bastion.live(owner=user, state="running") if row["id"] not in before], "it runs")
    return window, new


def say(window: Tmux, line: str) -> None:
    window.text(line)
    window.type("Enter")


def test_a_session_survives_a_dropped_connection_and_comes_back_with_the_exact_screen(bastion: Bastion) -> None:
    window, session = shell(bastion)
    again = None
    try:
        say(window, r"clear; printf '\033[1;31mred\033[0m caf\303\251 \346\274\242 \033[44mblue\033[0m\n'; sh -c 'trap : HUP; cat'")
        window.wait("blue")
        window.text("half a line")
        window.wait("half a line")
        before = window.screen(colours=True)
        os.kill(window.pid, signal.SIGKILL)
        until(lambda: bastion.live(id=session, detached=True), "it is detached")
        again = bastion.tmux("alice", f"attach {session[:8]}", options=SHELL)
        again.wait("half a line")
        assert again.screen(colours=True) == before
        again.type("Enter")
        until(lambda: again.screen().count("half a line") == 2, "what is typed now arrives")
        assert not bastion.live(id=session, detached=True)
        assert [row["code"] for row in bastion.audit() if row["session"] == session and "tach" in row["code"]] == [
            "session.detached", "session.attached",
        ]  # fmt: skip
    finally:
        window.close()
        if again:
            again.close()
        bastion.ssh("sup", f"kill {session} --reason over --yes")


def test_the_chord_detaches_and_attach_alone_finds_the_only_one(bastion: Bastion) -> None:
    window, session = shell(bastion, "bob")
    try:
        say(window, "clear; echo still-here")
        until(lambda: "still-here" in window.screen().split("$")[0], "it was printed")
        window.type("C-]")
        window.text("d")
        assert window.wait_exit() == 0
        window.wait("Detached. The session goes on for 10 min")
        again = bastion.tmux("bob", "attach", options=SHELL)
        try:
            again.wait("still-here")
            say(again, "exit 5")
            assert again.wait_exit() == 5
        finally:
            again.close()
        until(lambda: not bastion.live(id=session), "it is over")
    finally:
        window.close()


def test_leaving_vim_behind_gives_the_terminal_back_and_attach_finds_vim_again(bastion: Bastion, tmp_path: Path) -> None:
    """Alternate screen, mouse and paste marks would otherwise stay on in the terminal that was left."""
    argv = bastion.ssh_argv("alice", f"connect web01 -- vim.tiny -u NONE -N '+set mouse=a' {tmp_path}/note", options=SHELL)
    window = Tmux(bastion.folder, ["sh", "-c", f"echo before; {shlex.join(argv)}; echo after; cat"])
    again = None
    try:
        window.wait("~\n~")
        window.text("ileft behind")
        window.wait("left behind")
        window.type("C-]")
        window.text("d")
        window.wait("after")
        assert window.screen().split("\n")[:1] == ["before"]
        assert "left behind" not in window.screen()
        assert "Detached." in window.screen()
        assert window.flags("alternate_on", "mouse_any_flag", "keypad_cursor_flag", "cursor_flag") == "0 0 0 1"
        again = bastion.tmux("alice", "attach", options=SHELL)
        again.wait("left behind")
        again.wait("-- INSERT --")
        assert again.flags("alternate_on", "mouse_any_flag") == "1 1"
        again.type("Escape")
        say(again, ":wq")
        assert again.wait_exit() == 0
        assert (tmp_path / "note").read_text() == "left behind\n"
    finally:
        window.close()
        if again:
            again.close()


def test_the_menu_says_that_a_session_left_there_goes_on(bastion: Bastion) -> None:
    window = bastion.tmux("bob", columns=100)
    try:
        window.wait("web01")
        window.text("web01")
        window.type("Enter")
        window.wait("~")
        window.type("C-]")
        window.text("d")
        window.wait("web01: detached.")
        window.wait("resume your session on web01")
        window.text("resume")
        window.type("Enter")
        window.wait("~")
        say(window, "exit")
        window.wait("ended")
    finally:
        window.close()


def test_nobody_attaches_to_the_session_of_another(bastion: Bastion) -> None:
    window, session = shell(bastion)
    try:
        window.type("C-]")
        window.text("d")
        window.wait_exit()
        done = bastion.ssh("bob", f"attach {session}", options=SHELL)
        assert done.returncode == 66
        assert b"no session to go back to" in done.stdout
    finally:
        window.close()
        bastion.ssh("sup", f"kill {session} --reason over --yes")


def test_a_supervisor_pauses_resumes_and_ends_a_session_and_its_owner_is_told_why(bastion: Bastion, tmp_path: Path) -> None:
    window, session = shell(bastion)
    try:
        assert bastion.ssh("bob", f"pause {session}").returncode == 66  # not even its existence is told
        paused = bastion.ssh("sup", f"pause {session[:10]} --reason 'let us talk'")
        assert paused.returncode == 0
        assert b"Paused session" in paused.stderr
        until(lambda: bastion.live(id=session, state="paused"), "it is paused")
        say(window, f"touch {tmp_path}/while-paused")
        assert bastion.ssh("sup", f"pause {session}").returncode != 0
        assert bastion.ssh("sup", f"resume {session}").returncode == 0
        say(window, f"touch {tmp_path}/after")
        until((tmp_path / "after").exists, "keys arrive again")
        assert not (tmp_path / "while-paused").exists()
        killed = bastion.ssh("sup", f"kill {session} --reason 'wrong machine' --yes")
        assert killed.returncode == 0, killed.stderr
        assert window.wait_exit() == 75
        window.wait("sup ended the session: wrong machine")
        (row,) = [row for row in bastion.json("sup", "sessions --past") if row["id"] == session]
        assert (row["state"], row["reason"]) == ("closed", "killed")
        codes = [(row["code"], row["actor"], row["result"]) for row in bastion.audit() if row["session"] == session]
        for expected in (("session.paused", "sup", "ok"), ("session.resumed", "sup", "ok"), ("session.killed", "sup", "ok")):
            assert expected in codes
        tried = [row for row in bastion.audit("command.failed") if row["actor"] == "bob" and row["subject"] == "pause"]
        assert any(session in row["reason"] for row in tried)
    finally:
        window.close()


def test_a_kill_without_a_reason_or_by_an_engineer_is_refused(bastion: Bastion) -> None:
    window, session = shell(bastion)
    try:
        assert bastion.ssh("sup", f"kill {session} --yes").returncode == 64
        refused = bastion.ssh("bob", f"kill {session} --reason x --yes")
        assert refused.returncode == 66
        assert b"There is no live session" in refused.stderr
        assert bastion.live(id=session, state="running")
        own = bastion.ssh("alice", f"kill {session} --reason 'my own' --yes")
        assert own.returncode == 0, own.stderr
        assert window.wait_exit() == 75
    finally:
        window.close()


def test_the_host_program_lists_and_ends_live_sessions_and_sees_the_audit(bastion: Bastion) -> None:
    window, session = shell(bastion)
    try:
        listed = bastion.program("sessions").stdout.decode()
        assert re.search(rf"{session[:12]} +alice +web01 ", listed), listed
        bastion.program("kill", session, "--reason", "from the host", "--yes")
        assert window.wait_exit() == 75
        window.wait("ended the session: from the host")
        assert b"intact" in bastion.program("audit", "verify").stdout
    finally:
        window.close()


def test_the_host_program_gives_the_same_exit_codes_as_ssh(bastion: Bastion) -> None:
    for line in ("kill nosuch --reason x --yes", "nonsense", "sessions --limit 0"):
        assert bastion.program(*line.split(), check=False).returncode == bastion.ssh("root1", line).returncode in (64, 66), line


def test_init_twice_changes_nothing(tmp_path: Path) -> None:
    fresh = Bastion(tmp_path / "b").init()
    before = {path: path.read_bytes() for path in sorted(fresh.home.rglob("*")) if path.is_file() and "bastion.db" not in path.name}
    modes = {path: path.stat().st_mode for path in before}
    again = fresh.program("init", "--admin", "root1", "--key", str(fresh.key_of("root1").with_suffix(".pub")))
    assert again.stdout.decode().splitlines()[0] == "Nothing was missing."
    after = {path: path.read_bytes() for path in before}
    assert after == before
    assert {path: path.stat().st_mode for path in before} == modes
    users = fresh.program("user", "list", "--json").stdout
    assert users.count(b'"root1"') == 1


@pytest.mark.parametrize("file", ["vault.key", "operator.key", "host_ed25519", "audit.key"])
def test_the_secrets_of_a_home_are_for_its_owner_only(bastion: Bastion, file: str) -> None:
    assert (bastion.home / file).stat().st_mode & 0o077 == 0
