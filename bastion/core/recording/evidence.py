"""Evidence packs: what is in one, and how one is checked with nothing but a public key. Never reads a file.

A pack is a zip, so that anybody can open it:

    README.txt          what this is and how to check it
    session.cast        the recording (asciicast v3); stock asciinema plays it
    seal.jsonl          its seals (see `seal`); keyframes and track.jsonl, where there are some, only help a player
    session.json        who, where, when, and which rule allowed it
    participants.json   who took part, from when to when, as what
    approvals.json      who asked for it and who approved, as the audit log has it
    audit.jsonl         every fact of the audit log about this session
    checkpoints.jsonl   signed heads of the audit log around them
    chain.jsonl         on request: all of the log from the first of these facts to a signed head (it tells of other sessions)
    verify.txt          what a check said when the pack was made
    audit.key.pub       the public key; compare it with the one you were given
    manifest.json       every file's length and SHA-256, and who made the pack when
    manifest.sig        the Ed25519 signature of `bastion evidence 1`, a zero byte and manifest.json, in base64

Each line of audit.jsonl is `{"seq":N,"previous":HASH,"hash":HASH,"event":{...}}`, where `hash` is that of
`core.audit.chain`: over `previous`, `seq` and the event exactly as it stands there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import orjson

from bastion.core.audit import chain, checkpoint
from bastion.core.recording import seal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bastion.core.audit.chain import Link
    from bastion.core.audit.checkpoint import Signer, Verifier

FORMAT: Final = 1
CAST: Final = "session.cast"
AUDIT: Final = "audit.jsonl"
CHECKPOINTS: Final = "checkpoints.jsonl"
CHAIN: Final = "chain.jsonl"
KEY: Final = "audit.key.pub"
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
MAX_SMALL: Final = 1024 * 1024
"""Longest manifest, signature or key that is read."""
MAX_FACT: Final = chain.MAX_EVENT_BYTES + 1024

_PURPOSE: Final = b"bastion evidence 1\0"
_FACT: Final = re.compile(rb'\{"seq":([1-9][0-9]{0,18}),"previous":"([0-9a-f]{64})","hash":"([0-9a-f]{64})","event":(\{.*\})\}')
_SEALED: Final = ("recording.sealed", "recording.interrupted")


class Box(Protocol):
    """The files of a pack, wherever they lie."""

    def names(self) -> Sequence[str]:
        """Return the names of all files, doubled ones as often as they are there."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes; nothing when it is not there."""


