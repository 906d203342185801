"""Where checkpoints are kept: a file that may be copied elsewhere, and a table. Never signs or judges one.

The file is written first. Blocking calls on the file belong in a thread.
"""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy as sa

from bastion.backends.store.engine import Database
from bastion.backends.store.files import private_file
from bastion.backends.store.tables import audit_checkpoints
from bastion.core.audit.checkpoint import Checkpoint, read

# The last lines, to compare at start; a checkpoint's line has some 350 bytes
_TAIL_BYTES = 64 * 1024


class CheckpointFile:
    """The export: one checkpoint a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[bytes]:
        """Return every whole line, without newlines; nothing when there is no file."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        return content.split(b"\n")[:-1]

    def tail(self) -> list[bytes]:
        """Cut off a line that a crash left without end, and return the last whole ones."""
        private_file(self.path)
        with self.path.open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            begin = max(0, size - _TAIL_BYTES)
            file.seek(begin)
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(begin + whole)
                os.fsync(file.fileno())
        lines = content[:whole].split(b"\n")[:-1]
        return lines[1:] if begin else lines

    def append(self, point: Checkpoint) -> None:
        """Add a line and force it to the disk."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            size = os.fstat(descriptor).st_size
            try:
                view = memoryview(point.line + b"\n")
                while view:
                    view = view[os.write(descriptor, view) :]
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)


async def stored_lines(database: Database, node: str) -> list[bytes]:
    """Return the table's lines, in order."""
    wanted = sa.select(audit_checkpoints.c.line).where(audit_checkpoints.c.node == node)
    async with database.read() as connection:
        rows = await connection.execute(wanted.order_by(audit_checkpoints.c.seq))
        return [row.line.encode() for row in rows]


async def last_stored(database: Database, node: str) -> int:
    """Return the entry of the table's last checkpoint (0: none)."""
    wanted = sa.select(sa.func.max(audit_checkpoints.c.seq)).where(audit_checkpoints.c.node == node)
    async with database.read() as connection:
        return await connection.scalar(wanted) or 0


async def store(database: Database, points: list[Checkpoint]) -> None:
    """Add checkpoints to the table."""
    rows = [{"node": point.node, "seq": point.seq, "line": point.line.decode()} for point in points]
    async with database.write() as connection:
        await connection.execute(sa.insert(audit_checkpoints), rows)


async def reconcile(database: Database, tail: list[bytes], node: str) -> tuple[int, str]:
    """Store what a crash left in the file alone; return the last checkpoint's entry and a notice ("": all well)."""
    held = await last_stored(database, node)
    points = [read(line) for line in tail]
    good = [point for point in points if point is not None and point.node == node]
    newest = good[-1].seq if good else 0
    missing = [point for point in good if point.seq > held]
    if missing:
        await store(database, missing)
    if len(good) < len(points):
        return max(held, newest), "the file of checkpoints holds lines that cannot be read"
    if newest < held:
        return held, f"the file of checkpoints ends at entry {newest}, the database's table at {held}"
    return newest, ""
