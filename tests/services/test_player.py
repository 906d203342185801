"""Replay on a console: what the auditor sees, what keys do, and that nothing raw gets through."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bastion.backends.recordings import RecordingFolder
from bastion.core.errors import Corrupt, Invalid, Missing
from bastion.core.identity import Identity
from bastion.core.recording.asciicast import header
from bastion.core.terminal import Terminal
from bastion.core.values import Size
from bastion.services.console import ConsoleListener
from bastion.services.replay import Replay

NOBODY = Identity("u1", "audrey", ("auditor",), "192.0.2.9", ())
LABEL = header(size=Size(40, 5), term="xterm", started_at=1.7e9, session="S1", user="alice", endpoint="web", login="root")


class RealClock:
    """The machine's clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Desk:
    """A person at a terminal: a virtual one takes what they are sent, and tests wait for what it shows."""

    def __init__(self, term: str = "xterm-256color", size: Size = Size(60, 8)) -> None:
        self.identity = NOBODY
        self.term = term
        self.size = size
        self.environment = {"LANG": "C.UTF-8"}
        self.is_open = True
        self.sent = b""
        self.errors = b""
        self.glass = Terminal(*size)
        self.listener: ConsoleListener | None = None
        self._changed = asyncio.Event()

    def write(self, data: bytes) -> bool:
        self.sent += data
        if self.term:
            self.glass.feed(data)
        self._changed.set()
        return True

    def write_error(self, data: bytes) -> bool:
        self.errors += data
        return True

    async def drain(self) -> None: ...

    async def read(self) -> bytes:
        return b""

    async def size_changed(self) -> Size:
        return self.size

    def attach(self, listener: ConsoleListener) -> None:
        self.listener = listener
        self._changed.set()

    def detach(self) -> None:
        self.listener = None

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def text(self) -> str:
        return "\n".join("".join(row.chars).rstrip() for row in self.glass.snapshot().rows)

    def type(self, keys: str) -> None:
        assert self.listener is not None
        self.listener.typed(keys.encode())

    async def until(self, true: Callable[[], object], seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def shows(self, words: str, seconds: float = 5.0) -> None:
        try:
            await self.until(lambda: words in self.text(), seconds)
        except TimeoutError:
            pytest.fail(f"{words!r} never came; the screen shows:\n{self.text()}")


@pytest.fixture
def folder(tmp_path: Path) -> RecordingFolder:
    return RecordingFolder(str(tmp_path))


def record(folder: RecordingFolder, *events: tuple[float, bytes | Size | str], session: str = "S1") -> None:
    writer = folder.create(session, {**LABEL}, 1.7e9, 0.0)
    last = 0.0
    for at, what in events:
        if isinstance(what, bytes):
            writer.output(what, at)
        elif isinstance(what, Size):
            writer.resize(what, at)
        else:
            writer.marker(what, at)
        last = at
    writer.close(0, last)


async def playing(folder: RecordingFolder, desk: Desk, **how: float) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(Replay(folder, RealClock()).play("S1", desk, **how))  # type: ignore[arg-type]
    await desk.until(lambda: desk.listener or task.done())
    return task


async def test_a_replay_shows_the_screen_and_where_it_stands(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"hello\r\n"), (0.05, b"\x1b[1mworld"))
    desk = Desk()
    task = await playing(folder, desk)
    await desk.shows("hello")
    await desk.shows("world")
    await desk.shows("end")
    desk.type("q")
    await asyncio.wait_for(task, 5)
    assert desk.listener is None
    assert desk.sent.endswith(b"\x1b[?1049l")


async def test_time_stands_still_while_paused(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (3600.0, b" two"))
    desk = Desk()
    task = await playing(folder, desk)
    await desk.shows("one")
    desk.type(" ")
    await desk.shows("paused")
    desk.type(" ")
    await desk.shows("playing")
    assert "two" not in desk.text()
    desk.type("q")
    await asyncio.wait_for(task, 5)


async def test_speed_has_steps_and_shows(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (16.0, b" two"))
    desk = Desk()
    task = await playing(folder, desk)
    for wanted in ("2x", "4x", "8x", "16x", "32x", "64x"):
        desk.type("+")
        await desk.shows(wanted)
    await desk.shows("one two")
    desk.type("-")
    await desk.shows("32x")
    desk.type("q")
    await asyncio.wait_for(task, 5)


async def test_arrows_move_in_time_both_ways(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (4.0, b" two"), (100.0, b" three"))
    desk = Desk()
    task = await playing(folder, desk)
    desk.type(" ")
    await desk.shows("paused")
    desk.type("\x1b[C")
    await desk.shows("one two")
    desk.type("\x1b[D")
    await desk.until(lambda: "two" not in desk.text())
    assert desk.text().startswith("one")
    desk.type("q")
    await asyncio.wait_for(task, 5)


async def test_it_starts_where_and_as_fast_as_it_was_told(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (600.0, b" two"), (9000.0, b" three"))
    desk = Desk()
    task = await playing(folder, desk, at=600_000_000, speed=4.0)
    await desk.shows("one two")
    await desk.shows("10:00/2:30:00  4x")
    desk.type("q")
    await asyncio.wait_for(task, 5)


