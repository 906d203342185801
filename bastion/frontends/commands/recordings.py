"""`recordings`, `replay`, `transcript`, `cast`: what was recorded, played and given out.

Never reads a recording itself, and lists only what policy lets this person replay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Denied, Missing
from bastion.core.recording.playback import parse_position
from bastion.core.text import safe_text
from bastion.frontends.commands.identity import identity_option, opened
from bastion.frontends.commands.output import amount, span
from bastion.frontends.commands.sessions import past_row
from bastion.frontends.commands.verbs import ENDPOINT, SESSION, USER, Noun, json_option
from bastion.services.ports import SessionFilter, SessionRecord
from bastion.services.storage import TOMBSTONE, is_kept

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door

MOST = 10_000  # sessions looked through by one --all


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""
    listing = Noun("recordings", help="What was recorded.")
    root.add_command(listing)

    @listing.verb("recordings", action="replay", asks="service", examples=["recordings", "recordings --user alice --json"])
    @click.option("--user", type=USER, default="", metavar="NAME", help="Only sessions that NAME started.")
    @click.option("--endpoint", type=ENDPOINT, default="", metavar="NAME", help="Only sessions on NAME.")
    @click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
    @json_option
    async def recordings(door: Door, user: str, endpoint: str, limit: int, as_json: bool) -> None:  # noqa: FBT001
        """List the recordings that you may play, newest first."""
        endpoints = {one.name: one for one in await door.desk.inventory.all()}
        found = await door.desk.sessions.find(SessionFilter(user=user, endpoint=endpoint, limit=limit))
        decide = door.desk.policies.decide
        records = [one for one in found if one.recording and decide(door.identity, "replay", endpoints.get(one.endpoint)).allowed]
        if not records:  # an empty list to somebody whom nothing is allowed is a refusal, and says so
            decision = decide(door.identity, "replay")
            may = decision.allowed or any(decide(door.identity, "replay", one).allowed for one in endpoints.values())
            if not may:
                raise Denied("access.denied", f"recordings: {decision.reason}", decision.rule)
        rows = [past_row(record) | {"deleted": None if is_kept(record) else record.recording.removeprefix(TOMBSTONE)} for record in records]
        if not as_json:
            for row, record in zip(rows, records, strict=True):
                seconds = None if record.ended_at is None else record.ended_at - record.started_at
                row.update(id=record.id[:12], length=span(seconds), out=amount(record.bytes_out))
                if not is_kept(record):
                    row.update(state="deleted", reason=record.recording.removeprefix(TOMBSTONE))
        heads = ["id", "owner", "endpoint", "login", "started_at", "length", "out", "state", "reason"]
        await door.listing(heads, rows, as_json_list=as_json, empty="There is no recording that you may play.")

    @root.verb("replay", action="replay", asks="service", examples=["replay 4f2a", "replay 4f2a --speed 4", "replay 4f2a --at +1:20"])
    @click.argument("session", type=SESSION, metavar="ID")
    @click.option("--speed", type=click.FloatRange(0.1, 100), default=1.0, show_default=True, help="How fast.")
    @click.option("--at", "at_text", default="", metavar="TIME", help="Start there: +1:20 from its start, or 12:30 by the clock.")
    @identity_option
    async def replay(door: Door, session: str, speed: float, at_text: str, identity: str | None) -> None:
        """Play a recording: space pauses, + and - change the speed, q quits."""
        record = await decided(door, session, "replay")
        found = await opened(door, record.id, identity)
        note(door, record, "recording.replayed")
        at = parse_position(at_text, record.started_at) if at_text else 0
        await found.play(record.id, door.handover(), at=at, speed=speed)

    @root.verb("transcript", action="export", asks="service", examples=["transcript 4f2a", "transcript 4f2a > session.txt"])
    @click.argument("session", type=SESSION, metavar="ID")
    @identity_option
    async def transcript(door: Door, session: str, identity: str | None) -> None:
        """Write a recording as plain lines with times and names."""
        record = await decided(door, session, "export")
        found = await opened(door, record.id, identity)
        note(door, record, "recording.exported")
        await found.transcript(record.id, door.handover())

    @root.verb(
        "cast",
        action="export",
        asks="service",
        examples=["cast 4f2a > session.cast", "cast 4f2a --v2 > session.cast", "cast 4f2a --identity - < age.key"],
    )
    @click.argument("session", type=SESSION, metavar="ID")
    @click.option("--v2", is_flag=True, help="As asciicast v2, for older players.")
    @identity_option
    async def cast(door: Door, session: str, v2: bool, identity: str | None) -> None:  # noqa: FBT001
        """Write a recording to standard output as asciicast, for asciinema and others."""
        record = await decided(door, session, "export")
        found = await opened(door, record.id, identity)
        note(door, record, "recording.exported")
        await found.cast(record.id, door.handover(), version=2 if v2 else 3)


async def decided(door: Door, prefix: str, action: str) -> SessionRecord:
    """Return the session of that id if policy lets this person do `action` with it; else it does not exist for them."""
    endpoints = {one.name: one for one in await door.desk.inventory.all()}
    missing = Missing("recording.missing", f"There is no recording '{safe_text(prefix, 64)}'.")
    try:
        record = await door.desk.sessions.get(prefix)
    except Missing:
        raise missing from None
    decision = door.desk.policies.decide(door.identity, action, endpoints.get(record.endpoint))
    if not decision.allowed:
        raise Denied("access.denied", f"{action}: {decision.reason}", decision.rule)
    if not record.recording:
        raise missing
    if not is_kept(record):
        raise Missing("recording.deleted", f"That recording was {safe_text(record.recording, 300)}.")
    return record


def note(door: Door, record: SessionRecord, code: str) -> None:
    """Audit that somebody saw or took a recording."""
    who = door.identity
    event = AuditEvent(code, door.desk.clock.now(), who.name, who.source, subject=record.endpoint, session=record.id)
    door.desk.auditor.record(event)
