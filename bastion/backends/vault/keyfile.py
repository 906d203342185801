"""Key files on disk. Never overwrites one and never reads one that others may read."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from bastion.core.errors import Misconfigured

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644
# A key file is tiny; a device or a huge file in its place must not fill memory
MAX_BYTES: Final = 64 * 1024


def write_new(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Write a file that does not exist yet, whole and durably. Raises `FileExistsError`."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            os.fchmod(descriptor, mode)  # whatever the umask is
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        # link, unlike rename, fails when the name is taken: a key is never replaced, and never seen half-written
        path.hardlink_to(part)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()


def read_private(path: Path) -> bytes:
    """Return a private file's content; `Misconfigured` when it is not there, no plain file, or readable by others."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Misconfigured("vault.key", f"The key file {path} cannot be read: {error.strerror}.") from None
    try:
        found = os.fstat(descriptor)
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            raise Misconfigured("vault.key", f"{path} is not a key file.")
        if mode & ~PRIVATE:
            raise Misconfigured(
                "vault.mode",
                f"Others may read the key file {path} (mode {mode:04o}). Make it private: chmod 600 {path}",
            )
        return os.read(descriptor, MAX_BYTES)
    finally:
        os.close(descriptor)
