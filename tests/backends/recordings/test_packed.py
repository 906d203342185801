"""Packed recordings: the same bytes by any range, damage named, and a crash at any step loses nothing."""

from __future__ import annotations

import errno
import os
import random
import signal
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from bastion.backends.recordings import RecordingFolder, packed, safe
from bastion.backends.recordings.check import check_file
from bastion.core.errors import Corrupt
from bastion.core.recording import frames, meta
from bastion.core.recording.asciicast import header
from bastion.core.values import Size

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
GOLDEN = Path(__file__).parents[2] / "golden" / "recordings"
STARTED = 1_700_000_000.0
PLACE = "2023/11/14/S1"
LABEL = header(size=Size(80, 24), term="xterm", started_at=STARTED, session="S1", user="alice", endpoint="web01", login="root")


@pytest.fixture
def folder(tmp_path: Path) -> RecordingFolder:
    return RecordingFolder(str(tmp_path / "recordings"))


def record(folder: RecordingFolder, lines: int = 20_000, session_id: str = "S1") -> bytes:
    """Record and close; return the cast's bytes."""
    writer = folder.create(session_id, LABEL, STARTED, 0.0)
    for number in range(lines):
        writer.output(b"line %d of what was shown\r\n" % number, number / 1000)
    writer.end(0, lines / 1000)
    writer.close()
    return Path(str(folder.path(session_id))).read_bytes()


def everything(folder: RecordingFolder, offset: int = 0) -> bytes:
    return b"".join(folder.chunks("S1", offset))


def test_a_packed_recording_has_the_same_bytes_from_any_place_on(folder: RecordingFolder) -> None:
    cast = record(folder)
    assert [name for name, _ in folder.to_pack()] == ["S1"]
    plain, small = folder.pack("S1", 3) or (0, 0)
    assert plain == len(cast)
    assert small * 6 < plain, "packing is worth it"
    assert folder.to_pack() == []
    assert sorted(os.listdir(Path(folder.root, PLACE))) == ["meta.json", "session.cast.zst"]
    assert folder.path("S1") == f"{folder.root}/{PLACE}/session.cast.zst"
    assert everything(folder) == cast
    draw = random.Random(6)
    edges = [frames.FRAME_BYTES - 1, frames.FRAME_BYTES, frames.FRAME_BYTES + 1, len(cast) - 1, len(cast), len(cast) + 9]
    for offset in [*edges, *(draw.randrange(len(cast)) for _ in range(20))]:
        assert everything(folder, offset) == cast[offset:], offset


def test_the_zstd_program_gives_back_the_bytes_that_were_recorded(folder: RecordingFolder) -> None:
    cast = record(folder)
    folder.pack("S1", 3)
    assert subprocess.run(["zstd", "-dc", str(folder.path("S1"))], capture_output=True, check=True).stdout == cast


