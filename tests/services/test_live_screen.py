"""The screen beside a session: every byte counts, a flood of lines waits for nobody, and what must be drawn waits for its turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle

import pytest

from bastion.core.recording.asciicast import CastEncoder
from bastion.core.terminal import Screen, Terminal
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.past import past
from bastion.core.values import Size
from bastion.services.live import screen as live
from bastion.services.live.screen import LiveScreen, Ties
from bastion.services.tasks import spawn

SIZE = Size(80, 24)
LINES = [b"".join(b"row %d of a flood that nobody reads\r\n" % n for n in range(at, at + 100)) for at in range(0, 120_000, 100)]
DRAWN = [b"".join(b"\x1b[%d;%dH\x1b[3%dm%d\n" % (n % 24 + 1, n * 7 % 80 + 1, n % 8, n) for n in range(at, at + 1000)) for at in range(0, 40_000, 1000)]
"""Nothing of this scrolls by: it must be drawn."""


class Session:
    """What a screen asks of its session: remembers the keyframes, and whether the endpoint may speak."""

    def __init__(self) -> None:
        self.due = False
        self.kept: list[tuple[int, bytes]] = []
        self.failures: list[tuple[int, str]] = []
        self.held = 0
        self.may_speak = asyncio.Event()
        self.may_speak.set()
        self.said = bytearray()
        self.screen = LiveScreen(SIZE, Ties(lambda: self.due, self._keep, self._hold, lambda *told: self.failures.append(told)))

    def _keep(self, size: Size, keyframe: bytes) -> None:
        assert size == SIZE
        self.kept.append((len(self.said), keyframe))

    def _hold(self, on: bool) -> None:
        self.held += on
        if on:
            self.may_speak.clear()
        else:
            self.may_speak.set()

    def say(self, data: bytes) -> None:
        self.said += data
        self.screen.push(data)

    async def speak(self, chunks: list[bytes]) -> None:
        """Say all that as fast as one may."""
        for at, chunk in enumerate(chunks):
            await self.may_speak.wait()
            self.say(chunk)
            assert self.screen.terminal.backlog <= live.MOST_BACKLOG + len(chunk)
            await asyncio.sleep(0 if at % 20 else 0.001)

    async def current(self) -> None:
        reached = asyncio.Event()
        self.screen.when_current(reached.set)
        async with asyncio.timeout(30):
            await reached.wait()

    def exact(self, count: int | None = None) -> Terminal:
        """Return a terminal that was fed all that was said, drawn and not skipped."""
        terminal = Terminal(*SIZE)
        terminal.feed(bytes(self.said[:count]))
        return terminal


class OnFile(Session):
    """A session whose recording can be read back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = CastEncoder(0.0)
        self.cast = bytearray(self.encoder.header({"version": 3}))
        self.reads = 0
        ties = Ties(lambda: self.due, self._keep, self._hold, lambda *told: self.failures.append(told), None, self)
        self.screen = LiveScreen(SIZE, ties)

    def place(self) -> tuple[int, bool, bool]:
        return len(self.cast), self.encoder.faithful, bool(self.encoder.tail)

    def chunks(self, offset: int) -> Iterator[bytes]:
        self.reads += 1
        try:
            for at in range(offset, len(self.cast), 50_000):
                yield bytes(self.cast[at : at + 50_000])
        finally:
            self.reads -= 1

    def say(self, data: bytes) -> None:
        self.cast += self.encoder.output(data, 0.0)
        super().say(data)

    def resize(self, size: Size) -> None:
        self.cast += self.encoder.resize(size, 0.0)
        self.screen.resize(size)


class Viewer:
    """Somebody who looks on: a terminal fed with the differences."""

    caps = Caps.of("xterm-256color", "truecolor")
    size = Size(80, 25)

    def __init__(self) -> None:
        self.shown = Terminal(80, 25)
        self.frames = 0

    def ready(self) -> bool:
        return True

    def status(self) -> None:
        return None

    def panel(self) -> tuple[()]:
        return ()

    def show(self, data: bytes) -> None:
        self.frames += 1
        self.shown.feed(data)


