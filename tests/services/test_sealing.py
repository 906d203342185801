"""Sealed recordings: from the first tick to the end, after a crash, and offline with nothing but the public key."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bastion.backends.recordings import RecordingFolder
from bastion.backends.recordings.check import check_file
from bastion.backends.vault.signer import Ed25519Signer, Ed25519Verifier, public_path
from bastion.core.access.decision import Terms
from bastion.core.errors import Corrupt, Misconfigured, Missing
from bastion.core.recording.keyframes import FILE as KEYFRAMES
from bastion.core.recording.reader import read
from bastion.core.terminal import Terminal
from bastion.core.values import Size
from bastion.services.indexing import Index, build
from bastion.services.recorder import Recorder, Subject
from bastion.services.sealing import verify

if TYPE_CHECKING:
    from bastion.core.audit.event import AuditEvent

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
ALICE = Subject("S1", "alice", "web01", "deploy", Size(80, 24))


class HandClock:
    """Time moved by hand."""

    at = 1_700_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def key(tmp_path: Path) -> Ed25519Signer:
    return Ed25519Signer.create(tmp_path / "seal.key")


@pytest.fixture
def folder(tmp_path: Path) -> RecordingFolder:
    return RecordingFolder(str(tmp_path / "recordings"))


@pytest.fixture
def audited() -> list[AuditEvent]:
    return []


@pytest.fixture
def recorder(folder: RecordingFolder, clock: HandClock, audited: list[AuditEvent], key: Ed25519Signer) -> Recorder:
    return Recorder(folder, clock, audited.append, key, low_water_bytes=0, low_water_share=0.0)


def cast_of(folder: RecordingFolder) -> Path:
    return Path(str(folder.path("S1")))


async def record_a_minute(recorder: Recorder, clock: HandClock, *, close: bool = True) -> None:
    recording = await recorder.open(ALICE, Terms())
    for second in range(60):
        clock.at += 1
        recording.output(b"second %d\r\n" % second, clock.monotonic())
        await recorder.sync()
    if close:
        await recording.close(0, clock.monotonic())
    else:
        os.close(recording.writer._descriptor)  # type: ignore[union-attr]  # as a kill does


async def test_a_recording_is_sealed_while_it_runs_and_at_its_end(
    folder: RecordingFolder, recorder: Recorder, clock: HandClock, key: Ed25519Signer, audited: list[AuditEvent]
) -> None:
    await record_a_minute(recorder, clock)
    verdict = await verify(folder, "S1", key)
    assert (verdict.finding, verdict.ended, verdict.seals, verdict.lines) == ("", True, 7, 62)
    assert [(e.code, e.session) for e in audited] == [("recording.sealed", "S1")]
    assert audited[0].data == {"digest": verdict.digest, "bytes": cast_of(folder).stat().st_size}
    assert (await verify(folder, "S1", key, digest=str(audited[0].data["digest"]))).sound


async def test_a_live_recording_is_sound_up_to_the_last_seal(
    folder: RecordingFolder, recorder: Recorder, clock: HandClock, key: Ed25519Signer
) -> None:
    await record_a_minute(recorder, clock, close=False)
    verdict = await verify(folder, "S1", key)
    assert not verdict.ended
    assert verdict.finding == "" or "are not sealed" in verdict.finding


async def test_a_changed_line_is_named(folder: RecordingFolder, recorder: Recorder, clock: HandClock, key: Ed25519Signer) -> None:
    await record_a_minute(recorder, clock)
    path = cast_of(folder)
    path.write_bytes(path.read_bytes().replace(b"second 41", b"second 14"))
    verdict = await verify(folder, "S1", key)
    assert verdict.line == 43
    assert verdict.finding.startswith("line 43 ")


async def test_a_tail_cut_from_cast_and_seals_alike_is_known_by_the_audit_log(
    folder: RecordingFolder, recorder: Recorder, clock: HandClock, key: Ed25519Signer, audited: list[AuditEvent]
) -> None:
    await record_a_minute(recorder, clock)
    path = cast_of(folder)
    seals = path.with_name("seal.jsonl")
    seals.write_bytes(b"".join(seals.read_bytes().splitlines(keepends=True)[:3]))
    kept = (await verify(folder, "S1", key)).bytes
    path.write_bytes(path.read_bytes()[:kept])
    verdict = await verify(folder, "S1", key, digest=str(audited[0].data["digest"]))
    assert verdict.finding.startswith("the tail is missing")
    assert not (await verify(folder, "S1", key)).ended


async def test_after_a_crash_the_rest_is_sealed_as_interrupted(
    folder: RecordingFolder, recorder: Recorder, clock: HandClock, key: Ed25519Signer, audited: list[AuditEvent]
) -> None:
    await record_a_minute(recorder, clock, close=False)
    with cast_of(folder).with_name("seal.jsonl").open("ab") as seals:
        seals.write(b'{"seal":{"half')
    assert await recorder.recover() == ["S1"]
    verdict = await verify(folder, "S1", key)
    assert (verdict.finding, verdict.ended) == ("", True)
    assert [(e.code, e.data) for e in audited] == [("recording.interrupted", {"digest": verdict.digest})]
    *_, last = read(folder.chunks("S1"))[1]
    assert last.data.startswith("interrupted")


async def test_a_recovery_that_was_itself_interrupted_is_done_again(
    folder: RecordingFolder, recorder: Recorder, clock: HandClock, key: Ed25519Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await record_a_minute(recorder, clock, close=False)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder, "append_side", full)
        assert await recorder.recover() == []
    assert await recorder.recover() == ["S1"]
    assert (await verify(folder, "S1", key)).ended
    assert await recorder.recover() == []


async def test_a_flood_is_sealed_in_stretches(
    folder: RecordingFolder, recorder: Recorder, clock: HandClock, key: Ed25519Signer
) -> None:
    recording = await recorder.open(ALICE, Terms())
    for _ in range(200):
        recording.output(b"y\r\n" * 20_000, clock.monotonic())
    await recorder.sync()
    await recording.close(0, clock.monotonic())
    verdict = await verify(folder, "S1", key)
    assert verdict.sound
    assert verdict.seals > 3
    longest = max(map(len, cast_of(folder).with_name("seal.jsonl").read_bytes().splitlines()))
    assert longest < 100_000


async def test_an_exported_folder_is_verified_with_the_public_key_alone(
    folder: RecordingFolder, recorder: Recorder, clock: HandClock, tmp_path: Path
) -> None:
    await record_a_minute(recorder, clock)
    pack = tmp_path / "pack"
    shutil.copytree(cast_of(folder).parent, pack)
    public = Ed25519Verifier.load(public_path(tmp_path / "seal.key"))
    said = check_file(pack, public)
    assert said.startswith("The recording is as it was sealed: 62 lines, ")
    assert check_file(pack / "session.cast", public) == said
    Ed25519Signer.create(tmp_path / "other.key")
    with pytest.raises(Corrupt, match="seal 1 has no valid signature by a known key"):
        check_file(pack, Ed25519Verifier.load(public_path(tmp_path / "other.key")))
    (pack / "seal.jsonl").write_bytes(b"".join((pack / "seal.jsonl").read_bytes().splitlines(keepends=True)[:-1]))
    with pytest.raises(Corrupt, match=r"the lines from 6[0-2] on are not sealed"):
        check_file(pack, public)
    lines = (pack / "session.cast").read_bytes().splitlines(keepends=True)
    (pack / "session.cast").write_bytes(b"".join(lines[:-2]))
    (pack / "seal.jsonl").unlink()
    with pytest.raises(Missing, match=r"no seal\.jsonl"):
        check_file(pack, public)


async def test_a_file_whose_seals_lack_the_end_is_called_cut_or_running(
    folder: RecordingFolder, recorder: Recorder, clock: HandClock, key: Ed25519Signer
) -> None:
    await record_a_minute(recorder, clock)
    path = cast_of(folder)
    seals = path.with_name("seal.jsonl")
    seals.write_bytes(b"".join(seals.read_bytes().splitlines(keepends=True)[:3]))
    path.write_bytes(path.read_bytes()[: (await verify(folder, "S1", key)).bytes])
    with pytest.raises(Corrupt, match="its end seal is missing"):
        check_file(path, key)


def test_without_a_key_a_file_is_read_to_its_end_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "some.cast"
    path.write_bytes(b'{"version":2,"width":80,"height":24}\n[1,"o","a"]\n[62.5,"o","b"]\n')
    assert check_file(path) == "The file is asciicast 2 and reads to its end: 2 events, 1:02. Whether it was changed was not checked."
    path.write_bytes(path.read_bytes() + b"junk\n")
    with pytest.raises(Corrupt, match="line 4: not a JSON line"):
        check_file(path)
    with pytest.raises(Missing, match="no file"):
        check_file(tmp_path / "none.cast")


def test_sealing_that_does_not_work_stops_the_start(folder: RecordingFolder, clock: HandClock) -> None:
    class Broken:
        key_id = "k"

        def sign(self, data: bytes) -> bytes:
            return b"x"

        def verify(self, data: bytes, signature: bytes, key_id: str) -> bool:
            return True

    with pytest.raises(Misconfigured, match="would prove nothing"):
        Recorder(folder, clock, lambda _: None, Broken())


async def test_keyframes_and_the_track_are_written_beside_the_session(
    folder: RecordingFolder, recorder: Recorder, clock: HandClock
) -> None:
    recording = await recorder.open(ALICE, Terms())
    screen = Terminal(80, 24)
    recording.marker("bob joined as viewer", clock.monotonic(), kind="join", who="bob")
    for n in range(300):
        clock.at += 0.5
        data = b"\x1b[2J\x1b[Hnumber %d " % n + (b"\xe2" if n % 7 == 0 else b"")
        recording.output(data, clock.monotonic())
        screen.feed(data)
        if recording.keyframe_due:
            assert not data.endswith(b"\xe2"), "half a character would come twice"
            recording.keyframe(Size(80, 24), screen.dump() + screen.pending)
        await recorder.sync()
    await recording.close(0, clock.monotonic())
    head, events, _ = read(folder.chunks("S1"))
    assert cast_of(folder).with_name(KEYFRAMES).exists()
    index = Index(folder, "S1", head)
    assert len(index.places) == 14
    assert [(e.kind, e.who, e.text) for e in index.entries] == [("join", "bob", "bob joined as viewer")]
    everything = list(events)
    for time in (0, 15_000_000, 77_000_000, 149_000_000):
        frame = index.keyframe(time)
        fresh, whole = Terminal(80, 24), Terminal(80, 24)
        if frame is not None:
            assert frame.time <= time
            fresh.feed(frame.screen)
        for event in everything:
            if event.time <= time and event.code == "o":
                whole.feed(event.data.encode())
                if frame is None or event.offset >= frame.offset:
                    fresh.feed(event.data.encode())
        assert fresh.snapshot() == whole.snapshot()
    index.close()


async def test_a_finished_recording_is_told_and_can_be_indexed_elsewhere(
    folder: RecordingFolder, clock: HandClock, audited: list[AuditEvent], key: Ed25519Signer
) -> None:
    told: list[str] = []
    recorder = Recorder(folder, clock, audited.append, key, closed=told.append, low_water_bytes=0, low_water_share=0.0)
    await record_a_minute(recorder, clock)
    assert told == ["S1"]
    assert build(folder, "S1") == 6
    assert cast_of(folder).with_name(KEYFRAMES).exists()
    assert build(folder, "S1") == 6
    assert (await verify(folder, "S1", key)).sound


LIVE = """
import asyncio, os, random, sys, time
from pathlib import Path
from bastion.backends.recordings import RecordingFolder
from bastion.backends.vault.signer import Ed25519Signer
from bastion.core.access.decision import Terms
from bastion.core.recording import seal
from bastion.core.terminal import Terminal
from bastion.core.values import Size
from bastion.services.recorder import Recorder, Subject

