"""Connections to the database, and what SQLite needs to be safe. Never knows a table.

Reads run on a small pool of connections that cannot write. Writes run one after another on a single connection, each
inside BEGIN IMMEDIATE: the default deferred transactions lose a read-then-write to "database is locked", and SQLite has
one writer anyway. All that is particular to SQLite is in this file and in `migrations`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bastion.core.errors import BastionError, Corrupt, Unavailable

READERS: Final = 4
# How long another process (a command on the host, a backup) may hold the write lock before we give up
BUSY_SECONDS: Final = 10.0


def prepare(engine: sa.Engine, *, writer: bool, foreign_keys: bool = True) -> None:
    """Make every connection of a synchronous engine durable (WAL, FULL), strict and explicit about transactions."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # or the driver would begin transactions of its own, and not for DDL
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute(f"PRAGMA foreign_keys = {int(foreign_keys)}")
        cursor.execute("PRAGMA recursive_triggers = ON")  # REPLACE must not delete past the audit's triggers
        cursor.execute("PRAGMA trusted_schema = OFF")
        if not writer:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")


def sqlite_url(path: Path, driver: str = "aiosqlite") -> sa.URL:
    """Return the URL of a database file."""
    return sa.URL.create(f"sqlite+{driver}", database=str(path))


class Database:
    """A database file: `read()` and `write()` give connections inside a transaction.

    Both raise `Unavailable` (`store.unavailable`) when the database does not answer and `Corrupt` (`store.corrupt`)
    when the file is damaged. A block that ends by an exception changes nothing.
    """

    def __init__(self, path: Path) -> None:
        url = sqlite_url(path)
        self._readers = create_async_engine(url, pool_size=READERS, max_overflow=0, pool_timeout=BUSY_SECONDS)
        self._writer = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=3 * BUSY_SECONDS)
        prepare(self._readers.sync_engine, writer=False)
        prepare(self._writer.sync_engine, writer=True)

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a context with a connection that sees one moment of the database and cannot change it."""
        return _transaction(self._readers)

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a context with the connection that may write; it commits at the end."""
        return _transaction(self._writer)

    async def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Return what a query of the driver's own SQL finds, as it gives it: four times as fast, for long checks."""
        async with self.read() as connection:
            raw = await connection.get_raw_connection()
            driver: Any = raw.driver_connection
            return list(await driver.execute_fetchall(query, values))

    async def close(self) -> None:
        """Close every connection; the last one folds the WAL into the file."""
        await self._readers.dispose()
        await self._writer.dispose()


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    try:
        async with engine.begin() as connection:
            yield connection
    except exc.IntegrityError:
        raise
    except (exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise failure(error) from error


def failure(error: Exception) -> BastionError:
    """Return the family an error of the driver belongs to."""
    cause = getattr(error, "orig", None) or error
    name = getattr(cause, "sqlite_errorname", "")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return Corrupt("store.corrupt", "The bastion's database is damaged.", str(cause))
    return Unavailable("store.unavailable", "The bastion's database does not answer.", str(cause))