async def test_a_flood_of_lines_is_followed_to_the_last_byte_and_its_endpoint_never_waits() -> None:
    session = Session()
    await session.speak(LINES)
    assert session.held == 0
    await session.current()
    assert session.screen.keyframe() == session.exact().dump()
    session.screen.close()


@pytest.mark.parametrize("odd", [[], ["and é".encode()[:-1]], [b"no \xff text", b"\xe2\x82", b"\xac"], [b"\xe2\x82", b"and \x9b"]])
async def test_a_flood_that_nobody_sees_is_left_to_the_recording_and_read_back_to_the_last_byte(monkeypatch: pytest.MonkeyPatch, odd: list[bytes]) -> None:
    monkeypatch.setattr(live, "LAZY_BACKLOG", 256 * 1024)
    session = OnFile()
    taken: list[bytes] = []
    advance = session.screen.terminal.advance
    session.screen.terminal.advance = lambda limit: (taken.append(b""), advance(limit))[1]  # type: ignore[method-assign, assignment]
    chunks = [*LINES[:400], "half a €".encode()[:-1], b"\xac\r\n" + bytes(5000), *DRAWN, *LINES[400:], *odd]
    for chunk in chunks:
        session.say(chunk)
        await asyncio.sleep(0)
    assert session.screen.terminal.backlog < 2 * live.LAZY_BACKLOG
    assert len(session.said) > 10 * live.LAZY_BACKLOG
    asleep = len(taken)
    session.resize(Size(100, 30))
    session.say(b"at the end")
    await session.current()
    assert len(taken) > asleep
    exact = Terminal(*SIZE)
    exact.feed(bytes(session.said[: -len(b"at the end")]))
    exact.resize(100, 30)
    exact.feed(b"at the end")
    assert session.screen.keyframe() == exact.dump() + exact.pending
    assert session.reads == 0
    session.screen.close()


async def test_who_looks_on_amid_a_flood_left_to_the_recording_sees_it_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LAZY_BACKLOG", 256 * 1024)
    session = OnFile()
    flood = spawn("flood", session.speak(LINES * 3))
    while session.reads == 0 and len(session.said) < 2_000_000:
        await asyncio.sleep(0)
    viewer = Viewer()
    session.screen.add("p2", viewer)
    await session.current()
    assert session.screen.keyframe() == session.exact().dump()
    assert viewer.frames > 0
    flood.cancel()
    session.screen.close()


async def test_too_much_of_a_flood_left_unread_makes_its_endpoint_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LAZY_BACKLOG", 256 * 1024)
    monkeypatch.setattr(live, "MOST_UNREAD", 1024 * 1024)
    monkeypatch.setattr(live, "UNREAD_STEP", 512 * 1024)
    session = OnFile()
    await session.speak(LINES * 2)
    assert session.held > 0
    await session.current()
    assert session.screen.keyframe() == session.exact().dump()
    session.screen.close()


async def test_a_recording_that_cannot_be_read_back_resets_the_screen_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LAZY_BACKLOG", 256 * 1024)
    session = OnFile()
    for chunk in LINES:
        session.say(chunk)
        await asyncio.sleep(0)

    def broken(self: object, *_: object) -> None:
        raise OSError(5, "disk")

    monkeypatch.setattr(live.Unread, "read", broken)
    await session.current()
    assert [times for times, _ in session.failures] == [1]
    session.screen.close()


async def test_what_must_be_drawn_makes_its_own_endpoint_wait_and_is_shown_to_the_last_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_BACKLOG", 256 * 1024)
    monkeypatch.setattr(live, "LOW_BACKLOG", 64 * 1024)
    session = Session()
    await session.speak(DRAWN)
    assert len(session.said) > 2 * live.MOST_BACKLOG
    assert session.held > 0
    await session.current()
    assert session.may_speak.is_set()
    assert session.screen.keyframe() == session.exact().dump()
    session.screen.close()


