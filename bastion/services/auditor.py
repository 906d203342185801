"""The one way to the audit log for everybody: `record` and go on. Never drops an event without saying so.

Theory of operation. `record` is synchronous and puts the event on a bounded queue; one task writes what waits, in
order, in batches. While the store cannot be written the events stay queued and are tried again, `healthy` is False and
whoever opens sessions must refuse ("no record, no session"). An event that finds the queue full, or that is still there
when the bastion stops, goes to the program's log as a whole line and is counted in `lost`; once the store is back, an
`audit.lost` event says how many.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from bastion.core.audit.chain import canonical
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Invalid, Unavailable
from bastion.services.ports import AuditStore, Clock
from bastion.services.tasks import spawn

# About 5 MB of events; a minute of a very busy node
CAPACITY: Final = 10_000
BATCH: Final = 500
RETRY_SECONDS: Final = 1.0
RETRY_LIMIT: Final = 10.0

_log = logging.getLogger("bastion.audit")


def complain(line: str) -> None:
    """Write a line to the program's log (on stderr)."""
    _log.error("%s", line)


class Auditor:
    """Records events. Use as `async with`; ready as soon as it is entered.

    `complain(line)` gets what people must hear of: failures, and the events that could not be kept.
    """

    def __init__(
        self,
        store: AuditStore,
        clock: Clock,
        *,
        capacity: int = CAPACITY,
        retry_seconds: float = RETRY_SECONDS,
        complain: Callable[[str], None] = complain,
    ) -> None:
        self._store = store
        self._clock = clock
        self._capacity = capacity
        self._retry_seconds = retry_seconds
        self._complain = complain
        self._queue: deque[AuditEvent] = deque()
        self._wake = asyncio.Event()
        self._taken = 0  # events ever put on the queue
        self._written = 0  # events ever taken off it, by being stored
        self._flushes: list[tuple[int, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failing = False
        self._unreported = 0
        self.lost = 0

    @property
    def healthy(self) -> bool:
        """Return whether events reach the store; when not, no session may begin."""
        running = self._task is not None and not self._task.done()
        return running and not self._failing and not self._stopping and len(self._queue) < self._capacity

    @property
    def waiting(self) -> int:
        """Return how many events are not stored yet."""
        return len(self._queue)

    def record(self, event: AuditEvent) -> None:
        """Have an event written soon, in the order of calls. Never blocks, never raises.

        An event whose `data` is not plain JSON is kept without it, and says so.
        """
        event = self._spelled(event)
        if self._stopping or len(self._queue) >= self._capacity:
            self._lose(event)
            return
        self._queue.append(event)
        self._taken += 1
        self._wake.set()

    async def flush(self) -> None:
        """Return when all that was recorded before is durably stored.

        Raises `Unavailable` (`audit.unwritable`) when the store refuses; the events stay queued.
        """
        if self._task is None or self._task.done():
            raise Unavailable("audit.unwritable", "The audit log is not running.")
        if self._written >= self._taken:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushes.append((self._taken, done))
        self._wake.set()
        await done

    async def __aenter__(self) -> Self:
        self._stopping = False
        self._task = spawn("auditor", self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Write what waits, once more at most; what cannot be written goes to the program's log."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            with contextlib.suppress(Exception):  # a crash was reported when it happened
                await self._task
        for event in self._queue:
            self._lose(event)
        self._queue.clear()
        self._answer(Unavailable("audit.unwritable", "The audit log has stopped."))

    async def _run(self) -> None:
        delay = self._retry_seconds
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                if await self._write():
                    delay = self._retry_seconds
                elif self._stopping:
                    return
                else:
                    await self._pause(delay)
                    delay = min(2 * delay, RETRY_LIMIT)
            if self._stopping:
                return

    async def _write(self) -> bool:
        """Store one batch; return whether that worked."""
        if self._unreported:
            self._queue.appendleft(AuditEvent("audit.lost", self._clock.now(), result="failed", data={"count": self._unreported}))
            self._taken += 1
            self._flushes = [(upto + 1, done) for upto, done in self._flushes]
            self._unreported = 0
        batch = [self._queue[n] for n in range(min(BATCH, len(self._queue)))]
        try:
            await self._store.append(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, the events must be kept and people told
            reason = error.detail or error.public if isinstance(error, BastionError) else repr(error)
            if not self._failing:
                self._complain(f"the audit log cannot be written, new sessions are refused: {reason}")
            self._failing = True
            self._answer(Unavailable("audit.unwritable", "The audit log cannot be written.", reason))
            return False
        for _ in batch:
            self._queue.popleft()
        self._written += len(batch)
        if self._failing:
            self._failing = False
            self._complain("the audit log can be written again")
        self._answer()
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait, but not when the bastion stops or somebody waits for a flush."""
        self._wake.clear()
        until = asyncio.get_running_loop().time() + seconds
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while not self._stopping and not self._flushes:
                    await self._wake.wait()
                    self._wake.clear()

    def _answer(self, error: Exception | None = None) -> None:
        """Tell flushes that their events are stored, or all of them that the store fails."""
        rest = []
        for upto, done in self._flushes:
            if done.done():
                continue
            if error is not None:
                done.set_exception(error)
            elif upto <= self._written:
                done.set_result(None)
            else:
                rest.append((upto, done))
        self._flushes = rest

    def _lose(self, event: AuditEvent) -> None:
        self.lost += 1
        self._unreported += 1
        self._complain(f"lost audit event: {canonical(event).decode('ascii')}")

    def _spelled(self, event: AuditEvent) -> AuditEvent:
        """Return the event if it can be written, else what of it can."""
        try:
            canonical(event)
        except Invalid as error:
            self._complain(f"audit event {event.code!a}: its data were left out: {error.detail or error.public}")
            kept = {
                name: str(getattr(event, name))[:2000] for name in ("code", "actor", "source", "subject", "session", "result", "reason")
            }
            at = event.at if isinstance(event.at, float | int) and abs(event.at) < 1e12 else self._clock.now()  # noqa: PLR2004
            return replace(event, at=at, data={"left_out": "data"}, **kept)
        return event
