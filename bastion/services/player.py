"""Plays a recording on a person's terminal: through a virtual terminal, as differences between pictures.

Nothing an endpoint wrote ever reaches the person raw, and their terminal may have any size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bastion.core.errors import BastionError
from bastion.core.keys import Key, KeyDecoder
from bastion.core.recording import view
from bastion.core.recording.find import Finder
from bastion.core.recording.playback import Playback, clock_text
from bastion.core.recording.reader import MAX_TIME
from bastion.core.terminal.diff import diff
from bastion.core.terminal.fullscreen import enter, leave
from bastion.core.terminal.viewport import Viewport

if TYPE_CHECKING:
    from bastion.core.terminal.caps import Caps
    from bastion.core.terminal.grid import Grid, Row
    from bastion.core.values import Size
    from bastion.services.console import Console
    from bastion.services.ports import Clock, Recordings
    from bastion.services.stage import Stage

FRAME_SECONDS: Final = 1 / 30
IDLE_SECONDS: Final = 3.0
"""Nothing happening for longer is skipped (`s` switches that off)."""

_ESCAPE_SECONDS: Final = 0.05
_TICK_SECONDS: Final = 1.0
_LIVE_SECONDS: Final = 0.25
_MESSAGE_SECONDS: Final = 5.0
_SECOND: Final = 1_000_000
_NEEDLE: Final = 200

Job = Callable[[], bool]
"""A step of work for a thread; True when there is more to do."""


class Player:
    """One replay on one console. `run` returns when the person quits or is gone."""

    def __init__(
        self,
        console: Console,
        caps: Caps,
        stage: Stage,
        clock: Clock,
        recordings: Recordings,
        *,
        at: int = 0,
        speed: float = 1.0,
        live: bool = False,
    ) -> None:
        self._console = console
        self._caps = caps
        self._stage = stage
        self._clock = clock
        self._recordings = recordings
        self._live = live
        self._playback = Playback(clock.monotonic(), position=at, speed=speed)
        self._viewport = Viewport(*console.size)
        self._shown: Grid | None = None
        self._keys = KeyDecoder()
        self._typed: list[Key] = []
        self._woken = asyncio.Event()
        self._writable = True
        self._done = False
        self._follow = False  # at the live end
        self._skip_idle = True
        self._wall = self._input = False
        self._prompt: str | None = None  # what is typed behind `/`
        self._needle = ""
        self._message = ("", 0.0)
        self._jobs: dict[str, tuple[asyncio.Future[bool], Job]] = {}
        self._found: int | None = None
        self._timeline: tuple[tuple[int, int], float, view.Timeline] | None = None

    # ------------------------------------------------------------ what the console tells (ConsoleListener)

    def typed(self, data: bytes) -> None:
        """Take keys."""
        self._typed += self._keys.feed(data)
        self._woken.set()

    def resized(self, size: Size) -> None:
        """Take the window's new size."""
        self._viewport = self._viewport.resized(*size)
        self._shown = None
        self._woken.set()

    def signalled(self, name: str) -> None:  # noqa: ARG002 - whichever it is
        """End on any signal."""
        self.lost()

    def ended(self) -> None:
        """End when no more keys can come."""
        self.lost()

    def lost(self) -> None:
        """End."""
        self._done = True
        self._woken.set()

    def drained(self) -> None:
        """Draw again."""
        self._writable = True
        self._woken.set()

    # ------------------------------------------------------------ the loop

    async def run(self) -> None:
        """Play until the person quits."""
        self._console.write(enter(self._caps))
        self._console.attach(self)
        self._start("index", self._index_more)
        try:
            while not self._done:
                await self._advance()
                self._draw()
                await self._wait()
                self._go_on_with_jobs()
                for key in self._take_keys():
                    await self._press(key)
        finally:
            self._console.detach()
            self._console.write(leave(self._caps, self._shown))
            await self._end_jobs()
            self._stage.index.close()

    async def _advance(self) -> None:
        now = self._clock.monotonic()
        stage = self._stage
        await stage.go(MAX_TIME if self._follow else self._playback.position(now), lambda: bool(self._typed) or self._done)
        if stage.at_end and self._playback.playing:
            if self._live:
                self._follow = True
                self._playback.jump(stage.reached, now)
            elif stage.index.complete:
                self._playback.jump(stage.reached, now)
        elif self._playback.playing and self._skip_idle:
            await self._skip()

    async def _skip(self) -> None:
        event = await self._stage.tape.peek()
        now = self._clock.monotonic()
        position = self._playback.position(now)
        if event is None or position - self._stage.reached < IDLE_SECONDS * _SECOND:
            return
        gap = event.time - position
        if gap > IDLE_SECONDS * _SECOND:
            self._playback.jump(event.time, now)
            self._say(f"{clock_text(gap)} without output skipped (s: show such gaps)")

    def _draw(self) -> None:
        if not self._writable:
            return
        grid = self._stage.screen.snapshot()
        picture, self._viewport = view.frame(grid, self._viewport, self._rows())
        change = diff(self._shown, picture, self._caps)
        self._shown = picture
        if change:
            self._writable = self._console.write(change)

    def _rows(self) -> list[Row]:
        columns = self._viewport.columns
        now = self._clock.monotonic()
        index = self._stage.index
        at_end = self._stage.at_end and (self._follow or self._playback.position(now) >= self._stage.reached)
        position = self._stage.reached if at_end else self._playback.position(now)
        duration = max(index.duration, self._stage.reached)
        state = view.State(
            position=position,
            duration=duration,
            complete=index.complete and not self._live,
            speed=self._playback.speed,
            word=self._word(at_end=at_end),
            message=self._said(now),
            wall=self._wall_text(position) if self._wall else "",
        )
        rows = [view.timeline_row(columns, position, self._prepared(columns, duration, now))]
        if self._input:
            rows.append(view.typed_row(columns, *self._stage.typed))
        return [*rows, view.status_row(columns, state)]

    def _prepared(self, columns: int, duration: int, now: float) -> view.Timeline:
        """Return the row of time; it is worked out anew once a second, not for each frame."""
        key = (columns, duration)
        if self._timeline is None or (key != self._timeline[0] and (columns != self._timeline[0][0] or now >= self._timeline[1])):
            index = self._stage.index
            made = view.timeline(columns, duration, index.activity(columns), index.entries)
            self._timeline = (key, now + 1.0, made)
        return self._timeline[2]

    def _word(self, *, at_end: bool) -> str:
        if self._follow:
            return "live"
        if at_end:
            return "end"
        return "playing" if self._playback.playing else "paused"

    def _said(self, now: float) -> str:
        if self._prompt is not None:
            return f"find: {self._prompt}_"
        if "find" in self._jobs:
            return f"looking for '{self._needle}' … (Esc stops)"
        text, at = self._message
        return text if now - at < _MESSAGE_SECONDS else ""

    def _say(self, text: str) -> None:
        self._message = (text, self._clock.monotonic())

    def _wall_text(self, position: int) -> str:
        stamp = self._stage.tape.header.timestamp
        if stamp is None:
            return "no date"
        return datetime.fromtimestamp(stamp + position / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

    async def _wait(self) -> None:
        """Wait for the next event, a key, a job, or a new second on the status line."""
        timeout: float | None = None
        if self._follow:
            timeout = _LIVE_SECONDS
        elif self._playback.playing:
            timeout = _LIVE_SECONDS if self._live and self._stage.at_end else _TICK_SECONDS
            event = await self._stage.tape.peek()
            if event is not None:
                due = self._playback.seconds_until(event.time, self._clock.monotonic())
                timeout = min(timeout, max(FRAME_SECONDS, due))
        if self._keys.pending:
            timeout = _ESCAPE_SECONDS
        if not self._typed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), timeout)
            if not self._woken.is_set() and self._keys.pending:
                self._typed += self._keys.flush()
        self._woken.clear()

    # ------------------------------------------------------------ keys

    def _take_keys(self) -> list[Key]:
        keys, self._typed = self._typed, []
        return keys

    async def _press(self, key: Key) -> None:  # noqa: C901, PLR0912 - the table of keys, one line each
        if self._prompt is not None and key.name not in ("ctrl-c", "ctrl-d"):
            self._press_in_prompt(key)
            return
        now = self._clock.monotonic()
        playback = self._playback
        match key.text if key.name == "text" else key.name:
            case "q" | "Q" | "ctrl-c" | "ctrl-d":
                self._done = True
            case " ":
                self._hold_position(now)
                playback.set_playing(now, playing=not playback.playing)
            case "+" | "=" | ">":
                playback.faster(now)
            case "-" | "_" | "<":
                playback.slower(now)
            case "left" | "right" | "shift-left" | "shift-right" as name:
                step = (60 if name.startswith("shift-") else 5) * (1 if name.endswith("right") else -1)
                self._hold_position(now)
                self._seek(playback.position(now) + step * _SECOND)
            case "home":
                self._seek(0)
            case "end":
                self._seek(self._stage.index.duration)
            case "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" as digit:
                self._seek(self._stage.index.duration * int(digit) // 10)
            case "[" | "]" as bracket:
                self._seek_mark(forward=bracket == "]")
            case "." | "," as sign:
                await self._step(forward=sign == ".")
            case "/":
                self._prompt = ""
            case "n":
                self._find()
            case "escape":
                self._jobs.pop("find", None)
            case "s":
                self._skip_idle = not self._skip_idle
                self._say("gaps without output are skipped" if self._skip_idle else "gaps without output are shown")
            case "w":
                self._wall = not self._wall
            case "i":
                self._input = not self._input
            case "y":
                self._say(f"replay {self._stage.tape.session_id} --at +{clock_text(playback.position(now))}")
            case _:
                pass

    def _press_in_prompt(self, key: Key) -> None:
        prompt = self._prompt or ""
        match key.name:
            case "text" | "paste":
                self._prompt = (prompt + key.text)[:_NEEDLE]
            case "backspace":
                self._prompt = prompt[:-1] if prompt else None
            case "enter":
                self._prompt = None
                self._needle = prompt or self._needle
                self._find()
            case "escape":
                self._prompt = None

    def _hold_position(self, now: float) -> None:
        """Count from what is shown: at the live end, and at the end, the clock ran ahead of it."""
        if self._follow or self._stage.at_end:
            self._playback.jump(self._stage.reached, now)
        self._follow = False

    def _seek(self, position: int) -> None:
        self._follow = False
        if self._stage.index.complete:
            position = min(position, self._stage.index.duration)
        self._playback.jump(position, self._clock.monotonic())

    def _seek_mark(self, *, forward: bool) -> None:
        here = self._playback.position(self._clock.monotonic())
        entries = self._stage.index.entries
        if forward:
            wanted = next((entry for entry in entries if entry.time > here), None)
        else:  # a second press within a second goes on to the one before
            slack = _SECOND if self._playback.playing else 0
            wanted = next((entry for entry in reversed(entries) if entry.time < here - slack), None)
        if wanted is None:
            self._say("no marker there")
            return
        self._seek(wanted.time)
        self._say(wanted.text or wanted.kind)

    async def _step(self, *, forward: bool) -> None:
        now = self._clock.monotonic()
        self._hold_position(now)
        self._playback.set_playing(now, playing=False)
        stage = self._stage
        if forward:
            time = await stage.step()
            self._playback.jump(stage.reached if time is None else time, now)
        else:
            self._playback.jump(await stage.before(stage.reached), now)

    # ------------------------------------------------------------ work in threads

    def _start(self, name: str, job: Job) -> None:
        future = asyncio.get_running_loop().run_in_executor(None, job)
        future.add_done_callback(lambda _: self._woken.set())
        self._jobs[name] = (future, job)

    def _go_on_with_jobs(self) -> None:
        for name, (future, job) in list(self._jobs.items()):
            if not future.done():
                continue
            del self._jobs[name]
            error = future.exception()
            if isinstance(error, BastionError):  # a part of the file that cannot be read: the rest still plays
                self._say(error.public)
            elif future.result():
                self._start(name, job)
            elif name == "find":
                self._show_found()

    async def _end_jobs(self) -> None:
        running, self._jobs = [future for future, _ in self._jobs.values()], {}
        await asyncio.gather(*running, return_exceptions=True)

    def _index_more(self) -> bool:
        return self._stage.index.step()

    def _find(self) -> None:
        if not self._needle:
            self._say("type / and what to find")
            return
        now = self._clock.monotonic()
        self._hold_position(now)
        self._playback.set_playing(now, playing=False)
        after = max(self._playback.position(now), self._stage.reached)
        header, session_id = self._stage.tape.header, self._stage.tape.session_id
        start = self._stage.index.keyframe(after)
        finder = Finder(header, self._needle, after=after, start=start)
        chunks = self._recordings.chunks(session_id, start.offset if start else 0)
        self._found = None

        def step() -> bool:
            data = next(chunks, b"")
            self._found = finder.feed(data) if data else finder.close()
            return bool(data) and self._found is None

        self._start("find", step)

    def _show_found(self) -> None:
        if self._found is None:
            self._say(f"'{self._needle}' does not come any more (Home, then n: from the start)")
        else:
            self._seek(self._found)
            self._say(f"found '{self._needle}' (n: next)")
