"""Recordings as somebody with an age identity reads them. Never writes anything decrypted."""

from __future__ import annotations

import errno
import os
from typing import Final

from bastion.backends.recordings import safe
from bastion.backends.recordings.folder import REPEATING, RecordingFolder, SideFile

_SIDE_BYTES: Final = 16 * 1024 * 1024


class UnlockedFolder(RecordingFolder):
    """The folder for somebody who holds an identity: reads what is encrypted, writes nothing."""

    def append_side(self, session_id: str, name: str, data: bytes) -> None:
        """Refuse: what is made from an encrypted recording must not lie beside it."""
        if self.is_encrypted(session_id):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        super().append_side(session_id, name, data)

    def open_side(self, session_id: str, name: str) -> SideFile | _Decrypted | None:  # type: ignore[override]
        """Open a side file for reading, decrypted where it is encrypted."""
        found = super().open_side(session_id, name)
        if found is not None or name not in REPEATING or self.identities is None:
            return found
        try:
            with safe.folder(self.root, self.found(session_id)) as directory:
                descriptor = safe.opened(directory, f"{name}.age", os.O_RDONLY)
                with os.fdopen(descriptor, "rb") as file:
                    data = self.identities.decrypt(file.read(_SIDE_BYTES))
        except OSError:
            return None
        return None if data is None else _Decrypted(data)


class _Decrypted:
    """A decrypted side file in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def pread(self, size: int, offset: int) -> bytes:
        """Return at most `size` bytes from `offset`."""
        return self._data[offset : offset + size]

    def close(self) -> None:
        """Forget it."""
        self._data = b""
