"""A person's terminal, as the services see it: bytes out, bytes in, a size. Knows no SSH.

Two ways to read: `attach(listener)` pushes every byte (a session's hot path), `read()` waits for some (menus,
prompts). One at a time; bytes that arrive while nobody listens wait, bounded, and nothing is lost.
"""

from __future__ import annotations

from typing import Protocol

from bastion.core.identity import Identity
from bastion.core.values import Size


class ConsoleListener(Protocol):
    """Who gets what a person types, as it comes. Called on the loop; must not block."""

    def typed(self, data: bytes) -> None:
        """Bytes came from the person."""

    def resized(self, size: Size) -> None:
        """Their window has another size now."""

    def signalled(self, name: str) -> None:
        """Their client sent a signal or break (`INT`, `TERM`, `BREAK`...)."""

    def ended(self) -> None:
        """No more input follows (EOF); output may still be wanted."""

    def lost(self) -> None:
        """The connection is gone; nothing more can be shown."""

    def drained(self) -> None:
        """What was written has gone out; more may be written."""


class Console(Protocol):
    """One channel with a person (or their program) at the other end."""

    identity: Identity
    term: str
    """TERM, or "" where there is no PTY."""
    size: Size
    environment: dict[str, str]
    is_open: bool

    def write(self, data: bytes) -> bool:
        """Send bytes to their standard output; False asks to stop until `drained`."""

    def write_error(self, data: bytes) -> bool:
        """Send bytes to their standard error (standard output where they have a PTY)."""

    async def drain(self) -> None:
        """Wait until more may be written; returns at once when they are gone."""

    async def read(self) -> bytes:
        """Wait for input; b"" when no more follows or they are gone."""

    async def size_changed(self) -> Size:
        """Wait for the next change of the window's size."""

    def exit_signal(self, name: str) -> None:
        """Remember that the far program ended by this signal; their client is told so at the end."""

    def window_command(self, key: str, rest: bytes) -> bool:
        """Do what the chord and `key` mean for their windows, then take `rest` as typed; False where there are none."""

    def attach(self, listener: ConsoleListener) -> None:
        """Push everything to `listener` from now on, first what waited."""

    def detach(self) -> None:
        """Stop pushing; bytes wait for `read` again."""

    def pause(self) -> None:
        """Stop taking input from their client (back-pressure)."""

    def resume(self) -> None:
        """Take input again."""
