"""Somebody edits the log. Each edit must be found, located and told."""

import os
import random
import shutil
import sqlite3

import pytest

from bastion.backends.store import open_store
from bastion.backends.vault import Ed25519Signer, Ed25519Verifier
from bastion.backends.vault.signer import public_path
from bastion.core.audit.chain import Head, canonical, decode_line, encode_line, extend, genesis
from bastion.core.audit.event import AuditEvent

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
COUNT = 60
SIGNED = 50


def event(number: int) -> AuditEvent:
    return AuditEvent("session.started", 1e9 + number, actor=f"user{number % 7}", session=f"s{number}", data={"n": number})


@pytest.fixture
async def log(home, signer):
    """A closed store of COUNT entries: signed at 25 and SIGNED, and a crash before the last were signed."""
    store = await open_store(home / "bastion.db", signer=signer)
    await store.audit.append([event(n) for n in range(25)])
    await store.audit.checkpoint()
    await store.audit.append([event(n) for n in range(25, SIGNED)])
    await store.audit.checkpoint()
    await store.audit.append([event(n) for n in range(SIGNED, COUNT)])
    shutil.copytree(home, home.parent / "crashed")
    await store.close()
    crashed = home.parent / "crashed"
    database = sqlite3.connect(crashed / "bastion.db")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return Log(crashed)


class Log:
    """The files of a log, and what `verify` says of them with the public key alone."""

    def __init__(self, home):
        self.home = home
        self.folder = home / "audit" / "main"
        self.journal = next(self.folder.glob("0*.jsonl"))
        self.checkpoints = self.folder / "checkpoints.jsonl"

    async def verify(self):
        verifier = Ed25519Verifier.load(public_path(self.home / "audit.key"))
        async with await open_store(self.home / "bastion.db", verifier=verifier) as store:
            return await store.audit.examine()

    def sql(self, *statements):
        """Run statements as the owner of the file can: without the triggers."""
        database = sqlite3.connect(self.home / "bastion.db")
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            database.execute(*statement) if isinstance(statement, tuple) else database.execute(statement)
        database.commit()
        database.close()

    def lines(self):
        return self.journal.read_bytes().splitlines(keepends=True)

    def write(self, lines):
        self.journal.write_bytes(b"".join(lines))


async def test_an_honest_log_verifies_after_a_crash_and_after_the_next_start(log):
    report = await log.verify()
    assert (report.checked, report.fault) == (COUNT, None)
    async with await open_store(log.home / "bastion.db", signer=Ed25519Signer.load(log.home / "audit.key")) as store:
        assert store.audit.notice == ""
        assert (await store.audit.append([event(0)]))[0].seq == COUNT + 1
        assert await store.audit.verify() == (COUNT + 1, "")
    report = await log.verify()
    assert (report.checked, report.fault) == (COUNT + 1, None)


async def test_any_flipped_bit_of_the_journal_is_found_and_located(log):
    whole = log.journal.read_bytes()
    verifier = Ed25519Verifier.load(public_path(log.home / "audit.key"))
    chooser = random.Random(1)
    async with await open_store(log.home / "bastion.db", verifier=verifier) as store:
        for _ in range(300 * FUZZ):
            at, bit = chooser.randrange(len(whole)), chooser.randrange(8)
            damaged = bytearray(whole)
            damaged[at] ^= 1 << bit
            log.journal.write_bytes(damaged)
            report = await store.audit.examine()
            hit = whole[:at].count(b"\n") + 1
            assert report.fault is not None, (at, bit)
            assert report.fault.seq == hit, (at, bit, report)
            assert report.checked == hit - 1
        log.journal.write_bytes(whole)
        assert (await store.audit.examine()).fault is None


@pytest.mark.parametrize("column", ["hash", "text", "at", "code", "actor", "session", "seq", "node"])
async def test_any_changed_column_of_a_row_is_found_and_located(log, column):
    change = {"hash": "zeroblob(32)", "text": "replace(text, 'user', 'usar')", "at": "at + 0.25", "seq": "1000", "node": "'other'"}
    log.sql(f"UPDATE audit_entries SET {column} = {change.get(column, f'{column} || 1')} WHERE seq = 17")
    report = await log.verify()
    assert (report.fault.seq, report.fault.where) == (17, "database")
    assert report.checked == 16


async def test_rows_removed_inserted_swapped_or_doubled_in_the_database_are_found(log):
    whole = (log.home / "bastion.db").read_bytes()
    copy = "SELECT node, {seq}, hash, text, at, code, actor, session FROM audit_entries WHERE seq = {of}"
    edits = {
        "removed": (["DELETE FROM audit_entries WHERE seq = 30"], 30),
        "the last signed one removed": ([f"DELETE FROM audit_entries WHERE seq >= {SIGNED}"], SIGNED),
        "all removed": (["DELETE FROM audit_entries"], 1),
        "inserted after the end": ([f"INSERT INTO audit_entries {copy.format(seq=COUNT + 1, of=3)}"], COUNT + 1),
        "swapped": ([f"UPDATE audit_entries SET seq = {to} WHERE seq = {of}" for of, to in ((9, 999), (10, 9), (999, 10))], 9),
        "doubled": (["DELETE FROM audit_entries WHERE seq = 20", f"INSERT INTO audit_entries {copy.format(seq=20, of=19)}"], 20),
    }
    for name, (statements, seq) in edits.items():
        (log.home / "bastion.db").write_bytes(whole)
        log.sql(*statements)
        report = await log.verify()
        assert report.fault is not None, name
        assert report.fault.seq == seq, (name, report)


