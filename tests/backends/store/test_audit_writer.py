"""The writer: crashes at any moment, full disks, a database that does not answer, two processes, checkpoints on time."""

import asyncio
import errno
import os
import random
import subprocess
import sys
import textwrap
import threading

import pytest

from bastion.backends.store import journal as journal_module
from bastion.backends.store import open_store
from bastion.core.audit.checkpoint import EVERY_ENTRIES, read
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Unavailable

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))

WRITER = textwrap.dedent(
    """
    import asyncio, sys
    from pathlib import Path
    from bastion.backends.store import open_store
    from bastion.backends.vault import Ed25519Signer
    from bastion.core.audit.event import AuditEvent

    async def main():
        home = Path(sys.argv[1])
        store = await open_store(home / "bastion.db", signer=Ed25519Signer.load(home / "audit.key"))

        async def write(writer):
            for number in range(100_000):
                entry, = await store.audit.append([AuditEvent("a", 1.0, actor=f"w{writer}", data={"n": number, "pad": "x" * 300})])
                print(entry.seq, entry.hash.hex(), flush=True)

        await asyncio.gather(*(write(n) for n in range(8)))

    asyncio.run(main())
    """
)


def event(number: int) -> AuditEvent:
    return AuditEvent("a", float(number), actor="alice")