def test_reading_in_the_middle_unpacks_one_frame_only(folder: RecordingFolder) -> None:
    cast = record(folder, 400_000)
    folder.pack("S1", 1)
    tracemalloc.start()
    chunks = folder.chunks("S1", len(cast) // 2)
    first = next(chunks)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cast[len(cast) // 2 :].startswith(first)
    assert len(cast) > 16_000_000
    assert most < 4 * frames.FRAME_BYTES


def test_meta_tells_how_it_is_kept(folder: RecordingFolder) -> None:
    cast = record(folder, 50)
    assert folder.meta("S1") == meta.Meta("closed", len(cast), 0)
    folder.pack("S1", 3)
    assert folder.meta("S1") == meta.Meta("closed", len(cast), 0, "zstd", os.stat(str(folder.path("S1"))).st_size)


def test_level_0_leaves_it_plain_and_forgets_it(folder: RecordingFolder) -> None:
    cast = record(folder, 50)
    assert folder.pack("S1", 0) is None
    assert folder.to_pack() == []
    assert Path(str(folder.path("S1"))).read_bytes() == cast


def test_a_live_recording_is_not_waiting_and_not_packed(folder: RecordingFolder) -> None:
    writer = folder.create("S1", LABEL, STARTED, 0.0)
    assert folder.to_pack() == []
    assert folder.pack("S1", 3) is None
    writer.output(b"goes on", 1.0)
    writer.close()
    assert everything(folder).endswith(b'"goes on"]\n')


def test_one_that_a_crash_interrupted_is_packed_too(folder: RecordingFolder) -> None:
    writer = folder.create("S1", LABEL, STARTED, 0.0)
    writer.output(b"cut off", 1.0)
    os.close(writer._descriptor)
    folder.close_interrupted("S1")
    cast = everything(folder)
    assert folder.pack("S1", 3)
    assert everything(folder) == cast
    assert folder.meta("S1").state == "interrupted"  # type: ignore[union-attr]


def test_told_to_stop_it_leaves_the_plain_cast_and_goes_on_later(folder: RecordingFolder) -> None:
    cast = record(folder)
    answers = iter([True, True, False])
    assert folder.pack("S1", 3, lambda: next(answers, False)) is None
    assert Path(folder.root, PLACE, "session.cast").read_bytes() == cast
    assert [name for name, _ in folder.to_pack()] == ["S1"]
    assert folder.pack("S1", 3) is not None
    assert sorted(os.listdir(Path(folder.root, PLACE))) == ["meta.json", "session.cast.zst"]


def test_a_full_disk_leaves_the_plain_cast(folder: RecordingFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    cast = record(folder)
    real = os.write
    monkeypatch.setattr(packed.os, "write", lambda fd, data: real(fd, data[: len(data) // 2]))
    with pytest.raises(OSError, match="No space") as failure:
        folder.pack("S1", 3)
    monkeypatch.undo()
    assert failure.value.errno == errno.ENOSPC
    assert everything(folder) == cast
    assert folder.pack("S1", 3) is not None
    assert everything(folder) == cast


def test_a_frame_that_comes_back_wrong_is_noticed_before_the_plain_cast_goes(folder: RecordingFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    cast = record(folder)
    real = os.pread
    monkeypatch.setattr(packed.os, "pread", lambda fd, size, at: bytes([real(fd, size, at)[0] ^ 1]) + real(fd, size, at)[1:] if 0 < at < 9000 else real(fd, size, at))
    with pytest.raises(OSError, match="does not come back"):
        folder.pack("S1", 3)
    monkeypatch.undo()
    assert everything(folder) == cast


CHILD = """
import os, sys
from bastion.backends.recordings import RecordingFolder, packed
step, calls = int(sys.argv[2]), 0
def stopping(name):
    real = getattr(os, name)
    def call(*args, **more):
        global calls
        calls += 1
        if calls == step:
            os.kill(os.getpid(), 9)
        return real(*args, **more)
    setattr(os, name, call)
for name in ("write", "fdatasync", "fsync", "rename", "unlink", "open"):
    stopping(name)
RecordingFolder(sys.argv[1]).pack("S1", 1)
"""


def test_a_kill_at_any_step_loses_nothing_and_the_next_start_goes_on(tmp_path: Path) -> None:
    folder = RecordingFolder(str(tmp_path / "recordings"))
    writer = folder.create("S1", LABEL, STARTED, 0.0)
    for number in range(12_000):
        writer.output(b"line %d\r\n" % number, number / 1000)
    writer.close()
    cast = everything(folder)
    whole = tmp_path / "whole"
    subprocess.run(["cp", "-a", folder.root, str(whole)], check=True)
    survived = False
    for step in range(1, 60 if FUZZ > 1 else 40, 1 if FUZZ > 1 else 2):
        subprocess.run(["rm", "-rf", folder.root], check=True)
        subprocess.run(["cp", "-a", str(whole), folder.root], check=True)
        done = subprocess.run([sys.executable, "-c", CHILD, folder.root, str(step)], check=False, env={**os.environ, "PYTHONPATH": "."}, cwd=Path(__file__).parents[3])
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0
            survived = True
            break
        assert everything(folder) == cast, f"after a kill at step {step}"
        for name, _ in folder.to_pack():
            folder.pack(name, 1)
        assert everything(folder) == cast, f"after going on from step {step}"
        assert sorted(os.listdir(Path(folder.root, PLACE))) == ["meta.json", "session.cast.zst"]
        assert folder.meta("S1").stored == "zstd"  # type: ignore[union-attr]
    assert survived, "every step was tried"


def test_a_flipped_bit_in_a_frame_is_named_by_the_bytes_it_spoils(folder: RecordingFolder) -> None:
    cast = record(folder)
    folder.pack("S1", 3)
    path = Path(str(folder.path("S1")))
    good = path.read_bytes()
    table = frames.parse(good[-frames.table_length(good[-9:]) :], len(good) - frames.table_length(good[-9:]))
    draw = random.Random(66)
    for _ in range(300 * FUZZ):
        bit = draw.randrange(len(good) * 8)
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        try:
            found = everything(folder)
        except Corrupt as error:
            if bit // 8 < table.packed:
                frame = next(one for one in table.since(0) if one.at <= bit // 8 < one.at + one.length)
                assert f"bytes {frame.offset} to {frame.offset + frame.size}" in error.public, bit
            else:
                assert error.code in ("recording.frames", "recording.damaged")
        else:  # a few bits of a zstd frame's header mean nothing
            assert found == cast


def test_a_cut_or_hostile_pack_is_refused_and_never_makes_us_hold_much(folder: RecordingFolder) -> None:
    import zstandard

    record(folder)
    folder.pack("S1", 3)
    path = Path(str(folder.path("S1")))
    good = path.read_bytes()
    bomb = zstandard.ZstdCompressor().compress(bytes(64_000_000))
    huge = struct.pack("<II", 0x184D2A5E, 9) + frames.FOOTER.pack(0xFFFFFFF, 0, 0x8F92EAB1)
    lying = [
        b"",
        good[:-1],
        good[:100],
        good[1:],
        huge,
        bomb + frames.Frames([(len(bomb), 1000)]).table(),
        bomb + frames.Frames([(len(bomb), 64_000_000)]).table(),
        good[: -frames.table_length(good[-9:])] + frames.Frames([(10, 0)]).table(),
    ]
    for bad in lying:
        path.write_bytes(bad)
        tracemalloc.start()
        with pytest.raises(Corrupt, match="damaged"):
            everything(folder)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 3_000_000
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        with pytest.raises(Corrupt):
            everything(folder)
    assert len(os.listdir("/proc/self/fd")) == before, "a refused file is closed"


def test_format_1_is_read_packed_and_read_again(folder: RecordingFolder) -> None:
    place = Path(folder.root, PLACE)
    place.mkdir(parents=True)
    (place / "session.cast").write_bytes((GOLDEN / "format-1.cast").read_bytes())
    (place / "meta.json").write_text('{"format":1,"state":"closed","bytes":549,"status":7}\n')
    assert folder.meta("S1") == meta.Meta("closed", 549, 7)
    with safe.folder(folder.root, [".pack"], create=True):
        Path(folder.root, ".pack", "S1").write_text(PLACE)
    assert folder.pack("S1", 3)
    assert everything(folder) == (GOLDEN / "format-1.cast").read_bytes()
    assert (folder.meta("S1") or meta.Meta("", 0, 0)).status == 7


def test_format_2_as_it_was_written_is_read_for_ever(folder: RecordingFolder) -> None:
    place = Path(folder.root, PLACE)
    place.mkdir(parents=True)
    for name in ("session.cast.zst", "meta.json"):
        (place / name).write_bytes((GOLDEN / "format-2" / name).read_bytes())
    assert everything(folder) == (GOLDEN / "format-2.cast").read_bytes()
    assert folder.meta("S1") == meta.Meta("closed", 549, 7, "zstd", 399)
    assert "reads to its end" in check_file(place)
    assert "reads to its end" in check_file(place / "session.cast.zst")


def test_a_format_of_the_future_is_named(folder: RecordingFolder) -> None:
    with pytest.raises(Corrupt, match="format 3; this bastion knows formats up to 2"):
        meta.parse(b'{"format":3,"state":"closed","bytes":1,"status":0}')
    for bad in (b"", b"[]", b"{}", b'{"format":"x"}', b'{"format":0}', b'{"format":1,"state":1,"bytes":1,"status":0}', b'{"format":-1}'):
        with pytest.raises(Corrupt, match=r"meta\.json"):
            meta.parse(bad)
