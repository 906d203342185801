"""`storage`, `storage sweep`, `recordings delete`: what recordings take, and how they go. Never deletes without being asked twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.errors import Invalid, Missing, Unavailable
from bastion.core.text import safe_text
from bastion.frontends.commands.output import amount, as_json_line, rfc3339, span
from bastion.frontends.commands.verbs import RECORDING, Noun, json_option, yes_option
from bastion.services.storage import is_kept

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door
    from bastion.frontends.commands.output import Row
    from bastion.services.storage import Overdue, Storage, Use

SEES = "admin.node"
DELETES = "admin.audit"
_DAYS = 14  # shown to people; --json has all


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""
    storage = Noun("storage", help="The space that recordings take.")
    root.add_command(storage)
    listing = root.commands["recordings"]
    if not isinstance(listing, Noun):
        raise TypeError("recordings is no noun")

    @storage.verb("storage", action=SEES, examples=["storage", "storage --json"])
    @json_option
    async def show(door: Door, as_json: bool) -> None:  # noqa: FBT001
        """Show what recordings take, by day and by endpoint, and how much room is left."""
        use = await _storage(door).use()
        if as_json:
            door.say(as_json_line(_row(use)))
            return
        for line in _summary(use):
            door.say(line)
        for groups in (use.by_day[:_DAYS], use.by_endpoint):
            if groups:
                door.say("")
                rows: list[Row] = [
                    {"name": name, "recordings": count, "on_disk": amount(size), "cast": amount(cast)} for name, count, size, cast in groups
                ]
                await door.listing(["name", "recordings", "on_disk", "cast"], rows, as_json_list=False)

    @storage.verb("sweep", action=DELETES, examples=["storage sweep --dry-run", "storage sweep --yes"])
    @click.option("--dry-run", is_flag=True, help="Only show what would go.")
    @yes_option
    @json_option
    async def sweep(door: Door, dry_run: bool, yes: bool, as_json: bool) -> None:  # noqa: FBT001
        """Delete the recordings that `retention.rules` no longer keep; the server does the same each hour."""
        keeper = _storage(door)
        overdue = await keeper.overdue()
        heads = ["id", "owner", "endpoint", "ended_at", "days", "rule"]
        empty = "Nothing is overdue." if keeper.rules else "Recordings are kept for ever here: `retention.rules` in bastion.toml is empty."
        if not dry_run and overdue:
            await door.confirm(f"Delete {_count(len(overdue))} for good, the oldest of {rfc3339(overdue[0].record.started_at)}?", yes=yes)
            overdue = await keeper.sweep(door.identity)
        rows = [_overdue(one) for one in overdue]
        if not as_json:
            for row in rows:
                row.update(id=str(row["id"])[:12])
        await door.listing(heads, rows, as_json_list=as_json, empty=empty)

    @listing.verb("delete", action=DELETES, examples=["recordings delete 4f2a --reason 'held a customer list'"])
    @click.argument("session", type=RECORDING, metavar="ID")
    @click.option("--reason", default="", metavar="TEXT", help="Why; stands in the audit log and in the list for ever.")
    @yes_option
    async def delete(door: Door, session: str, reason: str, yes: bool) -> None:  # noqa: FBT001
        """Delete one recording for good; what stays is who did it, when and why."""
        keeper = _storage(door)
        if not reason.strip():
            raise Invalid("reason.missing", "A reason is wanted: --reason TEXT.")
        try:
            record = await door.desk.sessions.get(session)
        except Missing:
            raise Missing("recording.missing", f"There is no recording '{safe_text(session, 64)}'.") from None
        if is_kept(record):
            length = span(None if record.ended_at is None else record.ended_at - record.started_at)
            what = (
                f"of {record.user} on {record.endpoint}, {rfc3339(record.started_at)}, {length} long, {amount(record.bytes_out)} of output"
            )
            await door.confirm(f"Delete the recording {record.id[:12]} {what}, for good?", yes=yes)
        if await keeper.delete(record, door.identity, safe_text(reason.strip(), 300)):
            door.say(f"Deleted. The audit log and the list keep that {record.id[:12]} was here.")
        else:
            door.say(f"Asked for. Another person must say `recordings delete {record.id[:12]} --reason TEXT` within a day.")


def _storage(door: Door) -> Storage:
    if door.desk.storage is None:
        raise Unavailable("storage.missing", "There are no recordings here.")
    return door.desk.storage


def _count(count: int) -> str:
    return f"{count} recording{'' if count == 1 else 's'}"


def _row(use: Use) -> dict[str, object]:
    def part(name: str, count: int, size: int, cast: int) -> Row:
        return {"name": name, "recordings": count, "bytes": size, "cast_bytes": cast}

    return {
        "name": "recordings",
        "recordings": use.recordings,
        "bytes": use.bytes,
        "cast_bytes": use.cast_bytes,
        "packed": use.packed,
        "ratio": _ratio(use),
        "free_bytes": use.free,
        "total_bytes": use.total,
        "low_water_bytes": use.least,
        "low": use.free < use.least,
        "by_day": [part(*one) for one in use.by_day],
        "by_endpoint": [part(*one) for one in use.by_endpoint],
    }


def _ratio(use: Use) -> float | None:
    return round(use.packed_cast_bytes / use.packed_bytes, 1) if use.packed_bytes else None


def _summary(use: Use) -> list[str]:
    packed = f", {use.packed} of them packed {_ratio(use)} times smaller" if use.packed else ""
    state = "TOO LITTLE: new sessions are refused" if use.free < use.least else "soon too little" if use.free < 2 * use.least else "enough"
    return [
        f"{_count(use.recordings)} take {amount(use.bytes)}{packed}",
        f"{amount(use.free)} of {amount(use.total)} are free, {amount(use.least)} must stay free: {state}",
    ]


def _overdue(one: Overdue) -> Row:
    record = one.record
    return {
        "id": record.id,
        "owner": record.user,
        "endpoint": record.endpoint,
        "ended_at": rfc3339(record.ended_at),
        "days": round(one.days, 1),
        "rule": one.rule.text,
    }
