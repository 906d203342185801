r"""Keyframes: screens with their place in the cast, so that a player can start anywhere. Never reads a file.

The side file `keyframes` is a row of records, each written by one `write`. It is derived from the cast: it may be
lost, cut or damaged and is then made again.

    header  44 bytes, little endian: magic "KF1\n", time u64 (microseconds), offset u64 (in the cast, where the
            next line begins), columns u16, lines u16, length of the author u16, length of the screen u32,
            raw length of the screen u32, crc32 of what follows u32, crc32 of the header so far u32
    author  UTF-8, who types from here on (the cast's last `# bastion by`)
    screen  zlib; terminal output that brings a fresh terminal of that size to the state at that place, its newest
            rows of scrollback included (a window that grows shows them again)
"""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from bastion.core.values import Size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

FILE: Final = "keyframes"
EVERY_BYTES: Final = 256 * 1024
EVERY_MICROSECONDS: Final = 10_000_000
MAX_SCREEN: Final = 16 * 1024 * 1024
"""A screen that needs more gets no keyframe, and a record that claims more is refused (zlib bombs)."""

_FIELDS: Final = struct.Struct("<4sQQHHHIII")
_CHECK: Final = struct.Struct("<I")
_MAGIC: Final = b"KF1\n"
HEAD: Final = _FIELDS.size + _CHECK.size


class Keyframe(NamedTuple):
    """A screen at a place. `screen` is fed to a fresh terminal of `size`."""

    time: int
    offset: int
    size: Size
    screen: bytes
    by: str = ""


class Place(NamedTuple):
    """Where a keyframe stands, without its screen. `at`: of its record in the side file; `length`: the whole record's."""

    time: int
    offset: int
    size: Size
    at: int
    length: int


def pack(keyframe: Keyframe) -> bytes:
    """Return the record; b"" when its screen is too large to be worth one."""
    if len(keyframe.screen) > MAX_SCREEN:
        return b""
    by = keyframe.by.encode("utf-8", "replace")[:1000]
    screen = zlib.compress(keyframe.screen, 1)
    body = by + screen
    fields = _FIELDS.pack(
        _MAGIC, keyframe.time, keyframe.offset, *keyframe.size, len(by), len(screen), len(keyframe.screen), zlib.crc32(body)
    )
    return fields + _CHECK.pack(zlib.crc32(fields)) + body


def place(head: bytes, at: int) -> Place | None:
    """Return what a record's header says; None when it is none (or damaged, or not all there)."""
    if len(head) < HEAD or _CHECK.unpack_from(head, _FIELDS.size)[0] != zlib.crc32(head[: _FIELDS.size]):
        return None
    magic, time, offset, columns, lines, by, screen, _, _ = _FIELDS.unpack_from(head)
    return Place(time, offset, Size.clamp(columns, lines), at, HEAD + by + screen) if magic == _MAGIC else None


def unpack(record: bytes) -> Keyframe | None:
    """Return the keyframe of a whole record; None when it is damaged."""
    found = place(record[:HEAD], 0)
    if found is None or len(record) != found.length:
        return None
    *_, by_length, _, raw, check = _FIELDS.unpack_from(record)
    body = record[HEAD:]
    if zlib.crc32(body) != check or raw > MAX_SCREEN:
        return None
    try:
        unpacker = zlib.decompressobj()
        screen = unpacker.decompress(body[by_length:], raw + 1)
    except zlib.error:
        return None
    if len(screen) != raw:
        return None
    return Keyframe(found.time, found.offset, found.size, screen, body[:by_length].decode("utf-8", "replace"))


class Due:
    """When the next keyframe is wanted: every 256 kB of cast, every 10 s in which something happened, at a resize."""

    def __init__(self, time: int = 0, offset: int = 0) -> None:
        self._time, self._offset = time, offset
        self._resized = False

    def resized(self) -> None:
        """Take note of a change of size."""
        self._resized = True

    def now(self, time: int, offset: int) -> bool:
        """Return whether a keyframe is wanted here."""
        if offset <= self._offset:
            return False
        far = offset - self._offset >= EVERY_BYTES or time - self._time >= EVERY_MICROSECONDS
        return far or self._resized

    def made(self, time: int, offset: int) -> None:
        """Take note of a keyframe that was made (or was not worth it)."""
        self._time, self._offset, self._resized = time, offset, False


class Places:
    """All keyframes of a recording by time."""

    def __init__(self, places: Iterable[Place]) -> None:
        found: list[Place] = []
        for each in sorted(places, key=lambda place: place.offset):  # what a damaged file says may not fit: left out
            if not found or (each.time >= found[-1].time and each.offset > found[-1].offset):
                found.append(each)
        self._places: Sequence[Place] = found
        self._times = [each.time for each in found]

    def __len__(self) -> int:
        return len(self._places)

    def before(self, time: int) -> list[Place]:
        """Return the places that are not after `time`, the nearest first (at most three, should some be damaged)."""
        index = bisect_right(self._times, time)
        return list(reversed(self._places[max(0, index - 3) : index]))

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places)

    @property
    def last(self) -> Place | None:
        """Return the last place."""
        return self._places[-1] if self._places else None


def activity(points: Iterable[tuple[int, int]], duration: int, columns: int) -> list[int]:
    """Return how many bytes of cast were written in each of `columns` equal parts of `duration`.

    `points` are (time, offset) in order; between two of them the bytes are spread evenly.
    """
    parts = [0.0] * columns
    if duration <= 0 or columns <= 0:
        return [0] * columns
    time, offset = 0, 0
    for at, place_offset in points:
        first = min(columns - 1, time * columns // duration)
        last = min(columns - 1, max(time, at - 1) * columns // duration)
        share = (place_offset - offset) / (last - first + 1)
        for column in range(first, last + 1):
            parts[column] += share
        time, offset = at, place_offset
    return [int(part) for part in parts]