async def test_lines_removed_inserted_swapped_or_doubled_in_the_journal_are_found(log):
    lines = log.lines()
    edits = {
        "removed": (lines[:29] + lines[30:], 30),
        "swapped": ([*lines[:8], lines[9], lines[8], *lines[10:]], 9),
        "doubled": (lines[:20] + lines[19:], 21),
        "inserted": ([*lines[:20], lines[3], *lines[20:]], 21),
        "tail cut below what was signed": (lines[: SIGNED - 1], SIGNED),
        "tail cut above what was signed": (lines[: SIGNED + 5], SIGNED + 6),
        "emptied": ([], 1),
    }
    for name, (changed, seq) in edits.items():
        log.write(changed)
        report = await log.verify()
        assert report.fault is not None, name
        assert (report.fault.seq, report.fault.where) == (seq, "journal"), (name, report)


async def test_a_tail_cut_from_journal_and_database_alike_is_found_by_the_checkpoints(log):
    log.write(log.lines()[:40])
    log.sql("DELETE FROM audit_entries WHERE seq > 40")
    report = await log.verify()
    assert report.fault.seq == 41
    assert f"entries up to {SIGNED} were signed" in report.fault.reason


async def rewritten(log, *, first: int) -> None:
    """Rewrite journal and database from `first` on, well chained, as one who knows the format can."""
    lines = log.lines()
    before = decode_line(lines[first - 2]) if first > 1 else None
    head = Head(before.seq, before.hash) if before else Head(0, genesis("main"))
    forged = extend(head, [canonical(AuditEvent("login.accepted", 1.0, actor="nobody"))] * (COUNT - first + 1))
    log.write(lines[: first - 1] + [encode_line(entry) for entry in forged])
    log.sql(
        *[
            (
                "UPDATE audit_entries SET hash=?, text=?, at=1.0, code='login.accepted', actor='nobody', session='' WHERE seq=?",
                (entry.hash, entry.text.decode(), entry.seq),
            )
            for entry in forged
        ]
    )


@pytest.mark.parametrize(("first", "named"), [(1, 1), (10, 1), (30, 26)])
async def test_a_log_rewritten_with_good_hashes_is_found_by_the_checkpoints(log, first, named):
    await rewritten(log, first=first)
    report = await log.verify()
    assert report.fault.seq == named
    assert "replaced after entry" in report.fault.reason


async def test_entries_that_no_checkpoint_signs_yet_are_the_known_limit(log):
    await rewritten(log, first=SIGNED + 1)
    assert (await log.verify()).fault is None


@pytest.mark.parametrize("where", ["file", "table", "both"])
async def test_checkpoints_taken_away_are_missed(log, where):
    if where != "table":
        log.checkpoints.unlink()
    if where != "file":
        log.sql("DELETE FROM audit_checkpoints")
    report = await log.verify()
    if where == "both":
        # Nothing on this machine tells; the copy elsewhere does, and a longer log is suspect by itself
        assert report.fault is None
    else:
        assert report.fault.where == "checkpoints"
        assert "gone from the " + {"file": "file", "table": "database"}[where] in report.fault.reason


async def test_a_checkpoint_by_another_key_is_not_believed(log, tmp_path):
    other = Ed25519Signer.create(tmp_path / "mallory.key")
    await rewritten(log, first=1)
    log.checkpoints.unlink()
    log.sql("DELETE FROM audit_checkpoints")
    (log.folder / "lock").touch()
    async with await open_store(log.home / "bastion.db", signer=other) as store:
        await store.audit.checkpoint()
    report = await log.verify()
    assert "is not valid" in report.fault.reason


async def test_without_a_public_key_signatures_are_never_silently_skipped(log):
    async with await open_store(log.home / "bastion.db") as store:
        _checked, problem = await store.audit.verify()
    assert "no public key" in problem


async def test_an_older_copy_of_the_whole_log_differs_from_the_exported_checkpoints(log):
    export = log.checkpoints.read_bytes()
    lines = export.splitlines(keepends=True)
    log.write(log.lines()[:30])
    log.sql("DELETE FROM audit_entries WHERE seq > 30", "DELETE FROM audit_checkpoints WHERE seq > 25")
    log.checkpoints.write_bytes(lines[0])
    assert (await log.verify()).fault is None, "restored from a backup in every part: only the copy elsewhere tells"
    log.checkpoints.write_bytes(export)
    report = await log.verify()
    assert report.fault.seq == 31
    assert "tail was cut" in report.fault.reason


async def test_a_damaged_log_is_told_at_start_goes_on_and_stays_found(log):
    lines = log.lines()
    log.write(lines[:20])
    signer = Ed25519Signer.load(log.home / "audit.key")
    async with await open_store(log.home / "bastion.db", signer=signer) as store:
        assert f"the journal ends before entry {COUNT}" in store.audit.notice
        assert (await store.audit.append([event(0)]))[0].seq == COUNT + 1
        checked, problem = await store.audit.verify()
        assert checked == 20
        assert problem.startswith("entry 21 in the journal")
    assert (await log.verify()).fault.seq == 21


async def test_a_deleted_journal_is_told_at_start(log):
    log.journal.unlink()
    async with await open_store(log.home / "bastion.db", signer=Ed25519Signer.load(log.home / "audit.key")) as store:
        assert "the journal ends before" in store.audit.notice
        assert (await store.audit.append([event(0)]))[0].seq == COUNT + 1
        assert (await store.audit.verify())[1].startswith("entry 1 in the journal")


async def test_a_database_put_back_to_an_older_copy_is_told_and_filled_from_the_journal(log):
    log.sql("DELETE FROM audit_entries WHERE seq > 30")
    async with await open_store(log.home / "bastion.db", signer=Ed25519Signer.load(log.home / "audit.key")) as store:
        assert "the database had lost the entries after 30" in store.audit.notice
        assert await store.audit.verify() == (COUNT, "")
