"""What recordings take, how long they are kept, and how one is deleted. Never deletes a live one, or one without a trace.

What goes leaves a tombstone: in the audit chain, where its digest stands too, and in the list.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import orjson

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Conflict, Missing, Unavailable
from bastion.core.recording import retention
from bastion.services.ports import SessionFilter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bastion.core.identity import Identity
    from bastion.core.recording.retention import Rule
    from bastion.services.ports import Auditing, Clock, Endpoints, SessionRecord, Sessions
    from bastion.services.record_ports import Recordings, Stored

TOMBSTONE: Final = "deleted "
"""What a session's `recording` begins with when its recording is deleted; when, by whom and why follow."""
PENDING: Final = "deletion.json"
PENDING_SECONDS: Final = 24 * 3600.0
"""A wish to delete that nobody seconds is forgotten after this."""
SWEEP_SECONDS: Final = 3600.0
_MOST: Final = 10_000_000

_log = logging.getLogger("bastion.recordings")


@dataclass(frozen=True, slots=True)
class Use:
    """What recordings take together: counts and bytes. `by_day` and `by_endpoint` are (name, recordings, bytes, bytes of casts)."""

    recordings: int
    bytes: int
    cast_bytes: int
    packed: int
    packed_cast_bytes: int
    packed_bytes: int
    free: int
    total: int
    least: int
    by_day: list[tuple[str, int, int, int]]
    by_endpoint: list[tuple[str, int, int, int]]


@dataclass(frozen=True, slots=True)
class Overdue:
    """A recording that a rule no longer keeps."""

    record: SessionRecord
    rule: Rule
    days: float


