"""SFTP version 3 as OpenSSH speaks it (draft-ietf-secsh-filexfer-02, OpenSSH PROTOCOL §4): frames and fields.

Never interprets a packet, and holds at most one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

INIT: Final = 1
VERSION: Final = 2
OPEN: Final = 3
CLOSE: Final = 4
READ: Final = 5
WRITE: Final = 6
LSTAT: Final = 7
FSTAT: Final = 8
SETSTAT: Final = 9
FSETSTAT: Final = 10
OPENDIR: Final = 11
READDIR: Final = 12
REMOVE: Final = 13
MKDIR: Final = 14
RMDIR: Final = 15
REALPATH: Final = 16
STAT: Final = 17
RENAME: Final = 18
READLINK: Final = 19
SYMLINK: Final = 20
STATUS: Final = 101
HANDLE: Final = 102
DATA: Final = 103
NAME: Final = 104
ATTRS: Final = 105
EXTENDED: Final = 200
EXTENDED_REPLY: Final = 201

FLAG_READ: Final = 0x01
FLAG_WRITE: Final = 0x02
FLAG_APPEND: Final = 0x04
FLAG_TRUNC: Final = 0x10
FLAGS_CHANGING: Final = 0x02 | 0x04 | 0x08 | 0x10  # write, append, create, truncate

ATTR_SIZE: Final = 0x01
ATTR_OWNER: Final = 0x02
ATTR_MODE: Final = 0x04
ATTR_TIMES: Final = 0x08

OK: Final = 0
EOF: Final = 1
PERMISSION_DENIED: Final = 3
FAILURE: Final = 4
UNSUPPORTED: Final = 8
STATUSES: Final = {
    1: "end of file",
    2: "no such file",
    3: "permission denied",
    4: "failure",
    5: "bad message",
    6: "no connection",
    7: "connection lost",
    8: "operation unsupported",
}

MAX_PACKET: Final = 256 * 1024
"""OpenSSH's own limit for a packet without its length."""
_HEAD: Final = 4


class BadPacket(Exception):
    """A packet that cannot be what it says; the text names what is wrong."""


class Frames:
    """Cuts a stream into packets. Bounded by one packet: a longer one raises `BadPacket` by its length alone."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._need = _HEAD

    @property
    def held(self) -> int:
        """Return how many bytes wait for the rest of their packet."""
        return len(self._rest)

    def take(self, data: bytes) -> bytes:
        """Return all bytes that can be cut into whole packets now, as one piece (perhaps none)."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return b""
            data = bytes(self._rest)
            self._rest.clear()
        at, size = 0, len(data)
        while size - at >= _HEAD:
            length = int.from_bytes(data[at : at + _HEAD], "big")
            if not 1 <= length <= MAX_PACKET:
                raise BadPacket(f"a packet of {length} bytes (1 to {MAX_PACKET} are allowed)")
            if at + _HEAD + length > size:
                self._need = _HEAD + length
                break
            at += _HEAD + length
        else:
            self._need = _HEAD
        if at == size:
            return data
        self._rest += memoryview(data)[at:]
        return data[:at]


def packets(whole: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each packet begins (at its length) and ends in what `Frames.take` returned."""
    at, size = 0, len(whole)
    while at < size:
        end = at + _HEAD + int.from_bytes(whole[at : at + _HEAD], "big")
        yield at, end
        at = end


class Fields:
    """Reads the fields of one packet behind its type. Raises `BadPacket` where they do not fit."""

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self._data = data
        self._at = at
        self._end = end

    def uint32(self) -> int:
        """Return four bytes as a number."""
        return int.from_bytes(self._take(4), "big")

    def uint64(self) -> int:
        """Return eight bytes as a number."""
        return int.from_bytes(self._take(8), "big")

    def string(self) -> bytes:
        """Return a string of any length."""
        return self._take(self.uint32())

    def body(self) -> memoryview:
        """Return a string without a copy."""
        size = self.uint32()
        start = self._at
        self._skip(size)
        return memoryview(self._data)[start : start + size]

    @property
    def left(self) -> int:
        """Return how many bytes follow."""
        return self._end - self._at

    def end(self) -> None:
        """Refuse a packet that goes on."""
        if self.left:
            raise BadPacket(f"a packet with {self.left} bytes too many")

    def _take(self, size: int) -> bytes:
        start = self._at
        self._skip(size)
        return self._data[start : start + size]

    def _skip(self, size: int) -> None:
        if size > self._end - self._at:
            raise BadPacket("a packet that ends before its fields do")
        self._at += size


class Attributes:
    """The ATTRS that a request carries, as far as an audit wants them."""

    def __init__(self, fields: Fields) -> None:
        flags = fields.uint32()
        self.size = fields.uint64() if flags & ATTR_SIZE else None
        self.owner = (fields.uint32(), fields.uint32()) if flags & ATTR_OWNER else None
        self.mode = fields.uint32() if flags & ATTR_MODE else None
        self.times = (fields.uint32(), fields.uint32()) if flags & ATTR_TIMES else None

    def told(self) -> tuple[tuple[str, object], ...]:
        """Return what is set, as an audit names it."""
        found: list[tuple[str, object]] = []
        if self.size is not None:
            found.append(("size", self.size))
        if self.owner is not None:
            found.append(("owner", f"{self.owner[0]}:{self.owner[1]}"))
        if self.mode is not None:
            found.append(("mode", f"{self.mode & 0o7777:04o}"))
        if self.times is not None:
            found.append(("mtime", self.times[1]))
        return tuple(found)


def string(data: bytes) -> bytes:
    """Return a string field."""
    return len(data).to_bytes(4, "big") + data


def packet(kind: int, *fields: bytes) -> bytes:
    """Return a whole packet."""
    body = b"".join(fields)
    return (len(body) + 1).to_bytes(4, "big") + bytes((kind,)) + body


def status(number: int, code: int, text: str) -> bytes:
    """Return a STATUS answer."""
    return packet(STATUS, number.to_bytes(4, "big"), code.to_bytes(4, "big"), string(text.encode(errors="replace")), string(b"en"))