class Clock:
    now = staticmethod(time.time)
    at = 0.0
    def monotonic(self):
        Clock.at += 0.4  # a fast clock: seals and keyframes come often
        return Clock.at

async def main():
    chance = random.Random(int(sys.argv[3]))
    recorder = Recorder(
        RecordingFolder(sys.argv[1]), Clock(), lambda _: None, Ed25519Signer.create(Path(sys.argv[2])), low_water_bytes=0, low_water_share=0.0
    )
    recording = await recorder.open(Subject("S1", "alice", "web01", "root", Size(80, 24)), Terms())
    screen = Terminal(80, 24)
    for n in range(100_000):
        data = b"%d \\xe2\\x82\\xac\\r\\n" % n * chance.choice((1, 5, 50))
        recording.output(data, recorder._clock.monotonic())
        screen.feed(data)
        os.write(1, data)
        if recording.keyframe_due:
            recording.keyframe(Size(80, 24), screen.dump() + screen.pending)
        if n % 3 == 0:
            await recorder.sync()

asyncio.run(main())
"""


@pytest.mark.parametrize("seed", range(5 * FUZZ))
async def test_a_kill_at_any_moment_leaves_a_recording_that_is_closed_and_proven(
    folder: RecordingFolder, recorder: Recorder, key: Ed25519Signer, tmp_path: Path, seed: int
) -> None:
    enough = random.Random(seed).choice((1, 3_000, 30_000, 100_000))
    command = [sys.executable, "-c", LIVE, folder.root, str(tmp_path / "seal.key"), str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        shown = b""
        while len(shown) < enough:
            shown += os.read(process.stdout.fileno(), 65_536)
        process.kill()
        shown += process.stdout.read()
    assert await recorder.recover() == ["S1"]
    verdict = await verify(folder, "S1", key)
    assert (verdict.finding, verdict.ended) == ("", True)
    head, events, reader = read(folder.chunks("S1"))
    recorded = "".join(event.data for event in events if event.code == "o").encode()
    assert recorded.startswith(shown)
    assert reader.notes == []
    index = Index(folder, "S1", head)
    while not index.complete:
        index.step()
    last = index.keyframe(index.duration)
    if len(shown) > 20_000:
        assert last is not None
    index.close()
