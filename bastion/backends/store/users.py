"""Accounts and their keys in the database. Never decides who may log in."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from bastion.backends.store.engine import Database
from bastion.backends.store.tables import user_keys, users
from bastion.core.errors import Conflict, Missing
from bastion.core.identity import User, UserKey


class SqlUsers:
    """The `Users` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user: User) -> None:
        """Store a new account; `Conflict` when the name (or id) is taken."""
        try:
            async with self._database.write() as connection:
                await connection.execute(sa.insert(users), {"id": user.id, "created_at": user.created_at} | _columns(user))
        except sa.exc.IntegrityError:
            raise _taken(user) from None

    async def get(self, name: str) -> User | None:
        """Return the account of that name."""
        return await self._one(users.c.name == name)

    async def by_id(self, user_id: str) -> User | None:
        """Return the account with that id."""
        return await self._one(users.c.id == user_id)

    async def all(self) -> Sequence[User]:
        """Return every account, by name."""
        async with self._database.read() as connection:
            rows = await connection.execute(sa.select(users).order_by(users.c.name))
            return [_user(row) for row in rows]

    async def save(self, user: User) -> None:
        """Replace the account with that id; `Missing` when it is gone, `Conflict` when its new name is taken."""
        try:
            async with self._database.write() as connection:
                done = await connection.execute(sa.update(users).where(users.c.id == user.id), _columns(user))
        except sa.exc.IntegrityError:
            raise _taken(user) from None
        if not done.rowcount:
            raise Missing("user.missing", f"There is no user {user.name!a} any more.")

    async def remove(self, user_id: str) -> None:
        """Remove the account, its keys and preferences; none is no error."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(users).where(users.c.id == user_id))

    async def keys(self, user_id: str) -> Sequence[UserKey]:
        """Return the account's public keys, oldest first."""
        wanted = sa.select(user_keys).where(user_keys.c.user_id == user_id)
        async with self._database.read() as connection:
            rows = await connection.execute(wanted.order_by(user_keys.c.added_at, user_keys.c.fingerprint))
            return [UserKey(**row) for row in rows.mappings()]

    async def add_key(self, key: UserKey) -> None:
        """Store a key; `Conflict` when this account has it already, `Missing` when there is no such account."""
        async with self._database.write() as connection:
            known = await connection.scalar(sa.select(users.c.id).where(users.c.id == key.user_id))
            if known is None:
                raise Missing("user.missing", "There is no such user any more.")
            held = await connection.scalar(sa.select(user_keys.c.user_id).where(_key(key.user_id, key.fingerprint)))
            if held is not None:
                raise Conflict("key.exists", f"This user has the key {key.fingerprint} already.")
            values = {column.name: getattr(key, column.name) for column in user_keys.c}
            await connection.execute(sa.insert(user_keys), values)

    async def remove_key(self, user_id: str, fingerprint: str) -> None:
        """Remove a key; `Missing` when there is none."""
        async with self._database.write() as connection:
            done = await connection.execute(sa.delete(user_keys).where(_key(user_id, fingerprint)))
        if not done.rowcount:
            raise Missing("key.missing", f"There is no key {fingerprint!a}.")

    async def with_key(self, name: str, fingerprint: str) -> tuple[User, UserKey] | None:
        """Return the account of that name if that key is one of its keys; one indexed query. It may be disabled."""
        async with self._database.read() as connection:
            row = (await connection.execute(_WITH_KEY, {"wanted_name": name, "wanted_key": fingerprint})).first()
        if row is None:
            return None
        key = UserKey(row.id, row.fingerprint, row.public, row.comment, row.added_at, row.last_used_at)
        return _user(row), key

    async def key_used(self, user_id: str, fingerprint: str, at: float) -> None:
        """Remember when a key was last used; a key that is gone is no error."""
        async with self._database.write() as connection:
            await connection.execute(sa.update(user_keys).where(_key(user_id, fingerprint)), {"last_used_at": at})

    async def _one(self, wanted: sa.ColumnElement[bool]) -> User | None:
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(users).where(wanted))).first()
        return None if row is None else _user(row)


_WITH_KEY = (
    sa.select(users, *(column for column in user_keys.c if column.name != "user_id"))
    .join(user_keys, user_keys.c.user_id == users.c.id)
    .where(users.c.name == sa.bindparam("wanted_name"), user_keys.c.fingerprint == sa.bindparam("wanted_key"))
)


def _key(user_id: str, fingerprint: str) -> sa.ColumnElement[bool]:
    return sa.and_(user_keys.c.user_id == user_id, user_keys.c.fingerprint == fingerprint)


def _columns(user: User) -> dict[str, object]:
    return {"name": user.name, "roles": list(user.roles), "full_name": user.full_name, "disabled": user.disabled}


def _user(row: sa.Row[tuple[object, ...]]) -> User:
    return User(row.id, row.name, tuple(row.roles), row.full_name, row.disabled, row.created_at)


def _taken(user: User) -> Conflict:
    return Conflict("user.exists", f"There is a user {user.name!a} already.")
