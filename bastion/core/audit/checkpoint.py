"""Signed heads of the chain: who rewrites a whole log must also forge these.

Never holds a key: signing and checking are asked of a `Signer` or `Verifier`. Each checkpoint names the one before
it, so that one cannot be taken out of the middle. A copy kept elsewhere proves what a restored backup would hide.

A checkpoint is one line of canonical JSON; its signature covers the same line without the signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from bastion.core.audit.chain import HASH_BYTES, Fault, Head

EVERY_ENTRIES: Final = 1000
EVERY_SECONDS: Final = 60.0

_PURPOSE: Final = b"bastion audit checkpoint 1\0"


class Verifier(Protocol):
    """Checks signatures; holds public keys only."""

    def verify(self, data: bytes, signature: bytes, key_id: str) -> bool:
        """Return whether the key with that id signed `data`; False for an unknown key."""


class Signer(Verifier, Protocol):
    """Signs with the node's own key."""

    @property
    def key_id(self) -> str:
        """Return a name for the key: a digest of its public half."""

    def sign(self, data: bytes) -> bytes:
        """Return the signature of `data`."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A head that was signed. `previous` is the sequence number of the checkpoint before it (0: none)."""

    node: str
    seq: int
    hash: bytes
    at: float
    previous: int
    key_id: str
    signature: bytes = b""

    def _spell(self, **more: str) -> bytes:
        fields: dict[str, object] = {
            "at": self.at,
            "hash": self.hash.hex(),
            "key": self.key_id,
            "node": self.node,
            "previous": self.previous,
            "seq": self.seq,
        }
        return json.dumps(fields | more, allow_nan=False, separators=(",", ":"), sort_keys=True).encode("ascii")

    @property
    def payload(self) -> bytes:
        """Return what is signed."""
        return _PURPOSE + self._spell()

    @property
    def line(self) -> bytes:
        """Return the checkpoint as it is stored, without newline."""
        return self._spell(signature=self.signature.hex())


def sign(signer: Signer, node: str, head: Head, previous: int, at: float) -> Checkpoint:
    """Return a signed checkpoint of `head`."""
    bare = Checkpoint(node, head.seq, head.hash, at, previous, signer.key_id)
    return Checkpoint(node, head.seq, head.hash, at, previous, signer.key_id, signer.sign(bare.payload))


def read(line: bytes) -> Checkpoint | None:
    """Return the checkpoint that a stored line spells, or None when it is not spelled exactly as we write it."""
    try:
        fields = json.loads(line)
        found = Checkpoint(
            node=str(fields["node"]),
            seq=int(fields["seq"]),
            hash=bytes.fromhex(fields["hash"]),
            at=float(fields["at"]),
            previous=int(fields["previous"]),
            key_id=str(fields["key"]),
            signature=bytes.fromhex(fields["signature"]),
        )
        same = found.line == line
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None
    return found if same and len(found.hash) == HASH_BYTES else None


def verify(lines: Iterable[bytes], node: str, verifier: Verifier) -> tuple[list[Checkpoint], Fault | None]:
    """Return the good checkpoints up to the first bad one, and what is wrong with that.

    Checks spelling, node, order, completeness and signature; whether they fit a chain is `compare`'s to say.
    """
    good: list[Checkpoint] = []
    last = 0
    for line in lines:
        found = read(line)
        if found is None:
            return good, Fault(last + 1, f"the checkpoint after entry {last} cannot be read", "checkpoints")
        if found.node != node:
            return good, Fault(found.seq, f"the checkpoint is node {found.node!a}'s", "checkpoints")
        if found.previous != last or found.seq <= last:
            reason = f"a checkpoint is missing, doubled or moved: after {last} comes one that follows {found.previous}"
            return good, Fault(last + 1, reason, "checkpoints")
        if not verifier.verify(found.payload, found.signature, found.key_id):
            return good, Fault(found.seq, f"the checkpoint's signature by key {found.key_id} is not valid", "checkpoints")
        good.append(found)
        last = found.seq
    return good, None


def compare(checkpoints: Iterable[Checkpoint], hashes: Mapping[int, bytes], head: Head) -> Fault | None:
    """Compare checkpoints with a chain that was found sound up to `head`.

    `hashes` are the chain's own hashes at the checkpoints' sequence numbers. The first one that differs is named:
    the chain was replaced somewhere after the checkpoint before it.
    """
    last = 0
    for point in checkpoints:
        if point.seq > head.seq:
            return Fault(head.seq + 1, f"the tail was cut: entries up to {point.seq} were signed", "checkpoints")
        if hashes.get(point.seq) != point.hash:
            reason = f"the log was replaced after entry {last}: entry {point.seq} is not the one that was signed"
            return Fault(last + 1, reason, "checkpoints")
        last = point.seq
    if head.seq - last > 2 * EVERY_ENTRIES:
        return Fault(last + 1, f"no checkpoint signs the entries after {last}", "checkpoints")
    return None
