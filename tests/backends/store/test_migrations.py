"""From every past step to the present one, whole or not at all, with the audit's triggers in place."""

import multiprocessing
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from bastion.backends.store import migrations
from bastion.backends.store.engine import sqlite_url
from bastion.backends.store.migrations import FOLDER, HEAD, migrate
from bastion.backends.store.tables import metadata

STEPS = [None, *sorted(path.stem[:4] for path in (FOLDER / "versions").glob("0*.py"))]

REBUILD = '''
"""A step that rebuilds the audit's table, as batch mode does."""
import sqlalchemy as sa
from alembic import op
revision = "0999"
down_revision = "{head}"
def upgrade():
    with op.batch_alter_table("audit_entries", recreate="always") as batch:
        batch.add_column(sa.Column("more", sa.Text))
    with op.batch_alter_table("users", recreate="always") as batch:
        batch.add_column(sa.Column("more", sa.Text))
'''


def url(path: Path) -> sa.URL:
    return sqlite_url(path, "pysqlite")


def at_step(path: Path, step: str | None) -> None:
    if step is not None:
        migrate(url(path), target=step)


def query(path: Path, text: str) -> list[tuple]:
    database = sqlite3.connect(path)
    try:
        found = database.execute(text).fetchall()
        database.commit()
        return found
    finally:
        database.close()


def schema(path: Path) -> set[tuple]:
    return set(query(path, "SELECT type, name, sql FROM sqlite_master"))


def insert_entry(path: Path, seq: int) -> None:
    query(
        path,
        f"INSERT INTO audit_entries (node, seq, hash, text, at, code, actor, session) VALUES ('main', {seq}, x'00', '{{}}', 1, 'a', 'b', '')",
    )


def test_the_program_knows_its_newest_step():
    assert ScriptDirectory(str(FOLDER)).get_heads() == [HEAD]
    assert STEPS[-1] == HEAD


@pytest.mark.parametrize("step", STEPS)
def test_every_past_step_leads_to_the_tables_of_today(tmp_path, step):
    path = tmp_path / "x.db"
    at_step(path, step)
    if step is not None:
        query(path, "INSERT INTO users VALUES ('1', 'alice', '[\"admin\"]', '', 0, 1.5)")
        query(path, "INSERT INTO user_keys VALUES ('1', 'fp', 'pub', '', 1.5, NULL)")
    migrate(url(path))
    engine = sa.create_engine(url(path))
    with engine.connect() as connection:
        assert migrations.revision(connection) == HEAD
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []
    engine.dispose()
    if step is not None:
        assert query(path, "SELECT name, roles FROM users") == [("alice", '["admin"]')]
        assert query(path, "SELECT fingerprint FROM user_keys") == [("fp",)]


def test_migrating_twice_changes_nothing(tmp_path):
    path = tmp_path / "x.db"
    migrate(url(path))
    before = schema(path)
    migrate(url(path))
    assert schema(path) == before


def refuses(path: Path, table: str) -> None:
    for statement, reason in (
        (f"UPDATE {table} SET seq = 9", "never changed"),
        (f"DELETE FROM {table}", "never deleted"),
        (f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}", "only added at the end"),
    ):
        with pytest.raises(sqlite3.IntegrityError, match=reason):
            query(path, statement)


def test_audit_rows_cannot_be_changed_deleted_or_replaced(tmp_path):
    path = tmp_path / "x.db"
    migrate(url(path))
    insert_entry(path, 1)
    insert_entry(path, 2)
    query(path, "INSERT INTO audit_checkpoints VALUES ('main', 2, '{}')")
    refuses(path, "audit_entries")
    refuses(path, "audit_checkpoints")
    with pytest.raises(sqlite3.IntegrityError, match="only added at the end"):
        insert_entry(path, 1)
    assert query(path, "SELECT seq FROM audit_entries ORDER BY seq") == [(1,), (2,)]


def test_a_step_that_rebuilds_tables_keeps_triggers_and_references(tmp_path):
    folder = tmp_path / "steps"
    shutil.copytree(FOLDER, folder)
    (folder / "versions" / "0999_rebuild.py").write_text(REBUILD.format(head=HEAD))
    path = tmp_path / "x.db"
    migrate(url(path))
    insert_entry(path, 1)
    query(path, "INSERT INTO users VALUES ('1', 'alice', '[]', '', 0, 1.5)")
    query(path, "INSERT INTO user_keys VALUES ('1', 'fp', 'pub', '', 1.5, NULL)")
    migrate(url(path), folder=folder)
    assert query(path, "SELECT seq, more FROM audit_entries") == [(1, None)]
    assert query(path, "SELECT count(*) FROM user_keys") == [(1,)], "rebuilding users must not cascade to their keys"
    refuses(path, "audit_entries")


KILLED = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    import sqlalchemy as sa
    from bastion.backends.store.engine import sqlite_url
    from bastion.backends.store.migrations import migrate

    kill_at, count = int(sys.argv[2]), 0

    @sa.event.listens_for(sa.Engine, "after_cursor_execute")
    def executed(connection, cursor, statement, parameters, context, executemany):
        global count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    migrate(sqlite_url(Path(sys.argv[1]), "pysqlite"))
    print(count)
    """
)


def killed_in_fork(path: str, kill_at: int) -> None:
    """Run the migration and die after its statement number `kill_at`."""
    import os
    import signal

    count = 0

    @sa.event.listens_for(sa.Engine, "after_cursor_execute")
    def executed(*_):
        nonlocal count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    migrate(url(Path(path)))


def statements_of_a_migration(path: Path) -> int:
    done = subprocess.run([sys.executable, "-c", KILLED, str(path), "0"], capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_a_migration_killed_after_any_statement_leaves_all_or_nothing(tmp_path, step):
    whole = tmp_path / "whole.db"
    at_step(whole, step)
    count = statements_of_a_migration(whole)
    assert count > 10
    context = multiprocessing.get_context("fork")
    for kill_at in range(1, count + 1):
        path = tmp_path / f"{kill_at}.db"
        at_step(path, step)
        before = schema(path) if path.exists() else set()
        process = context.Process(target=killed_in_fork, args=(str(path), kill_at))
        process.start()
        process.join(60)
        assert process.exitcode == -9
        assert query(path, "PRAGMA integrity_check") == [("ok",)]
        assert schema(path) == before, f"half a migration after statement {kill_at}"
    migrate(url(path))
    assert schema(path) == schema(whole)


def test_two_processes_that_migrate_at_once_both_end_well(tmp_path):
    path = tmp_path / "x.db"
    command = [sys.executable, "-c", KILLED, str(path), "0"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in running:
        _out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert query(path, "SELECT version_num FROM alembic_version") == [(HEAD,)]
