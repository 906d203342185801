"""Endpoints with their logins and pinned host keys in the database. Never opens a secret."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bastion.backends.store.engine import Database
from bastion.backends.store.tables import credentials, endpoint_host_keys, endpoint_logins, endpoints, preferences
from bastion.core.access.endpoint import Endpoint, HostKey, Login
from bastion.core.errors import Conflict, Missing


class SqlEndpoints:
    """The `Endpoints` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, endpoint: Endpoint) -> None:
        """Store a new endpoint with its logins and host keys; `Conflict` when the name (or id) is taken."""
        try:
            async with self._database.write() as connection:
                await connection.execute(sa.insert(endpoints), {"id": endpoint.id} | _columns(endpoint))
                await _add_parts(connection, endpoint)
        except sa.exc.IntegrityError:
            raise _taken(endpoint) from None

    async def get(self, name: str) -> Endpoint | None:
        """Return the endpoint of that name."""
        found = await self._load(endpoints.c.name == name)
        return found[0] if found else None

    async def all(self) -> Sequence[Endpoint]:
        """Return every endpoint, by name."""
        return await self._load(sa.true())

    async def save(self, endpoint: Endpoint) -> None:
        """Replace the endpoint with that id, its logins and host keys; `Missing` when it is gone.

        Credentials that it no longer uses stay: who replaced them removes them.
        """
        try:
            async with self._database.write() as connection:
                done = await connection.execute(sa.update(endpoints).where(endpoints.c.id == endpoint.id), _columns(endpoint))
                if not done.rowcount:
                    raise Missing("endpoint.missing", f"There is no endpoint {endpoint.name!a} any more.")
                for part in (endpoint_logins, endpoint_host_keys):
                    await connection.execute(sa.delete(part).where(part.c.endpoint_id == endpoint.id))
                await _add_parts(connection, endpoint)
        except sa.exc.IntegrityError:
            raise _taken(endpoint) from None

    async def put(self, wanted: Sequence[Endpoint]) -> None:
        """Add those that are new and replace the others, in one transaction; `Conflict` when a name is taken."""
        at = wanted[0] if wanted else None
        try:
            async with self._database.write() as connection:
                for at in wanted:
                    done = await connection.execute(sa.update(endpoints).where(endpoints.c.id == at.id), _columns(at))
                    if not done.rowcount:
                        await connection.execute(sa.insert(endpoints), {"id": at.id} | _columns(at))
                    for part in (endpoint_logins, endpoint_host_keys):
                        await connection.execute(sa.delete(part).where(part.c.endpoint_id == at.id))
                    await _add_parts(connection, at)
        except sa.exc.IntegrityError:
            if at is None:
                raise
            raise _taken(at) from None

    async def remove(self, endpoint_id: str) -> None:
        """Remove the endpoint, the credentials only it used, and its place in people's menus; none is no error."""
        own = sa.select(endpoint_logins.c.credential_id).where(
            endpoint_logins.c.endpoint_id == endpoint_id, endpoint_logins.c.credential_id.is_not(None)
        )
        others = sa.select(endpoint_logins.c.credential_id).where(
            endpoint_logins.c.endpoint_id != endpoint_id, endpoint_logins.c.credential_id.is_not(None)
        )
        name = sa.select(endpoints.c.name).where(endpoints.c.id == endpoint_id).scalar_subquery()
        async with self._database.write() as connection:
            await connection.execute(sa.delete(credentials).where(credentials.c.id.in_(own), credentials.c.id.not_in(others)))
            await connection.execute(sa.delete(preferences).where(preferences.c.endpoint == name))
            await connection.execute(sa.delete(endpoints).where(endpoints.c.id == endpoint_id))

    async def _load(self, wanted: sa.ColumnElement[bool]) -> list[Endpoint]:
        """Return matching endpoints by name, in three queries however many they are."""
        chosen = sa.select(endpoints.c.id).where(wanted)
        logins: dict[str, list[Login]] = defaultdict(list)
        keys: dict[str, list[HostKey]] = defaultdict(list)
        async with self._database.read() as connection:
            rows = (await connection.execute(sa.select(endpoints).where(wanted).order_by(endpoints.c.name))).all()
            if not rows:
                return []
            for row in await connection.execute(_parts(endpoint_logins, chosen)):
                logins[row.endpoint_id].append(Login(row.name, row.method, row.credential_id))
            for row in await connection.execute(_parts(endpoint_host_keys, chosen)):
                key = HostKey(row.algorithm, row.public, row.fingerprint, row.added_at, row.added_by)
                keys[row.endpoint_id].append(key)
        return [_endpoint(row, tuple(logins[row.id]), tuple(keys[row.id])) for row in rows]


def _parts(table: sa.Table, chosen: sa.Select[tuple[str]]) -> sa.Select[tuple[object, ...]]:
    return sa.select(table).where(table.c.endpoint_id.in_(chosen)).order_by(table.c.endpoint_id, table.c.position)


async def _add_parts(connection: AsyncConnection, endpoint: Endpoint) -> None:
    logins = [
        {"endpoint_id": endpoint.id, "position": position, "name": login.name, "method": login.method}
        | {"credential_id": login.credential_id}
        for position, login in enumerate(endpoint.logins)
    ]
    keys = [
        {"endpoint_id": endpoint.id, "position": position, "algorithm": key.algorithm, "public": key.public}
        | {"fingerprint": key.fingerprint, "added_at": key.added_at, "added_by": key.added_by}
        for position, key in enumerate(endpoint.host_keys)
    ]
    if logins:
        await connection.execute(sa.insert(endpoint_logins), logins)
    if keys:
        await connection.execute(sa.insert(endpoint_host_keys), keys)


def _columns(endpoint: Endpoint) -> dict[str, object]:
    return {
        "name": endpoint.name,
        "kind": endpoint.kind,
        "host": endpoint.host,
        "port": endpoint.port,
        "command": list(endpoint.command),
        "labels": [list(label) for label in endpoint.labels],
        "description": endpoint.description,
        "legacy": endpoint.legacy,
        "created_at": endpoint.created_at,
    }


def _endpoint(row: sa.Row[tuple[object, ...]], logins: tuple[Login, ...], keys: tuple[HostKey, ...]) -> Endpoint:
    return Endpoint(
        id=row.id,
        name=row.name,
        kind=row.kind,
        host=row.host,
        port=row.port,
        command=tuple(row.command),
        logins=logins,
        labels=tuple((key, value) for key, value in row.labels),
        description=row.description,
        host_keys=keys,
        legacy=row.legacy,
        created_at=row.created_at,
    )


def _taken(endpoint: Endpoint) -> Conflict:
    return Conflict("endpoint.exists", f"There is an endpoint {endpoint.name!a} already.")
