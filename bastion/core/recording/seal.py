"""Seals: what a cast said, hashed in a chain and signed while it was written, so that any change shows and where.

Never holds a key: signing and checking are asked of a `Signer` or `Verifier`. Never reads a file.

The side file `seal.jsonl` has a line for each stretch of the cast (every 10 s in which it grew, or every MB):

    {"seal":{"format":1,"session":ID,"n":0,"from":0,"to":65012,"line":1,"hash":SHA-256 of these bytes in hex,
     "lines":base64 of each line's CRC-32 (4 bytes, big-endian),"previous":SHA-256 of the seal before ("" for the
     first),"key":name of the key,"end":false},"sig":base64 of the Ed25519 signature}

Signed are the words `bastion recording seal 1`, a zero byte, and then the seal's JSON exactly as it stands in the line.
`to` is where the stretch ends (exclusive), `line` the number of its first line (from 1). `end` is true in the last one
only: a cast whose last seal is no end was cut off, or is still being written. `hash` proves, `lines` only says where.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zlib import crc32

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bastion.core.audit.checkpoint import Signer, Verifier

FILE: Final = "seal.jsonl"
STORED: Final = "stored.json"
"""Signed by `sign_stored`; beside encrypted casts."""
FORMAT: Final = 1
EVERY_BYTES: Final = 1024 * 1024
EVERY_SECONDS: Final = 10.0
MAX_BYTES: Final = 4 * 1024 * 1024
"""A flood is sealed in stretches of about this, so that a seal stays small."""
MAX_RECORD: Final = 4 * 1024 * 1024
"""Longest line of a seal file that is read; ours stay below 2 MB."""
MAX_STRETCH: Final = 16 * 1024 * 1024
"""Longest stretch that one seal may claim; ours stay below 5 MB, and one is held whole."""

_PURPOSE: Final = b"bastion recording seal 1\0"
_STORING: Final = b"bastion recording stored 1\0"
_STORED: Final = b'{"stored":'
_OPEN: Final = b'{"seal":'
_CLOSE: Final = b',"sig":"'
_SHORT: Final = 4
_SHORT_LINES: Final = 256


class Sealer:
    """Makes the seals of one cast. It is given all of the cast's bytes in order, whole lines at each `seal`."""

    def __init__(self, session: str, signer: Signer) -> None:
        self._session = session
        self._signer = signer
        self._n = 0
        self._from = 0
        self._line = 1
        self._cut: list[tuple[int, int, int, str, bytes]] = []  # from, to, first line, hash, CRCs: to be sealed
        self._previous = ""
        self._hash = hashlib.sha256()
        self._short = bytearray()
        self._crc = 0  # of the line in hand
        self.taken = 0
        """Bytes of the cast taken so far, sealed or not."""
        self.ended = False

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the last seal: it stands for all of the cast up to there."""
        return self._previous

    @property
    def unsealed(self) -> int:
        """Bytes taken since the last cut."""
        return self.taken - self._from

    def take_lines(self, lines: bytes) -> None:
        """Take the cast's next whole lines; a stretch that would grow beyond `MAX_BYTES` ends before them."""
        size = len(lines)
        if self.taken - self._from + size > MAX_BYTES and self.taken > self._from:
            self.cut()
        if size < _SHORT_LINES and lines.find(b"\n") == size - 1:  # a keystroke's echo
            self.taken += size
            self._hash.update(lines)
            self._short += crc32(lines).to_bytes(_SHORT, "big")
        else:
            self.take(lines)

    def take(self, data: bytes) -> None:
        """Take the cast's next bytes."""
        self.taken += len(data)
        self._hash.update(data)
        view, start = memoryview(data), 0
        while end := data.find(b"\n", start) + 1:
            self._short += crc32(view[start:end], self._crc).to_bytes(_SHORT, "big")
            start, self._crc = end, 0
        if start < len(data):
            self._crc = crc32(view[start:], self._crc)

    def cut(self) -> None:
        """End the stretch here, at the end of a line: what comes next is the next seal's. Cheap."""
        self._cut.append((self._from, self.taken, self._line, self._hash.hexdigest(), bytes(self._short)))
        self._line += len(self._short) // _SHORT
        self._from = self.taken
        self._hash = hashlib.sha256()
        self._short.clear()

    @property
    def waiting(self) -> bool:
        """Whether stretches wait to be sealed."""
        return bool(self._cut)

    def seal_cut(self, *, end: bool = False) -> bytes:
        """Return the lines that seal the stretches that were cut. May run in a thread while `take` and `cut` go on."""
        lines = b""
        waiting = len(self._cut)
        for number in range(waiting):
            start, stop, first, digest, short = self._cut[number]
            payload = orjson.dumps(
                {
                    "format": FORMAT,
                    "session": self._session,
                    "n": self._n,
                    "from": start,
                    "to": stop,
                    "line": first,
                    "hash": digest,
                    "lines": base64.b64encode(short).decode(),
                    "previous": self._previous,
                    "key": self._signer.key_id,
                    "end": end and number == waiting - 1,
                }
            )
            lines += _OPEN + payload + _CLOSE + base64.b64encode(self._signer.sign(_PURPOSE + payload)) + b'"}\n'
            self._n += 1
            self._previous = hashlib.sha256(payload).hexdigest()
        del self._cut[:waiting]
        self.ended = end
        return lines

    def seal(self, *, end: bool = False) -> bytes:
        """Return the lines that seal all that was taken since the last one."""
        self.cut()
        return self.seal_cut(end=end)

    def resume(self, seals: Iterable[bytes]) -> int:
        """Go on after these lines of a seal file (of a process that died); return how many bytes of it are whole."""
        length = 0
        for line in seals:
            found = _parse(line) if line.endswith(b"\n") else None
            if found is None or (found.n, found.previous, found.start) != (self._n, self._previous, self._from):
                break
            length += len(line)
            self._n += 1
            self._from = self.taken = found.stop
            self._line = found.line + len(found.lines) // _SHORT
            self._previous = found.digest
            self.ended = found.end
        return length


