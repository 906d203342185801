"""Opening the store: modes, durability, speed, and what it does with a file that is not right."""

import os
import sqlite3
import time

import pytest

from bastion.backends.store import migrations, open_store
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Corrupt, Misconfigured, Unavailable
from bastion.core.identity import User, UserKey


def modes(home):
    return {str(path.relative_to(home)): path.stat().st_mode & 0o777 for path in home.rglob("*")}


async def test_all_that_is_made_is_private_whatever_the_umask(tmp_path, signer):
    home = tmp_path / "new" / "home"
    umask = os.umask(0)
    try:
        async with await open_store(home / "bastion.db", signer=signer) as store:
            await store.audit.append([AuditEvent("a", 1.0)])
            await store.users.add(User("1", "alice"))
            await store.audit.checkpoint()
            found = modes(home)
    finally:
        os.umask(umask)
    assert home.stat().st_mode & 0o777 == 0o700
    assert {"bastion.db", "bastion.db-wal", "bastion.db-shm", "audit/main/checkpoints.jsonl", "audit/main/lock"} <= set(found)
    for name, mode in found.items():
        assert mode == (0o700 if (home / name).is_dir() else 0o600), name


@pytest.mark.parametrize(
    "name", ["bastion.db", "audit", "audit/main", "audit/main/00000000000000000001.jsonl", "audit/main/checkpoints.jsonl", "."]
)
async def test_a_store_that_others_may_read_is_refused(home, signer, name):
    async with await open_store(home / "bastion.db", signer=signer) as store:
        await store.audit.append([AuditEvent("a", 1.0)])
    path = home / name
    path.chmod(path.stat().st_mode & 0o777 | 0o040)
    with pytest.raises(Misconfigured, match=r"Others may read .* chmod") as caught:
        await open_store(home / "bastion.db", signer=signer)
    assert caught.value.exit_code == 78
    path.chmod(path.stat().st_mode & 0o700)
    await (await open_store(home / "bastion.db", signer=signer)).close()


async def test_a_link_in_place_of_the_database_is_refused(home, tmp_path):
    (home / "bastion.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(Misconfigured, match="plain file"):
        await open_store(home / "bastion.db")
    assert not (tmp_path / "elsewhere.db").exists()


async def test_connections_are_durable_and_readers_cannot_write(home):
    async with await open_store(home / "bastion.db") as store:
        async with store.database.write() as connection:
            found = {
                name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10000}
        with pytest.raises(Unavailable) as caught:
            async with store.database.read() as connection:
                await connection.exec_driver_sql("DELETE FROM users")
        assert "readonly" in caught.value.detail


async def test_a_block_that_fails_changes_nothing(home):
    async with await open_store(home / "bastion.db") as store:
        with pytest.raises(ZeroDivisionError):
            async with store.database.write() as connection:
                await connection.exec_driver_sql("INSERT INTO credentials VALUES ('1', 'key', x'00', 1.0)")
                1 / 0  # noqa: B018
        async with store.database.read() as connection:
            assert (await connection.exec_driver_sql("SELECT count(*) FROM credentials")).scalar() == 0


async def test_a_write_begins_with_the_lock_so_read_then_write_is_never_lost(home):
    import asyncio

    async with await open_store(home / "bastion.db") as one, await open_store(home / "bastion.db") as two:
        await one.credentials.add("n", "key", b"0", 1.0)

        async def add_one(store):
            async with store.database.write() as connection:
                value = int((await connection.exec_driver_sql("SELECT sealed FROM credentials")).scalar())
                await asyncio.sleep(0)
                await connection.exec_driver_sql("UPDATE credentials SET sealed = ?", (str(value + 1).encode(),))

        await asyncio.gather(*(add_one(store) for store in (one, two) * 20))
        assert await one.credentials.get("n") == ("key", b"40")


async def test_a_damaged_database_is_corrupt_not_a_traceback(home):
    path = home / "bastion.db"
    path.write_bytes(b"this is not a database at all" * 200)
    path.chmod(0o600)
    with pytest.raises(Corrupt) as caught:
        await open_store(path)
    assert caught.value.code == "store.corrupt"


async def test_a_database_of_a_newer_program_is_refused(home):
    path = home / "bastion.db"
    await (await open_store(path)).close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(Misconfigured, match="step 9999 and this bastion knows " + migrations.HEAD):
        await open_store(path)


async def test_a_node_name_cannot_be_a_path(home):
    for node in ("../x", "", "A", "a/b"):
        with pytest.raises(ValueError, match="node"):
            await open_store(home / "bastion.db", node=node)


async def test_opening_again_is_quick(home, signer):
    for _ in range(2):
        async with await open_store(home / "bastion.db", signer=signer) as store:
            await store.audit.append([AuditEvent("a", 1.0)] * 2000)
    best = 9.0
    for _ in range(3):
        begin = time.perf_counter()
        store = await open_store(home / "bastion.db", signer=signer)
        best = min(best, time.perf_counter() - begin)
        await store.close()
    assert best < 0.1


async def test_the_login_query_uses_its_indexes_only(home):
    async with await open_store(home / "bastion.db") as store:
        from bastion.backends.store.users import _WITH_KEY

        text = str(_WITH_KEY.compile(compile_kwargs={"literal_binds": False})).replace(":wanted_name", "'a'").replace(":wanted_key", "'b'")
        async with store.database.read() as connection:
            plan = [row[3] for row in await connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text)]
        assert len(plan) == 2
        assert all(step.startswith("SEARCH") and "INDEX" in step for step in plan), plan
        await store.users.add(User("1", "alice"))
        await store.users.add_key(UserKey("1", "fp", "pub"))
        statements = []
        from sqlalchemy import event

        event.listen(store.database._readers.sync_engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        assert await store.users.with_key("alice", "fp")
        assert [text for text in statements if text != "BEGIN"] == [statements[-1]]
        assert statements[-1].startswith("SELECT")
