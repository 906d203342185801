"""What happens at a console, as a queue: for the programs that draw (menu, admin prompt). Knows no key and no picture."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

    from bastion.core.values import Size
    from bastion.services.console import Console

_MOST: Final = 64 * 1024  # bytes of type-ahead that are kept; nobody types more into a menu


class ConsoleEvents:
    """Listens to a console while it is entered. `typed` bytes gather, `resized` and `gone` are states, `wait` returns on any."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bytes = bytearray()
        self._happened = asyncio.Event()
        self.gone = False
        self.writable = True

    def __enter__(self) -> Self:
        self._console.attach(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._console.detach()

    async def wait(self, seconds: float | None) -> bytes:
        """Wait until something happens, at most so long; return what was typed since (b"" for anything else)."""
        try:
            async with asyncio.timeout(seconds):
                await self._happened.wait()
        except TimeoutError:
            return b""
        self._happened.clear()
        data = bytes(self._bytes)
        self._bytes.clear()
        return data

    def typed(self, data: bytes) -> None:
        """Keep what came."""
        if len(self._bytes) < _MOST:
            self._bytes += data
        self._happened.set()

    def resized(self, size: Size) -> None:  # noqa: ARG002 - the console has it
        """Wake up."""
        self._happened.set()

    def signalled(self, name: str) -> None:
        """Treat an interrupt like its key."""
        if name == "INT":
            self.typed(b"\x03")

    def ended(self) -> None:
        """No more input: nothing can be chosen any more."""
        self.gone = True
        self._happened.set()

    def lost(self) -> None:
        """They are gone."""
        self.gone = True
        self._happened.set()

    def drained(self) -> None:
        """More may be written."""
        self.writable = True
        self._happened.set()
