"""Plays a recording on a person's terminal: through a virtual terminal, as differences between pictures.

Nothing an endpoint wrote ever reaches the person raw, and their terminal may have any size.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from bastion.core.keys import Key, KeyDecoder
from bastion.core.recording.playback import Playback, clock_text, speed_text
from bastion.core.recording.reader import Event, parse_size
from bastion.core.terminal import Terminal
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.diff import diff
from bastion.core.terminal.fullscreen import enter, leave
from bastion.core.terminal.grid import Grid
from bastion.core.terminal.paint import line
from bastion.core.terminal.style import REVERSE, style
from bastion.core.terminal.terminal import SLICE
from bastion.core.terminal.viewport import Viewport, view
from bastion.core.values import Size
from bastion.services.console import Console
from bastion.services.ports import Clock
from bastion.services.tape import Tape

FRAME_SECONDS: Final = 1 / 30
_ESCAPE_SECONDS: Final = 0.05
_TICK_SECONDS: Final = 1.0
_STATUS: Final = style(flags=REVERSE)


class Player:
    """One replay on one console. `run` returns when the person quits or is gone."""

    def __init__(
        self,
        console: Console,
        caps: Caps,
        tape: Tape,
        clock: Clock,
        *,
        at: int = 0,
        speed: float = 1.0,
    ) -> None:
        self._console = console
        self._caps = caps
        self._tape = tape
        self._clock = clock
        self._screen = Terminal(*tape.header.size, history=0)
        self._playback = Playback(clock.monotonic(), position=at, speed=speed)
        self._viewport = Viewport(*console.size, status=True)
        self._shown: Grid | None = None
        self._keys = KeyDecoder()
        self._typed: list[Key] = []
        self._woken = asyncio.Event()
        self._writable = True
        self._done = False
        self._at_end = False  # all that is written was shown
        self._reached = 0  # time of the last event shown

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

    def signalled(self, name: str) -> None:
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
        try:
            while not self._done:
                await self._advance()
                self._draw()
                await self._wait()
                self._handle_keys()
        finally:
            self._console.detach()
            self._console.write(leave(self._caps, self._shown))

    async def _advance(self) -> None:
        """Feed the screen up to where the replay stands."""
        wanted = self._playback.position(self._clock.monotonic())
        if wanted < self._reached:
            self._tape.wind()
            self._screen = Terminal(*self._tape.header.size, history=0)
            self._reached = 0
        while not self._done and not self._typed:
            event = await self._tape.peek()
            self._at_end = event is None
            if event is None or event.time > wanted:
                break
            self._apply(self._tape.take())
            if self._screen.backlog >= SLICE:
                await self._catch_up()
        await self._catch_up()

    async def _catch_up(self) -> None:
        while self._screen.backlog or self._screen.stream.busy:
            self._screen.advance()
            await asyncio.sleep(0)  # a slice takes 1 to 3 ms: let the sessions have their turn

    def _apply(self, event: Event) -> None:
        self._reached = event.time
        if event.code == "o":
            self._screen.push(event.data.encode())
        elif event.code == "r":
            size = parse_size(event.data)
            if size is not None:
                self._screen.push_resize(*size)

    def _draw(self) -> None:
        if not self._writable:
            return
        grid = self._screen.snapshot()
        self._viewport = self._viewport.followed(grid)
        frame = view(grid, self._viewport, line(self._viewport.columns, self._status_text(), _STATUS))
        change = diff(self._shown, frame, self._caps)
        self._shown = frame
        if change:
            self._writable = self._console.write(change)

    def _status_text(self) -> str:
        now = self._clock.monotonic()
        state = "end" if self._at_end else "playing" if self._playback.playing else "paused"
        where = clock_text(self._reached if self._at_end else self._playback.position(now))
        return f" {where}  {speed_text(self._playback.speed)}  {state}   space pause · +/- speed · q quit"

    async def _wait(self) -> None:
        """Wait for the next event, a key, or a new second on the status line."""
        timeout: float | None = None
        now = self._clock.monotonic()
        if self._playback.playing:
            event = await self._tape.peek()
            timeout = _TICK_SECONDS
            if event is not None:
                timeout = min(timeout, max(FRAME_SECONDS, self._playback.seconds_until(event.time, now)))
        if self._keys.pending:
            timeout = min(_ESCAPE_SECONDS, timeout or _ESCAPE_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), timeout)
        if not self._woken.is_set() and self._keys.pending:
            self._typed += self._keys.flush()
        self._woken.clear()

    def _handle_keys(self) -> None:
        keys, self._typed = self._typed, []
        for key in keys:
            self._press(key)

    def _press(self, key: Key) -> None:
        now = self._clock.monotonic()
        match key.text if key.name == "text" else key.name:
            case "q" | "Q" | "ctrl-c" | "ctrl-d":
                self._done = True
            case " ":
                self._playback.set_playing(not self._playback.playing, now)
            case "+" | "=" | ">":
                self._playback.faster(now)
            case "-" | "_" | "<":
                self._playback.slower(now)
            case "home" | "0":
                self._playback.jump(0, now)
            case "left":
                self._playback.jump(self._playback.position(now) - 5_000_000, now)
            case "right":
                self._playback.jump(self._playback.position(now) + 5_000_000, now)
