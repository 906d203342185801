"""Planted secrets: people see them, and they are found nowhere in the home, the log or the process list."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd
from tests.lab.waiting import until

TOKEN = "AKIAPLANTED0SECRET01"
BLOT = "\N{FULL BLOCK}"


def everywhere(bastion: Bastion) -> list[Path]:
    """Return every file of the home and the log."""
    return [path for path in bastion.folder.rglob("*") if path.is_file() and "keys" not in path.parts]


def holding(bastion: Bastion, secret: str) -> list[Path]:
    return [path for path in everywhere(bastion) if secret.encode() in path.read_bytes()]


def test_a_token_that_a_pattern_knows_is_seen_live_and_kept_nowhere(own_bastion: Bastion) -> None:
    own_bastion.stop()
    own_bastion.env["BASTION_RECORDING_MASK"] = "AKIA[0-9A-Z]{16}"
    own_bastion.start()
    done = own_bastion.ssh("alice", f"connect web01 -- printf 'key: {TOKEN[:9]}'; sleep 0.05; echo '{TOKEN[9:]} €'")
    assert done.stdout.decode() == f"key: {TOKEN} €\n", "what people see is not changed"
    asked = own_bastion.ssh("alice", f"connect web01 -- echo {TOKEN}")
    assert asked.stdout.decode() == f"{TOKEN}\n"
    terminal = own_bastion.tmux("alice", "connect web01")
    terminal.wait("~")
    terminal.text(f"x={TOKEN}; echo got-${{#x}}")
    terminal.type("Enter")
    terminal.wait("got-20")
    processes = subprocess.run(["ps", "-o", "args=", "-p", str(own_bastion.process.pid)], capture_output=True, check=True)  # type: ignore[union-attr]
    assert TOKEN.encode() not in processes.stdout
    terminal.text("exit")
    terminal.type("Enter")
    terminal.wait_exit()
    terminal.close()
    until(lambda: len(list(own_bastion.home.glob("recordings/.pack/*"))) == 3, "all three recordings are complete", seconds=60)
    assert len(everywhere(own_bastion)) > 10
    assert holding(own_bastion, TOKEN) == []
    blotted = [cast for cast in own_bastion.casts() if BLOT * 20 in cast.read_text()]
    assert len(blotted) == 3
    assert TOKEN.encode() not in own_bastion.ssh("aud", "recordings --json").stdout
    assert own_bastion.ssh("aud", "verify --all").returncode == 0
    own_bastion.stop()
    assert holding(own_bastion, TOKEN) == [], "neither when all is written"


def test_the_key_that_opens_an_endpoint_is_blotted_out_where_its_session_shows_it(own_bastion: Bastion, sshd: Sshd) -> None:
    shown = own_bastion.ssh("alice", f"connect web01 -- cat {sshd.key}")
    secret_lines = [line for line in sshd.key.read_text().splitlines() if line and not line.startswith(("-----", "b3BlbnNzaC1rZXktdjE"))]
    assert len(secret_lines) >= 3
    assert all(line in shown.stdout.decode() for line in secret_lines)
    until(lambda: list(own_bastion.home.glob("recordings/.pack/*")), "the recording is complete", seconds=60)
    for line in secret_lines:
        assert holding(own_bastion, line) == []


def test_a_pattern_that_is_none_is_told_at_the_start_with_the_reason(own_bastion: Bastion) -> None:
    own_bastion.stop()
    own_bastion.env["BASTION_RECORDING_MASK"] = "(unclosed"
    started = own_bastion.program("serve", "--ssh-port", "0", check=False)
    assert started.returncode == 78
    assert "recording.mask: the pattern '(unclosed' cannot be used: missing )" in started.stderr.decode()
    del own_bastion.env["BASTION_RECORDING_MASK"]
    own_bastion.start()