class Listing:
    """Takes note of what goes into a pack, for its manifest."""

    def __init__(self) -> None:
        self._files: list[dict[str, object]] = []

    def noted(self, name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass a file's bytes on."""
        whole, size = hashlib.sha256(), 0
        for data in chunks:
            whole.update(data)
            size += len(data)
            yield data
        self._files.append({"name": name, "bytes": size, "sha256": whole.hexdigest()})

    def manifest(self, session: str, made_at: str, made_by: str, signer: Signer) -> tuple[bytes, bytes]:
        """Return the manifest of all that was noted, and its signature's file."""
        fields = {"format": FORMAT, "session": session, "made_at": made_at, "made_by": made_by, "key": signer.key_id, "files": self._files}
        text = orjson.dumps(fields, option=orjson.OPT_INDENT_2) + b"\n"
        return text, base64.b64encode(signer.sign(_PURPOSE + text)) + b"\n"


def fact_line(entry: Link, previous: bytes) -> bytes:
    """Return a fact's line in audit.jsonl."""
    return b'{"seq":%d,"previous":"%b","hash":"%b","event":%b}\n' % (
        entry.seq,
        previous.hex().encode(),
        entry.hash.hex().encode(),
        entry.text,
    )


@dataclass(slots=True)
class Finding:
    """What checking a pack found. `problem` is "" when all is as it was, else one sentence on the first thing wrong."""

    problem: str = ""
    session: str = ""
    made_at: str = ""
    made_by: str = ""
    key: str = ""
    lines: int = 0
    bytes: int = 0
    facts: int = 0
    signed_facts: int = 0
    """Facts that lead to a head of the audit log which was signed at the time."""
    notes: list[str] = field(default_factory=list)


def examine(box: Box, verifier: Verifier) -> Finding:
    """Check all of a pack against a public key: cast, facts, then every file against the signed manifest."""
    found = Finding()
    digest = _facts(box, found)
    found.problem = found.problem or _cast(box, verifier, digest, found)
    found.problem = found.problem or _heads(box, verifier, found) or _manifest(box, verifier, found)
    return found


def _cast(box: Box, verifier: Verifier, digest: str, found: Finding) -> str:
    seals = seal.verified_lines(box.chunks(seal.FILE))
    verdict = seal.verify(box.chunks(CAST), seals, verifier, session=found.session, digest=digest)
    found.lines, found.bytes = verdict.lines, verdict.bytes
    if verdict.finding:
        return f"{CAST}: {verdict.finding}"
    if not verdict.ended:
        return f"{CAST}: the end seal is missing: after line {verdict.lines} it was cut off"
    return ""


def _facts(box: Box, found: Finding) -> str:
    """Check every fact by itself; return the last seal's digest as the audit log has it."""
    digest, last = "", 0
    for number, line in enumerate(_lines(box.chunks(AUDIT)), 1):
        fact = _FACT.fullmatch(line)
        if fact is None:
            found.problem = f"{AUDIT}: line {number} is no fact"
            return ""
        seq, text = int(fact[1]), fact[4]
        if seq <= last:
            found.problem = f"{AUDIT}: line {number} is doubled or out of order"
            return ""
        if chain.link(bytes.fromhex(fact[2].decode()), seq, text).hex().encode() != fact[3]:
            found.problem = f"{AUDIT}: line {number} (entry {seq}) was changed"
            return ""
        last = seq
        found.facts += 1
        try:
            event = orjson.loads(text)
            session, code, data = event["session"], event["code"], event["data"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            found.problem = f"{AUDIT}: line {number} is no fact"
            return ""
        found.session = found.session or session
        if session != found.session:
            found.problem = f"{AUDIT}: line {number} is about another session"
            return ""
        if code in _SEALED and isinstance(data, dict) and isinstance(data.get("digest"), str):
            digest = data["digest"]
    if not found.facts:
        found.problem = f"{AUDIT}: it is missing, or empty"
    return digest


def _heads(box: Box, verifier: Verifier, found: Finding) -> str:
    """Check the signed heads, and that chain.jsonl (where there is one) leads from the facts to them."""
    heads: dict[int, bytes] = {}
    for number, line in enumerate(_lines(box.chunks(CHECKPOINTS)), 1):
        point = checkpoint.read(line)
        if point is None or not verifier.verify(point.payload, point.signature, point.key_id):
            return f"{CHECKPOINTS}: line {number} has no valid signature"
        heads[point.seq] = point.hash
    facts: dict[int, bytes] = {}
    for line in _lines(box.chunks(AUDIT)):
        if fact := _FACT.fullmatch(line):
            seq, digest = int(fact[1]), bytes.fromhex(fact[3].decode())
            if heads.get(seq, digest) != digest:
                return f"{AUDIT}: entry {seq} is not the one that was signed"
            facts[seq] = digest
    return _whole_chain(box, facts, heads, found)


def _whole_chain(box: Box, facts: dict[int, bytes], heads: dict[int, bytes], found: Finding) -> str:
    """Check the log between the facts and the signed heads, where it is in the pack."""
    previous: bytes | None = None
    expected, waiting = 0, 0
    for number, line in enumerate(_lines(box.chunks(CHAIN)), 1):
        entry = chain.decode_line(line + b"\n")
        if entry is None:
            return f"{CHAIN}: line {number} cannot be read"
        if previous is not None and (entry.seq != expected or chain.link(previous, entry.seq, entry.text) != entry.hash):
            return f"{CHAIN}: line {number} (entry {entry.seq}) was changed, or does not follow the one before it"
        if facts.get(entry.seq, entry.hash) != entry.hash or heads.get(entry.seq, entry.hash) != entry.hash:
            return f"{CHAIN}: line {number} (entry {entry.seq}) is not the one that was signed"
        waiting += entry.seq in facts
        if entry.seq in heads:
            found.signed_facts, waiting = found.signed_facts + waiting, 0
        previous, expected = entry.hash, entry.seq + 1
    return ""


def _manifest(box: Box, verifier: Verifier, found: Finding) -> str:
    text, spelled = _small(box, MANIFEST), _small(box, SIGNATURE)
    try:
        fields = orjson.loads(text)
        found.session = found.session or str(fields["session"])
        found.made_at, found.made_by, found.key = str(fields["made_at"]), str(fields["made_by"]), str(fields["key"])
        listed = {str(each["name"]): (int(each["bytes"]), str(each["sha256"])) for each in fields["files"]}
        signature = base64.b64decode(spelled.strip(), validate=True)
    except (orjson.JSONDecodeError, binascii.Error, KeyError, TypeError, ValueError):
        return f"{MANIFEST} is missing or cannot be read"
    if not verifier.verify(_PURPOSE + text, signature, found.key):
        return f"{MANIFEST} has no valid signature by a known key"
    if str(fields["session"]) != found.session:
        return f"{MANIFEST} belongs to another session"
    return _contents(box, listed)


def _contents(box: Box, listed: dict[str, tuple[int, str]]) -> str:
    """Compare every file with what the manifest says of it."""
    names = list(box.names())
    for name in sorted({*names} - {*listed} - {MANIFEST, SIGNATURE}):
        return f"a file {name[:64]!a} was added"
    if len(names) != len(set(names)):
        return "a file is there twice"
    for name, (size, expected) in listed.items():
        whole, count = hashlib.sha256(), 0
        for data in box.chunks(name):
            whole.update(data)
            count += len(data)
            if count > size:
                break
        if count != size or whole.hexdigest() != expected:
            return f"{name} is not what was put into the pack"
    return ""


def _small(box: Box, name: str) -> bytes:
    held = b""
    for data in box.chunks(name):
        held += data
        if len(held) > MAX_SMALL:
            return b""
    return held


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines without their ends; one that is too long is cut, so that it cannot be read."""
    held = b""
    for chunk in chunks:
        held += chunk
        *lines, held = held.split(b"\n")
        yield from lines
        if len(held) > MAX_FACT:
            yield held[:100]
            return
    if held:
        yield held


README: Final = """\
Evidence of session {session}
{rule}

{user} on {endpoint} as {login}, from {source}, {started} to {ended}.
This pack was made {made} by {by} on the bastion's node {node}.

To see it:      asciinema play session.cast            (asciinema 3; any asciicast v3 player)
                what was on the screen as plain text: bastion transcript of the same session
To check it:    bastion verify THIS.zip --key audit.key.pub
                with an audit.key.pub that you had before, from somebody you trust: the one in here could
                have been replaced together with everything else. Its name is {key}.
                Exit code 65 names the first line that was changed, or the tail that is missing.

What is proven: session.cast is, to the last byte, what the bastion recorded (seal.jsonl: chained SHA-256 hashes,
signed every few seconds while it was recorded). The facts in audit.jsonl are the bastion's; each carries its place
in the audit log (seq, and the hashes that chain it), so that it can be compared with any copy of that log or of its
signed heads (checkpoints.jsonl). manifest.json covers every file and is signed.
What is not: keyframes and track.jsonl only help a player; what they say follows from session.cast and audit.jsonl.

Files: session.json (who, where, when, which rule), participants.json, approvals.json, audit.jsonl,
checkpoints.jsonl, {chain}session.cast, seal.jsonl, verify.txt (the check when this was made), audit.key.pub.
"""
