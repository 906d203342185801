"""Seeking: exact, and without reading more than lies between two keyframes."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from bastion.backends.recordings import RecordingFolder
from bastion.core.recording import keyframes
from bastion.core.recording.asciicast import header
from bastion.core.recording.keyframes import EVERY_BYTES
from bastion.core.terminal import Terminal
from bastion.core.values import Size
from bastion.services.indexing import Index, build
from bastion.services.stage import Stage
from bastion.services.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Iterator

LABEL = header(size=Size(80, 24), term="xterm", started_at=1.7e9, session="S1", user="alice", endpoint="web", login="root")
LINES = 20_000


class Counting(RecordingFolder):
    """A folder that counts what is read of the cast."""

    read = 0

    def chunks(self, session_id: str, offset: int = 0) -> Iterator[bytes]:
        for data in super().chunks(session_id, offset):
            self.read += len(data)
            yield data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Counting:
    folder = Counting(str(tmp_path_factory.mktemp("recordings")))
    writer = folder.create("S1", LABEL, 1.7e9, 0.0)
    for n in range(LINES):
        writer.output(b"\x1b[3%dmline %d of the log, as it scrolls by" % (n % 8, n) + b"\x1b[m\r\n" + b"." * (n % 70), n * 0.01)
    writer.end(0, LINES * 0.01)
    writer.close()
    return folder


async def stage_of(folder: Counting) -> Stage:
    tape = await Tape.open(folder, "S1")
    index = await asyncio.to_thread(Index, folder, "S1", tape.header)
    while not index.complete:
        await asyncio.to_thread(index.step)
    return Stage(tape, index)


def screen_at(time: int) -> Terminal:
    terminal = Terminal(80, 24)
    for n in range(LINES):
        if n * 10_000 > time:
            break
        terminal.feed(b"\x1b[3%dmline %d of the log, as it scrolls by" % (n % 8, n) + b"\x1b[m\r\n" + b"." * (n % 70))
    return terminal


async def test_seeking_anywhere_shows_the_exact_screen_after_reading_little(folder: Counting) -> None:
    stage = await stage_of(folder)
    assert len(stage.index.places) > 10
    chance = random.Random(3)
    for _ in range(12):
        time = chance.randrange(LINES * 10_000)
        folder.read = 0
        await stage.go(time, lambda: False)
        assert folder.read <= 2 * EVERY_BYTES
        assert stage.screen.snapshot() == screen_at(time).snapshot()
    stage.index.close()


async def test_opening_an_indexed_recording_reads_only_its_end(folder: Counting) -> None:
    (await stage_of(folder)).index.close()
    folder.read = 0
    (await stage_of(folder)).index.close()
    assert folder.read <= 2 * EVERY_BYTES


async def test_a_seek_can_be_broken_off_and_taken_up(folder: Counting) -> None:
    stage = await stage_of(folder)
    time = 123_450_000
    await stage.go(time, lambda: True)
    assert stage.reached < time
    await stage.go(time, lambda: False)
    assert stage.screen.snapshot() == screen_at(time).snapshot()
    stage.index.close()


async def test_stepping_back_finds_the_change_before_across_a_keyframe(folder: Counting) -> None:
    stage = await stage_of(folder)
    place = stage.index.places.before(100_000_000)[0]
    await stage.go(place.time + 10_000, lambda: False)
    assert await stage.before(stage.reached) == place.time
    assert await stage.before(place.time) == place.time - 10_000
    assert await stage.before(0) == 0
    stage.index.close()


async def test_a_stretch_without_keyframes_is_filled(folder: Counting) -> None:
    (await stage_of(folder)).index.close()
    side = folder.open_side("S1", keyframes.FILE)
    assert side is not None
    records = side.pread(10**7, 0)
    side.close()
    places = list((await stage_of(folder)).index.places)
    first, last = places[0], places[-1]
    folder.cut_side("S1", keyframes.FILE, 0)
    for kept in (first, last):
        folder.append_side("S1", keyframes.FILE, records[kept.at : kept.at + kept.length])
    assert build(folder, "S1") == len(places)
    stage = await stage_of(folder)
    assert [(place.time, place.offset) for place in stage.index.places] == [(place.time, place.offset) for place in places]
    folder.read = 0
    await stage.go(100_000_000, lambda: False)
    assert folder.read <= 2 * EVERY_BYTES
    assert stage.screen.snapshot() == screen_at(100_000_000).snapshot()
    stage.index.close()
