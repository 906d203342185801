"""Every stock client does the main job alike: OpenSSH, PuTTY's plink, dropbear's dbclient, paramiko."""

from __future__ import annotations

import subprocess

import pytest

from tests.lab.bastion import Bastion
from tests.lab.clients import CLIENTS
from tests.lab.tmux import Tmux

EVERY_BYTE = bytes(range(256)) * 1024
OTHERS = pytest.mark.parametrize("client", ["plink", "dbclient"])
ALL = pytest.mark.parametrize("client", list(CLIENTS))


def run(argv: list[str], input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(argv, input=input, capture_output=True, timeout=60, check=False)


@OTHERS
def test_a_client_gets_output_errors_and_exit_code_7(bastion: Bastion, client: str) -> None:
    done = run(CLIENTS[client](bastion, "alice", "connect web01 -- echo out; echo err >&2; exit 7"))
    assert (done.returncode, done.stdout) == (7, b"out\n"), done.stderr
    assert b"err\n" in done.stderr


@OTHERS
def test_a_client_passes_every_byte_both_ways(bastion: Bastion, client: str) -> None:
    done = run(CLIENTS[client](bastion, "alice", "connect web01 -- cat"), EVERY_BYTE)
    assert done.returncode == 0, done.stderr
    assert done.stdout == EVERY_BYTE


@OTHERS
def test_a_client_reaches_the_endpoint_that_its_user_name_carries(bastion: Bastion, client: str) -> None:
    done = run(CLIENTS[client](bastion, "alice%web01", "printf 'caf\\303\\251 \\346\\274\\242'; exit 7"))
    assert (done.returncode, done.stdout.decode()) == (7, "café 漢"), done.stderr


@ALL
def test_a_client_has_a_terminal_with_its_size_its_keys_and_its_characters(bastion: Bastion, client: str) -> None:
    window = Tmux(bastion.folder, CLIENTS[client](bastion, "alice", "connect web01", terminal=True), columns=90, lines=20)
    try:
        window.wait("~")
        window.text("stty size; tty; printf 'caf\\303\\251 \\346\\274\\242\\n'")
        window.type("Enter")
        window.wait("20 90")
        window.wait("/dev/pts/")
        window.wait("café 漢")
        window.text("echo typed-ü-漢; sleep 300")
        window.type("Enter")
        window.wait("\ntyped-ü-漢")
        window.type("C-c")
        window.resize(70, 22)
        window.text("clear; stty size; exit 7")
        window.type("Enter")
        assert window.wait_exit() == 7
    finally:
        window.close()


@ALL
def test_a_client_goes_through_the_menu_into_a_machine_and_back(bastion: Bastion, client: str) -> None:
    window = Tmux(bastion.folder, [word for word in CLIENTS[client](bastion, "alice", "", terminal=True) if word], columns=90, lines=20)
    try:
        window.wait("web01")
        window.text("web01")
        window.type("Enter")
        window.wait("~")
        window.text("echo $((6*7))-inside; exit 3")
        window.type("Enter")
        window.wait("exit status 3")
        window.wait("web01")
    finally:
        window.close()


def test_paramiko_gets_output_errors_exit_code_7_and_every_byte(bastion: Bastion) -> None:
    with bastion.paramiko("alice") as client:
        stdin, stdout, stderr = client.exec_command("connect web01 -- cat; echo err >&2; exit 7")
        stdin.write(EVERY_BYTE)
        stdin.channel.shutdown_write()
        assert stdout.read() == EVERY_BYTE
        assert stderr.read() == b"err\n"
        assert stdout.channel.recv_exit_status() == 7


def test_paramiko_has_a_terminal_and_its_characters(bastion: Bastion) -> None:
    with bastion.paramiko("alice%web01") as client:
        channel = client.invoke_shell(term="vt100", width=91, height=21)
        channel.settimeout(20)
        channel.sendall("stty size; echo $TERM; echo typed-ü-漢; exit 7\n".encode())
        seen = b""
        while data := channel.recv(65536):
            seen += data
        assert channel.recv_exit_status() == 7
        assert b"21 91\r\n" in seen
        assert b"vt100\r\n" in seen
        assert "typed-ü-漢\r\n".encode() in seen
