"""The Ed25519 key that seals recordings: a file of its own, 0600. Never leaves this module but as signatures."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bastion.core.errors import Invalid, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable


class SealKey:
    """The `Signer` port. `public` is the key in PEM, to be given to whoever should be able to verify."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self._check = checker(self.public)

    @classmethod
    def load(cls, path: str) -> SealKey:
        """Return the key in that file; made (0600) when there is none. `Misconfigured` when it is no such key."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            return cls._read(path)
        key = Ed25519PrivateKey.generate()
        data = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return cls(key)

    @classmethod
    def _read(cls, path: str) -> SealKey:
        if os.stat(path).st_mode & 0o077:
            raise Misconfigured("seal.key", f"{path} may be read by others: make it 0600.")
        try:
            with open(path, "rb") as file:
                key = serialization.load_pem_private_key(file.read(10_000), None)
        except (ValueError, TypeError) as error:
            raise Misconfigured("seal.key", f"{path} holds no Ed25519 key.", str(error)) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise Misconfigured("seal.key", f"{path} holds no Ed25519 key.")
        return cls(key)

    @property
    def public(self) -> bytes:
        """The public half, PEM."""
        return self._private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        """Return the signature of `message`."""
        return self._private.sign(message)

    def check(self, message: bytes, signature: bytes) -> bool:
        """Return whether `signature` is this key's for `message`."""
        return self._check(message, signature)


def checker(public: bytes) -> Callable[[bytes, bytes], bool]:
    """Return what checks signatures with a public key (PEM). `Invalid` when it is no Ed25519 key."""
    try:
        key = serialization.load_pem_public_key(public)
    except (ValueError, TypeError) as error:
        raise Invalid("seal.public_key", "That is no public key in PEM form.", str(error)) from error
    if not isinstance(key, Ed25519PublicKey):
        raise Invalid("seal.public_key", "That is no Ed25519 key.")

    def check(message: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    return check
