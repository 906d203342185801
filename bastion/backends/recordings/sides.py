"""Side files opened for reading. Never writes one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from bastion.backends.recordings.envelope import Identities

_LONGEST: Final = 16 * 1024 * 1024


class SideFile:
    """A side file opened for reading."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def pread(self, size: int, offset: int) -> bytes:
        """Return at most `size` bytes from `offset`."""
        return os.pread(self._descriptor, size, offset)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


class DecryptedSide:
    """A decrypted side file, in memory only."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    @classmethod
    def opened(cls, descriptor: int, identities: Identities) -> Self | None:
        """Decrypt an age file (at most 16 MiB), and close it; None when it is damaged."""
        with os.fdopen(descriptor, "rb") as file:
            data = identities.decrypt(file.read(_LONGEST))
        return None if data is None else cls(data)

    def pread(self, size: int, offset: int) -> bytes:
        """Return at most `size` bytes from `offset`."""
        return self._data[offset : offset + size]

    def close(self) -> None:
        """Forget it."""
        self._data = b""
