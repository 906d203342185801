"""Keys: which kinds open the door, which never do, and how people look after their own."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.lab.bastion import Bastion
from tests.lab.sshd import keygen

KINDS = {"ed25519": ("ed25519",), "ecdsa": ("ecdsa", "-b", "256"), "ecdsa521": ("ecdsa", "-b", "521"), "rsa2048": ("rsa", "-b", "2048")}


def public_of(key: Path) -> str:
    return key.with_suffix(".pub").read_text().strip()


def weak_rsa(path: Path) -> Path:
    """Make an RSA key of 1024 bits, which ssh-keygen no longer does."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()))
    path.chmod(0o600)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    path.with_suffix(".pub").write_bytes(public + b" weak\n")
    return path


class Signer(paramiko.RSAKey):
    """An RSA key that signs as it is told, SHA-1 included."""

    algorithm = ("ssh-rsa", hashes.SHA1())

    def sign_ssh_data(self, data, algorithm=None):
        name, digest = self.algorithm
        message = paramiko.Message()
        message.add_string(name)
        message.add_string(self.key.sign(data, padding=padding.PKCS1v15(), algorithm=digest))
        return message


def logs_in(bastion: Bastion, user: str, key: paramiko.PKey, algorithm: str) -> bool:
    """Say whether paramiko gets in with a signature of exactly this algorithm."""
    transport = paramiko.Transport(("127.0.0.1", bastion.port))
    try:
        transport.start_client(timeout=20)
        handler = paramiko.auth_handler.AuthHandler(transport)
        handler._finalize_pubkey_algorithm = lambda _: algorithm
        handler._get_key_type_and_bits = lambda key: (algorithm, key.asbytes())
        transport.auth_handler = handler
        done = threading.Event()
        handler.auth_publickey(user, key, done)
        assert done.wait(20)
        return transport.is_authenticated()
    finally:
        transport.close()


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_person_adds_a_key_logs_in_with_it_sees_it_and_removes_it(bastion: Bastion, tmp_path: Path, kind: str) -> None:
    key = keygen(tmp_path / kind, *KINDS[kind])
    argv = [str(key) if word == str(bastion.key_of("bob")) else word for word in bastion.ssh_argv("bob", "whoami --json")]

    def try_it() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=30, check=False)

    assert b"Permission denied" in try_it().stderr
    added = bastion.ssh("bob", "keys add", input=public_of(key).encode())
    assert added.returncode == 0, added.stderr
    assert try_it().returncode == 0
    mine = {row["comment"]: row for row in bastion.json("bob", "keys list")}
    assert mine[kind]["last_used_at"]
    assert mine[kind]["public"] == " ".join(public_of(key).split()[:2])
    assert not any(row["comment"] == kind for row in bastion.json("alice", "keys list"))
    removed = bastion.ssh("bob", f"keys remove {mine[kind]['id']} --yes")
    assert removed.returncode == 0, removed.stderr
    assert b"Permission denied" in try_it().stderr
    facts = [(row["code"], row["actor"]) for row in bastion.audit() if mine[kind]["id"] in str(row)]
    assert ("key.added", "bob") in facts
    assert ("key.removed", "bob") in facts


def test_the_last_key_cannot_be_removed_by_its_owner_unseen(bastion: Bastion) -> None:
    (only,) = bastion.json("aud", "keys list")
    done = bastion.ssh("aud", f"keys remove {only['id']}")
    assert done.returncode != 0
    assert bastion.json("aud", "keys list") == [only] or bastion.json("aud", "keys list")[0]["id"] == only["id"]


def test_an_rsa_key_of_1024_bits_is_refused_with_the_reason(bastion: Bastion, tmp_path: Path) -> None:
    done = bastion.ssh("bob", "keys add", input=public_of(weak_rsa(tmp_path / "weak")).encode())
    assert done.returncode == 64
    assert b"1024" in done.stderr and b"2048" in done.stderr, done.stderr


def test_a_private_key_given_by_mistake_is_refused_and_not_echoed(bastion: Bastion, tmp_path: Path) -> None:
    secret = keygen(tmp_path / "secret").read_text()
    done = bastion.ssh("bob", "keys add", input=secret.encode())
    assert done.returncode == 64
    assert b"private" in done.stderr.lower()
    assert secret.splitlines()[1][:20].encode() not in done.stderr


def test_an_rsa_key_of_1024_bits_that_is_in_the_store_all_the_same_opens_nothing(own_bastion: Bastion, tmp_path: Path) -> None:
    weak = weak_rsa(tmp_path / "weak")
    strong = keygen(tmp_path / "strong", "rsa", "-b", "2048")
    assert own_bastion.ssh("bob", "keys add", input=public_of(strong).encode()).returncode == 0
    assert logs_in(own_bastion, "bob", paramiko.RSAKey.from_private_key_file(str(strong)), "rsa-sha2-256")
    fingerprint = paramiko.RSAKey.from_private_key_file(str(weak)).fingerprint
    with sqlite3.connect(own_bastion.home / "bastion.db") as database:
        changed = database.execute(
            "UPDATE user_keys SET fingerprint = ?, public = ? WHERE comment = 'strong'",
            (fingerprint, " ".join(public_of(weak).split()[:2])),
        )
        assert changed.rowcount == 1
    database.close()
    assert not logs_in(own_bastion, "bob", paramiko.RSAKey.from_private_key_file(str(weak)), "rsa-sha2-256")


def test_an_rsa_signature_with_sha_1_is_refused_where_sha_2_is_accepted(bastion: Bastion, tmp_path: Path) -> None:
    path = keygen(tmp_path / "rsa", "rsa", "-b", "2048")
    assert bastion.ssh("bob", "keys add", input=public_of(path).encode()).returncode == 0
    key = Signer.from_private_key_file(str(path))
    assert not logs_in(bastion, "bob", key, "ssh-rsa")
    Signer.algorithm = ("rsa-sha2-256", hashes.SHA256())
    assert logs_in(bastion, "bob", key, "rsa-sha2-256")
    Signer.algorithm = ("ssh-rsa", hashes.SHA1())
    assert not logs_in(bastion, "bob", key, "rsa-sha2-256"), "a SHA-1 signature under a SHA-2 name"
