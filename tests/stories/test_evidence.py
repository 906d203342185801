"""Recordings that can be proven: sealed while they are written, verified over ssh and offline."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.lab.bastion import Bastion
from tests.lab.waiting import until


def test_an_untouched_recording_verifies_and_an_altered_one_is_named_with_its_line(own_bastion: Bastion) -> None:
    own_bastion.ssh("alice", "connect web01 -- seq 1 50")
    own_bastion.ssh("alice", "connect web01 -- echo evidence-line; sleep 0.1; echo second")
    good = own_bastion.ssh("aud", "verify --all --json")
    assert good.returncode == 0, good.stdout.decode() + good.stderr.decode()
    altered = next(cast for cast in own_bastion.casts() if b"evidence-line" in cast.read_bytes())
    content = altered.read_bytes()
    altered.chmod(0o600)
    altered.write_bytes(content.replace(b"evidence-line", b"evidence-lime"))
    bad = own_bastion.ssh("aud", "verify --all")
    assert bad.returncode == 65
    assert b"ALTERED" in bad.stdout
    assert b"1 of 2 recordings are not as they were sealed" in bad.stderr
    offline = own_bastion.program("verify", str(altered), "--key", str(own_bastion.home / "audit.key.pub"), check=False)
    assert offline.returncode == 65
    line = next(number for number, text in enumerate(content.splitlines(), 1) if b"evidence-line" in text)
    assert f"line {line}" in offline.stderr.decode()
    altered.write_bytes(content)
    again = own_bastion.program("verify", str(altered), "--key", str(own_bastion.home / "audit.key.pub"), check=False)
    assert again.returncode == 0, again.stderr.decode()


def test_one_without_the_right_may_not_verify_and_is_told_why(bastion: Bastion) -> None:
    refused = bastion.ssh("alice", "verify --all")
    assert refused.returncode == 77
    assert b"No rule allows replay for alice" in refused.stderr


def test_the_audit_log_is_followed_while_things_happen(own_bastion: Bastion) -> None:
    follower = own_bastion.tmux("aud", "audit tail -n 0 --follow --code session.", columns=160)
    until(lambda: own_bastion.ssh("alice", "connect web01 -- true").returncode == 0 and "session.started" in follower.screen(), "a fact is followed", every=0.3)
    assert "login.accepted" not in follower.screen()
    follower.type("C-c")
    assert follower.wait_exit() == 0
    follower.close()
    lines = own_bastion.ssh("aud", "audit export --format cef --code session.started").stdout.decode().splitlines()
    assert lines
    assert all(line.startswith("CEF:0|Bastion|bastion|") for line in lines)


def test_a_home_set_back_to_an_older_copy_is_found_with_the_checkpoints_kept_elsewhere(own_bastion: Bastion, tmp_path: Path) -> None:
    own_bastion.stop()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    copy = tmp_path / "elsewhere" / "checkpoints.jsonl"
    own_bastion.env["BASTION_AUDIT_CHECKPOINTS"] = str(copy)
    shutil.copytree(own_bastion.home, tmp_path / "old")
    own_bastion.start()
    own_bastion.ssh("alice", "connect web01 -- true")
    own_bastion.stop()
    signed = copy.read_bytes()
    assert own_bastion.program("audit", "verify", "--against", "-", input=signed).returncode == 0
    shutil.rmtree(own_bastion.home)
    shutil.copytree(tmp_path / "old", own_bastion.home)
    own_bastion.env["BASTION_AUDIT_CHECKPOINTS"] = ""
    own_bastion.start()
    found = own_bastion.ssh("aud", "audit verify --against -", input=signed)
    assert found.returncode == 65
    assert b"checkpoints kept elsewhere" in found.stderr
    nothing = own_bastion.ssh("aud", "audit verify --against -")
    assert nothing.returncode == 64
    assert b"no checkpoint on standard input" in nothing.stderr
