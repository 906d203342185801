"""The console of one window: the real one's own functions while it is in front, nothing while it is not.

Never decides which one is in front.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from bastion.core.terminal.caps import Caps
from bastion.core.terminal.fullscreen import page
from bastion.core.values import Size
from bastion.services.console import Console, ConsoleListener
from bastion.services.live.seat import Seat


class Switchboard(Protocol):
    """What a window asks of all windows."""

    def command(self, key: str, rest: bytes = b"") -> None:
        """Do what a key after the chord means, then take `rest` as typed."""

    def lost(self) -> None:
        """The connection is gone."""


class _Tap:
    """Hands what is typed straight to a listener; only the loss of the connection concerns every window."""

    __slots__ = ("drained", "ended", "lost", "resized", "signalled", "typed")

    def __init__(self, listener: ConsoleListener, resized: Callable[[Size], None], lost: Callable[[], None]) -> None:
        self.typed = listener.typed
        self.signalled = listener.signalled
        self.ended = listener.ended
        self.drained = listener.drained
        self.resized = resized
        self.lost = lost


class WindowConsole:
    """A window's console (implements services.console.Console; `write` changes as the window comes and goes)."""

    def __init__(self, windows: Switchboard, real: Console) -> None:
        self.identity = real.identity
        self.term = real.term
        self.size = real.size
        self.environment = real.environment
        self.is_open = real.is_open
        self.write: Callable[[bytes], bool] = _drop
        self.write_error: Callable[[bytes], bool] = _drop
        self.seat: Seat | None = None
        """The last session's seat at this console."""
        self.in_front = asyncio.Event()
        """Set while this window is in front, and for good once the connection is gone."""
        self._windows = windows
        self._real = real
        self._listener: ConsoleListener | None = None
        self._ahead = b""
        self._paused = False
        self._blank = False
        self._shown = False
        self.signal = ""

    @property
    def as_console(self) -> Console:
        """Return this as the console it is: attributes that hold functions are methods to whoever calls them."""
        return cast("Console", self)

    @property
    def full_screen(self) -> bool:
        """Return whether the terminal can be addressed at all."""
        return Caps.of(self.term).full_screen

    # ------------------------------------------------------------ coming and going

    def show(self, *, fresh: bool) -> None:
        """Come to the front. `fresh`: the first bytes come onto a page of their own."""
        self.size = self._real.size
        self._blank = self._blank or fresh
        self.write = self._first if self._blank else self._real.write
        self.write_error = self._real.write_error
        self._shown = True
        self.in_front.set()
        if self._listener is not None:
            self._listen(self._listener)
        if self._paused:
            self._real.pause()
        if isinstance(self._listener, Seat):
            self._listener.unhide()

    def hide(self) -> None:
        """Go to the back."""
        if isinstance(self._listener, Seat):
            self._listener.hide()
        self._real.detach()
        self._shown = False
        if self.is_open:
            self.in_front.clear()
        self.write = self.write_error = _drop

    def lose(self) -> None:
        """Learn that the connection is gone."""
        if not self.is_open:
            return
        self.is_open = False
        self.in_front.set()
        if self._listener is not None:
            self._listener.lost()

    def resized(self, size: Size) -> None:
        """Pass on the window's new size."""
        self.size = size
        if self._listener is not None:
            self._listener.resized(size)

    def give_back(self, data: bytes) -> None:
        """Take input that was read too far: it comes before all that follows."""
        if self._listener is not None:
            self._listener.typed(data)
        else:
            self._ahead += data

    def _first(self, data: bytes) -> bool:
        """Begin on a page of its own: the session's screen and the terminal then agree on where everything is."""
        self._blank = False
        self.write = self._real.write
        return self._real.write(page(self.size.lines) + data if self.full_screen else data)

    # ------------------------------------------------------------ as a console

    async def drain(self) -> None:
        """Wait until more may be written."""
        if self._shown:
            await self._real.drain()

    async def read(self) -> bytes:
        """Wait for input that is typed while this window is in front."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        await self.in_front.wait()
        data = await self._real.read() if self.is_open else b""
        if not self._real.is_open:
            self._windows.lost()
        return data

    async def size_changed(self) -> Size:
        """Wait for the next change of the window's size."""
        return await self._real.size_changed()

    def exit_signal(self, name: str) -> None:
        """Remember that the far program ended by this signal; their client is told of the first window's."""
        self.signal = name

    def window_command(self, key: str, rest: bytes) -> bool:
        """Do what the key means for the windows."""
        self._windows.command(key, rest)
        return True

    def attach(self, listener: ConsoleListener) -> None:
        """Push what is typed in this window to `listener` from now on."""
        self._listener = listener
        if isinstance(listener, Seat):
            self.seat = listener
        if not self.is_open:
            listener.lost()
            return
        if self._shown:
            ahead, self._ahead = self._ahead, b""
            if ahead:
                listener.typed(ahead)
            self._listen(listener)
        elif isinstance(listener, Seat):
            listener.hide()

    def _listen(self, listener: ConsoleListener) -> None:
        if self._listener is listener:  # what was typed ahead may have changed that
            self._real.attach(_Tap(listener, self.resized, self._windows.lost))

    def detach(self) -> None:
        """Stop pushing."""
        self._listener = None
        self._paused = False
        if self._shown:
            self._real.detach()

    def pause(self) -> None:
        """Stop taking input while this window is in front."""
        self._paused = True
        if self._shown:
            self._real.pause()

    def resume(self) -> None:
        """Take input again."""
        self._paused = False
        if self._shown:
            self._real.resume()


def _drop(data: bytes) -> bool:
    del data
    return True
