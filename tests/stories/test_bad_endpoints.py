"""Endpoints that are dead, slow, refusing or hostile cost one clear line and nothing else."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd, free_port, keygen

TIMEOUT = 2.0


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory, furnished_home: Bastion) -> Iterator[Bastion]:
    """A bastion that waits two seconds for an endpoint, not twenty."""
    env = {"BASTION_SESSIONS_LOGIN_TIMEOUT": str(TIMEOUT)}
    lives = furnished_home.copy(tmp_path_factory.mktemp("hasty") / "b", env=env).start()
    yield lives
    lives.stop()


class Speaker:
    """A listening socket that does one thing with whoever connects."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self._act = act
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                one, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._speak, args=(one,), daemon=True).start()

    def _speak(self, one: socket.socket) -> None:
        with one:
            try:
                self._act(one)
            except OSError:
                return

    def close(self) -> None:
        self.listening.close()


def never(one: socket.socket) -> None:
    while one.recv(65536):
        pass


def at_once(one: socket.socket) -> None:
    one.recv(1)


def web_page(one: socket.socket) -> None:
    one.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def endless_banner(one: socket.socket) -> None:
    while True:
        one.sendall(b"\x1b]0;evil\x07 welcome, welcome\r\n" * 500)


def huge_packet(one: socket.socket) -> None:
    one.sendall(b"SSH-2.0-evil\r\n" + b"\xff" * 100_000)
    never(one)


def refused_line(bastion: Bastion, name: str) -> str:
    """Connect as alice; return the one line that she is told, which must be clean text, with exit code 69."""
    done = bastion.ssh("alice", f"connect {name} -- true")
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, done.stdout, len(lines)) == (69, b"", 1), (done.returncode, done.stderr)
    assert lines[0].isprintable()
    return lines[0]


SPEAKERS = {
    "silent": (never, r"did not let us in within 2 s"),
    "closing": (at_once, r"cannot be reached: .*"),
    "webserver": (web_page, r"cannot be reached: .*"),
    "babbler": (endless_banner, r"cannot be reached: .*|did not let us in within 2 s"),
    "giant": (huge_packet, r"cannot be reached: .*"),
}


@pytest.mark.parametrize("name", list(SPEAKERS))
def test_an_endpoint_that_speaks_no_ssh_costs_one_line_and_no_more_than_the_time_limit(hasty: Bastion, sshd: Sshd, name: str) -> None:
    act, text = SPEAKERS[name]
    speaker = Speaker(act)
    try:
        hasty.admit_endpoint(name, speaker.port, sshd.user, sshd.key, sshd.host_key_public)
        began = time.monotonic()
        line = refused_line(hasty, name)
        assert re.search(rf"{name} \(127\.0\.0\.1:{speaker.port}\) ({text})", line), line
        assert time.monotonic() - began < TIMEOUT + 3
        assert hasty.ssh("alice", "connect web01 -- echo others").stdout == b"others\n"
    finally:
        speaker.close()


def test_an_endpoint_where_nobody_listens_is_refused_at_once(hasty: Bastion, sshd: Sshd) -> None:
    hasty.admit_endpoint("dead", free_port(), sshd.user, sshd.key, sshd.host_key_public)
    assert "connection refused" in refused_line(hasty, "dead").lower()


def test_an_endpoint_that_refuses_the_credential_is_named_and_the_credential_is_not(hasty: Bastion, sshd: Sshd, tmp_path: Path) -> None:
    hasty.admit_endpoint("locked", sshd.port, sshd.user, keygen(tmp_path / "wrong"), sshd.host_key_public)
    line = refused_line(hasty, "locked")
    assert f"locked (127.0.0.1:{sshd.port}) refused the stored credential of its login" in line


def test_an_endpoint_that_opens_no_session_is_told_so(hasty: Bastion, tmp_path: Path) -> None:
    server = Sshd(tmp_path / "d", "MaxSessions 0").start()
    try:
        hasty.admit_endpoint("full", server.port, server.user, server.key, server.host_key_public)
        assert "full opened no session" in refused_line(hasty, "full")
    finally:
        server.stop()


