"""The one way to the plain bytes of a cast, from any place on: plain, packed or encrypted. Never loads it whole."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from bastion.backends.recordings import safe
from bastion.backends.recordings.packed import CAST, CHUNK, ENCRYPTED, PACKED, PackedCast, Unpack, decrypting
from bastion.core.errors import Corrupt, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bastion.backends.recordings.envelope import Identities


def opened_cast(directory: int, offset: int = 0, identities: Identities | None = None) -> Iterator[bytes]:
    """Return the plain bytes of the cast in a folder, from `offset` on, packed or not. `OSError`, `Corrupt`.

    `Unavailable` for an encrypted one without `identities`, `Denied` when they are the wrong ones.
    """
    with suppress(FileNotFoundError):
        return reader(safe.opened(directory, CAST, os.O_RDONLY), offset)
    with suppress(FileNotFoundError):
        return opened_pack(safe.opened(directory, PACKED, os.O_RDONLY), offset)
    descriptor = safe.opened(directory, ENCRYPTED, os.O_RDONLY)
    if identities is None:
        os.close(descriptor)
        raise Unavailable("recording.encrypted", "That recording is encrypted: it takes the age identity of one it is encrypted to.")
    return opened_pack(descriptor, offset, decrypting(identities))


def opened_pack(descriptor: int, offset: int = 0, unpack: Unpack | None = None) -> Iterator[bytes]:
    """Return the plain bytes of a packed cast; takes the descriptor over. `Corrupt`."""
    try:
        return PackedCast(descriptor, unpack).chunks(offset)
    except (Corrupt, OSError):
        os.close(descriptor)
        raise


def reader(descriptor: int, offset: int) -> Iterator[bytes]:
    """Yield an open file from `offset` on, then close it. `Corrupt` when the disk fails."""
    try:
        while data := os.pread(descriptor, CHUNK, offset):
            yield data
            offset += len(data)
    except OSError as error:
        raise Corrupt("recording.unreadable", f"The recording cannot be read: {_reason(error)}.") from error
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return (os.strerror(error.errno) if error.errno else str(error)).lower()
