"""Opening the store: one database file and the audit's folder beside it. Never runs with files that others may read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bastion.backends.store import migrations
from bastion.backends.store.annotations import SqlAnnotations
from bastion.backends.store.audit import SqlAudit
from bastion.backends.store.credentials import SqlCredentials
from bastion.backends.store.endpoints import SqlEndpoints
from bastion.backends.store.engine import Database, sqlite_url
from bastion.backends.store.files import private_file, private_folder
from bastion.backends.store.preferences import SqlPreferences
from bastion.backends.store.sessions import SqlSessions
from bastion.backends.store.users import SqlUsers
from bastion.backends.store.witness import Witness
from bastion.core.audit.checkpoint import EVERY_SECONDS, Signer, Verifier
from bastion.core.values import NAME
from bastion.services.ports import Clock


class _SystemClock:
    """The machine's time, for whoever opens a store without a clock of their own."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True, slots=True)
class Store:
    """The repositories on one database. `async with` closes it."""

    database: Database
    users: SqlUsers
    endpoints: SqlEndpoints
    credentials: SqlCredentials
    sessions: SqlSessions
    preferences: SqlPreferences
    annotations: SqlAnnotations
    audit: SqlAudit

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Write and sign what the audit still holds, then close the database."""
        try:
            await self.audit.close()
        finally:
            await self.database.close()


async def open_store(
    path: Path,
    *,
    node: str = "main",
    clock: Clock | None = None,
    signer: Signer | None = None,
    verifier: Verifier | None = None,
    checkpoint_seconds: float = EVERY_SECONDS,
    witnesses: Sequence[Witness] = (),
) -> Store:
    """Open the database file at `path`, making it, its folder and its tables when they are not there.

    With a `signer` this process becomes the one writer of the node's audit log, in `audit/NODE/` beside the file;
    without one the log can be read, and verified if a `verifier` is given. Raises `Misconfigured` when others may read
    the files, `Unavailable` when the database does not answer or another process writes the log.
    """
    if not NAME.fullmatch(node):
        raise ValueError(f"not a node's name: {node!r}")
    await asyncio.to_thread(_prepare, path)
    database = Database(path)
    try:
        await _bring_up_to_date(database, path)
        audit = SqlAudit(
            database,
            path.parent / "audit" / node,
            node=node,
            clock=clock or _SystemClock(),
            signer=signer,
            verifier=verifier,
            every_seconds=checkpoint_seconds,
            witnesses=witnesses,
        )
        if signer is not None:
            await audit.open()
    except BaseException:
        await database.close()
        raise
    return Store(
        database,
        SqlUsers(database),
        SqlEndpoints(database),
        SqlCredentials(database),
        SqlSessions(database),
        SqlPreferences(database),
        SqlAnnotations(database),
        audit,
    )


def _prepare(path: Path) -> None:
    private_folder(path.parent)
    private_folder(path.parent / "audit")
    # SQLite gives its -wal and -shm files the mode of the database
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        if name == path or name.exists():
            private_file(name)


async def _bring_up_to_date(database: Database, path: Path) -> None:
    async with database.read() as connection:
        found = await connection.run_sync(migrations.revision)
    if found != migrations.HEAD:
        migrations.refuse_future(found)
        await asyncio.to_thread(migrations.migrate, sqlite_url(path, "pysqlite"))
