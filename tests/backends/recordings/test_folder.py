"""The folder store: modes, links, full and read-only disks, and what a crash leaves."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bastion.backends.recordings import RecordingFolder
from bastion.core.errors import Corrupt, Invalid, Missing
from bastion.core.recording.asciicast import header
from bastion.core.recording.reader import Event, read
from bastion.core.values import Size

if TYPE_CHECKING:
    from collections.abc import Iterator

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
STARTED = 1_700_000_000.0
DAY = "2023/11/14"
LABEL = header(
    size=Size(80, 24), term="xterm", started_at=STARTED, session="S1", user="alice", endpoint="web01", login="root"
)


@pytest.fixture
def folder(tmp_path: Path) -> RecordingFolder:
    return RecordingFolder(str(tmp_path / "recordings"))


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[RecordingFolder]:
    """A recordings folder on a disk of 256 KiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)], check=True)
    try:
        yield RecordingFolder(str(mount))
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def events_of(folder: RecordingFolder, session_id: str = "S1") -> list[Event]:
    _, events, reader = read(folder.chunks(session_id))
    found = list(events)
    assert reader.notes == []
    return found


def test_a_recording_lies_in_its_days_folder_for_our_eyes_only(folder: RecordingFolder) -> None:
    writer = folder.create("S1", LABEL, STARTED, 5.0)
    writer.output(b"hi", 6.0)
    path = folder.path("S1")
    assert path == f"{folder.root}/{DAY}/S1/session.cast"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    for part in (f"{DAY}/S1", DAY, "2023/11", "2023", ""):
        assert stat.S_IMODE(os.stat(os.path.join(folder.root, part)).st_mode) == 0o700, part
    assert [(e.time, e.data) for e in events_of(folder)] == [(1_000_000, "hi")]
    writer.end(0, 7.0)
    writer.close()
    assert [(e.code, e.data) for e in events_of(folder)] == [("o", "hi"), ("x", "0")]
    assert folder.path("S1") == path
    meta = Path(folder.root, DAY, "S1", "meta.json").read_text()
    assert meta == f'{{"format":2,"state":"closed","bytes":{os.stat(path).st_size},"status":0,"stored":"plain","packed":null}}\n'


def test_a_finished_recording_is_not_unfinished(folder: RecordingFolder) -> None:
    folder.create("S1", LABEL, STARTED, 0.0).close()
    assert folder.unfinished() == []


def test_a_live_recording_is_left_alone(folder: RecordingFolder) -> None:
    writer = folder.create("S1", LABEL, STARTED, 0.0)
    assert RecordingFolder(folder.root).unfinished() == []
    writer.end(0, 1.0)
    writer.close()


def test_the_same_id_twice_is_refused_and_harms_nothing(folder: RecordingFolder) -> None:
    first = folder.create("S1", LABEL, STARTED, 0.0)
    first.output(b"precious", 1.0)
    with pytest.raises(FileExistsError):
        folder.create("S1", LABEL, STARTED, 0.0)
    first.output(b" words", 1.0)
    first.end(0, 2.0)
    first.close()
    assert "".join(e.data for e in events_of(folder) if e.code == "o") == "precious words"
    assert folder.unfinished() == []


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "-x", "x" * 65, "a\x1b[2J", "a\n", "."])
def test_an_id_that_is_no_name_never_reaches_the_disk(folder: RecordingFolder, name: str) -> None:
    for use in (folder.path, folder.chunks, folder.close_interrupted):
        with pytest.raises(Invalid, match="not a session id"):
            use(name)
    with pytest.raises(Invalid, match="not a session id"):
        folder.create(name, LABEL, STARTED, 0.0)


def test_a_session_without_recording_is_missing(folder: RecordingFolder) -> None:
    assert folder.path("S9") is None
    with pytest.raises(Missing, match="no recording"):
        folder.chunks("S9")


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "linked folder"])
def test_what_is_no_regular_file_is_refused_without_hanging(folder: RecordingFolder, tmp_path: Path, kind: str) -> None:
    place = Path(folder.root, DAY, "S1")
    place.parent.mkdir(parents=True)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "session.cast").write_text("secret\n")
    if kind == "linked folder":
        place.symlink_to(secret)
    else:
        place.mkdir()
        cast = place / "session.cast"
        if kind == "link":
            cast.symlink_to(secret / "session.cast")
        elif kind == "fifo":
            os.mkfifo(cast)
        else:
            cast.mkdir()
    with pytest.raises(Corrupt, match="not a regular file"):
        folder.chunks("S1")


def test_a_full_disk_raises_and_leaves_whole_lines_only(full_disk: RecordingFolder) -> None:
    writer = full_disk.create("S1", LABEL, STARTED, 0.0)
    written = 0
    with pytest.raises(OSError, match=r"No space left|a part of a line") as failure:
        for n in range(10_000):
            writer.output(b"x" * 997, n * 0.001)
            written += 1
    assert failure.value.errno == errno.ENOSPC
    path = full_disk.path("S1")
    assert path is not None
    assert Path(path).read_bytes().endswith(b'x"]\n')
    assert len(events_of(full_disk)) == written > 200
    assert os.stat(path).st_size == writer.length


