"""The table of frames that makes a packed recording seekable. Never compresses, encrypts or reads a file.

A packed cast is a row of frames, each of which holds the next 256 KiB of the plain cast and can be unpacked alone, then a
table of them in zstd's own seekable format: a skippable frame, so that `zstd -d` gives back the whole cast.

    table   magic 5E 2A 4D 18, length of what follows u32; for each frame: packed length u32, plain length u32;
            number of frames u32, a zero byte, magic B1 EA 92 8F (all little endian)
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from bastion.core.errors import Corrupt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FRAME_BYTES: Final = 256 * 1024
"""Plain bytes in a frame: what must be unpacked to read a single one of them (well under a millisecond)."""
MAX_FRAME: Final = 1024 * 1024
"""A table that claims more, packed or plain, is refused: it bounds what a damaged or hostile file can make us hold."""
MAX_FRAMES: Final = 1 << 20

_OPEN: Final = struct.Struct("<II")
_ENTRY: Final = struct.Struct("<II")
FOOTER: Final = struct.Struct("<IBI")
_SKIPPABLE: Final = 0x184D2A5E
_SEEKABLE: Final = 0x8F92EAB1


class Frame(NamedTuple):
    """One frame. `at`, `length`: in the packed file; `offset`, `size`: in the plain cast."""

    at: int
    length: int
    offset: int
    size: int


class Frames:
    """All frames of a packed cast, in order."""

    def __init__(self, lengths: Iterable[tuple[int, int]]) -> None:
        self._frames: list[Frame] = []
        at = offset = 0
        for length, size in lengths:
            self._frames.append(Frame(at, length, offset, size))
            at, offset = at + length, offset + size
        self._offsets = [frame.offset for frame in self._frames]
        self.packed = at
        """Bytes of all frames, without the table."""
        self.size = offset
        """Bytes of the plain cast."""

    def __len__(self) -> int:
        return len(self._frames)

    def since(self, offset: int) -> Iterator[Frame]:
        """Yield the frames from the one that holds the plain byte at `offset` on."""
        if offset < self.size:
            yield from self._frames[bisect_right(self._offsets, offset) - 1 :]

    def table(self) -> bytes:
        """Return the table that stands behind the frames."""
        entries = b"".join(_ENTRY.pack(frame.length, frame.size) for frame in self._frames)
        return _OPEN.pack(_SKIPPABLE, len(entries) + FOOTER.size) + entries + FOOTER.pack(len(self._frames), 0, _SEEKABLE)


def table_length(footer: bytes) -> int:
    """Return how long the table is that ends with these `FOOTER.size` bytes. `Corrupt`."""
    if len(footer) == FOOTER.size:
        count, flags, magic = FOOTER.unpack(footer)
        if magic == _SEEKABLE and flags == 0 and count <= MAX_FRAMES:
            return _OPEN.size + int(count) * _ENTRY.size + FOOTER.size
    raise Corrupt("recording.frames", "The packed recording is damaged: it does not end with a table of its frames.")


def parse(table: bytes, length: int) -> Frames:
    """Return what a table says of a file whose frames have `length` bytes together. `Corrupt` when it cannot be so."""
    body = table[_OPEN.size : -FOOTER.size]
    magic, size = _OPEN.unpack_from(table)
    frames = Frames(_ENTRY.iter_unpack(body))
    sane = all(0 < frame.length <= MAX_FRAME and 0 < frame.size <= MAX_FRAME for frame in frames.since(0))
    if magic != _SKIPPABLE or size != len(table) - _OPEN.size or not sane or frames.packed != length:
        raise Corrupt("recording.frames", "The packed recording is damaged: the table of its frames does not fit it.")
    return frames
