"""What unlocks logins: keys with passphrases, passwords typed at a hidden prompt, rotation."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd, keygen

SECRET = "pLanted-7e1c"


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Sshd]:
    """An endpoint of one's own."""
    server = Sshd(tmp_path / "far").start()
    yield server
    server.stop()


def admin(bastion: Bastion, line: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return bastion.ssh("root1", line, input=given)


def add(bastion: Bastion, name: str, far: Sshd, how: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    host_key = far.host_key_public.read_text().strip()
    return admin(bastion, f"endpoint add {name} 127.0.0.1:{far.port} --login {far.user} {how} --host-key '{host_key}'", given)


def test_a_key_with_a_passphrase_is_opened_once_and_kept_without_it(bastion: Bastion, far: Sshd, tmp_path: Path) -> None:
    locked = keygen(tmp_path / "locked")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", SECRET, "-f", str(locked)], check=True, capture_output=True)
    (far.folder / "authorized_keys").write_text(locked.with_suffix(".pub").read_text())
    without = add(bastion, "locked1", far, "--key -", locked.read_bytes())
    assert without.returncode == 64
    assert b"--passphrase" in without.stderr
    wrong = add(bastion, "locked1", far, "--key - --passphrase", b"wrong\n" + locked.read_bytes())
    assert b"does not open the key" in wrong.stderr
    assert SECRET.encode() not in wrong.stderr
    right = add(bastion, "locked1", far, "--key - --passphrase", SECRET.encode() + b"\n" + locked.read_bytes())
    assert right.returncode == 0, right.stderr
    assert bastion.ssh("alice", "connect locked1 -- echo in").stdout == b"in\n"
    assert admin(bastion, "endpoint remove locked1 --yes").returncode == 0


def test_a_password_that_is_asked_for_is_typed_hidden_and_kept_nowhere(bastion: Bastion, far: Sshd, tmp_path: Path) -> None:
    assert add(bastion, "asked", far, "--ask").returncode == 0
    batch = bastion.ssh("alice", "connect asked -- true")
    assert batch.returncode == 64
    assert b"you type it, which needs a terminal" in batch.stderr
    window = bastion.tmux("alice", "connect asked")
    try:
        window.wait("not kept, not recorded")
        window.text(SECRET)
        window.type("Enter")
        window.wait("refused the password that you typed")
        assert SECRET not in window.screen()
    finally:
        window.close()
    window = bastion.tmux("alice", "connect asked")
    try:
        window.wait("not kept, not recorded")
        window.type("C-c")
        window.wait("Cancelled")
    finally:
        window.close()
    for path in bastion.home.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in bastion.log_text()
    assert admin(bastion, "endpoint remove asked --yes").returncode == 0


def test_a_key_is_rotated_and_the_old_one_opens_nothing_any_more(bastion: Bastion, far: Sshd) -> None:
    allowed = far.folder / "authorized_keys"
    old = allowed.read_text().strip()
    allowed.write_text("# kept by hand\n" + old)  # no line end, as editors leave it
    allowed.chmod(0o640)
    assert add(bastion, "turning", far, "--key -", far.key.read_bytes()).returncode == 0
    done = admin(bastion, f"credential rotate turning --file {allowed} --yes --json")
    assert done.returncode == 0, done.stderr
    public = json.loads(done.stdout)["public"]
    lines = allowed.read_text().splitlines()
    assert lines[0] == "# kept by hand"
    assert lines[1:] == [public]
    assert allowed.stat().st_mode & 0o777 == 0o640
    assert bastion.ssh("alice", "connect turning -- echo new").stdout == b"new\n"
    direct = ["ssh", "-F", "none", "-i", str(far.key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
              "-o", "UserKnownHostsFile=/dev/null", "-p", str(far.port), f"{far.user}@127.0.0.1", "true"]  # fmt: skip
    assert subprocess.run(direct, capture_output=True, timeout=20, check=False).returncode == 255
    again = admin(bastion, f"credential rotate turning --file {allowed} --yes")
    assert again.returncode == 0, again.stderr
    assert b"removed  the old key" in again.stderr
    assert public.split()[1] not in allowed.read_text()
    assert bastion.ssh("alice", "connect turning -- echo newer").stdout == b"newer\n"
    steps = [row["data"]["step"] for row in bastion.audit("credential.rotation") if row["subject"] == "turning"]
    assert steps == ["made", "installed", "tested", "switched", "removed"] * 2
    assert admin(bastion, "endpoint remove turning --yes").returncode == 0


def test_a_rotation_that_cannot_be_installed_leaves_the_old_key_in_force(bastion: Bastion, far: Sshd) -> None:
    assert add(bastion, "stuck", far, "--key -", far.key.read_bytes()).returncode == 0
    before = (far.folder / "authorized_keys").read_text()
    for file, code, words in (
        ("/dev/null/no/such", 69, b"answered"),  # cannot be written
        (f"{far.folder}/elsewhere", 69, b"refused the stored credential"),  # written, but sshd does not look there
    ):
        done = admin(bastion, f"credential rotate stuck --file {file} --yes")
        assert done.returncode == code, done.stderr
        assert words in done.stderr
    assert (far.folder / "authorized_keys").read_text() == before
    assert (far.folder / "elsewhere").read_text() == ""
    assert bastion.ssh("alice", "connect stuck -- echo old").stdout == b"old\n"
    assert admin(bastion, "endpoint remove stuck --yes").returncode == 0


def test_an_engineer_rotates_nothing(bastion: Bastion) -> None:
    done = bastion.ssh("alice", "credential rotate web01 --yes")
    assert done.returncode == 77
    assert b"No rule allows admin.endpoint for alice" in done.stderr
