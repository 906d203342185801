"""AES-GCM for the fast path: one cipher object per direction, in place of one per packet.

It never chooses keys or nonces; it takes both over from asyncssh's own object, mid-stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncssh.encryption import Encryption, GCMEncryption
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAG = 16
_COUNTER = (1 << 64) - 1


def _nonces(first: bytes) -> Iterator[bytes]:
    """RFC 5647 §7.1: four fixed bytes and a counter that goes up by one a packet."""
    fixed, count = first[:4], int.from_bytes(first[4:], "big")
    while True:
        yield fixed + count.to_bytes(8, "big")
        count = (count + 1) & _COUNTER


class FastGCM(Encryption):
    """A drop-in for asyncssh's `GCMEncryption`, with `seal` and `open` beside its methods."""

    __slots__ = ("decrypt", "encrypt", "next_nonce", "ready")

    def __init__(self, stock: GCMEncryption) -> None:
        cipher = stock._cipher
        aead = AESGCM(cipher._key)
        self.encrypt = aead.encrypt
        self.decrypt = aead.decrypt
        self.next_nonce = _nonces(cipher._iv).__next__
        """The nonce of the next packet. Each packet takes exactly one."""
        self.ready: bytes | None = None
        """A packet that was opened already and now goes the general way."""

    def seal(self, header: bytes, body: bytes) -> bytes:
        """The encrypted body and its tag."""
        return self.encrypt(self.next_nonce(), body, header)

    def open(self, header: bytes | memoryview, sealed: bytes | memoryview) -> bytes | None:
        """The body, or None when it was tampered with."""
        try:
            return self.decrypt(self.next_nonce(), sealed, header)
        except InvalidTag:
            return None

    def encrypt_packet(self, seq: int, header: bytes, packet: bytes) -> tuple[bytes, bytes]:
        """As asyncssh asks for it."""
        sealed = self.seal(header, packet)
        return header + sealed[:-_TAG], sealed[-_TAG:]

    def decrypt_header(self, seq: int, first_block: bytes, header_len: int) -> tuple[bytes, bytes]:
        """As asyncssh asks for it: the length is not encrypted in this mode."""
        return first_block, first_block[:header_len]

    def decrypt_packet(self, seq: int, first: bytes, rest: bytes, header_len: int, mac: bytes) -> bytes | None:
        """As asyncssh asks for it; a packet the fast path has opened is handed out as it is."""
        if self.ready is not None:
            body, self.ready = self.ready, None
            return body
        return self.open(first[:header_len], first[header_len:] + rest + mac)


def faster(encryption: Encryption | None) -> Encryption | None:
    """The same cipher, same key, same counter, but faster where we know how."""
    return FastGCM(encryption) if type(encryption) is GCMEncryption else encryption