async def test_an_endpoint_that_stalls_after_login_costs_the_time_limit(hasty: Bastion, tmp_path: Path) -> None:
    class Stalls(asyncssh.SSHServer):
        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return True

        def public_key_auth_supported(self) -> bool:
            return True

        async def session_requested(self) -> None:  # type: ignore[override]
            await asyncio.sleep(60)

    key = keygen(tmp_path / "host")
    server = await asyncssh.create_server(Stalls, "127.0.0.1", 0, server_host_keys=[str(key)])
    try:
        await asyncio.to_thread(
            hasty.admit_endpoint, "stalling", server.get_port(), "me", keygen(tmp_path / "login"), key.with_suffix(".pub")
        )
        line = await asyncio.to_thread(refused_line, hasty, "stalling")
        assert "stalling let us in, but opened no session within 2 s" in line
    finally:
        server.close()


def test_a_changed_host_key_is_refused_explained_and_audited_until_an_admin_accepts_it(hasty: Bastion, tmp_path: Path) -> None:
    server = Sshd(tmp_path / "d").start()
    hasty.admit_endpoint("reborn", server.port, server.user, server.key, server.host_key_public)
    assert hasty.ssh("alice", "connect reborn -- echo before").stdout == b"before\n"
    server.stop()
    for file in (server.host_key, server.host_key_public):
        shutil.move(file, tmp_path / f"old-{file.name}")
    keygen(server.host_key)
    server.start()
    try:
        line = refused_line(hasty, "reborn")
        assert "The host key of reborn CHANGED" in line
        assert "endpoint accept-key reborn" in line
        assert re.search(r"pinned SHA256:\S+, presented SHA256:\S+\.", line)
        facts = [row for row in hasty.audit("session.ended") if row["subject"] == "reborn"]
        assert facts[-1]["result"] == "failed"
        assert "endpoint.host_key_changed" in facts[-1]["reason"]
        assert hasty.ssh("alice", "endpoint accept-key reborn --yes").returncode == 77
        scanned = hasty.ssh("root1", "endpoint scan reborn")
        assert (scanned.returncode, b"changed" in scanned.stdout) == (69, True)
        silent = hasty.ssh("root1", "endpoint accept-key reborn --yes")
        assert silent.returncode == 64
        assert b"Say why the host key of reborn changed: --reason TEXT." in silent.stderr
        accepted = hasty.ssh("root1", "endpoint accept-key reborn --reason reinstalled --yes")
        assert accepted.returncode == 0 and accepted.stderr.count(b"SHA256:") >= 2, accepted.stderr
        assert hasty.ssh("alice", "connect reborn -- echo after").stdout == b"after\n"
        facts = [row for row in hasty.audit() if row["subject"] == "reborn" and "key" in row["code"]]
        assert [(row["code"], row["actor"]) for row in facts] == [("endpoint.host_key_refused", "alice"), ("endpoint.host_keys", "root1")]
        assert facts[1]["reason"] == "reinstalled"
    finally:
        server.stop()


def test_a_failed_endpoint_returns_to_the_menu_with_the_reason(hasty: Bastion, sshd: Sshd) -> None:
    hasty.admit_endpoint("gone01", free_port(), sshd.user, sshd.key, sshd.host_key_public)
    window = hasty.tmux("alice", columns=110)
    try:
        window.wait("gone01")
        window.text("gone01")
        window.type("Enter")
        window.wait("cannot be reached: connection refused")
        window.wait("web01")
        window.text("web01")
        window.type("Enter")
        window.wait("~")
        window.text("exit")
        window.type("Enter")
        window.wait("web01: ended")
    finally:
        window.close()


def test_impatience_cancels_a_slow_endpoint_with_ctrl_c(hasty: Bastion, sshd: Sshd) -> None:
    speaker = Speaker(never)
    try:
        hasty.admit_endpoint("slow", speaker.port, sshd.user, sshd.key, sshd.host_key_public)
        window = hasty.tmux("alice", "connect slow", options=("-tt",))
        try:
            hasty_sees = lambda: [row for row in hasty.json("sup", "sessions") if row["endpoint"] == "slow"]  # noqa: E731
            while not hasty_sees():
                assert window.exit_code is None
            window.type("C-c")
            window.wait("Cancelled.", 5)
        finally:
            window.close()
    finally:
        speaker.close()
