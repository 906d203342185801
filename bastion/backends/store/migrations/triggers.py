"""Triggers that keep the audit tables append-only. Never the only proof: whoever owns the file can drop them.

They stop mistakes and plain SQL; the chain and its signed checkpoints find the rest.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

GUARDED: Final = ("audit_entries", "audit_checkpoints")


def restore_triggers(connection: sa.Connection) -> None:
    """Create the triggers of every guarded table that exists, in place of any that are there."""
    inspector = sa.inspect(connection)
    for table in GUARDED:
        if inspector.has_table(table):
            for statement in statements(table):
                connection.exec_driver_sql(statement)


def statements(table: str) -> list[str]:
    """Return the SQL (SQLite's) that makes `table` append-only.

    The insert trigger is there for REPLACE, which deletes a row without asking its delete trigger.
    """
    rules = {
        "update": f"BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{table} are never changed'); END",
        "delete": f"BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, '{table} are never deleted'); END",
        "insert": (
            f"BEFORE INSERT ON {table} WHEN NEW.seq <= (SELECT max(seq) FROM {table} WHERE node = NEW.node) "  # noqa: S608 - GUARDED names only
            f"BEGIN SELECT RAISE(ABORT, '{table} are only added at the end'); END"
        ),
    }
    made = []
    for verb, rule in rules.items():
        name = f"{table}_no_{verb}"
        made += [f"DROP TRIGGER IF EXISTS {name}", f"CREATE TRIGGER {name} {rule}"]
    return made