@pytest.mark.parametrize("flood", [LINES, DRAWN], ids=["lines", "drawn"])
async def test_who_takes_over_amid_an_endless_flood_gets_the_screen_as_it_is(flood: list[bytes]) -> None:
    session = Session()
    endless = spawn("endless", session.speak(flood * 50))
    while len(session.said) < 500_000:
        await asyncio.sleep(0)
    taken: list[tuple[int, bytes]] = []
    reached = asyncio.Event()
    session.screen.when_current(lambda: (taken.append((len(session.said), session.screen.keyframe())), reached.set()))  # type: ignore[func-returns-value]
    async with asyncio.timeout(30):
        await reached.wait()
    endless.cancel()
    said, keyframe = taken[0]
    exact = session.exact(said)
    assert keyframe == exact.dump() + exact.pending
    session.screen.close()


@pytest.mark.parametrize("flood", [LINES, DRAWN], ids=["lines", "drawn"])
async def test_who_looks_on_sees_frames_during_a_flood_and_its_end_exactly(flood: list[bytes]) -> None:
    session, viewer = Session(), Viewer()
    session.screen.add("v", viewer)
    await session.speak(flood[:40])
    during = viewer.frames
    await session.current()
    while not viewer.frames or [row.chars for row in viewer.shown.snapshot().rows[:24]] != [row.chars for row in session.exact().snapshot().rows]:
        await asyncio.sleep(0.01)
    assert viewer.frames > during
    session.screen.close()


async def test_a_keyframe_long_due_is_made_amid_a_flood_of_the_screen_where_the_recording_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LONGEST_DUE", 0.0)
    session = Session()
    session.due = True
    chunks = cycle(DRAWN)
    while not session.kept:
        await session.may_speak.wait()
        session.say(next(chunks))
        await asyncio.sleep(0)
    said, keyframe = session.kept[0]
    exact = session.exact(said)
    assert keyframe == past(exact.screen) + exact.dump() + exact.pending
    session.screen.close()


async def test_an_error_of_ours_resets_that_screen_and_the_session_is_told_at_ever_longer_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Screen, _text: str) -> None:
        raise IndexError("secret text of an endpoint")

    session = Session()
    monkeypatch.setattr(Screen, "put", broken)
    for _ in range(9):
        session.say(b"x")
        await session.current()
    assert [times for times, _ in session.failures] == [1, 2, 4, 8]
    assert session.failures[0][1].startswith("IndexError in broken, line ")
    assert session.screen.faults == 9
    monkeypatch.undo()
    session.say(b"fine again")
    await session.current()
    assert b"fine again" in session.screen.keyframe()
    session.screen.close()


async def test_an_error_in_drawing_a_viewers_picture_is_told_and_the_next_picture_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    session, viewer = Session(), Viewer()

    def broken(*_: object) -> bytes:
        monkeypatch.undo()
        raise ValueError

    monkeypatch.setattr(live, "diff_slices", broken)
    session.screen.add("v", viewer)
    session.say(b"lost")
    async with asyncio.timeout(10):
        while not session.failures:
            await asyncio.sleep(0)
    session.say(b"seen")
    async with asyncio.timeout(10):
        while "seen" not in "".join(viewer.shown.snapshot().rows[0].chars):
            await asyncio.sleep(0.01)
    session.screen.close()


async def test_a_keyframe_has_the_size_that_is_on_file_when_it_is_made() -> None:
    """A resize is recorded before the screen takes it: a keyframe between the two would show the old size for good."""
    kept: list[Size] = []
    made = asyncio.Event()

    def keep(size: Size, keyframe: bytes) -> None:
        kept.append(size)
        made.set()

    screen = LiveScreen(SIZE, Ties(lambda: True, keep, lambda on: None, lambda *told: None))
    async with asyncio.timeout(20):
        screen.push(b"before\r\n")
        await made.wait()
        made.clear()
        screen.resize(Size(70, 20))  # and nothing behind it
        await made.wait()
    assert kept[-1] == Size(70, 20)
    screen.close()
