"""Machines that speak telnet only: the same session, recorder and policy; the password is typed by the bastion, unseen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.cast import Cast
from tests.lab.jump import Jumper
from tests.lab.telnetd import Scripted, Telnetd
from tests.lab.waiting import until

SECRET = "plc-s3cret-never-shown"


@pytest.fixture(scope="module")
def plc(bastion: Bastion, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Telnetd]:
    """A real telnetd as the endpoint plc01, with a stored password, and as plc02, where people log in themselves."""
    server = Telnetd(tmp_path_factory.mktemp("telnetd"), SECRET)
    add(bastion, "plc01", server.port, SECRET)
    assert bastion.ssh("root1", f"endpoint add-telnet plc02 127.0.0.1:{server.port} --login operator --ask --yes").returncode == 0
    yield server
    server.close()


def add(bastion: Bastion, name: str, port: int, secret: str, more: str = "") -> None:
    line = f"endpoint add-telnet {name} 127.0.0.1:{port} --login operator --password-stdin --yes {more}"
    done = bastion.ssh("root1", line, input=secret.encode())
    assert done.returncode == 0, done.stderr.decode()


def casts_with(bastion: Bastion, text: bytes) -> list[bytes]:
    rows = bastion.json("aud", "recordings", "--limit", "5")
    casts = [bastion.ssh("aud", f"cast {row['id']}").stdout for row in rows]
    return [cast for cast in casts if text in Cast(cast).output]


def test_the_bastion_logs_in_and_nobody_sees_the_password(bastion: Bastion, plc: Telnetd) -> None:
    window = bastion.tmux("alice", "connect plc01", options=("-tt",))
    try:
        window.wait("Password:")
        window.wait("plc>")
        window.text("stty size; echo $TERM-$((40+2))")
        window.type("Enter")
        window.wait("24 80")
        assert "XTERM-256COLOR-42" in window.wait("-42").upper()
        window.resize(100, 30)
        window.text("stty size")
        window.type("Enter")
        screen = window.wait("30 100")
        assert SECRET not in screen
        window.text("exit")
        window.type("Enter")
        assert window.wait_exit() == 0
    finally:
        window.close()
    found = until(lambda: casts_with(bastion, b"Welcome to PLC 7"), "it is recorded")
    assert all(SECRET.encode() not in cast for cast in found)


def test_people_log_in_themselves_where_no_password_is_stored(bastion: Bastion, plc: Telnetd) -> None:
    window = bastion.tmux("alice", "connect plc02", options=("-tt",))
    try:
        window.wait("login:")
        window.text("operator")
        window.type("Enter")
        window.wait("Password:")
        window.text(SECRET)
        window.type("Enter")
        window.wait("plc>")
        window.text("echo in-$((40+2))")
        window.type("Enter")
        assert SECRET not in window.wait("in-42")
    finally:
        window.close()


def test_it_is_reached_by_ssh_j_too_and_a_script_can_drive_it(bastion: Bastion, plc: Telnetd, tmp_path: Path) -> None:
    alice = Jumper(bastion, "alice", tmp_path)
    done = alice.run("ssh", "plc01", input=b"echo by-$((40+2))\nexit\n")
    assert done.returncode == 0, done.stderr
    assert b"by-42" in done.stdout
    refused = alice.run("ssh", "plc01", "show version")
    assert refused.returncode == 69
    assert b"plc01 speaks telnet, which has shells only" in refused.stderr


def test_what_an_admin_sees(bastion: Bastion, plc: Telnetd) -> None:
    tested = bastion.ssh("root1", "endpoint test plc01")
    assert (tested.returncode, tested.stdout) == (0, b"plc01: answers; telnet proves no more.\n")
    shown = bastion.json("root1", "endpoint show plc01")
    assert (shown["kind"], shown["logins"]) == ("telnet", [{"name": "operator", "method": "password"}])
    asked = bastion.ssh("root1", "endpoint add-telnet plc09 10.9.9.9 --login x --ask")
    assert asked.returncode == 64
    assert b"can be read and changed on its way" in asked.stderr


@pytest.mark.parametrize(
    ("name", "steps", "code", "told"),
    [
        ("t-wrong", (b"login: ", None, b"Password: ", None, b"\r\nLogin incorrect\r\nlogin: "), 69, "t-wrong refused the stored password of operator."),
        ("t-again", (b"login: ", None, b"Password: ", None, b"\r\nPassword: "), 69, "t-again refused the stored password of operator."),
        ("t-gone", (b"login: ", None), 69, ""),
    ],
)
def test_a_login_that_fails_is_one_sentence(bastion: Bastion, name: str, steps: tuple[bytes | None, ...], code: int, told: str) -> None:
    far = Scripted(*steps)
    add(bastion, name, far.port, SECRET)
    try:
        if not told:
            threading.Timer(1.0, lambda: [link.shutdown(2) for link in far.links]).start()
        done = bastion.ssh("alice", f"connect {name}")
        assert done.returncode == code
        assert (told or f"{name} hung up during the login.") in done.stderr.decode()
        assert SECRET.encode() not in done.stdout + done.stderr
    finally:
        far.close()


def test_a_far_side_that_shows_the_password_shows_stars(bastion: Bastion) -> None:
    far = Scripted(b"User ID> ", None, b"PIN> ", None, b"you said $LAST", b"!\r\nready\r\n", None)
    add(bastion, "t-echo", far.port, SECRET, "--prompts 'User ID>' 'PIN>'")
    try:
        window = bastion.tmux("alice", "connect t-echo", options=("-tt",))
        try:
            screen = window.wait("ready")
            assert "you said ********!" in screen
            assert SECRET not in screen
        finally:
            window.close()
        assert far.heard[:2] == [b"operator", SECRET.encode()]
    finally:
        far.close()


def test_a_prompt_that_is_none_never_gets_the_password(bastion: Bastion, furnished_home: Bastion, tmp_path: Path) -> None:
    far = Scripted(b"Press RETURN to continue\r\n")
    hasty = furnished_home.copy(tmp_path / "b", env={"BASTION_SESSIONS_LOGIN_TIMEOUT": "1"}).start()
    try:
        add(hasty, "t-mute", far.port, SECRET)
        done = hasty.ssh("alice", "connect t-mute")
        assert done.returncode == 69
        assert "t-mute asked for no login and password within 1 s that the bastion knows." in done.stderr.decode()
        assert far.heard == []
    finally:
        far.close()
        hasty.stop()
