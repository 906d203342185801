"""A person at a virtual terminal, for tests of what they are shown."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from bastion.core.identity import Identity
from bastion.core.terminal import Terminal
from bastion.core.values import Size

if TYPE_CHECKING:
    from collections.abc import Callable

    from bastion.services.console import ConsoleListener

NOBODY = Identity("u1", "audrey", ("auditor",), "192.0.2.9", ())


WINDOW = Size(60, 8)


class RealClock:
    """The machine's clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Desk:
    """A person at a terminal: a virtual one takes what they are sent, and tests wait for what it shows."""

    def __init__(self, term: str = "xterm-256color", size: Size = WINDOW) -> None:
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
