"""Where signed checkpoints are told beside this machine's own files: another file, a syslog. Never judges one.

Whoever can change all of the bastion's files can cut the audit log and its checkpoints alike; what stands elsewhere
shows it. Everything here blocks and belongs in a thread; a witness that cannot be reached is said so, and caught up.
"""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from bastion.backends.store.files import private_file
from bastion.core.audit.checkpoint import read
from bastion.core.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bastion.core.audit.checkpoint import Checkpoint

SYSLOG_PORT: Final = 514
SECONDS: Final = 3.0
_PRIORITY: Final = 13 * 8 + 5  # facility "log audit", severity "notice"
_TAIL: Final = 64 * 1024


class Witness(Protocol):
    """Takes checkpoints, in order."""

    name: str

    def tell(self, points: Sequence[Checkpoint]) -> None:
        """Keep those that it has not got yet. `OSError` when it cannot; it is then told all of them again."""


def chosen(file: Path | None, syslog: str, node: str) -> list[Witness]:
    """Return the witnesses that settings name. Raises `Misconfigured`."""
    told: list[Witness] = [FileWitness(file)] if file is not None else []
    if syslog:
        try:
            told.append(SyslogWitness(syslog, node))
        except ValueError as error:
            raise Misconfigured("settings.invalid", f"audit.syslog: {error}.") from error
    return told


class FileWitness:
    """A file of checkpoints, best on another machine's disk; one that was made stays as it is, lines are added."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def tell(self, points: Sequence[Checkpoint]) -> None:
        """Add a line for each that is newer than the last, and force it to the disk."""
        private_file(self._path)
        with self._path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            content = file.read()
            whole = content.rfind(b"\n") + 1
            lines = content[:whole].splitlines()
            last = read(lines[-1]) if lines else None
            file.seek(size - len(content) + whole)
            file.truncate()
            file.write(b"".join(point.line + b"\n" for point in points if last is None or point.seq > last.seq))
            file.flush()
            os.fsync(file.fileno())


class SyslogWitness:
    """A syslog (RFC 5424) at `udp://HOST[:PORT]`, `tcp://HOST[:PORT]` or a socket's path such as `/dev/log`.

    UDP and /dev/log say nothing of what arrives: the next checkpoint names the one before it, so a gap shows there.
    """

    def __init__(self, address: str, node: str) -> None:
        self.name = address
        self._node = node
        parts = urlsplit(address)
        self._scheme = parts.scheme
        self._where = parts.path if not parts.scheme else (parts.hostname or "", parts.port or SYSLOG_PORT)
        good = (
            parts.path.startswith("/") if not parts.scheme else parts.scheme in ("udp", "tcp") and bool(parts.hostname) and not parts.path
        )
        if not good:
            raise ValueError(f"{address!r} is no syslog: udp://HOST:PORT, tcp://HOST:PORT or /dev/log")
        self._last = 0

    def tell(self, points: Sequence[Checkpoint]) -> None:
        """Send a message for each that was not sent yet."""
        fresh = [point for point in points if point.seq > self._last]
        messages = [self._message(point) for point in fresh]
        if self._scheme == "tcp":
            with socket.create_connection(self._where, SECONDS) as stream:  # type: ignore[arg-type]
                stream.sendall(b"".join(b"%d %b" % (len(message), message) for message in messages))  # RFC 6587
        else:
            with self._datagrams() as link:
                for message in messages:
                    link.send(message)
        if fresh:
            self._last = fresh[-1].seq

    def _datagrams(self) -> socket.socket:
        if isinstance(self._where, str):
            link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            place: object = self._where
        else:
            family, kind, protocol, _, place = socket.getaddrinfo(*self._where, type=socket.SOCK_DGRAM)[0]
            link = socket.socket(family, kind, protocol)
        link.settimeout(SECONDS)
        try:
            link.connect(place)  # type: ignore[arg-type]
        except OSError:
            link.close()
            raise
        return link

    def _message(self, point: Checkpoint) -> bytes:
        stamp = datetime.fromtimestamp(point.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = f"<{_PRIORITY}>1 {stamp} {self._node} bastion {os.getpid()} checkpoint - "
        return head.encode() + point.line