@dataclass(frozen=True, slots=True)
class Verdict:
    """What checking a recording found.

    `finding` is "" when all is as it was sealed, else one sentence on the first thing wrong; `line` (from 1) and
    `offset` say where in the cast, when it is there. `ended`: the end seal was seen. `digest` is the last good seal's.
    """

    lines: int
    bytes: int
    seals: int
    ended: bool
    digest: str
    finding: str = ""
    line: int | None = None
    offset: int | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.finding


@dataclass(frozen=True, slots=True)
class _Seal:
    n: int
    session: str
    start: int
    stop: int
    line: int
    hash: str
    lines: bytes
    previous: str
    key: str
    end: bool
    payload: bytes
    signature: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.payload).hexdigest()


def _parse(line: bytes) -> _Seal | None:
    line = line.rstrip(b"\n")
    cut = line.rfind(_CLOSE)
    if cut < 0 or not line.startswith(_OPEN) or not line.endswith(b'"}') or len(line) > MAX_RECORD:
        return None
    payload = line[len(_OPEN) : cut]
    try:
        value = orjson.loads(payload)
        spelled = line[cut + len(_CLOSE) : -2]
        signature = base64.b64decode(spelled, validate=True)
        if base64.b64encode(signature) != spelled:  # base64 has spare bits; not one may be changed unseen
            return None
        numbers = [value[key] for key in ("n", "from", "to", "line")]
        texts = [value[key] for key in ("session", "hash", "lines", "previous", "key")]
        if value["format"] != FORMAT or not all(type(number) is int and number >= 0 for number in numbers):
            return None
        if not all(isinstance(text, str) for text in texts) or not 0 <= numbers[2] - numbers[1] <= MAX_STRETCH:
            return None
        short = base64.b64decode(texts[2], validate=True)
        return _Seal(
            numbers[0],
            texts[0],
            numbers[1],
            numbers[2],
            numbers[3],
            texts[1],
            short,
            texts[3],
            texts[4],
            value["end"] is True,
            payload,
            signature,
        )
    except (orjson.JSONDecodeError, binascii.Error, KeyError, TypeError, ValueError):
        return None


class _Cast:
    """The cast's bytes, taken in stretches."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held = b""

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end."""
        parts = [self._held]
        have = len(self._held)
        while have < size and (data := next(self._chunks, b"")):
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._held = whole[size:]
        return whole[:size]

    def left(self) -> bool:
        """Return whether more bytes follow."""
        while not self._held:
            self._held = next(self._chunks, b"")
            if not self._held:
                return False
        return True


