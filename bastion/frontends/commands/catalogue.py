"""`recordings`: the list of what was recorded, everything of one, and the tags and notes that people give them.

Never reads a recording, and lists only what policy lets this person replay.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from bastion.core.access.durations import parse_duration
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Denied, Invalid, Missing
from bastion.core.text import safe_text
from bastion.frontends.commands.audits import caught_up
from bastion.frontends.commands.output import Row, amount, facts, rfc3339, span
from bastion.frontends.commands.output import as_json as to_json
from bastion.frontends.commands.recordings import decided
from bastion.frontends.commands.sessions import past_row
from bastion.frontends.commands.times import moment
from bastion.frontends.commands.verbs import ENDPOINT, RECORDING, TAG, USER, Noun, json_option
from bastion.services.ports import SessionFilter, SessionRecord
from bastion.services.record_ports import RecordingNote
from bastion.services.storage import TOMBSTONE, is_kept

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bastion.core.access.endpoint import Endpoint
    from bastion.frontends.commands.door import Door
    from bastion.services.ports import AuditEntry

MOST_TAGS: Final = 32
MOST_NOTE: Final = 2000
_PAGE: Final = 500
_TAG: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_SEEN: Final = ("recording.replayed", "recording.exported", "recording.viewed")
_MOST_SEEN: Final = 1000


def fill(root: Noun) -> None:
    """Put the noun and its verbs into the tree."""
    noun = Noun("recordings", help="What was recorded.")
    root.add_command(noun)

    @noun.verb(
        "recordings",
        action="replay",
        asks="service",
        examples=["recordings", "recordings --user alice --since 7d --json", "recordings --participant bob --longer 10m --tag audit-2026"],
    )
    @click.option("--user", type=USER, default="", metavar="NAME", help="Only sessions that NAME started.")
    @click.option("--participant", type=USER, default="", metavar="NAME", help="Only sessions that NAME took part in, in any role.")
    @click.option("--endpoint", type=ENDPOINT, default="", metavar="NAME", help="Only sessions on NAME.")
    @click.option("--since", default="", metavar="TIME", help="Only what began later: 7d (ago), 2026-11-20, 2026-11-20T10:00.")
    @click.option("--until", default="", metavar="TIME", help="Only what began earlier.")
    @click.option("--longer", default="", metavar="LENGTH", help="Only what lasted at least so long: 30s, 10m, 1h30m.")
    @click.option("--shorter", default="", metavar="LENGTH", help="Only what lasted at most so long.")
    @click.option("--reason", default="", metavar="WORD", help="Only what ended so: exit, killed, session.lost ...")
    @click.option("--tag", type=TAG, default="", metavar="TAG", help="Only those with this tag.")
    @click.option("--handed-over/--not-handed-over", default=None, help="Only those in which the keyboard changed hands, or not.")
    @click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
    @click.option(
        "--skip", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="Leave out the N newest: the next page."
    )
    @json_option
    async def recordings(
        door: Door,
        user: str,
        participant: str,
        endpoint: str,
        since: str,
        until: str,
        longer: str,
        shorter: str,
        reason: str,
        tag: str,
        handed_over: bool | None,  # noqa: FBT001
        limit: int,
        skip: int,
        as_json: bool,  # noqa: FBT001
    ) -> None:
        """List the recordings that you may play, newest first."""
        now = door.desk.clock.now()
        wanted = SessionFilter(
            user=user,
            endpoint=endpoint,
            since=moment(since, now),
            until=moment(until, now),
            recorded=True,
            participant=participant,
            longer=_length(longer),
            shorter=_length(shorter),
            reason=reason,
            tag=tag,
            handed_over=handed_over,
        )
        records, more = await _allowed(door, wanted, skip, limit)
        tags = await door.desk.annotations.tags([record.id for record in records])
        rows = [_row(record, tags.get(record.id, ())) for record in records]
        if not as_json:
            for row, record in zip(rows, records, strict=True):
                seconds = None if record.ended_at is None else record.ended_at - record.started_at
                row.update(id=record.id[:12], length=span(seconds), out=amount(record.bytes_out))
                if not is_kept(record):
                    row.update(state="deleted", reason=row["deleted"])
        heads = ["id", "owner", "endpoint", "login", "started_at", "length", "out", "state", "reason"]
        heads += ["tags"] if tags else []
        await door.listing(heads, rows, as_json_list=as_json, empty="There is no recording that you may play and that matches.")
        if more:
            door.warn(f"There are older ones: --skip {skip + limit} shows the next.")

    @noun.verb("show", action="replay", asks="service", examples=["recordings show 4f2a", "recordings show 4f2a --json"])
    @click.argument("session", type=RECORDING, metavar="ID")
    @json_option
    async def show(door: Door, session: str, as_json: bool) -> None:  # noqa: FBT001
        """Show everything of one recording: people, rule, size, seal, tags, notes, and who has seen it."""
        record = await decided(door, session, "replay", deleted=True)
        found = await _everything(door, record)
        door.say(to_json(found) if as_json else _text(found, door.width))

    @noun.verb(
        "tag",
        action="replay",
        asks="service",
        examples=["recordings tag 4f2a +incident-17", "recordings tag 4f2a +checked -todo"],
        more_options=True,
    )
    @click.argument("session", type=RECORDING, metavar="ID")
    @click.argument("changes", type=TAG, nargs=-1, required=True, metavar="+TAG|-TAG...")
    async def tag_(door: Door, session: str, changes: tuple[str, ...]) -> None:
        """Give a recording tags (+x) or take them away (-x)."""
        record = await decided(door, session, "replay")
        add, remove = _changes(changes)
        desk, who = door.desk, door.identity
        has = (await desk.annotations.tags([record.id])).get(record.id, ())
        if len({*has, *add} - set(remove)) > MOST_TAGS:
            raise Invalid("tag.too_many", f"A recording may have {MOST_TAGS} tags.")
        tags = await desk.annotations.tag(record.id, add, remove, who.name, desk.clock.now())
        _audit(door, record, "recording.tagged", {"added": add, "removed": remove})
        door.say(f"{record.id[:12]} has {', '.join(tags) if tags else 'no tags'}.")

    @noun.verb("note", action="replay", asks="service", examples=["recordings note 4f2a 'the restart at 12:30 was agreed'"])
    @click.argument("session", type=RECORDING, metavar="ID")
    @click.argument("text", metavar="TEXT")
    async def note(door: Door, session: str, text: str) -> None:
        """Write a note to a recording; it stays, with your name and the time."""
        record = await decided(door, session, "replay")
        text = text.strip()
        if not text or len(text) > MOST_NOTE:
            raise Invalid("note.length", f"A note has 1 to {MOST_NOTE} characters.")
        desk, who = door.desk, door.identity
        await desk.annotations.note(RecordingNote(record.id, desk.clock.now(), who.name, text))
        _audit(door, record, "recording.noted", {"text": text})
        door.say(f"Noted with {record.id[:12]}.")


# ---------------------------------------------------------------- the list


async def _allowed(door: Door, wanted: SessionFilter, skip: int, limit: int) -> tuple[list[SessionRecord], bool]:
    """Return matching recordings that this person may replay, after the `skip` newest, and whether there are more."""
    endpoints: dict[str, Endpoint] = {one.name: one for one in await door.desk.inventory.all()}
    decide = door.desk.policies.decide
    may: dict[str, bool] = {}
    found: list[SessionRecord] = []
    at = 0
    while len(found) <= skip + limit:
        page = await door.desk.sessions.find(replace(wanted, limit=_PAGE, skip=at))
        for record in page:
            if record.endpoint not in may:
                may[record.endpoint] = decide(door.identity, "replay", endpoints.get(record.endpoint)).allowed
            if record.recording and may[record.endpoint]:
                found.append(record)
        at += len(page)
        if len(page) < _PAGE:
            break
    if not found:  # an empty list to somebody whom nothing is allowed is a refusal, and says so
        decision = decide(door.identity, "replay")
        if not decision.allowed and not any(decide(door.identity, "replay", one).allowed for one in endpoints.values()):
            raise Denied("access.denied", f"recordings: {decision.reason}", decision.rule)
    return found[skip : skip + limit], len(found) > skip + limit


def _row(record: SessionRecord, tags: Sequence[str]) -> Row:
    deleted = None if is_kept(record) else record.recording.removeprefix(TOMBSTONE)
    return past_row(record) | {"deleted": deleted, "tags": list(tags)}


def _length(text: str) -> float | None:
    try:
        return parse_duration(text) if text else None
    except ValueError as error:
        raise Invalid("usage.length", f"{error}.") from None


# ---------------------------------------------------------------- one recording


async def _everything(door: Door, record: SessionRecord) -> Row:
    """Return all that is known of a recording, as plain values."""
    desk = door.desk
    await caught_up(door)
    people = await desk.sessions.participants(record.id)
    entries = await desk.audit.last(_MOST_SEEN, session=record.id)
    tags = (await desk.annotations.tags([record.id])).get(record.id, ())
    notes = await desk.annotations.notes(record.id)
    row = _row(record, tags)
    row["command"] = record.command
    row["participants"] = [
        {
            "name": one.user,
            "role": one.role,
            "source": one.source,
            "joined_at": rfc3339(one.joined_at),
            "left_at": rfc3339(one.left_at),
            "reason": one.reason,
        }
        for one in people
    ]
    row["decision"] = next((entry.event.reason for entry in entries if entry.event.code == "session.started"), "")
    row["handovers"] = sum(entry.event.code == "control.moved" for entry in entries)
    row["seal"] = await _seal(door, record, entries)
    row["notes"] = [{"at": rfc3339(one.at), "by": one.by, "text": one.text} for one in notes]
    row["seen"] = [
        {
            "at": rfc3339(entry.event.at),
            "by": entry.event.actor,
            "source": entry.event.source,
            "how": entry.event.code.removeprefix("recording."),
        }
        for entry in entries
        if entry.event.code in _SEEN
    ]
    return row


async def _seal(door: Door, record: SessionRecord, entries: Sequence[AuditEntry]) -> str:
    if not is_kept(record):
        return "deleted"
    if record.ended_at is None:
        return "still being written"
    digest = next((str(one.event.data.get("digest", "")) for one in reversed(entries) if one.event.code == "recording.sealed"), "")
    try:
        verdict = await door.desk.replay.verify(record.id)
    except Missing:
        return "its files are missing"
    if verdict.finding or not verdict.ended:
        return f"ALTERED: {verdict.finding or 'its end seal is missing'}"
    if digest and digest != verdict.digest:
        return "ALTERED: the audit log knows another digest"
    return f"good, {verdict.lines} lines, digest {verdict.digest}"


def _text(found: Row, width: int | None) -> str:
    """Return it for people: facts, then people, notes and views."""
    length = found["seconds"]
    pairs: list[tuple[str, object]] = [
        ("recording", found["id"]),
        ("of", f"{found['owner']} on {found['endpoint']} as {found['login']}, from {found['source']}"),
        ("began", found["started_at"]),
        ("lasted", span(float(str(length))) if length is not None else "still runs"),
        (
            "ended",
            f"{found['reason'] or found['state']}" + (f", status {found['exit_status']}" if found["exit_status"] is not None else ""),
        ),
        ("command", found["command"]),
        ("allowed by", found["decision"] or found["rule"]),
        ("output, input", f"{amount(_count(found['bytes_out']))}, {amount(_count(found['bytes_in']))}"),
        ("keyboard", f"changed hands {found['handovers']} times" if found["handovers"] else "stayed with its owner"),
        ("seal", found["seal"]),
        ("tags", found["tags"]),
    ]
    if found["deleted"]:
        pairs.append(("deleted", found["deleted"]))
    lines = [facts(pairs, width=width)]
    told = {
        "people": [
            f"{one['name']} as {one['role']} from {one['source']}, {one['joined_at']} to {one['left_at'] or 'now'}"
            for one in _rows(found["participants"])
        ],
        "notes": [f"{one['at']} {one['by']}: {one['text']}" for one in _rows(found["notes"])],
        "seen by": [f"{one['at']} {one['by']} {one['how']} it" for one in _rows(found["seen"])],
    }
    for title, rows in told.items():
        if rows:
            lines += ["", title, *(f"  {safe_text(row, 2 * MOST_NOTE)}" for row in rows)]
    return "\n".join(lines)


def _rows(value: object) -> list[Row]:
    return value if isinstance(value, list) else []


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _changes(changes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the tags to add and to take away."""
    add: list[str] = []
    remove: list[str] = []
    for change in changes:
        if change[:1] not in {"+", "-"} or not _TAG.fullmatch(change[1:]):
            raise Invalid(
                "tag.name",
                f"{change[:40]!a} is no change of a tag: +name adds, -name takes away; a name has a-z, 0-9, '.', '_', '-', at most 32.",
            )
        (add if change[0] == "+" else remove).append(change[1:])
    return list(dict.fromkeys(add)), list(dict.fromkeys(remove))


def _audit(door: Door, record: SessionRecord, code: str, data: dict[str, object]) -> None:
    who = door.identity
    event = AuditEvent(code, door.desk.clock.now(), who.name, who.source, subject=record.endpoint, session=record.id, data=data)
    door.desk.auditor.record(event)
