"""What an SFTP channel has under way: open files, requests whose answers are due, refusals. Never decides anything."""

from __future__ import annotations

from typing import NamedTuple

from bastion.core.transfer.deeds import Deed, Moving


class OpenFile:
    """An open file by the directions it was opened for (neither: a directory)."""

    __slots__ = ("appending", "down", "up")

    def __init__(self, up: Moving | None, down: Moving | None, *, appending: bool) -> None:
        self.up = up
        self.down = down
        self.appending = appending


class Wait(NamedTuple):
    """A request whose answer is due. `deed`: what is written down when it comes."""

    kind: int
    file: OpenFile | None = None
    offset: int = 0
    size: int = 0
    deed: Deed | None = None
    at: float = 0.0


class No(Exception):
    """A request that the endpoint shall not hear of: our answer, and what is written down of it."""

    def __init__(self, code: int, reason: str, deed: Deed | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.deed = deed
