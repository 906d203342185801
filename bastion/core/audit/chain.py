"""The chain of audited facts: each entry's hash covers the one before it, so no entry can change alone.

Never reads or writes a file, asks no clock and keeps no key. What a whole-sale rewrite of the chain would hide is
found by the signed heads of `checkpoint.py`.

An entry is a sequence number (from 1, without gaps, per node), the event's canonical text and a hash:

    hash = SHA-256("bastion audit entry 1" NUL previous-hash seq(8 bytes, big-endian) text)

The first entry's previous hash is `genesis(node)`, so a chain cannot be passed off as another node's. In a journal
an entry is one line: `{"seq":1,"hash":"<64 hex>","event":{...}}`. The text is hashed as it is stored and never
written anew, so no rounding of numbers and no change of a JSON library can break a proof.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Corrupt, Invalid

HASH_BYTES: Final = 32
# Room for a long reason and a decision's trace; far under what a line reader must hold at once
MAX_EVENT_BYTES: Final = 64 * 1024

ENTRY: Final = b"bastion audit entry 1\0"
_GENESIS: Final = b"bastion audit genesis 1\0"
_LINE: Final = re.compile(rb'\{"seq":([1-9][0-9]{0,18}),"hash":"([0-9a-f]{64})","event":(\{.*\})\}\n')


class Link(NamedTuple):
    """One entry as it is stored: what is hashed, not what it means."""

    seq: int
    hash: bytes
    text: bytes


class Head(NamedTuple):
    """Where a chain ends: its last sequence number (0: empty) and hash."""

    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the first bad entry. `where` says in which copy ("journal", "database", "checkpoints")."""

    seq: int
    reason: str
    where: str = ""

    def __str__(self) -> str:
        place = f" in the {self.where}" if self.where else ""
        return f"entry {self.seq}{place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of the good part of a chain, and what follows it if that is bad."""

    head: Head
    fault: Fault | None = None


def canonical(event: AuditEvent) -> bytes:
    """Return the event's one spelling: JSON with sorted keys, no spaces, pure ASCII, on one line.

    Raises `Invalid` (`audit.event`) when `data` holds anything but plain JSON values, or too much.
    """
    fields = {
        "actor": event.actor,
        "at": event.at,
        "code": event.code,
        "data": event.data,
        "reason": event.reason,
        "result": event.result,
        "session": event.session,
        "source": event.source,
        "subject": event.subject,
    }
    try:
        text = json.dumps(fields, allow_nan=False, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid("audit.event", f"The event {event.code!a} holds something that is not JSON.", str(error)) from None
    if len(text) > MAX_EVENT_BYTES:
        raise Invalid("audit.event", f"The event {event.code!a} is larger than {MAX_EVENT_BYTES} bytes.")
    return text.encode("ascii")


def read_event(text: bytes) -> AuditEvent:
    """Return the event that `canonical` spelled so, or raise `Corrupt`."""
    try:
        return AuditEvent(**json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise Corrupt("audit.corrupt", "An audit entry cannot be read.", str(error)) from None


def genesis(node: str) -> bytes:
    """Return the hash that stands before a node's first entry."""
    return hashlib.sha256(_GENESIS + node.encode()).digest()


def link(previous: bytes, seq: int, text: bytes) -> bytes:
    """Return the hash of entry `seq`, that says `text` (canonical) and follows the entry with hash `previous`."""
    return hashlib.sha256(b"%b%b%b%b" % (ENTRY, previous, seq.to_bytes(8, "big"), text)).digest()


def extend(head: Head, texts: Iterable[bytes]) -> list[Link]:
    """Return the entries that say `texts`, chained on to `head`."""
    seq, previous = head
    links = []
    for text in texts:
        seq += 1
        previous = link(previous, seq, text)
        links.append(Link(seq, previous, text))
    return links


def encode_line(entry: Link) -> bytes:
    """Return the journal's line for an entry."""
    return b'{"seq":%d,"hash":"%b","event":%b}\n' % (entry.seq, entry.hash.hex().encode(), entry.text)


def decode_line(line: bytes) -> Link | None:
    """Return the entry a whole journal line spells, or None when `encode_line` never wrote such a line."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    seq, digest, text = found.groups()
    return Link(int(seq), bytes.fromhex(digest.decode()), text)


def judge(head: Head, entry: Link | None) -> Fault | None:
    """Say what is wrong with `entry` (None: unreadable) as the one that follows `head`."""
    due = head.seq + 1
    if entry is None:
        return Fault(due, "it cannot be read")
    if entry.seq > due:
        return Fault(due, f"it is missing: entry {entry.seq} stands in its place")
    if entry.seq < due:
        return Fault(due, f"it is missing or was moved: entry {entry.seq} stands here a second time or out of order")
    if link(head.hash, due, entry.text) != entry.hash:
        return Fault(due, "it was changed, or does not follow the entry before it")
    return None


def verify(entries: Iterable[Link | None], head: Head) -> Verdict:
    """Check that each entry follows the one before it, the first one `head`; stop at the first that does not.

    None stands for an entry that could not be read. A cut tail looks like a shorter chain: compare the head with a
    checkpoint.
    """
    seq, previous = head
    sha256 = hashlib.sha256
    for entry in entries:
        # The good case is spelled out here, without calls: it is the whole cost of verifying a long log
        if entry is not None and entry[0] == seq + 1:
            digest = sha256(b"%b%b%b%b" % (ENTRY, previous, entry[0].to_bytes(8, "big"), entry[2])).digest()
            if digest == entry[1]:
                seq, previous = entry[0], digest
                continue
        good = Head(seq, previous)
        return Verdict(good, judge(good, entry))
    return Verdict(Head(seq, previous))
