"""Sealed secrets in the database. Never sees what is inside: the vault seals and opens."""

from __future__ import annotations

import sqlalchemy as sa

from bastion.backends.store.engine import Database
from bastion.backends.store.tables import credentials
from bastion.core.errors import Conflict, Missing


class SqlCredentials:
    """The `Credentials` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, credential_id: str, kind: str, sealed: bytes, created_at: float) -> None:
        """Store a sealed secret; `Conflict` when the id is taken."""
        values = {"id": credential_id, "kind": kind, "sealed": sealed, "created_at": created_at}
        try:
            async with self._database.write() as connection:
                await connection.execute(sa.insert(credentials), values)
        except sa.exc.IntegrityError:
            raise Conflict("credential.exists", "There is a credential with that id already.") from None

    async def get(self, credential_id: str) -> tuple[str, bytes]:
        """Return (kind, sealed); `Missing` when there is none."""
        wanted = sa.select(credentials.c.kind, credentials.c.sealed).where(credentials.c.id == credential_id)
        async with self._database.read() as connection:
            row = (await connection.execute(wanted)).first()
        if row is None:
            raise Missing("credential.missing", "The stored credential is gone.")
        return row.kind, row.sealed

    async def remove(self, credential_id: str) -> None:
        """Forget a secret; none is no error."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(credentials).where(credentials.c.id == credential_id))
