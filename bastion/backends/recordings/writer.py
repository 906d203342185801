"""The cast of one live session: every call is one `write` of whole lines. Never buffers, never waits for the disk."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bastion.core.recording.asciicast import CastEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bastion.core.values import Size

_FULL: Final = "the disk took only a part of a line"


class CastWriter:
    """Appends to an open descriptor and owns it. After an `OSError` the file ends with its last whole line.

    The caller may go on after an error (best-effort recording): what failed is missing, nothing else.
    """

    __slots__ = ("_descriptor", "_encoder", "_finish", "_settle", "_status", "changed", "header", "length", "on_written")

    def __init__(
        self,
        descriptor: int,
        header: Mapping[str, object],
        at: float,
        finish: Callable[[str, int, int | None], None],
        settle: Callable[[], None],
    ) -> None:
        """Write the header. `finish(state, length, status)` is called once, when the cast is complete.

        `settle` makes the folders it lies in durable; the first `sync` calls it.
        """
        self._descriptor = descriptor
        self._encoder = CastEncoder(at)
        self._finish = finish
        self._settle: Callable[[], None] | None = settle
        self._status: int | None = None
        self.on_written: Callable[[bytes], None] | None = None
        """Called with the lines of each write that succeeded, from the thread that wrote."""
        self.header = self._encoder.header(header)
        """The first line."""
        self.length = 0
        self.changed = False
        """Whether anything was written since the last `sync`."""
        self._append(self.header, 0)

    @property
    def time(self) -> int:
        """Microseconds from the start to the last line."""
        return self._encoder.time

    @property
    def author(self) -> str:
        """Who typed the last `i` event."""
        return self._encoder.author

    @property
    def between_characters(self) -> bool:
        """Whether all output so far stands in events (no half character waits)."""
        return not self._encoder.tail

    @property
    def faithful(self) -> bool:
        """Whether the last output is on file byte for byte."""
        return self._encoder.faithful

    def output(self, data: bytes, at: float) -> None:
        """Append output bytes; they are in the kernel when this returns."""
        encoder = self._encoder
        before = encoder.time
        line = encoder.output(data, at)
        try:
            if os.write(self._descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, _FULL)
        except OSError:
            self._undo(before)
            raise
        self.length += len(line)
        self.changed = True
        if self.on_written is not None:
            self.on_written(line)

    def input(self, data: bytes, at: float, by: str) -> None:
        """Append input and who typed it."""
        before = self._encoder.time
        self._append(self._encoder.input(data, at, by), before)

    def resize(self, size: Size, at: float) -> None:
        """Append a change of size."""
        before = self._encoder.time
        self._append(self._encoder.resize(size, at), before)

    def marker(self, text: str, at: float) -> None:
        """Append a marker."""
        before = self._encoder.time
        self._append(self._encoder.marker(text, at), before)

    def sync(self) -> None:
        """Make what was written survive a power cut. Called from a thread beside the loop."""
        if self.changed:
            self.changed = False  # before: what comes meanwhile is the next call's
            try:
                self._force()
            except OSError:
                if self._descriptor >= 0:  # else it was closed meanwhile, which synced it
                    raise

    def end(self, status: int | None, at: float) -> None:
        """Append the end; nothing may be appended afterwards."""
        before = self._encoder.time
        self._status = status
        self._append(self._encoder.end(status, at), before)

    def close(self, state: str = "closed") -> None:
        """Sync, note how it ended, and close. Closes too when that fails, then raises `OSError`."""
        if self._descriptor < 0:
            return
        try:
            self._force()
            self._finish(state, self.length, self._status)
        finally:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _force(self) -> None:
        os.fdatasync(self._descriptor)
        if self._settle is not None:
            self._settle()
            self._settle = None

    def _append(self, lines: bytes, before: int) -> None:
        if not lines:
            return
        try:
            if os.write(self._descriptor, lines) != len(lines):
                raise OSError(errno.ENOSPC, _FULL)
        except OSError:
            self._undo(before)
            raise
        self.length += len(lines)
        self.changed = True
        if self.on_written is not None:
            self.on_written(lines)

    def _undo(self, before: int) -> None:
        """Take the part of a line that did reach the file away again."""
        self._encoder.lost(before)
        with suppress(OSError):  # a read-only file cannot be cut, but then nothing was added either
            os.ftruncate(self._descriptor, self.length)
