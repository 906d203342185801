"""Files that nobody else may read. Never loosens or silently mends a mode: a wider one is the operator's to judge."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bastion.core.errors import Misconfigured

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def private_folder(path: Path) -> None:
    """Make the folder (0700) if it is not there; raise `Misconfigured` when others may enter it."""
    try:
        path.mkdir(mode=FOLDER_MODE, parents=True)
    except FileExistsError:
        refuse_wider(path, FOLDER_MODE)
    else:
        path.chmod(FOLDER_MODE)


def private_file(path: Path) -> None:
    """Make an empty file (0600) if it is not there; raise `Misconfigured` when others may read it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE))
    except FileExistsError:
        refuse_wider(path, FILE_MODE)
    else:
        path.chmod(FILE_MODE)
        sync_folder(path.parent)


def refuse_wider(path: Path, allowed: int) -> None:
    """Raise `Misconfigured` when `path` is a link, is not ours, or has permission bits beyond `allowed`."""
    found = path.lstat()
    mode = stat.S_IMODE(found.st_mode)
    wanted = stat.S_ISDIR if allowed == FOLDER_MODE else stat.S_ISREG
    kind = "folder" if allowed == FOLDER_MODE else "file"
    if not wanted(found.st_mode):
        raise Misconfigured("store.mode", f"{path} must be a plain {kind}.")
    if mode & ~allowed:
        raise Misconfigured("store.mode", f"Others may read {path} (mode {mode:04o}). Make it private: chmod {allowed:o} {path}")


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
