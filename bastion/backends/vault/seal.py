"""Secrets at rest: AES-256-GCM, the key outside the database. Never logs, caches or stores a secret or a key.

A sealed secret is

    version (1 byte, 1)  key id (4 bytes)  nonce (12 bytes, random)  ciphertext and tag (16 bytes more than the secret)

and is bound to its place: the additional data are the version, the key id, the table, the row and the column, each with
its length. A sealed secret copied to another row does not open.

The key file holds one key a line, in base64. The last one seals, all of them open, so a new line is the start of a
rotation. A key's id is a digest of it, so that lines cannot be mixed up.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bastion.backends.vault.keyfile import read_private, write_new
from bastion.core.errors import Corrupt, Misconfigured
from bastion.services.ports import Secret

VERSION: Final = 1
KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEAD: Final = 1 + _ID_BYTES


class AesVault:
    """The `Vault` port on one or several 256-bit keys, the newest last."""

    def __init__(self, keys: list[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise Misconfigured("vault.key", f"A vault key has {KEY_BYTES} bytes, and there must be one.")
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._newest = key_id(keys[-1])

    def __repr__(self) -> str:
        return "AesVault(...)"

    @classmethod
    def create(cls, path: Path) -> AesVault:
        """Make the key file (0600) if there is none, and load it; an existing one is never changed."""
        with contextlib.suppress(FileExistsError):
            write_new(path, _line(os.urandom(KEY_BYTES)))
        return cls.load(path)

    @classmethod
    def load(cls, path: Path) -> AesVault:
        """Read the key file; `Misconfigured` when it is missing, wrong or readable by others."""
        keys = []
        for number, line in enumerate(read_private(path).splitlines(), 1):
            try:
                key = base64.b64decode(line, validate=True)
            except binascii.Error:
                key = b""
            if len(key) != KEY_BYTES:
                raise Misconfigured("vault.key", f"{path}, line {number}: not a vault key ({KEY_BYTES} bytes in base64).")
            keys.append(key)
        if not keys:
            raise Misconfigured("vault.key", f"{path} holds no key.")
        return cls(keys)

    def seal(self, secret: Secret, *, row: str, column: str, table: str = "credentials") -> bytes:
        """Return the sealed form of `secret` for that place only."""
        head = bytes([VERSION]) + self._newest
        nonce = os.urandom(_NONCE_BYTES)
        return head + nonce + self._ciphers[self._newest].encrypt(nonce, secret.reveal(), _place(head, table, row, column))

    def open(self, sealed: bytes, *, row: str, column: str, table: str = "credentials") -> Secret:
        """Return the secret; `Corrupt` when it was changed or moved, or its key is not in the file."""
        head, nonce, rest = sealed[:_HEAD], sealed[_HEAD : _HEAD + _NONCE_BYTES], sealed[_HEAD + _NONCE_BYTES :]
        if len(rest) < _TAG_BYTES or head[0] != VERSION:
            raise _corrupt("it is not in a form this version knows")
        cipher = self._ciphers.get(head[1:])
        if cipher is None:
            raise _corrupt(f"it was sealed with key {head[1:].hex()}, which the key file does not hold")
        try:
            return Secret(cipher.decrypt(nonce, rest, _place(head, table, row, column)))
        except InvalidTag:
            raise _corrupt("it was changed, or belongs to another place") from None

    def is_current(self, sealed: bytes) -> bool:
        """Return whether it is sealed with the newest key; if not, opening and sealing it again rotates it."""
        return sealed[:_HEAD] == bytes([VERSION]) + self._newest


def key_id(key: bytes) -> bytes:
    """Return the four bytes that name a key."""
    return hashlib.sha256(b"bastion vault key id\0" + key).digest()[:_ID_BYTES]


def _line(key: bytes) -> bytes:
    return base64.b64encode(key) + b"\n"


def _place(head: bytes, *parts: str) -> bytes:
    encoded = [part.encode() for part in parts]
    return head + b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _corrupt(why: str) -> Corrupt:
    return Corrupt("vault.corrupt", "The stored credential cannot be opened.", why)
