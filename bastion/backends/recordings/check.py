"""Checks a recording that lies anywhere, with nothing but its files and a public key. Needs no server and no home."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Final

from bastion.backends.recordings.boxes import FolderBox, ZipBox
from bastion.backends.recordings.opening import opened_pack
from bastion.backends.recordings.packed import CAST, CHUNK, MAGIC, PACKED
from bastion.core.errors import Corrupt, Missing
from bastion.core.recording import evidence, seal
from bastion.core.recording.playback import clock_text
from bastion.core.recording.reader import read
from bastion.core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bastion.core.audit.checkpoint import Verifier
    from bastion.core.recording.evidence import Box

_ZIP: Final = b"PK\x03\x04"


def check_file(path: Path, verifier: Verifier | None = None, read_key: Callable[[bytes], Verifier] | None = None) -> str:
    """Check a cast, plain or packed (or the folder it is in), and return what was found, as one sentence.

    With `verifier`: against the `seal.jsonl` beside it. Without: only that it reads to its end. `Corrupt` names the
    first bad line; `Missing` when there is no such file. An evidence pack, zip or unpacked, is checked as a whole,
    without `verifier` with its own key, which `read_key` reads.
    """
    box = _box(path)
    if box is not None:
        return _check_pack(box, verifier, read_key)
    cast = path
    if path.is_dir():
        cast = path / CAST if (path / CAST).is_file() else path / PACKED
    if not cast.is_file():
        raise Missing("verify.missing", f"There is no file {cast.name!a} there.", str(cast))
    return _read_through(cast) if verifier is None else _against_seals(cast, verifier)


def _box(path: Path) -> Box | None:
    """Return the evidence pack there, or None."""
    if path.is_dir():
        return FolderBox(path) if (path / evidence.MANIFEST).is_file() or (path / evidence.AUDIT).is_file() else None
    if not path.is_file():
        return None
    with path.open("rb") as file:
        begin = file.read(len(_ZIP))
    return ZipBox(path) if begin == _ZIP else None


def _check_pack(box: Box, verifier: Verifier | None, read_key: Callable[[bytes], Verifier] | None) -> str:
    own = verifier is None
    if verifier is None:
        if read_key is None:
            raise Missing("verify.key", "Which public key? Give it with --key.")
        verifier = read_key(b"".join(islice(box.chunks(evidence.KEY), 1)))
    found = evidence.examine(box, verifier)
    if found.problem:
        raise Corrupt("verify.changed", f"The evidence is not what was given out: {found.problem}.")
    said = (
        f"The evidence is whole: session {safe_text(found.session)}, {found.lines} lines, {found.bytes} bytes, "
        f"{found.facts} facts of the audit log; given to {safe_text(found.made_by)} at {safe_text(found.made_at)}, key {safe_text(found.key)}."
    )
    if found.signed_facts:
        said += f" {found.signed_facts} of the facts lead to signed heads of the log in it."
    if own:
        said += " It was checked with the key in the pack itself: compare that key's name with the one you know, or give yours with --key."
    return said


def _against_seals(cast: Path, verifier: Verifier) -> str:
    seals = cast.with_name(seal.FILE)
    if not seals.is_file():
        raise Missing("verify.seals", f"There is no {seal.FILE} beside the recording: nothing to check it against.", str(seals))
    verdict = seal.verify(_cast(cast), seal.verified_lines(_chunks(seals)), verifier)
    finding = verdict.finding
    if not finding and not verdict.ended:
        finding = f"its end seal is missing: after line {verdict.lines} it was cut off, or it is still being written"
    if finding:
        raise Corrupt("verify.changed", f"The recording is not as it was sealed: {finding}.")
    return f"The recording is as it was sealed: {verdict.lines} lines, {verdict.bytes} bytes, digest {verdict.digest}."


def _read_through(cast: Path) -> str:
    header, events, reader = read(_cast(cast))
    count = sum(1 for _ in events)
    if reader.notes:
        raise Corrupt("verify.unreadable", f"The recording has lines that cannot be read: {reader.notes[0]}.")
    return (
        f"The file is asciicast {header.version} and reads to its end: {count} events, {clock_text(reader.time)}. "
        "Whether it was changed was not checked."
    )


def _cast(path: Path) -> Iterator[bytes]:
    """Return the plain bytes, whichever way the file has them."""
    with path.open("rb") as file:
        is_packed = file.read(len(MAGIC)) == MAGIC
    return opened_pack(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) if is_packed else _chunks(path)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield data
