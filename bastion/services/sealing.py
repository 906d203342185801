"""Seals recordings while they are written, and checks them. Never reads back what it saw written.

What a session writes is hashed on its way (a microsecond a keystroke, 1 ms a megabyte: reading it back in a thread cost
more, and that thread the loop's interpreter); signing, writing and checking seals runs in threads.

A seal that could not be written is kept and written before the next one: the chain has no holes.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bastion.core.errors import Corrupt, Misconfigured, Missing, Unavailable
from bastion.core.recording import seal
from bastion.core.recording.seal import Sealer, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bastion.core.audit.checkpoint import Signer, Verifier
    from bastion.services.record_ports import Recordings

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
        self.take = self._sealer.take_lines
        """Take what was just written: whole lines. Called in order, for all of the cast."""
        self._turn = threading.Lock()  # a tick may still write while the recording is closed

    @property
    def digest(self) -> str:
        """What stands for the whole recording once the end is sealed."""
        return self._sealer.digest

    def due(self, now: float) -> bool:
        """Whether there is something to `write`; ends the stretch in hand when it is time. To be called where `take` is."""
        sealer = self._sealer
        if sealer.unsealed >= seal.EVERY_BYTES or (sealer.unsealed and now - self._sealed_at >= seal.EVERY_SECONDS):
            self._sealed_at = now
            sealer.cut()
        return sealer.waiting or bool(self._waiting)

    def write(self) -> None:
        """Seal what was cut, in a thread. `OSError`: it waits for the next call."""
        with self._turn:
            self._waiting += self._sealer.seal_cut()
            self._write()

    def end(self) -> None:
        """Seal all that was written, as the end of the recording. `OSError`."""
        with self._turn:
            self._waiting += self._sealer.seal(end=True)
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
        """Take what stands in the file, in pieces that end anywhere."""
        if self._sealer.unsealed + len(data) > seal.MAX_BYTES and (cut := data.find(b"\n") + 1):
            self._sealer.take(data[:cut])
            self._waiting += self._sealer.seal()
            data = data[cut:]
        self._sealer.take(data)

    def _write(self) -> None:
        if self._waiting:
            self._recordings.append_side(self._session_id, seal.FILE, self._waiting)
            self._waiting = b""


async def verify(
    recordings: Recordings, session_id: str, verifier: Verifier, *, digest: str = "", count: Callable[[int], None] | None = None
) -> Verdict:
    """Check a recording against its seals, and `digest` where the audit log knows it.

    A cast that is gone or cannot be read is a finding as well, so that checking all of them goes on with the next.
    `count` is told of bytes as they are checked, in a thread.
    """

    def told(chunks: Iterator[bytes]) -> Iterator[bytes]:
        for data in chunks:
            yield data
            if count is not None:
                count(len(data))

    def check() -> Verdict:
        try:
            if recordings.is_encrypted(session_id):
                try:
                    cast = told(recordings.chunks(session_id))
                except Unavailable:  # nobody has given an identity
                    return _without_identity(recordings, session_id, verifier, digest)
            else:
                cast = told(recordings.chunks(session_id))
            seals = seal.verified_lines(_side(recordings, session_id))
            return seal.verify(cast, seals, verifier, session=session_id, digest=digest)
        except (Corrupt, Missing) as error:
            return Verdict(0, 0, 0, ended=False, digest="", finding=error.public)

    return await asyncio.to_thread(check)


def sign_stored(recordings: Recordings, session_id: str, signer: Signer) -> None:
    """Sign an encrypted cast as it is stored, in a thread. `OSError`, `Corrupt`, `Missing`."""
    verdict = seal.verify(None, _lines(recordings, session_id), signer, session=session_id)
    size, stored = _hashed(recordings, session_id)
    line = seal.sign_stored(session_id, size, stored, verdict.digest, signer)
    with suppress(FileNotFoundError):
        recordings.cut_side(session_id, seal.STORED, 0)
    recordings.append_side(session_id, seal.STORED, line)


def _without_identity(recordings: Recordings, session_id: str, verifier: Verifier, digest: str) -> Verdict:
    """Check an encrypted recording as far as one can who cannot read it: the seals' chain, and the file they were signed with."""
    verdict = seal.verify(None, _lines(recordings, session_id), verifier, session=session_id, digest=digest)
    if verdict.finding:
        return verdict
    line = b"".join(_side(recordings, session_id, seal.STORED))
    return replace(verdict, finding=seal.verify_stored(line, *_hashed(recordings, session_id), verdict, verifier))


def _hashed(recordings: Recordings, session_id: str) -> tuple[int, str]:
    """Return size and SHA-256 of a cast as it lies on the disk."""
    size, found = 0, hashlib.sha256()
    for data in recordings.raw(session_id):
        size += len(data)
        found.update(data)
    return size, found.hexdigest()


def _lines(recordings: Recordings, session_id: str) -> Iterator[bytes]:
    return seal.verified_lines(_side(recordings, session_id))


def _side(recordings: Recordings, session_id: str, name: str = seal.FILE) -> Iterator[bytes]:
    side = recordings.open_side(session_id, name)
    if side is None:
        return
    try:
        at = 0
        while data := side.pread(_CHUNK, at):
            yield data
            at += len(data)
    finally:
        side.close()
