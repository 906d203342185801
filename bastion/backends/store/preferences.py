"""What the menu remembers of a person, in the database. Never more than favourites and last use."""

from __future__ import annotations

import sqlalchemy as sa

from bastion.backends.store.engine import Database
from bastion.backends.store.tables import preferences, users


class SqlPreferences:
    """The `Preferences` port. What is told about a user who is gone is forgotten at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def used(self, user_id: str, endpoint: str, at: float) -> None:
        """Remember that they connected there."""
        await self._put(user_id, endpoint, {"last_used_at": at})

    async def set_favourite(self, user_id: str, endpoint: str, favourite: bool) -> None:  # noqa: FBT001
        """Mark or unmark a favourite."""
        await self._put(user_id, endpoint, {"favourite": favourite})

    async def of(self, user_id: str) -> dict[str, tuple[bool, float | None]]:
        """Return endpoint name -> (favourite, last used)."""
        async with self._database.read() as connection:
            rows = await connection.execute(sa.select(preferences).where(preferences.c.user_id == user_id))
            return {row.endpoint: (row.favourite, row.last_used_at) for row in rows}

    async def _put(self, user_id: str, endpoint: str, change: dict[str, object]) -> None:
        same = sa.and_(preferences.c.user_id == user_id, preferences.c.endpoint == endpoint)
        async with self._database.write() as connection:
            done = await connection.execute(sa.update(preferences).where(same), change)
            if done.rowcount:
                return
            if await connection.scalar(sa.select(users.c.id).where(users.c.id == user_id)) is not None:
                first = {"user_id": user_id, "endpoint": endpoint, "favourite": False, "last_used_at": None}
                await connection.execute(sa.insert(preferences), first | change)