class Storage:
    """The keeper of recordings. `least()` is how many bytes must stay free; `forget(id)` has an index forget a recording."""

    def __init__(
        self,
        recordings: Recordings,
        sessions: Sessions,
        endpoints: Endpoints,
        auditor: Auditing,
        clock: Clock,
        least: Callable[[], int],
        rules: Sequence[Rule] = (),
        *,
        two_people: bool = False,
        forget: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self._recordings = recordings
        self._sessions = sessions
        self._endpoints = endpoints
        self._auditor = auditor
        self._clock = clock
        self._least = least
        self.rules = rules
        self.two_people = two_people
        self._forget = forget

    async def use(self) -> Use:
        """Return what all recordings take, by day and by endpoint. `Unavailable` when the folder cannot be read."""
        try:
            stored = await asyncio.to_thread(lambda: list(self._recordings.stored()))
            free, total = await asyncio.to_thread(self._recordings.free)
        except OSError as error:
            raise Unavailable("recordings.unreadable", "The recordings folder cannot be read.", str(error)) from error
        names = {record.id: record.endpoint for record in await self._sessions.find(SessionFilter(limit=_MOST))}
        packed = [one for one in stored if one.packed]
        return Use(
            len(stored),
            sum(one.bytes for one in stored),
            sum(one.cast for one in stored),
            len(packed),
            sum(one.cast for one in packed),
            sum(one.bytes for one in packed),
            free,
            total,
            self._least(),
            _grouped(stored, lambda one: one.day)[::-1],
            sorted(_grouped(stored, lambda one: names.get(one.session_id, "(unknown)")), key=lambda row: -row[2]),
        )

    async def overdue(self) -> list[Overdue]:
        """Return the recordings that rules no longer keep, oldest first."""
        if not self.rules:
            return []
        labels = {one.name: dict(one.labels) for one in await self._endpoints.all()}
        now = self._clock.now()
        found = []
        for record in await self._sessions.find(SessionFilter(live=False, limit=_MOST)):
            rule = retention.decide(self.rules, record.endpoint, labels.get(record.endpoint, {}))
            age = now - (record.ended_at or now)
            if rule is not None and rule.seconds is not None and age > rule.seconds and is_kept(record):
                found.append(Overdue(record, rule, age / 86400))
        return found[::-1]

    async def sweep(self, by: Identity | None = None) -> list[Overdue]:
        """Delete what is overdue; return it. What cannot be deleted is logged and tried again."""
        done = []
        for one in await self.overdue():
            try:
                await self._delete(one.record, by, "recording.expired", f"kept for {one.rule.text}", [])
            except (BastionError, OSError) as error:
                _log.error("the recording of session %s is overdue and cannot be deleted: %s", one.record.id, error)
            else:
                done.append(one)
        return done

    async def run(self) -> None:
        """Sweep each hour until cancelled, where there are rules; first end what a crash cut off."""
        try:
            await self._end_deletions()
        except (BastionError, OSError) as error:
            _log.error("deleted recordings cannot be taken away: %s", error)
        while True:
            try:
                await self.sweep()
            except (BastionError, OSError) as error:
                _log.error("recordings cannot be swept: %s", error)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _end_deletions(self) -> None:
        gone = {one.id for one in await self._sessions.find(SessionFilter(limit=_MOST)) if one.recording.startswith(TOMBSTONE)}
        await asyncio.to_thread(self._recordings.empty_trash)
        if not gone:
            return
        kept = await asyncio.to_thread(lambda: [one.session_id for one in self._recordings.stored()])
        for session_id in gone.intersection(kept):
            await asyncio.to_thread(self._recordings.remove, session_id)

    async def delete(self, record: SessionRecord, by: Identity, reason: str) -> bool:
        """Delete one recording. Returns False when it now waits for a second person to say the same.

        Raises `Missing` when it is deleted already, `Conflict` while it is live or when the same person says it twice.
        """
        if not is_kept(record):
            raise Missing("recording.deleted", f"That recording was {record.recording or 'never made'}.")
        if record.ended_at is None:
            raise Conflict("recording.live", "That session is live: end it first.")
        agreed: list[str] = []
        if self.two_people:
            first = await asyncio.to_thread(self._pending, record.id)
            if first is None:
                await self._ask(record, by, reason)
                return False
            if first["user_id"] == by.user_id:
                raise Conflict("recording.two_people", "You asked for this already: another person must say the same within a day.")
            agreed = [str(first["by"])]
        await self._delete(record, by, "recording.deleted", reason, agreed)
        return True

    async def _ask(self, record: SessionRecord, by: Identity, reason: str) -> None:
        wish = {"by": by.name, "user_id": by.user_id, "at": self._clock.now(), "reason": reason}
        try:
            await asyncio.to_thread(self._recordings.append_side, record.id, PENDING, orjson.dumps(wish) + b"\n")
        except FileNotFoundError:
            raise Missing("recording.missing", "Its files are gone.") from None
        self._audit("recording.deletion_asked", record, by, reason, {})
        await self._auditor.flush()

    def _pending(self, session_id: str) -> dict[str, object] | None:
        """Return who asked for this, if that holds still."""
        side = self._recordings.open_side(session_id, PENDING)
        if side is None:
            return None
        try:
            for line in reversed(side.pread(64 * 1024, 0).splitlines()):
                wish = orjson.loads(line)
                at = wish["at"]
                if isinstance(at, float | int) and 0 <= self._clock.now() - at <= PENDING_SECONDS:
                    return {"by": str(wish["by"]), "user_id": str(wish["user_id"])}
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return None
        finally:
            side.close()
        return None

    async def _delete(self, record: SessionRecord, by: Identity | None, code: str, reason: str, agreed: list[str]) -> None:
        """First the fact in the chain, then the list, then the files: a crash leaves a trace of what is half gone."""
        who = by.name if by else "system"
        self._audit(code, record, by, reason, {"agreed": agreed} if agreed else {})
        await self._auditor.flush()
        stamp = datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        names = " and ".join([*agreed, who])
        await self._sessions.save(replace(record, recording=f"{TOMBSTONE}{stamp} by {names}: {reason}"))
        with suppress(Missing):  # its files went before
            await asyncio.to_thread(self._recordings.remove, record.id)
        if self._forget is not None:
            await self._forget(record.id)

    def _audit(self, code: str, record: SessionRecord, by: Identity | None, reason: str, data: dict[str, object]) -> None:
        name, source = (by.name, by.source) if by else ("system", "")
        facts = {"owner": record.user, "started_at": record.started_at, **data}
        self._auditor.record(AuditEvent(code, self._clock.now(), name, source, record.endpoint, record.id, "ok", reason, facts))


def is_kept(record: SessionRecord) -> bool:
    """Return whether a session has a recording that was not deleted."""
    return bool(record.recording) and not record.recording.startswith(TOMBSTONE)


def _grouped(stored: Sequence[Stored], key: Callable[[Stored], str]) -> list[tuple[str, int, int, int]]:
    groups: dict[str, tuple[int, int, int]] = {}
    for one in stored:
        count, size, cast = groups.get(key(one), (0, 0, 0))
        groups[key(one)] = (count + 1, size + one.bytes, cast + one.cast)
    return sorted((name, *sums) for name, sums in groups.items())