def test_a_line_that_failed_is_missing_and_nothing_else(full_disk: RecordingFolder) -> None:
    writer = full_disk.create("S1", LABEL, STARTED, 0.0)
    ballast = Path(full_disk.root, "ballast")
    writer.output(b"before \xe2", 1.0)
    with pytest.raises(OSError, match="No space left"):
        ballast.write_bytes(b"b" * 10**6)
    with pytest.raises(OSError, match=r"No space left|a part of a line"):
        for _ in range(10):
            writer.output(b"y" * 4000, 2.0)
    ballast.unlink()
    writer.output(b"after", 3.0)
    found = events_of(full_disk)
    assert (found[0].data, found[-1].data, found[-1].time) == ("before ", "after", 3_000_000)


def test_a_folder_that_cannot_be_written_raises_when_a_recording_is_opened(full_disk: RecordingFolder) -> None:
    subprocess.run(["mount", "-o", "remount,ro", full_disk.root], check=True)
    with pytest.raises(OSError, match="Read-only") as failure:
        full_disk.create("S1", LABEL, STARTED, 0.0)
    assert failure.value.errno == errno.EROFS


def test_free_tells_of_the_disk_that_holds_the_casts(full_disk: RecordingFolder) -> None:
    free, total = full_disk.free()
    assert total == 256 * 1024
    assert 0 < free <= total


def crashed(folder: RecordingFolder, cast: bytes) -> None:
    """Leave what a dead process leaves: a cast, and the note that it is open."""
    writer = folder.create("S1", LABEL, STARTED, 0.0)
    writer._finish = lambda *_: None
    writer.end(None, 0.0)
    writer.close()
    path = folder.path("S1")
    assert path is not None
    Path(path).write_bytes(cast)


HEAD = b'{"version":3,"term":{"cols":80,"rows":24}}\n'


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        (HEAD + b'[1,"o","a"]\n[2,"o","b', ["a"]),
        (HEAD + b'[1,"o","a"]\n', ["a"]),
        (HEAD + b'[1,"o","a"]\n# bastion tail e2\n', ["a"]),
        (HEAD + b'[1,"o","a"]\n\0\0\0\n\0\0', ["a"]),
        (HEAD, []),
        (HEAD[:-5], []),
        (b"", []),
    ],
)
def test_a_cast_that_a_crash_cut_is_closed_after_its_last_whole_line(
    folder: RecordingFolder, left: bytes, kept: list[str]
) -> None:
    crashed(folder, left)
    assert folder.unfinished() == ["S1"]
    folder.close_interrupted("S1")
    assert folder.unfinished() == []
    *events, last = events_of(folder)
    assert [e.data for e in events] == kept
    assert last.code == "m"
    assert last.data.startswith("interrupted")
    assert '"state":"interrupted"' in Path(folder.root, DAY, "S1", "meta.json").read_text()


def test_closing_an_interrupted_cast_twice_changes_nothing_more(folder: RecordingFolder) -> None:
    crashed(folder, HEAD + b'[1,"o","a"]\n')
    folder.close_interrupted("S1")
    once = b"".join(folder.chunks("S1"))
    folder.close_interrupted("S1")
    assert b"".join(folder.chunks("S1")) == once


def test_a_crash_before_the_cast_was_made_leaves_nothing_behind(folder: RecordingFolder) -> None:
    crashed(folder, HEAD)
    os.unlink(str(folder.path("S1")))
    folder.close_interrupted("S1")
    assert folder.unfinished() == []


WRITER = """
import os, random, sys, time
from bastion.backends.recordings import RecordingFolder
from bastion.core.recording.asciicast import header
from bastion.core.values import Size
folder = RecordingFolder(sys.argv[1])
label = header(size=Size(80, 24), term="", started_at=1.7e9, session="S1", user="a", endpoint="e", login="l")
writer = folder.create("S1", label, 1.7e9, time.monotonic())
chance = random.Random(int(sys.argv[2]))
text = "".join(f"{n} \\u20ac \\U0001d11e \\u00e9\\r\\n" for n in range(100_000)).encode()
at = 0
while at < len(text):
    chunk = text[at : at + chance.choice((1, 2, 3, 7, 100, 5000))]
    at += len(chunk)
    writer.output(chunk, time.monotonic())
    os.write(1, chunk)
"""


@pytest.mark.parametrize("seed", range(10 * FUZZ))
def test_what_was_shown_before_a_kill_is_on_file(folder: RecordingFolder, seed: int) -> None:
    chance = random.Random(seed)
    enough = chance.choice((1, 50, 5_000, 200_000))
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, folder.root, str(seed)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "."}
    ) as process:
        assert process.stdout is not None
        shown = b""
        while len(shown) < enough:
            shown += os.read(process.stdout.fileno(), chance.choice((1, 10, 65_536)))
        process.send_signal(signal.SIGKILL)
        shown += process.stdout.read()
    _, events, reader = read(folder.chunks("S1"))
    recorded = "".join(e.data for e in events).encode() + reader.tail
    assert recorded.startswith(shown)
    assert folder.unfinished() == ["S1"]
    folder.close_interrupted("S1")
    _, events, reader = read(folder.chunks("S1"))
    mended = list(events)
    assert reader.notes == []
    assert "".join(e.data for e in mended if e.code == "o").encode() + reader.tail == recorded
    assert mended[-1].data.startswith("interrupted")
