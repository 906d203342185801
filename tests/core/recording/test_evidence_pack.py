"""Evidence packs: whatever is changed in one, the check names it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bastion.backends.vault import Ed25519Signer
from bastion.core.audit import chain, checkpoint
from bastion.core.audit.chain import Head, canonical, genesis
from bastion.core.audit.event import AuditEvent
from bastion.core.recording import evidence, seal
from bastion.core.recording.evidence import Listing, examine, fact_line
from bastion.core.recording.seal import Sealer

FLIPS = 300 * int(os.environ.get("BASTION_FUZZ", "1"))


class Files:
    """A pack in memory."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def names(self) -> Sequence[str]:
        return list(self.files)

    def chunks(self, name: str) -> Iterator[bytes]:
        content = self.files.get(name, b"")
        return (content[at : at + 1000] for at in range(0, len(content), 1000))

    def changed(self, name: str, content: bytes | None) -> Files:
        files = dict(self.files)
        if content is None:
            del files[name]
        else:
            files[name] = content
        return Files(files)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Ed25519Signer:
    return Ed25519Signer.create(Path(tmp_path_factory.mktemp("keys")) / "key")


@pytest.fixture(scope="module")
def pack(signer: Ed25519Signer) -> Files:
    sealer = Sealer("S1", signer)
    cast, seals = b"", b""
    for part in range(4):
        piece = b"".join(b'[0.1,"o","part %d line %d"]\n' % (part, n) for n in range(60))
        sealer.take(piece)
        cast += piece
        seals += sealer.seal(end=part == 3)
    events = [AuditEvent(code, 1.7e9 + at, "alice", session="S1" if at % 2 else "S2", data={"n": at}) for at, code in enumerate(["a.b"] * 9)]
    events.append(AuditEvent("recording.sealed", 1.7e9 + 10, "alice", session="S1", data={"digest": sealer.digest}))
    begin = Head(0, genesis("n1"))
    links = chain.extend(begin, [canonical(event) for event in events])
    point = checkpoint.sign(signer, "n1", Head(links[-1].seq, links[-1].hash), 0, 1.7e9 + 11)
    before = {link.seq: links[at - 1].hash if at else begin.hash for at, link in enumerate(links)}
    ours = [link for link, event in zip(links, events, strict=True) if event.session == "S1"]
    files = {
        "README.txt": b"read me\n",
        evidence.CAST: cast,
        seal.FILE: seals,
        evidence.AUDIT: b"".join(fact_line(link, before[link.seq]) for link in ours),
        evidence.CHECKPOINTS: point.line + b"\n",
        evidence.CHAIN: b"".join(map(chain.encode_line, links[ours[0].seq - 1 :])),
    }
    noted = Listing()
    for name, content in files.items():
        for _ in noted.noted(name, [content]):
            pass
    files[evidence.MANIFEST], files[evidence.SIGNATURE] = noted.manifest("S1", "2026-11-23T00:00:00Z", "aud", signer)
    return Files(files)


def test_an_untouched_pack_is_sound_and_its_facts_lead_to_a_signed_head(pack: Files, signer: Ed25519Signer) -> None:
    found = examine(pack, signer)
    assert found.problem == ""
    assert (found.session, found.made_by, found.lines, found.facts, found.signed_facts) == ("S1", "aud", 240, 5, 5)


def test_every_flipped_bit_is_found_and_the_file_it_is_in_is_named(pack: Files, signer: Ed25519Signer) -> None:
    chance = random.Random(9)
    for _ in range(FLIPS):
        name = chance.choice(list(pack.files))
        content = bytearray(pack.files[name])
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        found = examine(pack.changed(name, bytes(content)), signer)
        assert found.problem, name
        if name not in (seal.FILE, evidence.MANIFEST, evidence.SIGNATURE, evidence.CHECKPOINTS):
            assert name in found.problem, (name, found.problem)
        if name == evidence.CAST:
            assert "line" in found.problem


def test_every_missing_file_and_every_line_taken_doubled_or_swapped_is_found(pack: Files, signer: Ed25519Signer) -> None:
    for name in pack.files:
        assert examine(pack.changed(name, None), signer).problem, name
    for name in (evidence.CAST, seal.FILE, evidence.AUDIT, evidence.CHAIN):
        lines = pack.files[name].splitlines(keepends=True)
        for at in (0, len(lines) // 2, len(lines) - 1):
            for changed in (lines[:at] + lines[at + 1 :], [*lines[: at + 1], *lines[at:]], [*lines[:at][::-1], *lines[at:]] if at > 1 else lines[::-1]):
                assert examine(pack.changed(name, b"".join(changed)), signer).problem, (name, at)


def test_a_tail_cut_from_cast_and_seals_alike_is_missed_by_the_audit_log(pack: Files, signer: Ed25519Signer) -> None:
    seals = pack.files[seal.FILE].splitlines(keepends=True)
    cast = pack.files[evidence.CAST].splitlines(keepends=True)
    cut = pack.changed(seal.FILE, b"".join(seals[:3])).changed(evidence.CAST, b"".join(cast[:180]))
    assert "another last seal" in examine(cut, signer).problem


def test_another_key_proves_nothing(pack: Files, tmp_path: Path) -> None:
    assert "no valid signature by a known key" in examine(pack, Ed25519Signer.create(tmp_path / "other")).problem
