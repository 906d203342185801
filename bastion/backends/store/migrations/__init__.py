"""The way from any past database to the present one: numbered steps, forward only, by alembic.

Never loses data half-way: every pending step runs in one transaction that holds the write lock, so a crash at any
statement leaves the database as it was, and a second process that also wants to migrate waits and then finds it done.
alembic is imported only when there is something to do: it takes longer than all else at start.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from bastion.core.errors import Corrupt, Misconfigured

FOLDER: Final = Path(__file__).parent
# The newest step; a test compares it with the folder
HEAD: Final = "0004"


def revision(connection: sa.Connection) -> str | None:
    """Return the database's step, or None for an empty one; three cheap statements at most."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def refuse_future(found: str | None) -> None:
    """Raise `Misconfigured` when a database comes from a newer program than this one."""
    if found is not None and found > HEAD:
        raise Misconfigured(
            "store.newer",
            f"The database is at step {found} and this bastion knows {HEAD}: run the newer bastion that made it.",
        )


def migrate(url: sa.URL | str, *, folder: Path = FOLDER, target: str = "head") -> None:
    """Bring the database at that (synchronous) URL up to `target`. Blocks: call it in a thread.

    Raises `Misconfigured` for a database of a newer program and `Corrupt` when rows break their references.
    """
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415

    from bastion.backends.store.engine import prepare  # noqa: PLC0415 - only needed here

    # Foreign keys are off while tables are rebuilt (batch mode drops them in turn), and checked before the commit
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    prepare(engine, writer=True, foreign_keys=False)
    try:
        with engine.begin() as connection:
            refuse_future(revision(connection))
            config = Config()
            config.set_main_option("script_location", str(folder).replace("%", "%%"))
            config.set_main_option("path_separator", "os")
            config.attributes["connection"] = connection
            command.upgrade(config, target)
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken is not None:
                raise Corrupt("store.corrupt", "The bastion's database is damaged.", f"foreign key check: {broken}")
    finally:
        engine.dispose()
