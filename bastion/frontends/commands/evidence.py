"""`verify`, `evidence`: what proves a recording, checked and given out.

Never reads a recording itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import click

from bastion.core.errors import Corrupt, Denied, Invalid, Unavailable
from bastion.frontends.commands.audits import caught_up
from bastion.frontends.commands.identity import asked, identity_option, opened
from bastion.frontends.commands.output import amount
from bastion.frontends.commands.recordings import MOST, decided, note
from bastion.frontends.commands.verbs import RECORDING, Noun, json_option
from bastion.services.evidence import sealed_digest
from bastion.services.ports import SessionFilter, SessionRecord
from bastion.services.storage import is_kept
from bastion.services.tasks import spawn

if TYPE_CHECKING:
    from bastion.core.recording.seal import Verdict
    from bastion.frontends.commands.door import Door
    from bastion.frontends.commands.output import Row
    from bastion.services.replay import Replay

_QUIET: Final = 5.0
"""Seconds of work between two lines about how far it is."""


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""

    @root.verb("verify", action="replay", asks="service", examples=["verify 4f2a", "verify --all", "verify --all --json"])
    @click.argument("session", type=RECORDING, required=False, default="", metavar="[ID]")
    @click.option("--all", "every", is_flag=True, help="Every recording that you may replay.")
    @identity_option
    @json_option
    async def verify(door: Door, session: str, every: bool, identity: str | None, as_json: bool) -> int:  # noqa: FBT001
        """Check recordings against their seals; exit code 65 and the first bad line where one was altered."""
        if every and identity:
            raise Invalid("usage.verify", "An identity belongs to one recording: verify ID --identity -.")
        if bool(session) == every:
            raise Invalid("usage.verify", "Say which recording: verify ID, or verify --all.")
        if every:
            endpoints = {one.name: one for one in await door.desk.inventory.all()}
            found = await door.desk.sessions.find(SessionFilter(limit=MOST))
            decide = door.desk.policies.decide
            records = [one for one in found if is_kept(one) and decide(door.identity, "replay", endpoints.get(one.endpoint)).allowed]
            if not records and not decide(door.identity, "replay").allowed:
                raise Denied("access.denied", f"verify: {decide(door.identity, 'replay').reason}")
        else:
            records = [await decided(door, session, "replay")]
        replay = await opened(door, records[0].id, identity) if identity else door.desk.replay
        rows, bad = await _verified(door, replay, records)
        if not as_json:
            for row in rows:
                row.update(id=str(row["id"])[:12], good="good" if row["good"] else "ALTERED")
        await door.listing(
            ["id", "good", "lines", "seals", "line", "finding"], rows, as_json_list=as_json, empty="There is no recording to check."
        )
        if bad:
            door.warn(f"{bad} of {len(rows)} recordings are not as they were sealed.")
        return Corrupt.exit_code if bad else 0

    @root.verb("evidence", action="export", asks="service", examples=["evidence 4f2a > pack.zip", "evidence 4f2a --chain > pack.zip"])
    @click.argument("session", type=RECORDING, metavar="ID")
    @click.option("--chain", "whole_chain", is_flag=True, help="With all of the audit log up to a signed head (asks for `audit`, too).")
    @identity_option
    async def evidence(door: Door, session: str, whole_chain: bool, identity: str | None) -> None:  # noqa: FBT001
        """Write all that proves a session to standard output, as a zip: recording, seals, people, decision, facts, key."""
        record = await decided(door, session, "export")
        if door.desk.evidence is None:
            raise Unavailable("evidence.no_key", "Recordings are not sealed here.")
        if whole_chain:
            decision = door.desk.policies.decide(door.identity, "audit")
            if not decision.allowed:
                raise Denied("access.denied", f"--chain tells of other sessions: {decision.reason}", decision.rule)
        text = await asked(door, record.id, identity)
        pack = door.desk.evidence if text is None else door.desk.evidence.unlocked(text)
        note(door, record, "recording.exported")
        verdict = await pack.send(record, door.handover(), door.identity.name, whole_chain=whole_chain)
        if verdict.finding or not verdict.ended:
            door.warn(f"The recording in this pack is not whole: {verdict.finding or 'its end seal is missing'}.")


async def _verified(door: Door, replay: Replay, records: list[SessionRecord]) -> tuple[list[Row], int]:
    """Check recordings one after the other; return rows and how many are not as they were sealed."""
    rows: list[Row] = []
    bad = 0
    await caught_up(door)
    progress = _Progress(door, replay, len(records))
    for record in records:
        verdict = await progress.watched(record)
        good = not verdict.finding and (verdict.ended or record.ended_at is None)
        finding = verdict.finding or ("" if good else f"its end seal is missing: after line {verdict.lines} it was cut off")
        bad += not good
        rows.append(
            {
                "id": record.id,
                "good": good,
                "lines": verdict.lines,
                "seals": verdict.seals,
                "ended": verdict.ended,
                "line": verdict.line,
                "finding": finding,
                "digest": verdict.digest,
            }
        )
    return rows, bad


def _heard(name: str, error: BaseException) -> None:
    """Do nothing: whoever waits for the check is told."""


class _Progress:
    """Tells on standard error how far a long check is."""

    def __init__(self, door: Door, replay: Replay, total: int) -> None:
        self._door = door
        self._replay = replay
        self._total = total
        self._done = self._bytes = 0
        self._told = door.desk.clock.monotonic()

    async def watched(self, record: SessionRecord) -> Verdict:
        """Check one recording."""
        digest = await sealed_digest(self._door.desk.audit, record.id)
        work = spawn("verify", self._replay.verify(record.id, digest=digest, count=self._count), crashed=_heard)
        while not work.done():
            left = self._told + _QUIET - self._door.desk.clock.monotonic()
            if left <= 0:
                self._told = self._door.desk.clock.monotonic()
                of = f"{self._done} of {self._total} recordings, " if self._total > 1 else ""
                self._door.warn(f"verify: {of}{amount(self._bytes)} checked so far")
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(work), left)
        self._done += 1
        return work.result()

    def _count(self, size: int) -> None:
        self._bytes += size
