"""Tags and notes of recordings in the database. Never knows who may write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from bastion.backends.store.engine import Database
from bastion.backends.store.tables import recording_notes, recording_tags
from bastion.services.record_ports import RecordingNote


class SqlAnnotations:
    """The `Annotations` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tag(self, session_id: str, add: Sequence[str], remove: Sequence[str], by: str, at: float) -> Sequence[str]:
        """Add and take away tags; return those it has then."""
        mine = recording_tags.c.session_id == session_id
        async with self._database.write() as connection:
            await connection.execute(sa.delete(recording_tags).where(mine, recording_tags.c.tag.in_(list(remove))))
            there = set((await connection.execute(sa.select(recording_tags.c.tag).where(mine))).scalars())
            new = [{"session_id": session_id, "tag": tag, "by": by, "at": at} for tag in dict.fromkeys(add) if tag not in there]
            if new:
                await connection.execute(sa.insert(recording_tags), new)
        return sorted(there.union(add))

    async def tags(self, session_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the tags of each of these that has any, sorted."""
        found: dict[str, list[str]] = {}
        async with self._database.read() as connection:
            for first in range(0, len(session_ids), 500):  # a statement takes only so many values
                part = list(session_ids[first : first + 500])
                query = sa.select(recording_tags.c.session_id, recording_tags.c.tag).where(recording_tags.c.session_id.in_(part))
                for session_id, tag in await connection.execute(query.order_by(recording_tags.c.tag)):
                    found.setdefault(session_id, []).append(tag)
        return found

    async def all_tags(self) -> Sequence[str]:
        """Return every tag in use, sorted."""
        async with self._database.read() as connection:
            return list((await connection.execute(sa.select(recording_tags.c.tag).distinct().order_by(recording_tags.c.tag))).scalars())

    async def note(self, note: RecordingNote) -> None:
        """Keep a note."""
        mine = recording_notes.c.session_id == note.session_id
        async with self._database.write() as connection:
            last = (await connection.execute(sa.select(sa.func.max(recording_notes.c.number)).where(mine))).scalar()
            values = {"session_id": note.session_id, "number": (last or 0) + 1, "at": note.at, "by": note.by, "text": note.text}
            await connection.execute(sa.insert(recording_notes), values)

    async def notes(self, session_id: str) -> Sequence[RecordingNote]:
        """Return a recording's notes, oldest first."""
        table = recording_notes.c
        query = sa.select(table.session_id, table.at, table.by, table.text).where(table.session_id == session_id).order_by(table.number)
        async with self._database.read() as connection:
            return [RecordingNote(*row) for row in await connection.execute(query)]
