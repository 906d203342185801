"""Ed25519 signatures over evidence, and their checking with the public half alone. Never says what is worth signing.

The private key is a PEM file (0600); its public half lies beside it as `NAME.pub` (PEM, 0644) and may be given away. A
public file may hold several keys one after another, so that what an older key signed can still be checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from bastion.backends.vault.keyfile import MAX_BYTES, PUBLIC, read_private, write_new
from bastion.core.errors import Misconfigured

_PEM: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


class Ed25519Verifier:
    """Checks signatures with public keys."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self.keys = {public_id(key): key for key in keys}

    @classmethod
    def load(cls, path: Path) -> Ed25519Verifier:
        """Read a public key file; `Misconfigured` when it holds no Ed25519 key."""
        try:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES)
        except OSError as error:
            raise Misconfigured("signer.public", f"The public key file {path} cannot be read.", str(error)) from None
        return cls.read(content, str(path))

    @classmethod
    def read(cls, content: bytes, where: str) -> Ed25519Verifier:
        """Take the keys out of a public key file's content; `Misconfigured` when it holds no Ed25519 key."""
        try:
            keys = [load_pem_public_key(block) for block in _PEM.findall(content[:MAX_BYTES])]
        except ValueError as error:
            raise Misconfigured("signer.public", f"The public key file {where} cannot be read.", str(error)) from None
        ours = [key for key in keys if isinstance(key, Ed25519PublicKey)]
        if not ours or len(ours) != len(keys):
            raise Misconfigured("signer.public", f"{where} holds no Ed25519 public key.")
        return cls(ours)

    def verify(self, data: bytes, signature: bytes, key_id: str) -> bool:
        """Return whether the key with that id signed `data`; False for an unknown key."""
        key = self.keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


class Ed25519Signer(Ed25519Verifier):
    """Signs with one key, and checks with it and any older ones."""

    def __init__(self, key: Ed25519PrivateKey, older: Iterable[Ed25519PublicKey] = ()) -> None:
        super().__init__([*older, key.public_key()])
        self._key = key
        self._id = public_id(key.public_key())

    def __repr__(self) -> str:
        return f"Ed25519Signer({self._id})"

    @classmethod
    def create(cls, path: Path) -> Ed25519Signer:
        """Make both key files where they are missing, and load them; existing ones are never changed."""
        with contextlib.suppress(FileExistsError):
            key = Ed25519PrivateKey.generate()
            write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        private = _private(path)
        with contextlib.suppress(FileExistsError):
            public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            write_new(public_path(path), public, PUBLIC)
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> Ed25519Signer:
        """Read the private key, and the public file beside it; `Misconfigured` when they do not belong together."""
        key = _private(path)
        known = Ed25519Verifier.load(public_path(path))
        if public_id(key.public_key()) not in known.keys:
            raise Misconfigured("signer.public", f"{public_path(path)} does not hold the public half of {path}.")
        return cls(key, known.keys.values())

    @property
    def key_id(self) -> str:
        """Return the name of the key that signs."""
        return self._id

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature of `data`."""
        return self._key.sign(data)


def public_id(key: Ed25519PublicKey) -> str:
    """Return a key's name: 16 hex digits of a digest of its public half."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def public_path(path: Path) -> Path:
    """Return where the public half of the key at `path` lies."""
    return path.with_name(path.name + ".pub")


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(read_private(path), password=None)
    except (TypeError, ValueError) as error:
        raise Misconfigured("signer.key", f"{path} holds no Ed25519 private key.", type(error).__name__) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise Misconfigured("signer.key", f"{path} holds no Ed25519 private key.")
    return key
