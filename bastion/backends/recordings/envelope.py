"""Encrypts recordings to auditors' age public keys, so that this server cannot read them any more. Never keeps an identity.

Each frame of a packed cast is an age file of its own: any place is opened alone, and with nothing but age and zstd at hand
a recording can still be read. Whoever can write here can swap frames or encrypt others: the seals show that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyrage

from bastion.core.errors import Denied, Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence


class Envelope:
    """Encrypts to the keys in `recipients` (`age1...`, `ssh-ed25519 ...`, `ssh-rsa ...`). Raises `ValueError`."""

    def __init__(self, recipients: Sequence[str]) -> None:
        self.recipients = tuple(recipients)
        self._keys: list[Any] = [_recipient(text) for text in recipients]

    def encrypt(self, data: bytes) -> bytes:
        """Return an age file."""
        return bytes(pyrage.encrypt(data, self._keys))


class Identities:
    """The private half: an age identity file's text, or an OpenSSH private key without a passphrase. Raises `Invalid`."""

    def __init__(self, text: bytes) -> None:
        try:
            if b"-----BEGIN" in text:
                self._keys: list[Any] = [pyrage.ssh.Identity.from_buffer(text)]
            else:
                lines = [line.strip() for line in text.decode("ascii", "replace").splitlines()]
                self._keys = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
        except pyrage.IdentityError:
            self._keys = []
        if not self._keys:
            raise Invalid("recording.identity", "That is no age identity: a line AGE-SECRET-KEY-1..., or an OpenSSH private key, is one.")

    def decrypt(self, data: bytes) -> bytes | None:
        """Return what an age file holds; None when it is damaged. `Denied` when it was not encrypted to this identity."""
        try:
            return bytes(pyrage.decrypt(data, self._keys))
        except pyrage.DecryptError as error:
            if "No matching keys" in str(error):
                raise Denied("recording.identity", "That identity does not open this recording: it was encrypted to others.") from None
            return None


def _recipient(text: str) -> object:
    kind = pyrage.ssh if text.startswith("ssh-") else pyrage.x25519
    try:
        return kind.Recipient.from_str(text.strip())
    except pyrage.RecipientError as error:
        raise ValueError(f"{text[:80]!r} is no age public key (age1...), nor one of OpenSSH: {error}") from None
