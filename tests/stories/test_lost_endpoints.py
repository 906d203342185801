"""Endpoints that die in mid-session: noticed in time, said with the right reason, and another try is offered."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bastion.settings import every_setting
from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd
from tests.lab.waiting import until


@pytest.fixture(scope="module")
def brisk(tmp_path_factory: pytest.TempPathFactory, furnished_home: Bastion) -> Iterator[Bastion]:
    """A bastion that asks endpoints each half second whether they live."""
    lives = furnished_home.copy(tmp_path_factory.mktemp("brisk") / "b", env={"BASTION_SESSIONS_ENDPOINT_KEEPALIVE": "0.5"}).start()
    yield lives
    lives.stop()


@pytest.fixture
def mortal(tmp_path: Path, brisk: Bastion) -> Iterator[Sshd]:
    """An sshd of one test's own, as the endpoint `mortal`."""
    server = Sshd(tmp_path / "d").start()
    brisk.admit_endpoint("mortal", server.port, server.user, server.key, server.host_key_public)
    yield server
    brisk.ssh("root1", "endpoint remove mortal --yes")
    with contextlib.suppress(psutil.NoSuchProcess):
        everything(server, signal.SIGCONT)
    server.stop()


def everything(server: Sshd, number: int) -> None:
    """Send a signal to the sshd and all that serves its connections, and to nobody else."""
    assert server.process is not None
    for one in (*psutil.Process(server.process.pid).children(recursive=True), psutil.Process(server.process.pid)):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(number)


def test_the_default_notices_a_silent_endpoint_within_thirty_seconds() -> None:
    default = next(default for name, default, _ in every_setting() if name == "sessions.endpoint_keepalive")
    assert isinstance(default, float)
    assert default * 3 < 30


def test_a_silent_endpoint_is_noticed_told_audited_and_can_be_tried_again(brisk: Bastion, mortal: Sshd) -> None:
    window = brisk.tmux("alice", "connect mortal", columns=140)
    try:
        window.wait("~")
        everything(mortal, signal.SIGSTOP)
        began = time.monotonic()
        window.wait("The endpoint was lost: it no longer answers.")
        assert time.monotonic() - began < 10
        window.wait("Connect again? [Y/n]")
        facts = until(lambda: [row for row in brisk.audit("session.ended") if row["subject"] == "mortal"], "its end is audited")
        assert facts[-1]["reason"] == "endpoint-lost: The endpoint was lost: it no longer answers."
        everything(mortal, signal.SIGCONT)
        window.type("Enter")
        window.text("echo back-$((40+2)); exit 4")
        window.type("Enter")
        window.wait("back-42")
        assert window.wait_exit() == 4
    finally:
        window.close()


def test_whoever_does_not_want_to_try_again_leaves_with_75(brisk: Bastion, mortal: Sshd) -> None:
    window = brisk.tmux("alice", "connect mortal", columns=140)
    try:
        window.wait("~")
        everything(mortal, signal.SIGKILL)
        window.wait("The endpoint was lost")
        window.wait("Connect again? [Y/n]")
        window.text("n")
        window.type("Enter")
        assert window.wait_exit() == 75
    finally:
        window.close()


def test_a_command_without_a_terminal_ends_with_75_and_one_line(brisk: Bastion, mortal: Sshd) -> None:
    ssh = subprocess.Popen(brisk.ssh_argv("alice", "connect mortal -- echo on; sleep 60"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert ssh.stdout is not None
    assert ssh.stdout.readline() == b"on\n"
    everything(mortal, signal.SIGSTOP)
    out, err = ssh.communicate(timeout=20)
    assert (ssh.returncode, out) == (75, b"")
    assert err.decode().startswith("bastion: The endpoint was lost: it no longer answers. (session ")


def test_the_menu_offers_it_too(brisk: Bastion, mortal: Sshd) -> None:
    window = brisk.tmux("alice", columns=140)
    try:
        window.wait("mortal")
        window.text("mortal")
        window.type("Enter")
        window.wait("~#" if os.getuid() == 0 else "~")
        everything(mortal, signal.SIGKILL)
        window.wait("Connect again? [Y/n]")
        window.text("n")
        window.type("Enter")
        window.wait("web01")
    finally:
        window.close()
