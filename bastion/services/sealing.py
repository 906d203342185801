"""Seals recordings while they are written, and checks them. Never on a session's path: everything here runs in threads.

A seal that could not be written is kept and written before the next one: the chain has no holes.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bastion.core.errors import Corrupt, Misconfigured, Missing
from bastion.core.recording import seal
from bastion.core.recording.seal import Sealer, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bastion.core.audit.checkpoint import Signer, Verifier
    from bastion.services.ports import Recordings

_CHUNK: Final = 256 * 1024


def self_test(signer: Signer) -> None:
    """Sign and check, right and wrong, so that sealing is never silently off. `Misconfigured`."""
    message = b"self-test"
    signature = signer.sign(message)
    key_id = signer.key_id
    if not signer.verify(message, signature, key_id) or signer.verify(message + b"!", signature, key_id):
        raise Misconfigured("seal.self_test", "The key that seals recordings does not work: recordings would prove nothing.")


class CastSeal:
    """The seals of one cast that is being written."""

    def __init__(self, recordings: Recordings, session_id: str, signer: Signer, now: float) -> None:
        self._recordings = recordings
        self._session_id = session_id
        self._sealer = Sealer(session_id, signer)
        self._sealed_at = now
        self._waiting = b""

    @property
    def digest(self) -> str:
        """What stands for the whole recording once the end is sealed."""
        return self._sealer.digest

    @property
    def taken(self) -> int:
        """Bytes of the cast that are hashed, if not all sealed yet."""
        return self._sealer.taken

    def catch_up(self, length: int, now: float, *, end: bool = False) -> None:
        """Seal the cast's first `length` bytes (whole lines), if it is time or the `end`. `OSError`."""
        sealer = self._sealer
        if sealer.ended or (not end and length - sealer.taken < seal.EVERY_BYTES and now - self._sealed_at < seal.EVERY_SECONDS):
            return
        self._sealed_at = now
        if sealer.taken < length:
            for data in self._recordings.chunks(self._session_id, sealer.taken):
                self._take(data[: length - sealer.taken])
                if sealer.taken >= length:
                    break
        if end or sealer.unsealed:
            self._waiting += sealer.seal(end=end)
        self._write()

    def resume(self, *, end: bool) -> None:
        """Go on after a crash: with what is on file, up to the cast's end. `OSError`."""
        good = self._sealer.resume(seal.verified_lines(_side(self._recordings, self._session_id)))
        with suppress(FileNotFoundError):
            self._recordings.cut_side(self._session_id, seal.FILE, good)
        if not self._sealer.ended:
            for data in self._recordings.chunks(self._session_id, self._sealer.taken):
                self._take(data)
            self._waiting += self._sealer.seal(end=end)
        self._write()

    def _take(self, data: bytes) -> None:
        if self._sealer.unsealed + len(data) > seal.MAX_BYTES and (cut := data.find(b"\n") + 1):
            self._sealer.take(data[:cut])
            self._waiting += self._sealer.seal()
            data = data[cut:]
        self._sealer.take(data)

    def _write(self) -> None:
        if self._waiting:
            self._recordings.append_side(self._session_id, seal.FILE, self._waiting)
            self._waiting = b""


async def verify(recordings: Recordings, session_id: str, verifier: Verifier, *, digest: str = "") -> Verdict:
    """Check a recording against its seals, and `digest` where the audit log knows it.

    A cast that is gone or cannot be read is a finding as well, so that checking all of them goes on with the next.
    """

    def check() -> Verdict:
        try:
            cast = recordings.chunks(session_id)
            seals = seal.verified_lines(_side(recordings, session_id))
            return seal.verify(cast, seals, verifier, session=session_id, digest=digest)
        except (Corrupt, Missing) as error:
            return Verdict(0, 0, 0, ended=False, digest="", finding=error.public)

    return await asyncio.to_thread(check)


def _side(recordings: Recordings, session_id: str) -> Iterator[bytes]:
    side = recordings.open_side(session_id, seal.FILE)
    if side is None:
        return
    try:
        at = 0
        while data := side.pread(_CHUNK, at):
            yield data
            at += len(data)
    finally:
        side.close()
