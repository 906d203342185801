"""Opens files below a folder that is ours: never through a link, never a device, never wider than 0600/0700."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # a FIFO must not hold us at open


@contextmanager
def folder(root: str, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """Give an open descriptor of ROOT/PARTS. `create` makes what is missing."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=descriptor)
            inner = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def sync_folders(root: str, parts: Sequence[str]) -> None:
    """Make the entries of ROOT and of every folder on the way to ROOT/PARTS durable."""
    for depth in range(len(parts) + 1):
        with folder(root, parts[:depth]) as descriptor:
            os.fsync(descriptor)


def opened(directory: int, name: str, flags: int) -> int:
    """Return a descriptor of the regular file `name`. `OSError` (ELOOP, EINVAL) when it is anything else."""
    descriptor = os.open(name, flags | _FILE, 0o600, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", name)
    return descriptor


def write_whole(directory: int, name: str, data: bytes) -> None:
    """Put `data` at `name`, durably and all or nothing."""
    scratch = f".{name}.new"
    descriptor = opened(directory, scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(scratch, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)
