"""No record, no session: a full, read-only or broken recordings folder ends sessions with a clear text and bars new ones."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.cast import Cast
from tests.lab.waiting import until


class Disk:
    """A file system of a few hundred KB, mounted for a test."""

    def __init__(self, place: Path) -> None:
        place.mkdir()
        self.place = place
        self.mount("size=512k,mode=0700")

    def mount(self, options: str) -> None:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.place)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"these tests mount a small disk, which needs root: {done.stderr}"

    def remount(self, mode: str) -> None:
        argv = ["mount", "-o", f"remount,{mode}", str(self.place)]  # busy while the last cast is being closed
        until(lambda: subprocess.run(argv, check=False, capture_output=True).returncode == 0, f"the disk is {mode}")

    def fill(self) -> None:
        """Leave no room at all."""
        with (self.place / "ballast").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                return

    def release(self) -> None:
        (self.place / "ballast").unlink()

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.place)], check=False, capture_output=True)


@pytest.fixture
def small(tmp_path: Path, furnished_home: Bastion) -> Iterator[tuple[Bastion, Disk]]:
    disk = Disk(tmp_path / "disk")
    env = {"BASTION_PATHS_RECORDINGS": str(disk.place), "BASTION_RECORDING_FREE_BYTES": "65536", "BASTION_RECORDING_FREE_SHARE": "0"}
    lives = furnished_home.copy(tmp_path / "b", env=env)
    try:
        lives.start()
        yield lives, disk
    finally:
        lives.stop()
        disk.unmount()


def casts(disk: Disk) -> list[Cast]:
    return [Cast.read(path) for path in sorted(disk.place.rglob("session.cast"))]


def test_a_disk_that_fills_up_ends_the_session_with_the_reason_and_what_was_recorded_stays_good(small: tuple[Bastion, Disk]) -> None:
    bastion, disk = small
    done = bastion.ssh("alice", "connect web01 -- seq 1 1000000")
    assert done.returncode == 75, done.stderr
    assert done.stderr.count(b"\n") == 1
    assert b"Recording failed: no space left on device. Session ended by policy." in done.stderr
    (cast,) = casts(disk)
    assert len(done.stdout) > 50_000
    assert cast.output.startswith(done.stdout)
    (fact,) = bastion.audit("recording.failed")
    assert (fact["actor"], fact["subject"], fact["result"]) == ("alice", "web01", "failed")
    assert "no space left" in fact["reason"]
    (row,) = bastion.json("aud", "recordings")
    assert row["reason"] == "recording-failed"
    # nobody starts anything now, and is told why
    disk.fill()
    refused = bastion.ssh("alice", "connect web01 -- echo must-not-run")
    assert refused.returncode == 69
    assert refused.stdout == b""
    assert refused.stderr.count(b"\n") == 1
    assert b"Recording refused: " in refused.stderr
    refused = bastion.ssh("bob", "connect web01", options=("-tt",))
    assert refused.returncode == 69
    assert b"Recording refused: " in refused.stdout
    # everything else works, and so do sessions once there is room
    assert bastion.ssh("alice", "whoami").returncode == 0
    assert bastion.ssh("aud", f"cast {row['id']}").stdout.startswith(b'{"version":3')
    assert b"intact" in bastion.ssh("aud", "audit verify").stdout
    disk.release()
    for path in disk.place.rglob("session.cast"):
        path.unlink()
    # the room is there once who reads them (the index of what was said) has let go
    until(lambda: bastion.ssh("alice", "connect web01 -- echo again").stdout == b"again\n", "a session starts again")


def test_a_person_at_a_terminal_is_told_of_the_full_disk_and_the_program_behind_it_ends(small: tuple[Bastion, Disk]) -> None:
    bastion, disk = small
    window = bastion.tmux("alice", "connect web01", columns=110, options=("-tt",))
    try:
        window.wait("~")
        (row,) = until(lambda: bastion.live(state="running"), "it runs")
        disk.fill()
        window.text("echo these-keys-are-echoed-and-an-echo-is-output " * 200)
        assert window.wait_exit() == 75
        window.wait("Recording failed: no space left on device.")
        until(lambda: not bastion.live(), "the session is gone")
        disk.release()
        (past,) = bastion.json("alice", "sessions --past")
        assert (past["id"], past["reason"]) == (row["id"], "recording-failed")
        assert casts(disk)
    finally:
        window.close()


def test_a_read_only_folder_bars_new_sessions_and_says_so(small: tuple[Bastion, Disk]) -> None:
    bastion, disk = small
    assert bastion.ssh("alice", "connect web01 -- true").returncode == 0
    disk.remount("ro")
    refused = bastion.ssh("alice", "connect web01 -- echo must-not-run")
    assert (refused.returncode, refused.stdout) == (69, b"")
    assert refused.stderr.count(b"\n") == 1
    assert b"Recording refused: read-only file system." in refused.stderr
    assert bastion.audit("recording.failed")[-1]["actor"] == "alice"
    # nor does a start with such a folder end in anything but that
    bastion.stop()
    bastion.start()
    refused = bastion.ssh("alice", "connect web01 -- echo must-not-run")
    assert (refused.returncode, refused.stdout) == (69, b"")
    assert b"read-only file system" in refused.stderr
    disk.remount("rw")
    assert bastion.ssh("alice", "connect web01 -- echo again").stdout == b"again\n"


def test_killed_on_a_full_disk_it_starts_again_and_what_was_recorded_stays_good(small: tuple[Bastion, Disk]) -> None:
    bastion, disk = small
    client = subprocess.Popen(
        bastion.ssh_argv("alice", "connect web01 -- echo recorded; sleep 60"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert client.stdout
        assert client.stdout.readline() == b"recorded\n"
        disk.fill()
        bastion.stop(kill=True)
        bastion.start()
        assert b"Recording refused" in bastion.ssh("bob", "connect web01 -- true").stderr
        (row,) = bastion.json("aud", "recordings")
        assert row["reason"] == "interrupted"
        (cast,) = casts(disk)
        assert cast.output == b"recorded\n"
        disk.release()
        assert bastion.ssh("alice", "connect web01 -- echo again").stdout == b"again\n"
        assert b"intact" in bastion.ssh("aud", "audit verify").stdout
    finally:
        client.kill()
        client.communicate()


def test_a_recordings_folder_that_is_a_file_keeps_the_server_from_starting_with_one_clear_line(
    tmp_path: Path, furnished_home: Bastion
) -> None:
    wrong = tmp_path / "file"
    wrong.write_text("not a folder")
    made = furnished_home.copy(tmp_path / "b", env={"BASTION_PATHS_RECORDINGS": str(wrong)})
    done = made.program("serve", "--ssh-port", "0", "--web-port", "0", check=False)
    assert done.returncode == 78, (done.returncode, done.stderr)
    assert f"paths.recordings: {wrong} cannot be used: it is not a folder.".encode() in done.stderr
    assert os.path.isfile(wrong)
