"""One SSH channel as a Console: bytes in and out, coalesced, bounded, with back-pressure. Decides nothing."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import Final

from bastion.core.identity import Identity
from bastion.core.values import Size
from bastion.services.console import ConsoleListener
from bastion.wire.sessions import ServerSession

WAITING_BYTES: Final = 256 * 1024  # typed while nobody reads; then the client's window closes
_ENVIRONMENT: Final = re.compile(r"LANG|LC_[A-Z]+|COLORTERM|NO_COLOR|TERM")


class SshConsole:
    """A channel's console (implements services.console.Console)."""

    def __init__(self, session: ServerSession, identity: Identity, environment: dict[str, str]) -> None:
        self.identity = identity
        self.term = session.term
        self.size = Size.clamp(session.size.cols, session.size.rows)
        self.environment = {key: value for key, value in environment.items() if _ENVIRONMENT.fullmatch(key)}
        self.is_open = True
        self.signal = ""
        self._session = session
        self._listener: ConsoleListener | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._ended = False
        self._paused_by_us = False
        self._paused = False
        self._input = asyncio.Event()
        self._sizes: list[asyncio.Future[Size]] = []

    # ------------------------------------------------------------ out

    def write(self, data: bytes) -> bool:
        """Send bytes to standard output; False asks to stop until `drained`."""
        if not self.is_open:
            return True
        self._session.write(data)
        return self._session.writable

    def write_error(self, data: bytes) -> bool:
        """Send bytes to standard error; with a PTY there is only one stream."""
        if not self.is_open:
            return True
        if self.term:
            self._session.write(data)
        else:
            self._session.write_stderr(data)
        return self._session.writable

    async def drain(self) -> None:
        """Wait until more may be written; returns at once when they are gone."""
        if self.is_open:
            await self._session.drain()

    def exit_signal(self, name: str) -> None:
        """Remember that the far program ended by this signal."""
        self.signal = name

    def window_command(self, key: str, rest: bytes) -> bool:
        """A bare channel has no windows."""
        del key, rest
        return False

    # ------------------------------------------------------------ in

    async def read(self) -> bytes:
        """Wait for input; b"" when no more follows or they are gone."""
        while not self._waiting:
            if self._ended or not self.is_open:
                return b""
            self._input.clear()
            await self._input.wait()
        data = b"".join(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._let_in()
        return data

    async def size_changed(self) -> Size:
        """Wait for the next change of the window's size."""
        waiter: asyncio.Future[Size] = asyncio.get_running_loop().create_future()
        self._sizes.append(waiter)
        try:
            return await waiter
        finally:
            if waiter in self._sizes:
                self._sizes.remove(waiter)

    def attach(self, listener: ConsoleListener) -> None:
        """Push everything to `listener` from now on, first what waited."""
        self._listener = listener
        waiting, self._waiting = self._waiting, deque()
        self._waiting_bytes = 0
        for data in waiting:
            listener.typed(data)
        self._let_in()
        if self._ended and self._listener is listener:
            listener.ended()
        if not self.is_open and self._listener is listener:
            listener.lost()

    def detach(self) -> None:
        """Stop pushing; bytes wait for `read` again."""
        self._listener = None
        self.resume()

    def pause(self) -> None:
        """Stop taking input from their client."""
        if not self._paused:
            self._paused = True
            if not self._paused_by_us:
                self._session.pause_input()

    def resume(self) -> None:
        """Take input again."""
        if self._paused:
            self._paused = False
            if not self._paused_by_us:
                self._session.resume_input()

    def _let_in(self) -> None:
        if self._paused_by_us:
            self._paused_by_us = False
            if not self._paused:
                self._session.resume_input()

    # ------------------------------------------------------------ from the channel

    def typed(self, data: bytes) -> None:
        """Bytes came."""
        listener = self._listener
        if listener is not None:
            listener.typed(data)
            return
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._input.set()
        if self._waiting_bytes > WAITING_BYTES and not self._paused_by_us:
            self._paused_by_us = True
            if not self._paused:
                self._session.pause_input()

    def resized(self, columns: int, lines: int) -> None:
        """The window changed."""
        self.size = Size.clamp(columns, lines)
        if self._listener is not None:
            self._listener.resized(self.size)
        sizes, self._sizes = self._sizes, []
        for waiter in sizes:
            if not waiter.done():
                waiter.set_result(self.size)

    def signalled(self, name: str) -> None:
        """A signal or break came."""
        if self._listener is not None:
            self._listener.signalled(name)

    def ended(self) -> None:
        """EOF came."""
        self._ended = True
        self._input.set()
        if self._listener is not None:
            self._listener.ended()

    def lost(self) -> None:
        """The channel is gone."""
        self.is_open = False
        self._input.set()
        if self._listener is not None:
            self._listener.lost()

    def drained(self) -> None:
        """More may be written."""
        if self._listener is not None:
            self._listener.drained()