async def killed(home, lines: int) -> list[str]:
    """Run a writing process, kill it -9 after it answered that many appends; return all it answered."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(home), stdout=subprocess.PIPE)
    answered = [await process.stdout.readline() for _ in range(lines)]
    process.kill()
    rest = await process.stdout.read()
    await process.wait()
    answered += rest.splitlines(keepends=True)
    return [line.decode().strip() for line in answered if line.endswith(b"\n")]


async def test_kill_9_in_mid_append_loses_no_answered_entry_and_the_copies_agree(home, signer):
    chooser = random.Random(2)
    promised: dict[int, str] = {}
    for _ in range(3 * FUZZ):
        for line in await killed(home, chooser.randrange(1, 120)):
            seq, digest = line.split()
            promised[int(seq)] = digest
        async with await open_store(home / "bastion.db", signer=signer) as store:
            assert "damaged" not in store.audit.notice
            checked, problem = await store.audit.verify()
            assert problem == ""
            kept = {entry.seq: entry.hash.hex() async for entry in store.audit.entries()}
            assert len(kept) == checked
            assert promised.items() <= kept.items()


@pytest.mark.parametrize(
    "torn", [b'{"seq":4,"ha', b"\0" * 100, b"x" * 70_000 + b"\n", b'{"seq":4,"hash":"' + b"0" * 64 + b'","event":{}}\n']
)
async def test_a_line_cut_by_a_crash_is_set_aside_and_told(home, signer, torn):
    async with await open_store(home / "bastion.db", signer=signer) as store:
        await store.audit.append([event(n) for n in range(3)])
    path = next((home / "audit" / "main").glob("0*.jsonl"))
    with path.open("ab") as file:
        file.write(torn)
    async with await open_store(home / "bastion.db", signer=signer) as store:
        kept = next((home / "audit" / "main").glob("*.torn-*"))
        assert kept.read_bytes() == torn
        assert kept.name in store.audit.notice
        assert (await store.audit.append([event(4)]))[0].seq == 4
        assert await store.audit.verify() == (4, "")
    async with await open_store(home / "bastion.db", signer=signer) as store:
        assert store.audit.notice == ""


async def test_entries_that_only_the_journal_has_are_stored_at_the_next_start(home, signer, monkeypatch):
    store = await open_store(home / "bastion.db", signer=signer)
    await store.audit.append([event(1)])

    async def refuse(_links):
        raise Unavailable("store.unavailable", "no")

    monkeypatch.setattr(store.audit, "_store", refuse)
    entries = await store.audit.append([event(2), event(3)])
    assert [entry.seq for entry in entries] == [2, 3], "the journal has them: they are safe"
    assert store.audit.behind == 2
    assert await store.audit.verify() == (3, "")
    await store.close()
    async with await open_store(home / "bastion.db", signer=signer) as again:
        assert [entry.event.at async for entry in again.audit.entries()] == [1.0, 2.0, 3.0]
        assert await again.audit.verify() == (3, "")


async def test_a_database_that_answers_again_is_caught_up_in_order(home, signer, monkeypatch):
    async with await open_store(home / "bastion.db", signer=signer) as store:

        async def refuse(_links):
            raise Unavailable("store.unavailable", "no")

        with monkeypatch.context() as broken:
            broken.setattr(store.audit, "_store", refuse)
            for number in range(5):
                await store.audit.append([event(number)])
        assert store.audit.behind == 5
        await store.audit.append([event(5)])
        assert store.audit.behind == 0
        assert [entry.event.at async for entry in store.audit.entries()] == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
        assert await store.audit.verify() == (6, "")


@pytest.mark.parametrize("failing", ["write", "fdatasync"])
async def test_a_full_disk_refuses_the_append_and_leaves_no_trace(home, signer, monkeypatch, failing):
    async with await open_store(home / "bastion.db", signer=signer) as store:
        await store.audit.append([event(1)])
        real = getattr(os, failing)
        loop_thread = threading.get_ident()
        fails = [True]

        def broken(descriptor, *args):
            assert threading.get_ident() != loop_thread, "the disk is never waited for on the loop"
            if fails[0] and failing == "write":
                fails[0] = False
                real(descriptor, args[0][:10])
                raise OSError(errno.ENOSPC, "No space left on device")
            if fails[0]:
                fails[0] = False
                raise OSError(errno.EIO, "Input/output error")
            return real(descriptor, *args)

        with monkeypatch.context() as patched:
            patched.setattr(journal_module.os, failing, broken)
            with pytest.raises(Unavailable) as caught:
                await store.audit.append([event(2), event(3)])
        assert caught.value.code == "audit.unwritable"
        assert (await store.audit.append([event(4)]))[0].seq == 2
        assert await store.audit.verify() == (2, "")


async def test_many_concurrent_appends_share_one_fsync(home, signer, monkeypatch):
    async with await open_store(home / "bastion.db", signer=signer) as store:
        calls = []
        real = os.fdatasync
        with monkeypatch.context() as patched:
            patched.setattr(journal_module.os, "fdatasync", lambda descriptor: (calls.append(1), real(descriptor))[1])
            await asyncio.gather(*(store.audit.append([event(n)]) for n in range(400)))
        assert len(calls) <= 3


async def test_a_thousand_entries_are_signed_at_once(home, signer):
    async with await open_store(home / "bastion.db", signer=signer) as store:
        for _ in range(3):
            await store.audit.append([event(n) for n in range(EVERY_ENTRIES // 2)])
        await store.audit.append([event(0)])
        lines = (home / "audit" / "main" / "checkpoints.jsonl").read_bytes().splitlines()
        assert [read(line).seq for line in lines] == [EVERY_ENTRIES]


async def test_entries_that_wait_are_signed_when_the_time_is_over(home, signer):
    async with await open_store(home / "bastion.db", signer=signer, checkpoint_seconds=0.05) as store:
        signed = asyncio.Event()
        real = store.audit.checkpoint

        async def watched():
            await real()
            signed.set()

        store.audit.checkpoint = watched
        await store.audit.append([event(1)])
        await asyncio.wait_for(signed.wait(), 10)
        lines = (home / "audit" / "main" / "checkpoints.jsonl").read_bytes().splitlines()
        assert [read(line).seq for line in lines] == [1]


async def test_closing_signs_the_head(home, signer):
    async with await open_store(home / "bastion.db", signer=signer) as store:
        await store.audit.append([event(n) for n in range(5)])
    lines = (home / "audit" / "main" / "checkpoints.jsonl").read_bytes().splitlines()
    assert read(lines[-1]).seq == 5
    with pytest.raises(Unavailable):
        await store.audit.append([event(6)])


async def test_a_checkpoint_that_a_crash_left_in_the_file_alone_is_stored(home, signer, monkeypatch):
    async with await open_store(home / "bastion.db", signer=signer) as store:
        await store.audit.append([event(1)])
        with monkeypatch.context() as patched:

            async def crash(*_):
                raise Unavailable("store.unavailable", "no")

            patched.setattr("bastion.backends.store.checkpoints.store", crash)
            with pytest.raises(Unavailable):
                await store.audit.checkpoint()
    path = home / "audit" / "main" / "checkpoints.jsonl"
    with path.open("ab") as file:
        file.write(b'{"at":12')
    async with await open_store(home / "bastion.db", signer=signer) as store:
        assert store.audit.notice == ""
        await store.audit.append([event(2)])
        await store.audit.checkpoint()
        assert await store.audit.verify() == (2, "")
    assert [read(line).seq for line in path.read_bytes().splitlines()] == [1, 2]


async def test_a_second_writer_is_refused_and_a_reader_is_not(home, signer, monkeypatch):
    monkeypatch.setattr(journal_module.Journal.lock, "__defaults__", (0.01,))
    async with await open_store(home / "bastion.db", signer=signer) as store:
        await store.audit.append([event(1)])
        with pytest.raises(Unavailable) as caught:
            await open_store(home / "bastion.db", signer=signer)
        assert caught.value.code == "audit.locked"
        async with await open_store(home / "bastion.db", verifier=signer) as reader:
            assert await reader.audit.verify() == (1, "")
            with pytest.raises(Unavailable) as caught:
                await reader.audit.append([event(2)])
            assert caught.value.code == "audit.closed"
        async with await open_store(home / "bastion.db", signer=signer, node="second") as other:
            assert (await other.audit.append([event(1)]))[0].seq == 1


async def test_signing_that_does_not_work_stops_the_start(home, signer):
    class Broken:
        key_id = "x"

        def sign(self, data):
            return b""

        def verify(self, data, signature, key_id):
            return True

    with pytest.raises(Unavailable) as caught:
        await open_store(home / "bastion.db", signer=Broken())
    assert caught.value.code == "audit.signing"


async def test_the_log_is_verified_while_it_is_written(home, signer):
    async with await open_store(home / "bastion.db", signer=signer) as store:
        stop = asyncio.Event()

        async def write():
            while not stop.is_set():
                await store.audit.append([event(n) for n in range(200)])

        writing = asyncio.gather(*(write() for _ in range(3)))
        checked = 0
        while checked < 3000:  # the suite's timeout ends it should the writers stand still
            checked, problem = await store.audit.verify()
            assert problem == ""
        stop.set()
        await writing


async def test_the_journal_goes_on_in_a_new_file_and_is_read_as_one(home, signer, monkeypatch):
    real = journal_module.Journal.__init__
    monkeypatch.setattr(journal_module.Journal, "__init__", lambda self, folder: real(self, folder, 10))
    for begin in range(0, 60, 4):
        async with await open_store(home / "bastion.db", signer=signer) as store:
            assert store.audit.notice == ""
            for number in range(begin, begin + 4):
                await store.audit.append([event(number)])
    assert len(list((home / "audit" / "main").glob("0*.jsonl"))) == 6
    async with await open_store(home / "bastion.db", signer=signer) as store:
        assert await store.audit.verify() == (60, "")
        assert [entry.seq for _place, entry in store.audit._journal.read(37)] == list(range(38, 61))
