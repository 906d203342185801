"""Recordings encrypted to an auditor's age key: the server cannot read them, the auditor can, and anybody can check them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyrage
import pytest

from tests.lab.bastion import Bastion
from tests.lab.cast import Cast
from tests.lab.sshd import keygen
from tests.lab.waiting import until

WORDS = "words-for-auditors-only"


@pytest.fixture
def identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def encrypting(own_bastion: Bastion, identity: pyrage.x25519.Identity, tmp_path: Path) -> Bastion:
    """A bastion that encrypts to an age key and to an OpenSSH key, with one recording."""
    own_bastion.stop()
    ssh_key = keygen(tmp_path / "auditor").with_suffix(".pub").read_text().strip()
    own_bastion.env["BASTION_RECORDING_ENCRYPT_TO"] = f"{identity.to_public()},{ssh_key}"
    own_bastion.start()
    own_bastion.ssh("alice", f"connect web01 -- echo {WORDS[:10]}''{WORDS[10:]}; seq 1 100000; echo the-end")
    until(lambda: encrypted(own_bastion) and not list(own_bastion.home.glob("recordings/.pack/*")), "it is encrypted and signed")
    return own_bastion


def encrypted(bastion: Bastion) -> list[Path]:
    return list(bastion.home.glob("recordings/**/session.cast.age"))


def test_only_who_holds_an_identity_reads_it_and_everybody_can_check_it(encrypting: Bastion, identity: pyrage.x25519.Identity, tmp_path: Path) -> None:
    assert encrypting.casts() == []
    (path,) = encrypted(encrypting)
    assert sorted(one.name for one in path.parent.iterdir()) == ["meta.json", "recipients.txt", "seal.jsonl", "session.cast.age", "stored.json"]
    session = encrypting.json("aud", "recordings")[0]["id"]
    key = f"# created: today\n{identity}\n".encode()

    refused = encrypting.ssh("aud", f"cast {session}")
    assert refused.returncode == 69
    assert f"encrypted to {identity.to_public()}" in refused.stderr.decode()
    assert b"--identity -" in refused.stderr
    for bad, why in ((b"nonsense", b"no age identity"), (str(pyrage.x25519.Identity.generate()).encode(), b"does not open this recording")):
        wrong = encrypting.ssh("aud", f"cast {session} --identity -", input=bad)
        assert (wrong.returncode in (64, 77), wrong.stdout, why in wrong.stderr) == (True, b"", True), wrong.stderr

    given = encrypting.ssh("aud", f"cast {session} --identity -", input=key)
    cast = Cast(given.stdout)
    assert WORDS in cast.output.decode()
    assert "the-end" in cast.output.decode()
    by_ssh_key = encrypting.ssh("aud", f"cast {session} --identity -", input=(tmp_path / "auditor").read_bytes())
    assert by_ssh_key.stdout == given.stdout
    assert WORDS in encrypting.ssh("aud", f"transcript {session} --identity -", input=key).stdout.decode()

    assert encrypting.ssh("aud", f"verify {session}").returncode == 0
    assert encrypting.ssh("aud", f"verify {session} --identity -", input=key).returncode == 0
    exported = tmp_path / "session.cast"
    exported.write_bytes(given.stdout)
    (tmp_path / "seal.jsonl").write_bytes((path.parent / "seal.jsonl").read_bytes())
    assert encrypting.program("verify", str(exported), "--key", str(encrypting.home / "audit.key.pub")).returncode == 0

    good = path.read_bytes()
    path.write_bytes(good[:9000] + bytes([good[9000] ^ 1]) + good[9001:])
    found = encrypting.ssh("aud", "verify --all")
    assert found.returncode == 65
    assert b"not the one that was signed" in found.stdout
    assert b"cannot be unpacked" in encrypting.ssh("aud", f"verify {session} --identity -", input=key).stdout
    path.write_bytes(good)

    environ = Path(f"/proc/{encrypting.process.pid}/environ").read_bytes()  # type: ignore[union-attr]
    files = [one.read_bytes() for one in encrypting.folder.rglob("*") if one.is_file()]
    assert not any(str(identity).encode() in content for content in [*files, environ]), "the identity is kept nowhere"


def test_replay_asks_for_the_identity_without_showing_it_and_plays(encrypting: Bastion, identity: pyrage.x25519.Identity) -> None:
    session = encrypting.json("aud", "recordings")[0]["id"]
    player = encrypting.tmux("aud", f"replay {session}", columns=100)
    player.wait("Paste the identity")
    player.text(str(identity))
    assert "AGE-SECRET" not in player.screen().replace("AGE-SECRET-KEY-1...", "")
    player.type("Enter")
    player.wait("the-end")
    player.type("q")
    player.wait_exit()
    player.close()
    (path,) = encrypted(encrypting)
    assert not (path.parent / "keyframes").exists(), "nothing decrypted is left behind"


def test_what_was_encrypted_can_be_read_with_age_alone(encrypting: Bastion, identity: pyrage.x25519.Identity) -> None:
    from bastion.core.recording import frames

    data = encrypted(encrypting)[0].read_bytes()
    length = frames.table_length(data[-9:])
    table = frames.parse(data[-length:], len(data) - length)
    assert len(table) > 1
    parts = [pyrage.decrypt(data[frame.at : frame.at + frame.length], [identity]) for frame in table.since(0)]
    cast = subprocess.run(["zstd", "-dc"], input=b"".join(parts), capture_output=True, check=True).stdout
    assert WORDS in Cast(cast).output.decode()


def test_a_key_that_is_none_is_told_at_the_start(own_bastion: Bastion) -> None:
    own_bastion.stop()
    own_bastion.env["BASTION_RECORDING_ENCRYPT_TO"] = "age1nonsense"
    started = own_bastion.program("serve", "--ssh-port", "0", check=False)
    assert started.returncode == 78
    assert "recording.encrypt_to: 'age1nonsense' is no age public key" in started.stderr.decode()
    del own_bastion.env["BASTION_RECORDING_ENCRYPT_TO"]
    own_bastion.start()
