"""The `SearchIndex` port on SQLite. One connection writes, one reads; both are used in threads, one call at a time.

Never keeps what cannot be made again: a damaged or older file is thrown away and the casts are indexed anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from bastion.backends.search.schema import BLOCK_SECONDS, TABLES, TICKS, VERSION, blocks, grams, read_marks
from bastion.core.errors import BastionError, Misconfigured, Unavailable
from bastion.core.recording.glean import Mark
from bastion.core.recording.lines import Line
from bastion.core.recording.search import Found, Hit, IndexState, Portion, Wanted, spot

_T = TypeVar("_T")
_MODE: Final = 0o600
_BUSY_MILLISECONDS: Final = 10_000
_CACHE_KIB: Final = 16 * 1024
_MOST_FLOODS: Final = 100  # stretches kept of one recording
_LOOK_AT_CLOCK: Final = 64  # candidates between two looks
_END: Final = 1 << 62
_MATCHING: Final = """SELECT b.id, b.recording, b.typed FROM grams g CROSS JOIN blocks b ON b.id = g.rowid
    WHERE g.grams MATCH ? AND g.rowid BETWEEN ? AND ? AND (? IS NULL OR b.typed = ?) ORDER BY g.rowid DESC"""
_ALL: Final = """SELECT b.id, b.recording, b.typed FROM blocks b
    WHERE b.id BETWEEN ? AND ? AND (? IS NULL OR b.typed = ?) ORDER BY b.id DESC"""


class SqliteIndex:
    """The index in the file at `path`, made (0600) when it is missing. `Misconfigured` when others may read it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._closed = False
        self._writer = self._opened()
        self._reader = self._connect(writer=False)

    # ------------------------------------------------------------ the port

    async def add(self, portions: Sequence[Portion]) -> None:
        """Store the portions with their marks in one transaction."""
        await self._writing(lambda connection: self._add(connection, portions))

    async def unfinished(self) -> Mapping[str, Mark]:
        """Return the recordings of which more follows, with the place to go on."""
        rows = await self._reading(lambda one: one.execute("SELECT session, mark FROM recordings WHERE done = 0").fetchall())
        return {session: _read_mark(mark) for session, mark in rows}

    async def known(self, sessions: Sequence[str]) -> frozenset[str]:
        """Return which of these have any portion."""
        query = "SELECT session FROM recordings WHERE session IN (SELECT value FROM json_each(?))"
        rows = await self._reading(lambda one: one.execute(query, (json.dumps(list(sessions)),)).fetchall())
        return frozenset(session for (session,) in rows)

    async def endpoints(self) -> frozenset[str]:
        """Return the names of all endpoints that recordings here are of."""
        rows = await self._reading(lambda one: one.execute("SELECT DISTINCT endpoint FROM recordings").fetchall())
        return frozenset(name for (name,) in rows)

    async def find(self, wanted: Wanted) -> Found:
        """Look for a text, newest first."""
        return await self._reading(lambda connection: self._find(connection, wanted))

    async def remove(self, session: str) -> None:
        """Forget a recording's lines."""
        await self._writing(lambda connection: self._remove(connection, session))

    async def state(self) -> IndexState:
        """Return how large it is."""
        query = "SELECT count(*), coalesce(sum(lines), 0), coalesce(sum(floods <> '[]'), 0) FROM recordings"
        row = await self._reading(lambda connection: connection.execute(query).fetchone())
        return IndexState(row[0], row[1], row[2], sum(one.stat().st_size for one in self._files() if one.exists()))

    async def close(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._close)

    # ------------------------------------------------------------ opening

    def _opened(self) -> sqlite3.Connection:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _MODE))
        if self._path.is_symlink() or self._path.stat().st_mode & 0o077:
            raise Misconfigured("search.mode", f"Others may read {self._path}, or it is a link. Make it private: chmod 600 {self._path}")
        connection = sqlite3.connect(":memory:")
        try:
            connection = self._connect(writer=True)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if version == VERSION:
                return connection
        except sqlite3.DatabaseError as error:
            if not _damaged(error):
                raise _failure(error) from error
            tables = 1
        if tables:
            connection.close()
            for one in self._files():
                one.unlink(missing_ok=True)
            return self._opened()
        with _transaction(connection):
            for statement in TABLES:
                connection.execute(statement)
        return connection

    def _connect(self, *, writer: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may take the newest portions, with their marks
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA trusted_schema = OFF")
        if not writer:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA mmap_size = 1073741824")  # the kernel's pages as they are: large reads cost no copy
        return connection

    def _files(self) -> list[Path]:
        return [self._path.with_name(self._path.name + end) for end in ("", "-wal", "-shm")]

    def _close(self) -> None:
        with self._write_lock, self._read_lock:
            self._closed = True
            self._reader.close()
            self._writer.close()

    async def _writing(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        return await asyncio.to_thread(self._do, self._write_lock, lambda: work(self._writer))

    async def _reading(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        return await asyncio.to_thread(self._do, self._read_lock, lambda: work(self._reader))

    def _do(self, lock: threading.Lock, work: Callable[[], _T]) -> _T:
        with lock:
            if self._closed:
                raise Unavailable("search.closed", "The search index is closed.")
            try:
                return work()
            except sqlite3.Error as error:
                raise _failure(error) from error

    # ------------------------------------------------------------ writing

    def _add(self, connection: sqlite3.Connection, portions: Sequence[Portion]) -> None:
        with _transaction(connection):
            found = []
            for portion in portions:
                number = self._recording(connection, portion)
                found += [(block, number) for block in blocks(portion.lines, portion.started_at)]
            found.sort(key=lambda one: one[0].at)  # FTS5 writes a segment each time that numbers go back
            for block, number in found:
                place = _free_number(connection, int(block.at * TICKS))
                connection.execute("INSERT INTO blocks VALUES (?, ?, ?)", (place, number, block.typed))
                connection.execute("INSERT INTO texts VALUES (?, ?, ?)", (place, block.text, block.marks))
                connection.execute("INSERT INTO grams (rowid, text) VALUES (?, ?)", (place, block.text.casefold()))

    def _recording(self, connection: sqlite3.Connection, portion: Portion) -> int:
        """Write down how far the recording is told; return its number."""
        connection.execute(
            "INSERT INTO recordings (session, user, endpoint, started_at, mark, done, lines, floods) VALUES (?, ?, ?, ?, ?, 0, 0, '[]')"
            " ON CONFLICT (session) DO NOTHING",
            (portion.session, portion.user, portion.endpoint, portion.started_at, json.dumps(Mark())),
        )
        query = "SELECT id, floods, mark FROM recordings WHERE session = ?"
        number, floods, mark = connection.execute(query, (portion.session,)).fetchone()
        floods = json.dumps((json.loads(floods) + [list(flood) for flood in portion.floods])[:_MOST_FLOODS])
        if portion.mark is not None:
            mark = json.dumps(portion.mark)
        query = "UPDATE recordings SET mark = ?, floods = ?, lines = lines + ?, done = done OR ? WHERE id = ?"
        connection.execute(query, (mark, floods, len(portion.lines), portion.done, number))
        return int(number)

    def _remove(self, connection: sqlite3.Connection, session: str) -> None:
        with _transaction(connection):
            query = (
                "SELECT t.id, t.text FROM recordings r JOIN blocks b ON b.recording = r.id JOIN texts t ON t.id = b.id WHERE r.session = ?"
            )
            for place, text in connection.execute(query, (session,)).fetchall():
                connection.execute("INSERT INTO grams (grams, rowid, text) VALUES ('delete', ?, ?)", (place, text.casefold()))
                connection.execute("DELETE FROM texts WHERE id = ?", (place,))
                connection.execute("DELETE FROM blocks WHERE id = ?", (place,))
            connection.execute("DELETE FROM recordings WHERE session = ?", (session,))

    # ------------------------------------------------------------ finding

    def _find(self, connection: sqlite3.Connection, wanted: Wanted) -> Found:
        deadline = time.monotonic() + wanted.seconds
        folded = wanted.text if wanted.case else wanted.text.casefold()
        owners = _owners(connection, wanted)
        if not folded or not owners:
            return Found(())
        hits: list[Hit] = []
        places = _candidates(connection, wanted, grams(wanted.text.casefold()))
        for count, (place, recording, typed) in enumerate(places, 1):
            if recording in owners:
                if hits and len(hits) > wanted.limit and place / TICKS + BLOCK_SECONDS < hits[-1].at:
                    break
                found = _within(connection, place, owners[recording], wanted, folded, typed=typed)
                if found:
                    hits = sorted([*hits, *found], key=lambda hit: hit.at, reverse=True)[: wanted.limit + 1]
            if count % _LOOK_AT_CLOCK == 0 and time.monotonic() > deadline:
                return Found(hits[: wanted.limit], len(hits) > wanted.limit, place / TICKS)
        return Found(hits[: wanted.limit], len(hits) > wanted.limit)


_Owner = tuple[str, str, str, float]


def _owners(connection: sqlite3.Connection, wanted: Wanted) -> dict[int, _Owner]:
    """Return the recordings that count, by number."""
    query = "SELECT id, session, user, endpoint, started_at FROM recordings WHERE endpoint IN (SELECT value FROM json_each(?))"
    values: list[object] = [json.dumps(sorted(wanted.endpoints))]
    for column, value in (("user", wanted.user), ("session", wanted.session)):
        if value:
            query += f" AND {column} = ?"
            values.append(value)
    if wanted.until is not None:
        query += " AND started_at < ?"
        values.append(wanted.until)
    return {number: (session, user, endpoint, at) for number, session, user, endpoint, at in connection.execute(query, values)}


def _candidates(connection: sqlite3.Connection, wanted: Wanted, query: str) -> Iterator[tuple[int, int, bool]]:
    """Yield (number, recording, typed) of the blocks that may have it, newest first; all of them for a short text."""
    first = 0 if wanted.since is None else int((wanted.since - BLOCK_SECONDS) * TICKS) - TICKS
    last = _END if wanted.until is None else int(wanted.until * TICKS) + TICKS
    kind = None if wanted.typed is None else int(wanted.typed)
    if query:
        rows = connection.execute(_MATCHING, (query, first, last, kind, kind))
    else:
        rows = connection.execute(_ALL, (first, last, kind, kind))
    return iter(rows)


def _within(connection: sqlite3.Connection, place: int, owner: _Owner, wanted: Wanted, folded: str, *, typed: bool) -> list[Hit]:
    """Return the hits in one block."""
    text, marks = connection.execute("SELECT text, marks FROM texts WHERE id = ?", (place,)).fetchone()
    if folded not in (text if wanted.case else text.casefold()):
        return []
    session, user, endpoint, started_at = owner
    found = []
    for line, (at, row, by) in zip(text.split("\n"), read_marks(marks), strict=True):
        where = spot(line, folded, case=wanted.case)
        if where is None:
            continue
        hit = Hit(session, user, endpoint, started_at, Line(at, -1 if typed else row, by, line), *where)
        if (wanted.since is None or hit.at >= wanted.since) and (wanted.until is None or hit.at < wanted.until):
            found.append(hit)
    return found


def _free_number(connection: sqlite3.Connection, wanted: int) -> int:
    """Return the first number from `wanted` on that no block has: within a sixteenth of a second there may be many."""
    while connection.execute("SELECT 1 FROM blocks WHERE id = ?", (wanted,)).fetchone():
        wanted += 1
    return wanted


def _read_mark(text: str) -> Mark:
    offset, at, held, typed, until = json.loads(text)
    return Mark(offset, at, held, (typed[0], typed[1], typed[2]), until)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _damaged(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _failure(error: sqlite3.Error) -> BastionError:
    what = "is damaged: stop the bastion and remove it, it is then made again" if _damaged(error) else "does not answer"
    return Unavailable("search.unavailable", f"The search index {what}.", str(error))
