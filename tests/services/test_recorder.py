"""The recorder: strict ends the session with the system's own words, best-effort goes on and says what is missing."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from bastion.backends.recordings import RecordingFolder
from bastion.core.access.decision import Terms
from bastion.core.errors import Ended, Unavailable
from bastion.core.recording.reader import read
from bastion.core.values import Size
from bastion.services.recorder import BEST_EFFORT, Recorder, Recording, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bastion.core.audit.event import AuditEvent

STRICT = Terms()
LENIENT = Terms(recording=BEST_EFFORT)
ALICE = Subject("S1", "alice", "web01", "deploy", Size(80, 24), source="192.0.2.7")


class HandClock:
    """Time moved by hand."""

    def __init__(self) -> None:
        self.at = 1_700_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at - 1_690_000_000.0


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def audited() -> list[AuditEvent]:
    return []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[RecordingFolder]:
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)], check=True)
    try:
        yield RecordingFolder(str(mount))
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def recorder_on(folder: RecordingFolder, clock: HandClock, audited: list[AuditEvent], low_water: int = 0) -> Recorder:
    return Recorder(folder, clock, audited.append, low_water_bytes=low_water, low_water_share=0.0)


def fill(recording: Recording, clock: HandClock) -> int:
    for n in range(1000):
        recording.output(b"x" * 990, clock.monotonic())
        if recording._gap:
            return n
    pytest.fail("the disk was never full")


async def test_a_full_disk_ends_a_strict_session_with_the_reason(
    small_disk: RecordingFolder, clock: HandClock, audited: list[AuditEvent]
) -> None:
    recording = await recorder_on(small_disk, clock, audited).open(ALICE, STRICT)
    with pytest.raises(Ended) as end:
        fill(recording, clock)
    assert end.value.public == "Recording failed: no space left on device. Session ended by policy."
    assert end.value.exit_code == 75
    with pytest.raises(Ended, match="no space left"):
        recording.output(b"more", clock.monotonic())
    await recording.close(None, clock.monotonic())
    assert [(e.code, e.actor, e.subject, e.session, e.reason) for e in audited] == [
        ("recording.failed", "alice", "web01", "S1", "no space left on device")
    ]
    _, events, reader = read(small_disk.chunks("S1"))
    assert all(e.data == "x" * 990 for e in events)
    assert reader.notes == []


async def test_best_effort_goes_on_and_marks_what_is_missing(
    small_disk: RecordingFolder, clock: HandClock, audited: list[AuditEvent]
) -> None:
    recording = await recorder_on(small_disk, clock, audited).open(ALICE, LENIENT)
    fill(recording, clock)
    recording.output(b"z" * 5000, clock.monotonic())
    path = small_disk.path("S1")
    assert path is not None
    subprocess.run(["mount", "-o", "remount,size=512k", small_disk.root], check=True)
    clock.at += 5
    recording.output(b"back", clock.monotonic())
    await recording.close(0, clock.monotonic())
    assert [e.code for e in audited] == ["recording.gap", "recording.resumed"]
    assert audited[1].data["missing"] == 5990
    *output, back, end = read(small_disk.chunks("S1"))[1]
    told = [int(e.data.split()[2]) for e in output if e.code == "m" and e.data.startswith("recording gap: ")]
    assert sum(told) == 5990
    assert (back.data, back.time, end.data) == ("back", 5_000_000, "0")


async def test_a_read_only_folder_refuses_a_strict_session(
    small_disk: RecordingFolder, clock: HandClock, audited: list[AuditEvent]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk.root], check=True)
    with pytest.raises(Unavailable, match=r"^Recording refused: read-only file system\.$"):
        await recorder_on(small_disk, clock, audited).open(ALICE, STRICT)
    assert [(e.code, e.result) for e in audited] == [("recording.failed", "failed")]


async def test_a_read_only_folder_does_not_stop_best_effort(
    small_disk: RecordingFolder, clock: HandClock, audited: list[AuditEvent]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk.root], check=True)
    recording = await recorder_on(small_disk, clock, audited).open(ALICE, LENIENT)
    recording.output(b"unrecorded", 1.0)
    await recording.close(0, 2.0)
    assert [(e.code, e.reason) for e in audited] == [("recording.failed", "read-only file system")]


async def test_too_little_room_refuses_before_the_disk_is_full(
    small_disk: RecordingFolder, clock: HandClock, audited: list[AuditEvent]
) -> None:
    recorder = recorder_on(small_disk, clock, audited, low_water=1 << 30)
    with pytest.raises(Unavailable, match=r"Recording refused: only 0 MiB free in .*1\.0 GiB must stay free") as refusal:
        await recorder.open(ALICE, STRICT)
    assert refusal.value.code == "recording.low_water"
    assert [(e.code, e.result) for e in audited] == [("recording.low_water", "denied")]
    assert small_disk.path("S1") is None
    lenient = await recorder.open(ALICE, LENIENT)
    lenient.output(b"hi", clock.monotonic())
    await lenient.close(0, clock.monotonic())
    assert audited[-1].result == "failed"


async def test_the_header_says_whose_session_it_is(tmp_path: Path, clock: HandClock, audited: list[AuditEvent]) -> None:
    folder = RecordingFolder(str(tmp_path))
    recording = await recorder_on(folder, clock, audited).open(ALICE, STRICT)
    await recording.close(0, clock.monotonic())
    header, _, _ = read(folder.chunks("S1"))
    assert header.title == "alice on web01 as deploy"
    assert header.fields["bastion"] == {
        "format": 2,
        "session": "S1",
        "user": "alice",
        "endpoint": "web01",
        "login": "deploy",
        "started_at": 1_700_000_000.0,
    }
    assert audited == []


async def test_one_tick_syncs_what_changed_and_only_that(
    tmp_path: Path, clock: HandClock, audited: list[AuditEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = recorder_on(RecordingFolder(str(tmp_path)), clock, audited)
    one = await recorder.open(ALICE, STRICT)
    two = await recorder.open(Subject("S2", "bob", "db", "root", Size(80, 24)), STRICT)
    await recorder.sync()
    synced: list[str] = []
    monkeypatch.setattr(os, "fdatasync", lambda _: synced.append(threading.current_thread().name))
    two.output(b"x", clock.monotonic())
    await recorder.sync()
    await recorder.sync()
    assert len(synced) == 1
    assert synced[0] != threading.main_thread().name
    await one.close(0, 0.0)
    await two.close(0, 0.0)


async def test_a_disk_that_forgets_ends_an_idle_strict_session(
    tmp_path: Path, clock: HandClock, audited: list[AuditEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = recorder_on(RecordingFolder(str(tmp_path)), clock, audited)
    recording = await recorder.open(ALICE, STRICT)
    told: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()
    recording.on_failure = told.set_result
    recording.output(b"x", clock.monotonic())

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        await recorder.sync()
    assert told.result().public == "Recording failed: input/output error. Session ended by policy."
    with pytest.raises(Ended, match="input/output error"):
        recording.output(b"y", clock.monotonic())
    await recording.close(None, clock.monotonic())
    assert [e.code for e in audited] == ["recording.failed"]


async def test_run_syncs_a_last_time_when_stopped(tmp_path: Path, clock: HandClock, audited: list[AuditEvent]) -> None:
    recorder = recorder_on(RecordingFolder(str(tmp_path)), clock, audited)
    recording = await recorder.open(ALICE, STRICT)
    recording.output(b"x", clock.monotonic())
    recorder.stop()
    await asyncio.wait_for(recorder.run(), 5)
    assert recording.writer is not None
    assert not recording.writer.changed
    await recording.close(0, clock.monotonic())


async def test_the_next_start_closes_what_a_crash_left_and_audits_it(
    tmp_path: Path, clock: HandClock, audited: list[AuditEvent]
) -> None:
    folder = RecordingFolder(str(tmp_path))
    recording = await recorder_on(folder, clock, audited).open(ALICE, STRICT)
    recording.output(b"last words", clock.monotonic())
    writer = recording.writer
    os.close(writer._descriptor)  # type: ignore[union-attr]  # as the kernel does when a process is killed
    assert await recorder_on(folder, clock, audited).recover() == ["S1"]
    assert [(e.code, e.session, e.result) for e in audited] == [("recording.interrupted", "S1", "ok")]
    _, events, _ = read(folder.chunks("S1"))
    assert [e.code for e in events] == ["o", "m"]
