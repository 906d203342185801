"""Recordings that can be proven: sealed while they are written, verified over ssh and offline."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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


def test_a_pack_is_checked_offline_with_nothing_but_the_public_key_and_any_change_is_named(own_bastion: Bastion, tmp_path: Path) -> None:
    own_bastion.ssh("alice", "connect web01 -- echo evidence-line; sleep 0.1; seq 1 20")
    own_bastion.ssh("alice", "connect web01 -- echo somebody-elses")
    (wanted,) = [path.parent.name for path in own_bastion.casts() if b"evidence-line" in path.read_bytes()]
    until(lambda: any(fact["session"] == wanted for fact in own_bastion.audit("recording.sealed")), "its seal is in the audit log")
    refused = own_bastion.ssh("alice", f"evidence {wanted}")
    assert refused.returncode == 77
    assert not refused.stdout
    given = own_bastion.ssh("aud", f"evidence {wanted}")
    assert given.returncode == 0, given.stderr.decode()
    pack, key = tmp_path / "pack.zip", tmp_path / "audit.key.pub"
    pack.write_bytes(given.stdout)
    key.write_bytes((own_bastion.home / "audit.key.pub").read_bytes())
    with zipfile.ZipFile(pack) as opened:
        assert opened.testzip() is None
        files = {name: opened.read(name) for name in opened.namelist()}
    subprocess.run(["unzip", "-tqq", str(pack)], check=True)
    assert {"README.txt", "session.cast", "seal.jsonl", "session.json", "participants.json", "audit.jsonl", "manifest.json"} <= set(files)
    assert json.loads(files["session.json"])["decision"]["rule"]
    assert [row["user"] for row in json.loads(files["participants.json"])] == ["alice"]
    assert b"somebody-elses" not in b"".join(files.values())
    codes = [json.loads(line)["event"]["code"] for line in files["audit.jsonl"].splitlines()]
    assert {"session.started", "recording.sealed", "session.ended", "recording.exported"} <= set(codes)
    good = own_bastion.program("verify", str(pack), "--key", str(key))
    assert f"session {wanted}".encode() in good.stdout
    assert b"checked with the key in the pack itself" in own_bastion.program("verify", str(pack)).stdout
    other = tmp_path / "other.pub"
    other.write_bytes(_another_key())
    assert own_bastion.program("verify", str(pack), "--key", str(other), check=False).returncode == 65

    def changed(name: str, content: bytes | None) -> str:
        """Return what is said of a pack with that file changed (None: gone), unpacked."""
        folder = tmp_path / "unpacked"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for each, held in files.items():
            (folder / each).write_bytes(held)
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        done = own_bastion.program("verify", str(folder), "--key", str(key), check=False)
        assert done.returncode == 65, done.stdout.decode()
        return done.stderr.decode()

    cast, facts = files["session.cast"], files["audit.jsonl"].splitlines(keepends=True)
    line = next(number for number, text in enumerate(cast.splitlines(), 1) if b"evidence-line" in text)
    assert f"line {line} " in changed("session.cast", cast.replace(b"evidence-line", b"evidence-lime"))
    assert "the tail is missing" in changed("session.cast", cast[: cast.rstrip().rfind(b"\n") + 1])
    assert "audit.jsonl: line 2" in changed("audit.jsonl", facts[0] + facts[1].replace(b'"ok"', b'"no"') + b"".join(facts[2:]))
    assert "participants.json is not what" in changed("participants.json", b"[]\n")
    assert "was added" in changed("more.txt", b"x")


def _another_key() -> bytes:
    key = Ed25519PrivateKey.generate().public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_the_whole_chain_leads_a_packs_facts_to_signed_heads(own_bastion: Bastion, tmp_path: Path) -> None:
    own_bastion.ssh("alice", "connect web01 -- true")
    (cast,) = own_bastion.casts()
    own_bastion.stop()  # it signs the head of the log
    own_bastion.start()
    given = own_bastion.ssh("aud", f"evidence {cast.parent.name} --chain")
    assert given.returncode == 0, given.stderr.decode()
    pack = tmp_path / "pack.zip"
    pack.write_bytes(given.stdout)
    said = own_bastion.program("verify", str(pack), "--key", str(own_bastion.home / "audit.key.pub")).stdout.decode()
    assert "facts lead to signed heads" in said
    cut = tmp_path / "cut.zip"
    cut.write_bytes(given.stdout[: len(given.stdout) // 2])
    refused = own_bastion.program("verify", str(cut), check=False)
    assert refused.returncode == 65
    assert b"no whole zip" in refused.stderr


def test_a_cut_tail_shows_even_when_the_seals_are_cut_with_it(own_bastion: Bastion) -> None:
    own_bastion.ssh("alice", "connect web01 -- echo one; sleep 0.1; echo two")
    (cast,) = own_bastion.casts()
    until(lambda: own_bastion.audit("recording.sealed"), "its seal is in the audit log")
    seals = cast.with_name("seal.jsonl")
    assert own_bastion.ssh("aud", f"verify {cast.parent.name}").returncode == 0
    seals.write_bytes(b"".join(seals.read_bytes().splitlines(keepends=True)[:-1]))
    bad = own_bastion.ssh("aud", f"verify {cast.parent.name}")
    assert bad.returncode == 65
    assert b"not sealed" in bad.stdout or b"tail" in bad.stdout
