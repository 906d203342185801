"""A folder of `*.yaml` that makes one policy. Never follows anything but regular files, never looks into subfolders."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from bastion.backends.policies.document import MAX_BYTES, read_document
from bastion.core.access.build import build
from bastion.core.access.policy import Policy
from bastion.core.access.source import Document, Place, PolicyWarning
from bastion.core.errors import Misconfigured

_MAX_FILES: Final = 1000
_MAX_TOTAL: Final = 8_000_000  # bytes; read in about five seconds, and far above what `build` takes
Fingerprint = tuple[tuple[str, int, int, int, int], ...]


class PolicyFolder:
    """Where the policy is kept (the port `services.policies.PolicySource`). Its methods block: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> tuple[Policy, list[PolicyWarning]]:
        """Return the policy and warnings; raises `Misconfigured` (`policy.*`) with file and line."""
        return load_policy(self.folder)

    def fingerprint(self) -> Fingerprint:
        """Return what changes when a file does: name, inode, size, both times. Empty when the folder cannot be read."""
        found = []
        try:
            for path in sorted(_files(self.folder)):
                status = path.stat()
                found.append((path.name, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        except OSError:
            return ()
        return tuple(found)


def load_policy(folder: Path) -> tuple[Policy, list[PolicyWarning]]:
    """Return the policy that all `*.yaml` of the folder make together, and warnings. Raises `Misconfigured` (`policy.*`)."""
    documents, warnings = read_folder(folder)
    policy, more = build(documents)
    return policy, warnings + more


def read_folder(folder: Path) -> tuple[list[Document], list[PolicyWarning]]:
    """Return the folder's documents by name, and warnings about files that were left out."""
    try:
        paths = sorted(_files(folder))
        strays = sorted(path for path in folder.glob("*.yml") if not path.name.startswith("."))
    except OSError as error:
        raise Misconfigured("policy.unreadable", f"{folder}: {error.strerror or error}") from error
    if not paths:
        raise Misconfigured("policy.none", f"{folder}: there is no *.yaml here; without a policy nobody may do anything")
    if len(paths) > _MAX_FILES:
        raise Misconfigured("policy.too_large", f"{folder}: more than {_MAX_FILES} files")
    warnings = [PolicyWarning(Place(_name(path), 1), "not read: a policy's file ends in .yaml") for path in strays]
    documents, total = [], 0
    for path in paths:
        raw = _bytes(path)
        total += len(raw)
        if total > _MAX_TOTAL:
            raise Misconfigured(
                "policy.too_large", f"{_name(path)}:1: the files of the folder have more than {_MAX_TOTAL:,} bytes together"
            )
        documents.append(read_document(_name(path), raw))
    return documents, warnings


def _files(folder: Path) -> list[Path]:
    # hidden files are editors' locks and half-saved copies
    return [path for path in folder.iterdir() if path.suffix == ".yaml" and not path.name.startswith(".")]


def _name(path: Path) -> str:
    """Return how messages call a file: as it was given, shown safely."""
    text = str(path)
    return text if text.isprintable() else ascii(text)[1:-1]


def _bytes(path: Path) -> bytes:
    """Read a regular file, and never more of it than is too much."""
    try:
        # not blocking: a FIFO called x.yaml must not hold the start for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Misconfigured("policy.unreadable", f"{_name(path)}:1: not a regular file")
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Misconfigured("policy.unreadable", f"{_name(path)}:1: {error.strerror or error}") from error