async def test_the_window_may_have_any_size_and_change_it(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"top\r\n\r\n\r\nlow"), (0.01, Size(20, 3)), (0.02, b"er"), (100.0, b""))
    desk = Desk(size=Size(30, 3))
    task = await playing(folder, desk)
    await desk.shows("lower")
    assert desk.listener is not None
    for size in (Size(1, 1), Size(2, 2), Size(200, 60), Size(10, 4)):
        desk.glass.resize(*size)
        desk.listener.resized(size)
        await desk.until(lambda size=size: len(desk.glass.snapshot().rows) == size.lines)
    await desk.shows("lower")
    desk.type("q")
    await asyncio.wait_for(task, 5)


async def test_a_lost_person_ends_the_replay(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (3600.0, b"two"))
    desk = Desk()
    task = await playing(folder, desk)
    assert desk.listener is not None
    desk.listener.lost()
    await asyncio.wait_for(task, 5)


HOSTILE = (
    b"\x1b]0;pwned\x07\x1b]52;c;cm0gLXJm\x07\x1b]8;;javascript:x\x07link\x1b]8;;\x07\x1b[c\x1b[>c\x1b[6n\x1b[5n\x1b[?1000h"
    b"\x1b[?2004h\x1b[21t\x1bP$qm\x1b\\\x1bPq#0;2;0;0;0#0~~\x1b\\\x1b_Gf=24;AAAA\x1b\\\x1b]1337;File=:AAAA\x07\x1b[>q"
    b"\x1b]10;?\x07\x9b6n\xc2\x9b6n\x1b[?1049h\x1b[?3h\x1bc\x07\x05\x0e\x1b[201~end\x1b[99J\x1b[" + b"9" * 5000 + b"J\x1b]unended"
)
ALLOWED = re.compile(rb"\x1b\[[0-9;:]*[HfABCDGdmJKXrSTbLMPE@]|\x1b\[\?(25|2026|1049|7)[hl]|\x1b\[[0-6]? q|[\x20-\x7e\x80-\xff\r\n]")


async def test_nothing_active_from_an_endpoint_reaches_the_auditor(folder: RecordingFolder) -> None:
    record(folder, (0.0, HOSTILE), (0.01, b"\x1b\\still here"), (0.02, "marker \x1b]52;c;eA==\x07"))
    desk = Desk()
    desk.environment["COLORTERM"] = "truecolor"
    task = await playing(folder, desk)
    await desk.shows("still here")
    await desk.shows("end")
    assert desk.listener is not None
    begun = desk.sent.index(b"\x1b[H\x1b[2J") + len(b"\x1b[H\x1b[2J")  # behind what `enter` says for us
    body = desk.sent[begun:]
    desk.type("q")
    await asyncio.wait_for(task, 5)
    assert ALLOWED.sub(b"", body) == b""


@pytest.mark.parametrize("term", ["", "dumb"])
async def test_without_a_drawing_terminal_a_replay_is_a_plain_transcript(folder: RecordingFolder, term: str) -> None:
    record(folder, (1.0, b"\x1b[31mred\x1b[m\r\n50%\r100%\r\nab\bc\r\n"), (65.5, "bob joined"), (66.0, HOSTILE))
    desk = Desk(term=term)
    await Replay(folder, RealClock()).play("S1", desk)
    lines = desk.sent.decode().splitlines()
    assert lines[:4] == ["0:01  red", "0:01  100%", "0:01  ac", "1:05  -- bob joined"]
    assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", desk.sent)
    assert "\x9b" not in desk.sent.decode()
    assert lines[-1] == "1:06  -- exit 0"


async def test_a_cast_is_sent_byte_for_byte_or_as_v2(folder: RecordingFolder) -> None:
    record(folder, (1.0, b"x" * 300_000), (2.0, b"end"))
    desk = Desk(term="")
    await Replay(folder, RealClock()).cast("S1", desk)
    assert desk.sent == b"".join(folder.chunks("S1"))
    desk.sent = b""
    await Replay(folder, RealClock()).cast("S1", desk, version=2)
    assert desk.sent.startswith(b'{"version":2,"width":40,"height":5')
    assert desk.sent.endswith(b'[2.000000,"o","end"]\n')


async def test_a_cast_is_not_poured_into_a_terminal(folder: RecordingFolder) -> None:
    record(folder, (1.0, HOSTILE))
    desk = Desk()
    with pytest.raises(Invalid, match="not for a terminal"):
        await Replay(folder, RealClock()).cast("S1", desk)
    assert desk.sent == b""


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"junk\n", "no asciicast header"), (b'{"version":9}\n', "version 9"), (b"\x1f\x8b\x08junk", "compressed")],
)
async def test_a_bad_cast_is_refused_before_the_terminal_is_taken(folder: RecordingFolder, content: bytes, words: str) -> None:
    record(folder, (0.0, b""))
    Path(str(folder.path("S1"))).write_bytes(content)
    for term in ("xterm", ""):
        desk = Desk(term=term)
        with pytest.raises(Corrupt, match=words):
            await Replay(folder, RealClock()).play("S1", desk)
        assert desk.sent == b""


async def test_a_session_without_recording_is_missing(folder: RecordingFolder) -> None:
    with pytest.raises(Missing, match="no recording"):
        await Replay(folder, RealClock()).play("S2", Desk())


async def test_a_live_recording_is_followed_as_it_grows(folder: RecordingFolder) -> None:
    writer = folder.create("S1", LABEL, 1.7e9, 0.0)
    writer.output(b"one", 0.0)
    desk = Desk()
    task = await playing(folder, desk)
    await desk.shows("one")
    await desk.shows("live")
    writer.output(b" two", 0.01)
    await desk.shows("one two")
    desk.type("q")
    await asyncio.wait_for(task, 5)
    writer.close(0, 1.0)
