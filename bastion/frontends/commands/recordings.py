"""`recordings`, `replay`, `transcript`, `cast`: what was recorded, played and given out.

Never reads a recording itself, and lists only what policy lets this person replay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Denied, Invalid, Missing
from bastion.core.recording.playback import parse_position
from bastion.core.text import safe_text
from bastion.frontends.commands.identity import identity_option, opened
from bastion.frontends.commands.verbs import RECORDING, Noun
from bastion.services.ports import SessionRecord
from bastion.services.storage import is_kept

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door

MOST = 10_000  # sessions looked through by one --all


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""

    @root.verb("replay", action="replay", asks="service", examples=["replay 4f2a", "replay 4f2a --speed 4", "replay 4f2a --at +1:20"])
    @click.argument("session", type=RECORDING, metavar="ID")
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
    @click.argument("session", type=RECORDING, metavar="ID")
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
    @click.argument("session", type=RECORDING, metavar="ID")
    @click.option("--v2", is_flag=True, help="As asciicast v2, for older players.")
    @identity_option
    async def cast(door: Door, session: str, v2: bool, identity: str | None) -> None:  # noqa: FBT001
        """Write a recording to standard output as asciicast, for asciinema and others."""
        record = await decided(door, session, "export")
        found = await opened(door, record.id, identity)
        note(door, record, "recording.exported")
        await found.cast(record.id, door.handover(), version=2 if v2 else 3)

    @root.verb(
        "export", action="export", asks="service", examples=["export 4f2a --svg > screen.svg", "export 4f2a --svg --at +1:20 > screen.svg"]
    )
    @click.argument("session", type=RECORDING, metavar="ID")
    @click.option("--svg", "as_svg", is_flag=True, help="The screen at one moment as a picture (SVG).")
    @click.option(
        "--at", "at_text", default="", metavar="TIME", help="Which moment: +1:20 from its start, or 12:30 by the clock; else the last."
    )
    async def export(door: Door, session: str, as_svg: bool, at_text: str) -> None:  # noqa: FBT001
        """Write a picture of a recording to standard output; for a film, give what `cast` writes to asciinema's agg."""
        record = await decided(door, session, "export")
        if not as_svg:
            raise Invalid(
                "usage.export", "As what? --svg is the screen at one moment. For a GIF, give what `cast ID` writes to asciinema's agg."
            )
        at = parse_position(at_text, record.started_at) if at_text else None
        note(door, record, "recording.exported")
        await door.desk.replay.picture(record.id, door.handover(), at=at)


async def decided(door: Door, prefix: str, action: str, *, deleted: bool = False) -> SessionRecord:
    """Return the session of that id if policy lets this person do `action` with it; else it does not exist for them.

    `deleted`: also one of which only the record is left.
    """
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
    if not is_kept(record) and not deleted:
        raise Missing("recording.deleted", f"That recording was {safe_text(record.recording, 300)}.")
    return record


def note(door: Door, record: SessionRecord, code: str) -> None:
    """Audit that somebody saw or took a recording."""
    who = door.identity
    event = AuditEvent(code, door.desk.clock.now(), who.name, who.source, subject=record.endpoint, session=record.id)
    door.desk.auditor.record(event)