def verify(cast: Iterable[bytes] | None, seals: Iterable[bytes], verifier: Verifier, *, session: str = "", digest: str = "") -> Verdict:
    """Check a cast against its seals (lines) and the key; stop at the first thing that is wrong.

    Without `cast`, the seals alone are checked. `session` and `digest`, where known (from the audit log), must be the seals' own.
    """
    source = _Cast(cast or ())
    lines, place, count, previous, ended = 0, 0, 0, "", False

    def wrong(finding: str, line: int | None = None, offset: int | None = None) -> Verdict:
        return Verdict(lines, place, count, ended, previous, finding, line, offset)

    for text in seals:
        seal = _parse(text)
        if seal is None:
            return wrong(f"seal {count + 1} cannot be read")
        session = session or seal.session
        fault = _fault(seal, verifier, session, ended=ended)
        if not fault and (seal.n, seal.previous, seal.start, seal.line) != (count, previous, place, lines + 1):
            fault = "does not follow the one before: seals were removed, added or swapped"
        if fault:
            return wrong(f"seal {count + 1} {fault}")
        bad = None if cast is None else _compare(source, seal, place)
        if bad is not None:
            return wrong(*bad)
        lines += len(seal.lines) // _SHORT
        place, previous, ended = seal.stop, seal.digest, seal.end
        count += 1
    if source.left() or count == 0:
        what = "were added after the end" if ended else "are not sealed" if count else "are not sealed: there are no seals"
        return wrong(f"the lines from {lines + 1} on {what}", lines + 1, place)
    if digest and digest != previous:
        return wrong("the tail is missing, or all was sealed anew: the audit log knows of another last seal", lines + 1, place)
    return Verdict(lines, place, count, ended, previous)


def _fault(seal: _Seal, verifier: Verifier, session: str, *, ended: bool) -> str:
    """Return what is wrong with a seal by itself."""
    if not verifier.verify(_PURPOSE + seal.payload, seal.signature, seal.key):
        return "has no valid signature by a known key"
    if ended:
        return "follows the end seal"
    return "" if seal.session == session else "belongs to another session"


def _compare(source: _Cast, seal: _Seal, place: int) -> tuple[str, int, int] | None:
    """Return what is wrong with the stretch of a seal: (sentence, line, offset)."""
    size = seal.stop - seal.start
    stretch = source.take(size)
    if len(stretch) == size and hashlib.sha256(stretch).hexdigest() == seal.hash:
        return None
    number, offset = seal.line, place
    *lines, rest = stretch.split(b"\n")
    for index, line in enumerate(lines):
        if crc32(b"\n", crc32(line)).to_bytes(_SHORT, "big") != seal.lines[index * _SHORT : (index + 1) * _SHORT]:
            break
        number, offset = number + 1, offset + len(line) + 1
    else:
        if len(stretch) < size:
            return (f"the tail is missing from line {number} on", number, offset)
        if not rest:  # four bytes of a hash can agree by chance; the stretch is still named
            number, offset = seal.line, place
    return (f"line {number} (at byte {offset}) is not what was recorded", number, offset)


def sign_stored(session: str, size: int, stored: str, digest: str, signer: Signer) -> bytes:
    """Return the line that proves how a cast is stored: SHA-256 `stored` (hex) of its encrypted file, and its last seal's digest.

    Whoever cannot decrypt the cast can check this one, and through it that the sealed cast is what was encrypted here.
    """
    fact = {"format": FORMAT, "session": session, "bytes": size, "stored": stored, "digest": digest, "key": signer.key_id}
    payload = orjson.dumps(fact)
    return _STORED + payload + _CLOSE + base64.b64encode(signer.sign(_STORING + payload)) + b'"}\n'


def verify_stored(line: bytes, size: int, stored: str, verdict: Verdict, verifier: Verifier) -> str:
    """Return what is wrong ("": nothing) with an encrypted file of that size and hash, whose seals gave that verdict."""
    payload, _, end = line.rstrip(b"\n").removeprefix(_STORED).rpartition(_CLOSE)
    try:
        fact = orjson.loads(payload)
        signature = base64.b64decode(end.removesuffix(b'"}'), validate=True)
        if line != _STORED + payload + _CLOSE + base64.b64encode(signature) + b'"}\n':
            return "the signature of the encrypted file cannot be read"
        if not verifier.verify(_STORING + payload, signature, fact["key"]):
            return "the encrypted file has no valid signature by a known key"
        if (fact["bytes"], fact["stored"]) != (size, stored):
            return "the encrypted file is not the one that was signed"
        if fact["digest"] != verdict.digest:
            return "the encrypted file was signed with other seals than these"
    except (orjson.JSONDecodeError, binascii.Error, KeyError, TypeError, ValueError):
        return "the signature of the encrypted file cannot be read"
    return ""


def verified_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a seal file; one that is too long is cut, so that it cannot be read."""
    held = b""
    for chunk in chunks:
        held += chunk
        *lines, held = held.split(b"\n")
        yield from (line + b"\n" for line in lines)
        if len(held) > MAX_RECORD:
            yield held[:100]
            return
    if held:
        yield held
