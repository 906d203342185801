"""A recording's screen at any moment: forward by its events, anywhere else from the nearest keyframe.

Never blocks the loop for longer than a slice of parsing; files are read in threads.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bastion.core.recording.reader import Event, parse_size
from bastion.core.terminal import Terminal
from bastion.core.terminal.past import ROWS
from bastion.core.terminal.terminal import SLICE

if TYPE_CHECKING:
    from collections.abc import Callable

    from bastion.services.indexing import Index
    from bastion.services.tape import Tape

_NEAR: Final = 1_000_000
"""Microseconds ahead that are always reached by playing: a keyframe would not be faster."""
_TYPED: Final = 400  # characters kept of what was typed last


class Stage:
    """The tape, its index and the virtual terminal that plays it."""

    def __init__(self, tape: Tape, index: Index) -> None:
        self.tape = tape
        self.index = index
        self.screen = Terminal(*tape.header.size, history=ROWS)
        self.reached = 0
        """Time of the last event that was played (microseconds)."""
        self.at_end = False
        """Whether everything that is written was played."""
        self.typed = ("", "")
        """Who typed last, and what."""

    async def go(self, time: int, stop: Callable[[], bool]) -> None:
        """Show the screen as it was at `time`; return early when `stop()` says so (then go again)."""
        if time < self.reached or time - self.reached > _NEAR:
            self._jump(time)
        while not stop():
            event = await self.tape.peek()
            self.at_end = event is None
            if event is None or event.time > time:
                break
            self._apply(self.tape.take())
            if self.screen.backlog >= SLICE:
                await self._catch_up()
        await self._catch_up()

    async def step(self) -> int | None:
        """Play one event that changes the screen; return its time, None at the end."""
        while (event := await self.tape.peek()) is not None:
            self._apply(self.tape.take())
            if event.code in ("o", "r"):
                await self._catch_up()
                return event.time
        self.at_end = True
        return None

    async def before(self, time: int) -> int:
        """Return the time of the last screen change that is earlier than `time`; 0 when there is none."""
        start = self.index.keyframe(time - 1)
        look = self.tape.copy()
        if start is not None:
            look.wind(start.offset, start.time, start.by)
        found = start.time if start else 0
        while (event := await look.peek()) is not None and event.time < time:
            look.take()
            if event.code in ("o", "r"):
                found = event.time
        return found

    def _jump(self, time: int) -> None:
        """Start over from the nearest keyframe, if it is worth it."""
        start = self.index.keyframe(time)
        if time >= self.reached and (start is None or start.time <= self.reached):
            return
        self.at_end = False
        self.typed = ("", "")
        if start is None:
            self.tape.wind()
            self.screen = Terminal(*self.tape.header.size, history=ROWS)
            self.reached = 0
        else:
            self.tape.wind(start.offset, start.time, start.by)
            self.screen = Terminal(*start.size, history=ROWS)
            self.screen.push(start.screen)
            self.reached = start.time

    def _apply(self, event: Event) -> None:
        self.reached = event.time
        if event.code == "o":
            self.screen.push(event.data.encode())
        elif event.code == "r":
            size = parse_size(event.data)
            if size is not None:
                self.screen.push_resize(*size)
        elif event.code == "i":
            by, before = self.typed
            self.typed = (event.by, ((before if by == event.by else "") + event.data)[-_TYPED:])

    async def _catch_up(self) -> None:
        while self.screen.backlog:
            self.screen.advance()
            await asyncio.sleep(0)  # a slice takes 1 to 3 ms: let the sessions have their turn
        self.screen.catch_up()  # a resize may wait behind the last byte
