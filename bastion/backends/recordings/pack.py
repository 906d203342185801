"""Checks a recording that lies anywhere, with nothing but its files and the public key. Needs no server and no home."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bastion.backends.recordings.folder import CAST, CHUNK
from bastion.backends.recordings.sealkey import checker
from bastion.core.errors import Missing
from bastion.core.recording import seal

if TYPE_CHECKING:
    from collections.abc import Iterator


def verify_files(path: str, public: bytes) -> seal.Verdict:
    """Check the cast at `path` (or in that folder) against the `seal.jsonl` beside it. `Missing`, `Invalid`."""
    cast = os.path.join(path, CAST) if os.path.isdir(path) else path
    seals = os.path.join(os.path.dirname(cast), seal.FILE)
    for wanted in (cast, seals):
        if not os.path.isfile(wanted):
            raise Missing("verify.missing", f"There is no {os.path.basename(wanted)!a} there.", wanted)
    return seal.verify(_chunks(cast), seal.verified_lines(_chunks(seals)), checker(public))


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while data := file.read(CHUNK):
            yield data
