"""The audit log of this node: journal first, database after, heads signed. Never changes what was written.

Theory of operation. `append` puts its events on a queue. One writer task takes all that wait (up to a bound), chains
them, writes them to the journal and forces that to the disk, stores them in one transaction, then answers all callers:
many concurrent appends cost one fsync. Once the journal has them they are safe, so a database that does not answer is
caught up later and fails nobody. After a minute or 1,000 entries the head is signed, to a file and to a table.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from bastion.backends.store import checkpoints
from bastion.backends.store.audit_check import Ends, Report, Signed, examine
from bastion.backends.store.checkpoints import CheckpointFile
from bastion.backends.store.engine import Database
from bastion.backends.store.journal import Journal
from bastion.backends.store.recovery import recover
from bastion.backends.store.tables import audit_entries
from bastion.backends.store.witness import Witness
from bastion.core.audit.chain import Head, Link, canonical, extend, genesis, read_event
from bastion.core.audit.checkpoint import EVERY_ENTRIES, EVERY_SECONDS, Checkpoint, Signer, Verifier, sign
from bastion.core.audit.checkpoint import read as read_checkpoint
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Unavailable
from bastion.services.ports import AuditEntry, Clock
from bastion.services.tasks import spawn

# What one transaction may hold: enough to share an fsync among all who wait, small enough to answer soon
BATCH: Final = 500
PAGE: Final = 500
UNTOLD: Final = 10_000  # checkpoints kept for a witness that cannot be reached: a week of them

_log = logging.getLogger("bastion.audit")


@dataclass(slots=True)
class _Waiting:
    events: Sequence[AuditEvent]
    texts: list[bytes]
    done: asyncio.Future[list[AuditEntry]]


class SqlAudit:
    """The `AuditStore` port. Read-only until `open`; one process may have it open.

    `notice` says what was found and mended, or not, at `open` ("": nothing): audit it. `behind` counts entries that
    are in the journal and not yet in the database.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        node: str,
        clock: Clock,
        signer: Signer | None = None,
        verifier: Verifier | None = None,
        every_seconds: float = EVERY_SECONDS,
        witnesses: Sequence[Witness] = (),
    ) -> None:
        self.node = node
        self.notice = ""
        self._database = database
        self._journal = Journal(folder)
        self._export = CheckpointFile(folder / "checkpoints.jsonl")
        self._clock = clock
        self._signer = signer
        self._verifier = verifier or signer
        self._every_seconds = every_seconds
        self._head = self._stored = Head(0, genesis(node))
        self._signed = 0
        self._witnesses = witnesses
        self._untold: list[Checkpoint] = []  # what some witness was not told yet
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._due: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        # A checkpoint goes to two places: who compares them must not look in between
        self._signing = asyncio.Lock()
        self._deadline = 0.0

    @property
    def behind(self) -> int:
        """Return how many entries the database still lacks."""
        return self._head.seq - self._stored.seq

    async def open(self) -> None:
        """Become the writer: prove that signing works, take the lock, and catch up after a crash.

        Raises `Unavailable` (`audit.signing`, `audit.locked`) when that cannot be.
        """
        if self._signer is None:
            raise Unavailable("audit.signing", "The audit log cannot be written without a key to sign it.")
        prove(self._signer)
        try:
            await asyncio.to_thread(self._journal.lock)
            self._signed, notice = await checkpoints.reconcile(self._database, await asyncio.to_thread(self._export.tail), self.node)
            self._stored = await self._last_stored()
            found = await asyncio.to_thread(recover, self._journal, self._stored, self._signed)
            await asyncio.to_thread(self._journal.resume, found.head, fresh=found.fresh)
            await self._store(found.missing)
        except BaseException:
            self._journal.close()
            raise
        self._head = self._stored = found.head
        self.notice = "; ".join(filter(None, (found.notice, notice)))
        if self.notice:
            _log.error("audit log of node %s: %s", self.node, self.notice)
        if self._witnesses:  # the last ones again: what a crash or a silent witness missed
            points = [read_checkpoint(line) for line in await asyncio.to_thread(self._export.tail)]
            self._untold = [point for point in points if point is not None]
        self._writer = spawn("audit writer", self._run())
        if self._head.seq > self._signed:
            self._arm()

    async def append(self, events: Sequence[AuditEvent]) -> Sequence[AuditEntry]:
        """Chain and store the events durably, in order.

        Raises `Invalid` (`audit.event`) before any is written when one cannot be spelled, and `Unavailable`
        (`audit.unwritable`) when the journal cannot be written; then none is.
        """
        texts = [canonical(event) for event in events]
        if self._writer is None or self._closing:
            raise Unavailable("audit.closed", "The audit log is not open for writing.")
        if not texts:
            return []
        waiting = _Waiting(events, texts, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        return await waiting.done

    async def last(self, count: int, *, code: str = "", actor: str = "", session: str = "") -> Sequence[AuditEntry]:
        """Return the newest matching entries, oldest of them first. `code` may be a prefix that ends in a dot."""
        query = self._select()
        if code.endswith("."):
            query = query.where(audit_entries.c.code >= code, audit_entries.c.code < code[:-1] + "/")
        elif code:
            query = query.where(audit_entries.c.code == code)
        if actor:
            query = query.where(audit_entries.c.actor == actor)
        if session:
            query = query.where(audit_entries.c.session == session)
        query = query.order_by(audit_entries.c.seq.desc()).limit(max(0, count))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [self._entry(row) for row in reversed(rows)]

    async def entries(self, since: int = 0) -> AsyncIterator[AuditEntry]:
        """Yield every entry with seq > since, in order, a page at a time: no transaction stays open meanwhile."""
        while True:
            query = self._select().where(audit_entries.c.seq > since).order_by(audit_entries.c.seq).limit(PAGE)
            async with self._database.read() as connection:
                rows = (await connection.execute(query)).all()
            for row in rows:
                yield self._entry(row)
            if len(rows) < PAGE:
                return
            since = rows[-1].seq

    async def signed(self) -> Sequence[bytes]:
        """Return the lines of all signed checkpoints, in order."""
        return await checkpoints.stored_lines(self._database, self.node)

    async def seq_before(self, at: float) -> int:
        """Return the last entry that happened before that time; 0 for none."""
        query = sa.select(sa.func.max(audit_entries.c.seq)).where(audit_entries.c.node == self.node, audit_entries.c.at < at)
        async with self._database.read() as connection:
            return await connection.scalar(query) or 0

    async def verify(self, elsewhere: Sequence[bytes] = ()) -> tuple[int, str]:
        """Return (entries checked, "" or what is wrong with the first bad one).

        `elsewhere`: lines of checkpoints that were kept beside this machine; the chain must hold what they signed.
        """
        report = await self.examine(elsewhere)
        return report.checked, "" if report.fault is None else str(report.fault)

    async def examine(self, elsewhere: Sequence[bytes] = ()) -> Report:
        """Check journal, database and checkpoints against each other, beside the loop."""
        async with self._signing:
            stored = await checkpoints.stored_lines(self._database, self.node)
            exported = await asyncio.to_thread(self._export.lines)
            ends = Ends(self._head.seq, self._stored.seq, self._signed) if self._writer is not None else None
        return await examine(self._database, self._journal, self.node, self._verifier, Signed(stored, exported, ends, elsewhere))

    async def checkpoint(self) -> None:
        """Sign the head now, if it is not signed yet."""
        async with self._signing:
            await self._sign()

    async def _sign(self) -> None:
        head = self._stored
        if self._signer is None or head.seq <= self._signed:
            return
        point = sign(self._signer, self.node, head, self._signed, self._clock.now())
        self._signed = head.seq
        try:
            await asyncio.to_thread(self._export.append, point)
        except OSError as error:
            self._signed = point.previous
            _log.error("a checkpoint cannot be written: %s", error)
            return
        await checkpoints.store(self._database, [point])
        await self._tell(point)

    async def _tell(self, point: Checkpoint) -> None:
        """Tell every witness, and again next time when one could not be reached."""
        if not self._witnesses:
            return
        self._untold = [*self._untold, point][-UNTOLD:]
        reached = True
        for witness in self._witnesses:
            try:
                await asyncio.to_thread(witness.tell, self._untold)
            except (OSError, BastionError) as error:
                reached = False
                _log.error("the checkpoint of entry %d was not taken by %s: %s", point.seq, witness.name, error)
        if reached:
            self._untold = []

    async def close(self) -> None:
        """Write what waits, sign the head, and let go of the journal."""
        if self._writer is None:
            return
        self._closing = True
        self._wake.set()
        await self._writer
        self._writer = None
        self._journal.close()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._write(self._take())
            if self._head.seq - self._signed >= EVERY_ENTRIES or self._closing or self._overdue():
                await self._settle()
            if self._closing and not self._waiting:
                return

    def _take(self) -> list[_Waiting]:
        """Return the appends that share the next write; one alone may be larger than a batch."""
        batch = [self._waiting.popleft()]
        size = len(batch[0].texts)
        while self._waiting and size + len(self._waiting[0].texts) <= BATCH:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].texts)
        return batch

    async def _write(self, batch: list[_Waiting]) -> None:
        head = self._head
        links = extend(head, (text for waiting in batch for text in waiting.texts))
        try:
            await asyncio.to_thread(self._journal.append, links)
        except OSError as error:
            _log.error("the audit journal cannot be written: %s", error)
            for waiting in batch:
                if not waiting.done.done():
                    waiting.done.set_exception(Unavailable("audit.unwritable", "The audit log cannot be written.", str(error)))
            return
        self._head = Head(links[-1].seq, links[-1].hash)
        await self._catch_up(links)
        chained = iter(links)
        previous = head.hash
        for waiting in batch:
            entries = []
            for event, entry in zip(waiting.events, islice(chained, len(waiting.texts)), strict=True):
                entries.append(AuditEntry(entry.seq, event, previous, entry.hash))
                previous = entry.hash
            if not waiting.done.done():
                waiting.done.set_result(entries)
        if self._due is None:
            self._arm()
        if self._head.seq - self._signed >= EVERY_ENTRIES:
            await self._settle()

    async def _catch_up(self, newest: list[Link]) -> None:
        """Store what the database lacks: the newest entries, and before them what an earlier failure left."""
        try:
            if not newest or newest[0].seq != self._stored.seq + 1:
                newest = await asyncio.to_thread(self._from_journal)
            await self._store(newest)
        except (BastionError, OSError, sa.exc.SQLAlchemyError) as error:
            _log.error("%d audit entries wait for the database: %s", self.behind, getattr(error, "detail", error))

    def _from_journal(self) -> list[Link]:
        return [entry for _place, entry in self._journal.read(self._stored.seq) if entry and entry.seq <= self._head.seq]

    async def _settle(self) -> None:
        """Catch up and sign; what fails is tried again later."""
        self._disarm()
        if self.behind:
            await self._catch_up([])
        try:
            await self.checkpoint()
        except (BastionError, sa.exc.SQLAlchemyError) as error:
            _log.error("a checkpoint waits for the database: %s", getattr(error, "detail", error))
        if self._head.seq > self._signed and not self._closing:
            self._arm()

    def _arm(self) -> None:
        self._disarm()
        loop = asyncio.get_running_loop()
        self._deadline = loop.time() + self._every_seconds
        self._due = loop.call_at(self._deadline, self._wake.set)

    def _disarm(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _overdue(self) -> bool:
        return self._due is not None and asyncio.get_running_loop().time() >= self._deadline

    async def _last_stored(self) -> Head:
        query = sa.select(audit_entries.c.seq, audit_entries.c.hash).where(audit_entries.c.node == self.node)
        async with self._database.read() as connection:
            row = (await connection.execute(query.order_by(audit_entries.c.seq.desc()).limit(1))).first()
        return Head(0, genesis(self.node)) if row is None else Head(row.seq, row.hash)

    async def _store(self, links: list[Link]) -> None:
        for begin in range(0, len(links), BATCH):
            part = links[begin : begin + BATCH]
            async with self._database.write() as connection:
                await connection.execute(sa.insert(audit_entries), [self._row(entry) for entry in part])
            self._stored = Head(part[-1].seq, part[-1].hash)

    def _row(self, entry: Link) -> dict[str, object]:
        event = read_event(entry.text)
        return {
            "node": self.node,
            "seq": entry.seq,
            "hash": entry.hash,
            "text": entry.text.decode("ascii"),
            "at": event.at,
            "code": event.code,
            "actor": event.actor,
            "session": event.session,
        }

    def _select(self) -> sa.Select[tuple[int, bytes, str, bytes | None]]:
        before = audit_entries.alias("before")
        follows = sa.and_(before.c.node == audit_entries.c.node, before.c.seq == audit_entries.c.seq - 1)
        query = sa.select(audit_entries.c.seq, audit_entries.c.hash, audit_entries.c.text, before.c.hash.label("previous"))
        return query.select_from(audit_entries.outerjoin(before, follows)).where(audit_entries.c.node == self.node)

    def _entry(self, row: sa.Row[tuple[int, bytes, str, bytes | None]]) -> AuditEntry:
        previous = genesis(self.node) if row.previous is None else row.previous
        return AuditEntry(row.seq, read_event(row.text.encode()), previous, row.hash)


def prove(signer: Signer) -> None:
    """Sign and check a sentence, so that signing can never be silently off."""
    sample = b"bastion signing self-test"
    signature = signer.sign(sample)
    good = signer.verify(sample, signature, signer.key_id)
    if not good or signer.verify(sample + b".", signature, signer.key_id):
        raise Unavailable("audit.signing", "Signing the audit log does not work.", f"key {signer.key_id}")
