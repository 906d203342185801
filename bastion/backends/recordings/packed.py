"""Packed casts as files: written frame by frame, read by range. Never holds more than one frame.

A pack is complete or not there: it is made under another name, each frame is unpacked again and compared, and only when
all of it is on the disk does it take its name and the plain cast go. A crash in between leaves the plain cast.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import zstandard

from bastion.backends.recordings import safe
from bastion.core.errors import Corrupt
from bastion.core.recording import frames
from bastion.core.recording.frames import FRAME_BYTES, MAX_FRAME, Frame, Frames

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bastion.backends.recordings.envelope import Envelope, Identities

CAST: Final = "session.cast"
PACKED: Final = "session.cast.zst"
ENCRYPTED: Final = "session.cast.age"
CHUNK: Final = 64 * 1024
MAGIC: Final = zstandard.FRAME_HEADER

_NEW: Final = ".session.cast.new"

Unpack = Callable[[bytes, int], bytes | None]
"""From a frame and the size of what it holds to that; None when it is damaged."""


class PackedCast:
    """A packed cast opened for reading; owns the descriptor. `Corrupt` when its table is not what it must be."""

    def __init__(self, descriptor: int, unpack: Unpack | None = None) -> None:
        self._descriptor = descriptor
        self._unpack = unpack or unpacked
        length = os.fstat(descriptor).st_size
        footer = os.pread(descriptor, frames.FOOTER.size, max(0, length - frames.FOOTER.size))
        table = frames.table_length(footer)
        if table > length:
            raise Corrupt("recording.frames", "The packed recording is damaged: its beginning is missing.")
        self.frames = frames.parse(os.pread(descriptor, table, length - table), length - table)

    def chunks(self, offset: int = 0) -> Iterator[bytes]:
        """Yield the plain cast from `offset` on, and close. `Corrupt` says which bytes cannot be unpacked."""
        try:
            for frame in self.frames.since(offset):
                data = self._unpacked(frame)
                for start in range(max(0, offset - frame.offset), len(data), CHUNK):
                    yield data[start : start + CHUNK]
        except OSError as error:
            raise Corrupt("recording.unreadable", "The recording cannot be read: the disk fails.", str(error)) from error
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _unpacked(self, frame: Frame) -> bytes:
        data = self._unpack(os.pread(self._descriptor, frame.length, frame.at), frame.size)
        if data is None:
            where = f"bytes {frame.offset} to {frame.offset + frame.size} cannot be unpacked"
            raise Corrupt("recording.damaged", f"The recording is damaged: {where}.")
        return data


def unpacked(packed: bytes, size: int) -> bytes | None:
    """Return a frame's `size` plain bytes; None when it is damaged (each carries a checksum) or claims another size."""
    try:
        if zstandard.frame_content_size(packed) != size:  # asked first: the library makes room for what a frame claims
            return None
        return zstandard.ZstdDecompressor(max_window_size=MAX_FRAME).decompress(packed, max_output_size=size)
    except zstandard.ZstdError:
        return None


def decrypting(identities: Identities) -> Unpack:
    """Return what opens the frames of an encrypted cast."""

    def unpack(frame: bytes, size: int) -> bytes | None:
        inner = identities.decrypt(frame)
        return None if inner is None else unpacked(inner, size)

    return unpack


def pack(directory: int, level: int, go_on: Callable[[], bool] = lambda: True, envelope: Envelope | None = None) -> int | None:
    """Put the packed cast in the plain one's place; return its bytes. None when `go_on` says to stop.

    With an `envelope` each frame is encrypted, too.

    A cast that is packed already (a crash came right after) is left as it is; FileNotFoundError when there is none.

    `OSError` when it cannot be written, or a frame does not come back as it was; the plain cast then stays.
    """
    name = PACKED if envelope is None else ENCRYPTED
    try:
        source = safe.opened(directory, CAST, os.O_RDONLY)
    except FileNotFoundError:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_size
    try:
        target = safe.opened(directory, _NEW, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            whole = _write(source, target, level, go_on, envelope)
            if whole is None:
                return None
            os.fdatasync(target)
            length = os.fstat(target).st_size
        finally:
            os.close(target)
    finally:
        os.close(source)
    os.rename(_NEW, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)
    os.unlink(CAST, dir_fd=directory)
    os.fsync(directory)
    return length


def clear(directory: int) -> None:
    """Take away what a crash left of a pack that was not complete."""
    with suppress(FileNotFoundError):
        os.unlink(_NEW, dir_fd=directory)


def _write(source: int, target: int, level: int, go_on: Callable[[], bool], envelope: Envelope | None) -> Frames | None:
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)
    lengths: list[tuple[int, int]] = []
    at = offset = 0
    while block := _block(source, offset):
        if not go_on():
            return None
        inner = compressor.compress(block)
        frame = inner if envelope is None else envelope.encrypt(inner)
        _append(target, frame)
        back = os.pread(target, len(frame), at)
        if back != frame or unpacked(inner, len(block)) != block:
            raise OSError(errno.EIO, "a packed frame does not come back as it was")
        lengths.append((len(frame), len(block)))
        at, offset = at + len(frame), offset + len(block)
    made = Frames(lengths)
    _append(target, made.table())
    return made


def _block(source: int, offset: int) -> bytes:
    """Return the next FRAME_BYTES (fewer at the end only, whatever the system gives at once)."""
    data = b""
    while len(data) < FRAME_BYTES and (more := os.pread(source, FRAME_BYTES - len(data), offset + len(data))):
        data += more
    return data


def _append(target: int, data: bytes) -> None:
    if os.write(target, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
