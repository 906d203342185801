"""Secrets on their way into a recording: masked on the disk and in the keyframes, however slowly they come."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bastion.backends.patterns import mask_rules
from bastion.backends.recordings import RecordingFolder
from bastion.core.access.decision import Terms
from bastion.core.errors import Misconfigured
from bastion.core.recording.mask import BLOT
from bastion.core.recording.reader import read
from bastion.core.terminal import Terminal
from bastion.core.values import Size
from bastion.services import veil
from bastion.services.recorder import Recorder, Recording, Subject

SECRET = b"s3cr3t-passw0rd"
ALICE = Subject("S1", "alice", "web01", "deploy", Size(80, 24))


class HandClock:
    at = 1_700_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def folder(tmp_path: Path) -> RecordingFolder:
    return RecordingFolder(str(tmp_path / "recordings"))


@pytest.fixture
def recorder(folder: RecordingFolder, clock: HandClock) -> Recorder:
    rules = mask_rules(["AKIA[0-9A-Z]{16}", r"(?i)token: \S+"])
    return Recorder(folder, clock, lambda _: None, low_water_bytes=0, low_water_share=0.0, rules=rules)


def on_disk(folder: RecordingFolder) -> bytes:
    return b"".join(path.read_bytes() for path in Path(folder.root).rglob("*") if path.is_file())


def shown(folder: RecordingFolder, code: str = "o") -> str:
    return "".join(event.data for event in read(folder.chunks("S1"))[1] if event.code == code)


async def opened(recorder: Recorder) -> Recording:
    recording = await recorder.open(ALICE, Terms())
    recording.keep_out(SECRET)
    return recording


async def test_a_credential_is_blotted_out_in_output_input_and_markers(recorder: Recorder, folder: RecordingFolder, clock: HandClock) -> None:
    recording = await opened(recorder)
    for piece in (b"the password is s3c", b"r3t-pas", b"sw0rd, and the key AKIAABCDEFG", b"HIJKLMNOP.\r\n", b"Token: abc def\r\n"):
        recording.output(piece, clock.monotonic())
    for letter in SECRET:
        recording.input(bytes([letter]), clock.monotonic(), "alice")
    recording.marker("alice wrote: s3cr3t-passw0rd", clock.monotonic())
    await recording.close(0, clock.monotonic())
    assert shown(folder) == f"the password is {BLOT * 15}, and the key {BLOT * 20}.\r\n{BLOT * 10} def\r\n"
    assert shown(folder, "i") == BLOT * 15
    assert shown(folder, "m") == f"alice wrote: {BLOT * 15}"
    assert SECRET not in on_disk(folder)


async def test_what_only_looked_like_a_secret_is_recorded_when_its_time_is_over(
    recorder: Recorder, folder: RecordingFolder, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(veil, "PATIENCE", 0.02)
    recording = await opened(recorder)
    recording.output(b"prompt s3cr", clock.monotonic())
    assert shown(folder) == "prompt "
    assert not recording.keyframe_due
    clock.at += 3
    async with asyncio.timeout(5):
        while shown(folder) != "prompt s3cr":
            await asyncio.sleep(0.005)
    recording.output(b"3t-passw0rd", clock.monotonic())
    await recording.close(0, clock.monotonic())
    assert shown(folder) == f"prompt s3cr{BLOT * 11}"


async def test_a_resize_finds_the_output_before_it_on_file(recorder: Recorder, folder: RecordingFolder, clock: HandClock) -> None:
    recording = await opened(recorder)
    recording.output(b"s3cr", clock.monotonic())
    recording.resize(Size(100, 30), clock.monotonic())
    await recording.close(0, clock.monotonic())
    assert [(event.code, event.data) for event in read(folder.chunks("S1"))[1]] == [("o", "s3cr"), ("r", "100x30"), ("x", "0")]


async def test_no_keyframe_holds_a_secret_that_the_live_screen_shows(recorder: Recorder, folder: RecordingFolder, clock: HandClock) -> None:
    recording = await opened(recorder)
    live = Terminal(80, 24)
    for text in (b"\x1b[2J\x1b[1;73Hs3cr3t-passw0rd\r\n", b"\x1b[2Jall gone"):
        recording.output(text, clock.monotonic())
        live.feed(text)
        clock.at += 11
        recording.output(b"\x07", clock.monotonic())
        assert recording.keyframe_due
        recording.keyframe(Size(80, 24), live.dump() + live.pending)
        await recorder.sync()
    await recording.close(0, clock.monotonic())
    kept = recorder._recordings.open_side("S1", "keyframes")
    from bastion.core.recording import keyframes

    assert kept is not None
    records = kept.pread(1_000_000, 0)
    frame = keyframes.unpack(records)
    assert frame is not None, "one keyframe, and whole"
    assert b"all gone" in frame.screen
    assert SECRET not in frame.screen


async def test_without_secrets_nothing_is_done_at_all(folder: RecordingFolder, clock: HandClock) -> None:
    plain = Recorder(folder, clock, lambda _: None, low_water_bytes=0, low_water_share=0.0)
    recording = await plain.open(ALICE, Terms())
    assert recording._veil is None
    assert plain.veiled("any text") == "any text"
    await recording.close(0, clock.monotonic())


@pytest.mark.parametrize(("pattern", "why"), [("(a", "missing \\)"), (r"(a)\1", "invalid escape"), ("a*", "matches nothing at all"), ("x(?=y)", "invalid")])
def test_a_pattern_that_cannot_be_used_is_said_so(pattern: str, why: str) -> None:
    with pytest.raises(Misconfigured, match=why):
        mask_rules([pattern])


def test_a_pattern_of_evil_costs_no_more_than_another(recorder: Recorder) -> None:
    import time

    from bastion.core.recording.mask import Mask

    mask = Mask((), mask_rules(["(x+x+)+y"]))
    start = time.thread_time()
    for _ in range(100):
        mask.feed(b"x" * 4000)
    mask.flush()
    assert time.thread_time() - start < 2
