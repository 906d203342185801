"""What a screen has not seen of a flood that no eye can follow: it stands in the recording, and is read back when it is over.

Never holds more of it than is read at a time: a flood costs a screen next to nothing while it lasts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final, Protocol, cast

from bastion.core.recording.reader import V3, CastReader, Header, parse_size
from bastion.core.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Generator

    from bastion.core.terminal.grid import Grid
    from bastion.core.values import Size


class Readable(Protocol):
    """A recording that can be read while it is written."""

    def place(self) -> tuple[int, bool, bool]:
        """Return its length, whether the last output is in it byte for byte, and whether the end of that waits still."""
        ...

    def chunks(self, offset: int) -> Iterator[bytes]:
        """Return its bytes from an offset on. Blocks. `OSError`, `Corrupt`."""
        ...


GLIMPSE_BYTES: Final = 8 * 1024
READ_BYTES: Final = 1024 * 1024
"""Bytes of cast read at a time: some milliseconds in a thread, some more to put them on the screen."""


class Unread:
    """A live cast from an offset on; from there up to `at` it was read.

    Bytes that are no UTF-8 do not stand there as they were: from the first such chunk on, all is kept here.
    """

    def __init__(self, recording: Readable, size: Size, offset: int) -> None:
        self.at = offset
        self.kept: list[bytes | Size] = []
        """What comes after the last that is to be read, once something came that is not on file as it was."""
        self._recent = b""
        self._late: list[bytes | Size] = []  # what came since all of it was on file: the last of it waits still
        self._late_bytes = 0
        self._recording = recording
        self._stop = offset  # up to here the cast is what was output
        self._reader = CastReader.resume(Header(V3, size), offset, 0)

    @property
    def left(self) -> int:
        """Return how many bytes of cast are still to be read."""
        return self._stop - self.at

    def output(self, data: bytes) -> None:
        """Take note of output that is on file now."""
        self._recent = data[-GLIMPSE_BYTES:] if len(data) >= GLIMPSE_BYTES else (self._recent + data)[-GLIMPSE_BYTES:]
        length, faithful, waits = self._recording.place()
        if self.kept:
            self.kept.append(data)
        elif faithful and not waits:
            self._stop = length
            self._late.clear()
            self._late_bytes = 0
        else:
            self._late.append(data)
            self._late_bytes += len(data)
            if not faithful or self._late_bytes > READ_BYTES:
                self.kept, self._late = self._late, []

    def resize(self, size: Size) -> None:
        """Take note of a change of size that is on file now."""
        if self.kept or self._late:
            (self.kept or self._late).append(size)
        else:
            self._stop = self._recording.place()[0]

    def glimpse(self, size: Size) -> Grid:
        """Return about what the screen shows: what came last, drawn on an empty one. No eye tells it from the flood itself."""
        terminal = Terminal(*size, history=0)
        terminal.feed(self._recent[self._recent.find(b"\n") + 1 :])
        return terminal.snapshot()

    @property
    def rest(self) -> list[bytes | Size]:
        """Return what comes after all that was read."""
        return [*self.kept, *self._late]

    def read(self) -> list[bytes | Size]:
        """Return the next output and sizes, in order; at most so many that they come from `READ_BYTES`. To be called in a thread."""
        found: list[bytes | Size] = []
        most = min(self._stop, self.at + READ_BYTES)
        with closing(cast("Generator[bytes]", self._recording.chunks(self.at))) as source:
            for data in source:
                piece = data[: most - self.at]
                self.at += len(piece)
                for event in self._reader.feed(piece):
                    if event.code == "o":
                        found.append(event.data.encode("utf-8", "replace"))
                    elif event.code == "r" and (size := parse_size(event.data)) is not None:
                        found.append(size)
                if self.at >= most:
                    break
        return found
