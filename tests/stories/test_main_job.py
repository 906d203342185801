"""The main job through the real door: stock ssh, a real sshd, a recording that a stock player plays."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd


def text_of(cast: bytes) -> str:
    """Return all output of a v3 cast."""
    lines = [json.loads(line) for line in cast.decode().splitlines()[1:] if not line.startswith("#")]
    return "".join(event[2] for event in lines if event[1] == "o")


def test_a_command_runs_on_the_endpoint_and_its_exit_code_comes_back(bastion: Bastion) -> None:
    done = bastion.ssh("alice", "connect web01 -- echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_every_byte_passes_unchanged_in_both_directions(bastion: Bastion) -> None:
    data = bytes(range(256)) * 4096
    done = bastion.ssh("alice", "connect web01 -- cat", input=data)
    assert done.returncode == 0
    assert done.stdout == data


def test_the_user_name_may_carry_the_endpoint(bastion: Bastion, sshd: Sshd) -> None:
    assert bastion.ssh("alice%web01", "echo $SHLVL-here").stdout.endswith(b"-here\n")
    assert bastion.ssh(f"alice%{sshd.user}@web01", "id -un").stdout.decode().strip() == sshd.user


def test_a_session_is_recorded_and_the_auditor_gets_it_as_asciicast(bastion: Bastion) -> None:
    bastion.ssh("alice", "connect web01 -- echo planted-for-the-auditor")
    for session in bastion.json("aud", "recordings"):
        cast = bastion.ssh("aud", f"cast {session['id']}")
        assert cast.returncode == 0
        if "planted-for-the-auditor" in text_of(cast.stdout):
            header = json.loads(cast.stdout.splitlines()[0])
            assert header["version"] == 3
            return
    raise AssertionError("no recording shows it")


def test_an_engineer_may_not_read_recordings_and_an_auditor_may_not_connect(bastion: Bastion) -> None:
    refused = bastion.ssh("alice", "recordings")
    assert refused.returncode == 77
    assert b"No rule allows replay for alice" in refused.stderr
    refused = bastion.ssh("aud", "connect web01 -- true")
    assert refused.returncode in (66, 77)
    assert b"no endpoint" in refused.stderr


def test_an_unknown_key_is_refused_like_an_unknown_user(bastion: Bastion) -> None:
    options = ("-i", str(bastion.key_of("nobody")))
    known = subprocess.run([*bastion.ssh_argv("nobody")[:-1], "alice@127.0.0.1", "whoami"], capture_output=True, check=False)
    unknown = bastion.ssh("nobody", "whoami", options=options)
    assert known.returncode == unknown.returncode == 255
    assert known.stderr.replace(b"alice", b"X") == unknown.stderr.replace(b"nobody", b"X")


def test_an_interactive_session_under_tmux_passes_keys_size_and_the_exit_code(bastion: Bastion) -> None:
    window = bastion.tmux("alice", "connect web01", options=("-tt",))
    try:
        window.wait("~")
        window.text("stty size; printf 'caf\\303\\251 \\346\\274\\242\\n'")
        window.type("Enter")
        window.wait("24 80")
        window.wait("café 漢")
        window.resize(100, 30)
        window.text("stty size")
        window.type("Enter")
        window.wait("30 100")
        window.text("sleep 300")
        window.type("Enter")
        window.wait("sleep 300")
        window.type("C-c")
        window.text("exit 7")
        window.type("Enter")
        assert window.wait_exit() == 7
    finally:
        window.close()


@pytest.mark.parametrize("editor", ["vim.tiny"])
def test_vim_works_through_the_bastion(bastion: Bastion, tmp_path, editor: str) -> None:
    file = tmp_path / "note.txt"
    window = bastion.tmux("alice", f"connect web01 -- {editor} -u NONE -N {file}", options=("-tt",))
    try:
        window.wait("~")
        window.text("iwritten through the bastion")
        window.type("Escape")
        window.text(":wq")
        window.type("Enter")
        assert window.wait_exit() == 0
        assert file.read_text() == "written through the bastion\n"
    finally:
        window.close()


def test_a_shell_on_a_terminal_gets_the_endpoints_bytes_and_nothing_before_them(bastion: Bastion) -> None:
    done = bastion.ssh("alice", "connect web01", input=b"PS1=; echo be''gin; exit 5\n", options=("-tt",))
    assert done.returncode == 5
    assert b"begin\r\n" in done.stdout
    recorded = [text_of(bastion.ssh("aud", f"cast {row['id']}").stdout) for row in bastion.json("aud", "recordings", "--limit", "3")]
    assert done.stdout.decode() in recorded


def test_init_on_a_home_that_is_being_served_changes_nothing_and_says_so(bastion: Bastion) -> None:
    before = (bastion.home / "bastion.toml").read_bytes()
    done = bastion.program("init")
    assert b"so nothing is missing there" in done.stdout
    assert (bastion.home / "bastion.toml").read_bytes() == before
