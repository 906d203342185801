"""Whether journal, database and checkpoints still say the same. Never mends anything.

The journal's chain is the measure; the database must repeat it row by row, column by column, and each checkpoint must
sign a hash of it. The database may be a little shorter than the journal (a crash, or another process writing now), but
never shorter than the last checkpoint.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from json.encoder import encode_basestring_ascii as _quote
from typing import Any, Final

from bastion.backends.store.engine import Database
from bastion.backends.store.journal import Journal
from bastion.core.audit import chain, checkpoint
from bastion.core.audit.chain import Fault, Head, Link
from bastion.core.audit.checkpoint import Checkpoint, Verifier

PAGE: Final = 4000
_NO_END: Final = (1 << 63) - 1

Row = tuple[Any, ...]
"""seq, hash, text, at, code, actor, session: as the database gives them."""

JOURNAL: Final = "journal"
DATABASE: Final = "database"
CHECKPOINTS: Final = "checkpoints"
ELSEWHERE: Final = "checkpoints kept elsewhere"


@dataclass(frozen=True, slots=True)
class Report:
    """How many entries are sound, and what is wrong with the first that is not."""

    checked: int
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a writer in this process knows the copies to end: entries made, entries stored, entries signed."""

    head: int
    stored: int
    signed: int


@dataclass(frozen=True, slots=True)
class Signed:
    """The checkpoints as they are in table and file, read at one moment, and where all ended then (None: unknown)."""

    stored: list[bytes]
    exported: list[bytes]
    ends: Ends | None
    elsewhere: Sequence[bytes] = ()
    """Lines that were kept beside this machine: some of them, or all."""


async def examine(database: Database, journal: Journal, node: str, verifier: Verifier | None, signed: Signed) -> Report:
    """Compare all copies."""
    points, faults = await asyncio.to_thread(_checkpoints, signed, node, verifier)
    witnessed, fault = _witnessed(signed.elsewhere, node, verifier)
    if fault is not None:
        faults.append(fault)
    hashes: dict[int, bytes] = {point.seq: b"" for point in (*points, *witnessed)}
    head, stored = (signed.ends.head, signed.ends.stored) if signed.ends else (None, None)
    due = stored if stored is not None else max((point.seq for point in points), default=0)
    lines = _lines(journal, head)
    position = Head(0, chain.genesis(node))
    while True:
        rows = await _page(database, node, position.seq, stored)
        position, count, fault = await asyncio.to_thread(_compare, lines, rows, position, due, hashes)
        if fault is not None:
            faults.append(fault)
            break
        if count < PAGE:
            break
    if not any(fault.where in (JOURNAL, DATABASE) for fault in faults):
        found = checkpoint.compare(points, hashes, position)
        if found is not None:
            faults.append(found)
        faults += _differ(witnessed, hashes, position)
    if head is not None and position.seq < head and not faults:
        faults.append(Fault(position.seq + 1, f"the journal ends here; entries up to {head} were written", JOURNAL))
    # Of several faults the first is named, and of those at one place what happened to the entry itself
    faults.sort(key=lambda fault: (fault.seq, fault.where == CHECKPOINTS))
    return Report(position.seq, faults[0] if faults else None)


def _lines(journal: Journal, head: int | None) -> Iterator[bytes]:
    """Yield the journal's lines, but for those that were written since `head` was asked for."""
    for count, line in enumerate(journal.lines(), 1):
        if head is not None and count > head:
            entry = chain.decode_line(line)
            if entry is not None and entry.seq > head:
                return
        yield line


async def _page(database: Database, node: str, after: int, until: int | None) -> Sequence[Row]:
    query = (
        "SELECT seq, hash, text, at, code, actor, session FROM audit_entries WHERE node = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
    )
    return await database.rows(query, node, after, _NO_END if until is None else until, PAGE)


def _compare(lines: Iterator[bytes], rows: Sequence[Row], head: Head, due: int, hashes: dict[int, bytes]) -> tuple[Head, int, Fault | None]:
    """Check one page: the chain of journal lines, then each row against its line. Notes the hashes that are asked for."""
    page = list(islice(lines, PAGE))
    sound = _sound(page, rows, head, hashes)
    if sound is not None:
        return sound, len(page), None
    links = [chain.decode_line(line) for line in page]
    verdict = chain.verify(links, head)
    good = links[: verdict.head.seq - head.seq]
    for entry in good:
        if entry is not None and entry.seq in hashes:
            hashes[entry.seq] = entry.hash
    for index, entry in enumerate(good):
        if entry is None:
            break
        row = rows[index] if index < len(rows) else None
        wrong = _wrong(entry, row, due)
        if wrong:
            return _before(entry.seq, good, head), len(links), Fault(entry.seq, wrong, DATABASE)
    if verdict.fault is not None:
        bad = verdict.fault
        return verdict.head, len(links), Fault(bad.seq, bad.reason, JOURNAL)
    if len(rows) > len(good):
        seq = verdict.head.seq + 1
        return verdict.head, len(links), Fault(seq, f"it is gone; the database goes on to {rows[-1][0]}", JOURNAL)
    return verdict.head, len(links), None


