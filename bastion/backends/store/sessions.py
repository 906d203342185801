"""The list of sessions and stays in the database. Never knows whether one still lives: its node says so."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from bastion.backends.store.engine import Database
from bastion.backends.store.tables import audit_entries, farewells, participants, recording_tags, sessions
from bastion.core.errors import Conflict, Missing
from bastion.services.ids import read as read_id
from bastion.services.ports import Farewell, ParticipantRecord, SessionFilter, SessionRecord


class SqlSessions:
    """The `Sessions` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, record: SessionRecord) -> None:
        """Insert or replace the record with that id."""
        await self._put(sessions, {column.name: getattr(record, column.name) for column in sessions.c})

    async def get(self, prefix: str) -> SessionRecord:
        """Return the session whose id starts so (capitals do not matter); `Missing` for none, `Conflict` for several."""
        begin = read_id(prefix)
        if not begin.isalnum() or not begin.isascii():
            raise Missing("session.missing", f"There is no session {prefix[:64]!a}.")
        # A range, not LIKE: it uses the primary key's index everywhere and knows no wildcards
        end = begin[:-1] + chr(ord(begin[-1]) + 1)
        wanted = sa.select(sessions).where(sessions.c.id >= begin, sessions.c.id < end).order_by(sessions.c.id).limit(2)
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        if not rows:
            raise Missing("session.missing", f"There is no session {prefix[:64]!a}.")
        if len(rows) > 1 and rows[0]["id"] != begin:
            raise Conflict("session.ambiguous", f"Several sessions start with {begin!a}: give more of the id.")
        return SessionRecord(**rows[0])

    async def find(self, wanted: SessionFilter) -> Sequence[SessionRecord]:
        """Return matching sessions, newest first; `since` and `until` are about their start."""
        query = sa.select(sessions)
        if wanted.user:
            query = query.where(sessions.c.user == wanted.user)
        if wanted.endpoint:
            query = query.where(sessions.c.endpoint == wanted.endpoint)
        if wanted.live is not None:
            query = query.where(sessions.c.ended_at.is_(None) if wanted.live else sessions.c.ended_at.is_not(None))
        if wanted.since is not None:
            query = query.where(sessions.c.started_at >= wanted.since)
        if wanted.until is not None:
            query = query.where(sessions.c.started_at < wanted.until)
        query = query.where(*_more(wanted)).order_by(sessions.c.started_at.desc(), sessions.c.id.desc())
        return await self._sessions(query.limit(max(0, wanted.limit)).offset(max(0, wanted.skip)))

    async def save_participant(self, record: ParticipantRecord) -> None:
        """Insert or replace one stay."""
        await self._put(participants, {column.name: getattr(record, column.name) for column in participants.c})

    async def participants(self, session_id: str) -> Sequence[ParticipantRecord]:
        """Return the stays of a session, in order of joining."""
        query = sa.select(participants).where(participants.c.session_id == session_id)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(participants.c.joined_at, participants.c.participant_id))
            return [ParticipantRecord(**row) for row in rows.mappings()]

    async def save_farewell(self, farewell: Farewell) -> None:
        """Keep it until its owner is told."""
        await self._put(farewells, {column.name: getattr(farewell, column.name) for column in farewells.c})

    async def take_farewells(self, user_id: str) -> Sequence[Farewell]:
        """Return what is to be told to that person, oldest first, and forget it."""
        theirs = farewells.c.user_id == user_id
        async with self._database.write() as connection:
            rows = (await connection.execute(sa.select(farewells).where(theirs).order_by(farewells.c.at))).mappings().all()
            if rows:
                await connection.execute(sa.delete(farewells).where(theirs))
        return [Farewell(**row) for row in rows]

    async def orphans(self, node: str) -> Sequence[SessionRecord]:
        """Return that node's sessions that never ended (it crashed), oldest first."""
        query = sa.select(sessions).where(sessions.c.ended_at.is_(None), sessions.c.node == node)
        return await self._sessions(query.order_by(sessions.c.started_at, sessions.c.id))

    async def _sessions(self, query: sa.Select[tuple[object, ...]]) -> list[SessionRecord]:
        async with self._database.read() as connection:
            return [SessionRecord(**row) for row in (await connection.execute(query)).mappings()]

    async def _put(self, table: sa.Table, values: dict[str, object]) -> None:
        same = [column == values[column.name] for column in table.primary_key]
        async with self._database.write() as connection:
            done = await connection.execute(sa.update(table).where(*same), values)
            if not done.rowcount:
                await connection.execute(sa.insert(table), values)


def _more(wanted: SessionFilter) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that only lists of recordings have."""
    lasted = sessions.c.ended_at - sessions.c.started_at
    found: list[sa.ColumnElement[bool]] = []
    if wanted.recorded:
        found.append(sessions.c.recording != "")
    if wanted.reason:
        found.append(sessions.c.reason == wanted.reason)
    if wanted.longer is not None:
        found.append(lasted >= wanted.longer)
    if wanted.shorter is not None:
        found.append(lasted <= wanted.shorter)
    if wanted.participant:
        there = participants.c.user == wanted.participant
        found.append(sessions.c.id.in_(sa.select(participants.c.session_id).where(there)))
    if wanted.tag:
        found.append(sessions.c.id.in_(sa.select(recording_tags.c.session_id).where(recording_tags.c.tag == wanted.tag)))
    if wanted.handed_over is not None:
        moved = sa.select(audit_entries.c.seq).where(
            audit_entries.c.node == sessions.c.node, audit_entries.c.session == sessions.c.id, audit_entries.c.code == "control.moved"
        )
        found.append(moved.exists() if wanted.handed_over else ~moved.exists())
    return found
