"""Sealing and signing: what opens, what does not, and which key files are taken."""

import base64
import os

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from bastion.backends.vault import AesVault, Ed25519Signer, Ed25519Verifier
from bastion.backends.vault.signer import public_path
from bastion.core.errors import Corrupt, Misconfigured
from bastion.services.ports import Secret

VAULT = AesVault([bytes(range(32))])


@given(st.binary(max_size=500), st.text(max_size=10), st.text(max_size=10))
def test_a_secret_opens_where_it_was_sealed(value, row, column):
    sealed = VAULT.seal(Secret(value), row=row, column=column)
    assert VAULT.open(sealed, row=row, column=column).reveal() == value


@pytest.mark.parametrize(
    "place",
    [
        {"row": "2", "column": "secret"},
        {"row": "1", "column": "other"},
        {"row": "1", "column": "secret", "table": "users"},
        {"row": "1secret", "column": ""},
    ],
)
def test_a_secret_copied_to_another_place_does_not_open(place):
    sealed = VAULT.seal(Secret(b"hunter2"), row="1", column="secret")
    with pytest.raises(Corrupt) as caught:
        VAULT.open(sealed, **place)
    assert caught.value.code == "vault.corrupt"
    assert "belongs to another place" in caught.value.detail


def test_no_flipped_bit_opens():
    sealed = VAULT.seal(Secret(b"hunter2"), row="1", column="secret")
    for bit in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Corrupt):
            VAULT.open(bytes(damaged), row="1", column="secret")


@given(st.binary(max_size=60))
def test_garbage_is_corrupt_and_never_a_crash(garbage):
    with pytest.raises(Corrupt):
        VAULT.open(garbage, row="1", column="secret")


def test_the_same_secret_is_sealed_differently_each_time_and_never_shows():
    sealed = {VAULT.seal(Secret(b"hunter2-hunter2"), row="1", column="secret") for _ in range(50)}
    assert len(sealed) == 50
    assert not any(b"hunter2" in one for one in sealed)


def test_an_older_key_still_opens_and_the_newest_seals():
    old, new = os.urandom(32), os.urandom(32)
    sealed = AesVault([old]).seal(Secret(b"x"), row="1", column="c")
    both = AesVault([old, new])
    assert both.open(sealed, row="1", column="c").reveal() == b"x"
    assert not both.is_current(sealed)
    again = both.seal(Secret(b"x"), row="1", column="c")
    assert both.is_current(again)
    assert AesVault([new]).open(again, row="1", column="c").reveal() == b"x"
    with pytest.raises(Corrupt) as caught:
        AesVault([new]).open(sealed, row="1", column="c")
    assert "which the key file does not hold" in caught.value.detail


def test_a_key_file_is_made_private_and_once(tmp_path):
    path = tmp_path / "vault.key"
    umask = os.umask(0)
    try:
        sealed = AesVault.create(path).seal(Secret(b"x"), row="1", column="c")
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.read_bytes()
    assert AesVault.create(path).open(sealed, row="1", column="c").reveal() == b"x"
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["vault.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o700])
def test_a_key_file_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "vault.key"
    AesVault.create(path)
    path.chmod(mode)
    with pytest.raises(Misconfigured, match="chmod 600"):
        AesVault.load(path)


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"not base64!\n", "line 1"), (base64.b64encode(bytes(31)) + b"\n", "line 1"), (base64.b64encode(bytes(32)) + b"\n\n", "line 2")],
)
def test_a_wrong_key_file_is_refused_by_line(tmp_path, content, line):
    path = tmp_path / "vault.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(Misconfigured, match=line):
        AesVault.load(path)


@pytest.mark.parametrize(
    "make",
    [lambda path: None, lambda path: path.symlink_to("/dev/zero"), lambda path: os.mkfifo(path, 0o600), lambda path: path.write_bytes(b"")],
)
def test_what_is_no_key_file_is_refused_and_never_waited_for(tmp_path, make):
    path = tmp_path / "vault.key"
    make(path)
    if path.is_file() and not path.is_symlink():
        path.chmod(0o600)
    with pytest.raises(Misconfigured):
        AesVault.load(path)


def test_no_repr_shows_a_key(tmp_path):
    assert repr(AesVault([b"K" * 32])) == "AesVault(...)"
    assert repr(Ed25519Signer.create(tmp_path / "audit.key")).startswith("Ed25519Signer(")


def test_what_was_signed_is_checked_with_the_public_half_alone(tmp_path):
    signer = Ed25519Signer.create(tmp_path / "audit.key")
    verifier = Ed25519Verifier.load(public_path(tmp_path / "audit.key"))
    signature = signer.sign(b"data")
    assert verifier.verify(b"data", signature, signer.key_id)
    assert not verifier.verify(b"datA", signature, signer.key_id)
    assert not verifier.verify(b"data", signature[:-1] + bytes([signature[-1] ^ 1]), signer.key_id)
    assert not verifier.verify(b"data", b"", signer.key_id)
    assert not verifier.verify(b"data", signature, "0" * 16)


def test_signing_keys_are_made_once_with_their_modes(tmp_path):
    path = tmp_path / "audit.key"
    first = Ed25519Signer.create(path)
    assert Ed25519Signer.create(path).key_id == first.key_id
    assert path.stat().st_mode & 0o777 == 0o600
    assert public_path(path).stat().st_mode & 0o777 == 0o644


def test_an_older_public_key_in_the_file_still_verifies(tmp_path):
    old = Ed25519Signer.create(tmp_path / "old.key")
    Ed25519Signer.create(tmp_path / "new.key")
    with public_path(tmp_path / "new.key").open("ab") as file:
        file.write(public_path(tmp_path / "old.key").read_bytes())
    signer = Ed25519Signer.load(tmp_path / "new.key")
    assert signer.key_id != old.key_id
    assert signer.verify(b"data", old.sign(b"data"), old.key_id)


def test_halves_that_do_not_belong_together_are_refused(tmp_path):
    Ed25519Signer.create(tmp_path / "a.key")
    Ed25519Signer.create(tmp_path / "b.key")
    public_path(tmp_path / "a.key").write_bytes(public_path(tmp_path / "b.key").read_bytes())
    with pytest.raises(Misconfigured, match="does not hold the public half"):
        Ed25519Signer.load(tmp_path / "a.key")


def test_a_key_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "audit.key"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    with pytest.raises(Misconfigured, match="no Ed25519 private key"):
        Ed25519Signer.load(path)


def test_a_readable_signing_key_is_refused(tmp_path):
    Ed25519Signer.create(tmp_path / "audit.key")
    (tmp_path / "audit.key").chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        Ed25519Signer.load(tmp_path / "audit.key")