def _sound(page: Sequence[bytes], rows: Sequence[Row], head: Head, hashes: dict[int, bytes]) -> Head | None:
    """Return the page's last entry if lines and rows all say what they must; None: look closer.

    This is the whole cost of verifying a long log, so a line is not taken apart: it must be the one its row makes.
    """
    if len(page) != len(rows):
        return None
    seq, previous = head
    sha256 = hashlib.sha256
    try:
        for line, (row_seq, row_hash, row_text, at, code, actor, session) in zip(page, rows, strict=True):
            seq += 1
            text = row_text.encode()
            digest = sha256(b"%b%b%b%b" % (chain.ENTRY, previous, seq.to_bytes(8, "big"), text)).digest()
            if row_hash != digest or row_seq != seq or not _says(row_text, at, code, actor, session):
                return None
            if line != b'{"seq":%d,"hash":"%b","event":%b}\n' % (seq, digest.hex().encode(), text):
                return None
            if seq in hashes:
                hashes[seq] = digest
            previous = digest
    except (AttributeError, TypeError, ValueError):  # a column of another kind than it was made with
        return None
    return Head(seq, previous)


def _before(seq: int, good: Sequence[Link | None], head: Head) -> Head:
    entry = good[seq - head.seq - 2] if seq - head.seq >= 2 else None  # noqa: PLR2004
    return head if entry is None else Head(entry.seq, entry.hash)


def _wrong(entry: Link, row: Row | None, due: int) -> str:
    """Say how a row differs from its journal line ("": not at all)."""
    seq, digest, text = entry
    if row is None:
        return "its row is gone" if seq <= due else ""
    row_seq, row_hash, row_text, at, code, actor, session = row
    if row_seq != seq:
        return f"its row is gone: {row_seq} stands in its place"
    if row_hash != digest or row_text.encode() != text:
        return "its row was changed"
    if not _says(row_text, at, code, actor, session):
        return "its row's columns do not say what the entry says"
    return ""


def _says(text: str, at: float, code: str, actor: str, session: str) -> bool:
    """Return whether an entry's text holds these values.

    Reading JSON would be most of the cost of verifying, so the canonical spelling is compared first: its keys are
    sorted, and a quote inside a string is escaped, so the last `,"session":` is the event's own.
    """
    try:
        begin = f'{{"actor":{_quote(actor)},"at":{at!r},"code":{_quote(code)},"data":{{'
        end = f'{_quote(session)},"source":"'
        if text.startswith(begin) and text.startswith(end, text.rfind(',"session":') + 11):
            return True
        fields = json.loads(text)
    except (TypeError, ValueError):
        return False
    return bool((at, code, actor, session) == (fields["at"], fields["code"], fields["actor"], fields["session"]))


def _checkpoints(signed: Signed, node: str, verifier: Verifier | None) -> tuple[list[Checkpoint], list[Fault]]:
    """Return the sound checkpoints, and what is wrong with the first that is not."""
    stored, exported = signed.stored, signed.exported
    known = signed.ends.signed if signed.ends else 0
    if not stored and not exported:
        return [], [Fault(1, f"the checkpoints up to {known} are gone", CHECKPOINTS)] if known else []
    if verifier is None:
        return [], [Fault(1, "there is no public key to check the checkpoints with", CHECKPOINTS)]
    faults = []
    points: list[Checkpoint] = []
    for lines in (stored, exported):
        good, fault = checkpoint.verify(lines, node, verifier)
        if fault is not None:
            faults.append(fault)
        points = max(points, good, key=len)
    if not faults:
        faults += _differences(stored, exported, points)
    if not faults and points[-1].seq < known:
        faults.append(Fault(points[-1].seq + 1, f"the checkpoints up to {known} are gone", CHECKPOINTS))
    return points, faults


def _witnessed(lines: Sequence[bytes], node: str, verifier: Verifier | None) -> tuple[list[Checkpoint], Fault | None]:
    """Return the checkpoints that were kept elsewhere, and what is wrong with the first that is not sound."""
    points: list[Checkpoint] = []
    for number, line in enumerate(lines, 1):
        point = checkpoint.read(line)
        sound = point is not None and point.node == node and verifier is not None
        if point is None or verifier is None or not sound or not verifier.verify(point.payload, point.signature, point.key_id):
            after = points[-1].seq + 1 if points else 1
            return points, Fault(after, f"line {number} is no checkpoint of node {node} that a known key signed", ELSEWHERE)
        points.append(point)
    return points, None


def _differ(witnessed: Sequence[Checkpoint], hashes: Mapping[int, bytes], head: Head) -> list[Fault]:
    """Compare a sound chain with the checkpoints kept elsewhere."""
    for point in sorted(witnessed, key=lambda point: point.seq):
        if point.seq > head.seq:
            return [Fault(head.seq + 1, f"the tail was cut: entries up to {point.seq} were signed", ELSEWHERE)]
        if hashes.get(point.seq) != point.hash:
            return [Fault(point.seq, "the log was replaced: this is not the entry that was signed", ELSEWHERE)]
    return []


def _differences(stored: list[bytes], exported: list[bytes], points: list[Checkpoint]) -> list[Fault]:
    """Compare two sound lists; the file may be one ahead, since it is written first."""
    common = min(len(stored), len(exported))
    for index in range(common):
        if stored[index] != exported[index]:
            return [Fault(points[index].seq, "file and database hold different checkpoints", CHECKPOINTS)]
    if len(exported) < len(stored):
        return [Fault(points[common].seq, "the checkpoint is gone from the file", CHECKPOINTS)]
    if len(exported) > len(stored) + 1:
        return [Fault(points[common].seq, "the checkpoint is gone from the database", CHECKPOINTS)]
    return []
