"""`audit tail|verify|export`: what was done here, by whom, with what result.

Never changes a fact; the chain is kept elsewhere.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from bastion.core.errors import Corrupt, Unavailable
from bastion.frontends.commands.output import Row, as_json_line, rfc3339
from bastion.frontends.commands.verbs import SESSION, USER, Noun, json_option

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door
    from bastion.services.ports import AuditEntry

ACTION = "audit"


def entry_row(entry: AuditEntry) -> Row:
    """Return a chained fact as an object."""
    event = entry.event
    return {
        "id": entry.seq,
        "at": rfc3339(event.at),
        "code": event.code,
        "actor": event.actor,
        "source": event.source,
        "subject": event.subject,
        "session": event.session,
        "result": event.result,
        "reason": event.reason,
        "data": event.data,
        "previous": entry.previous.hex(),
        "hash": entry.hash.hex(),
    }


async def caught_up(door: Door) -> None:
    """Return when what happened before this command can be read; what is stored can be read also when writing fails."""
    with contextlib.suppress(Unavailable):
        await door.desk.auditor.flush()


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""
    audit = Noun("audit", help="The audit log: every login, refusal, session and change.")
    root.add_command(audit)

    @audit.verb("tail", action=ACTION, examples=["audit tail", "audit tail -n 50 --actor alice", "audit tail --code session. --json"])
    @click.option("-n", "--count", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
    @click.option("--code", default="", metavar="CODE", help="Only this code.")
    @click.option("--actor", type=USER, default="", metavar="NAME", help="Only what NAME did.")
    @click.option("--session", type=SESSION, default="", metavar="ID", help="Only this session.")
    @json_option
    async def tail(door: Door, count: int, code: str, actor: str, session: str, as_json: bool) -> None:  # noqa: FBT001
        """Show the newest facts, oldest of them first."""
        await caught_up(door)
        entries = await door.desk.audit.last(count, code=code, actor=actor, session=session)
        rows = [entry_row(entry) for entry in entries]
        if not as_json:
            for row, entry in zip(rows, entries, strict=True):
                row.update(session=entry.event.session[:12])
        heads = ["id", "at", "code", "actor", "source", "subject", "session", "result", "reason"]
        await door.listing(heads, rows, as_json_list=as_json, empty="Nothing matches.")

    @audit.verb("verify", action=ACTION, examples=["audit verify", "audit verify --json"])
    @json_option
    async def verify(door: Door, as_json: bool) -> None:  # noqa: FBT001
        """Check the whole chain; exit code 65 when a fact was changed or is gone."""
        await caught_up(door)
        checked, wrong = await door.desk.audit.verify()
        if as_json:
            door.say(as_json_line({"name": "audit", "entries": checked, "intact": not wrong, "problem": wrong or None}))
        if wrong:
            raise Corrupt("audit.broken", f"The audit chain is broken after {checked} good entries: {wrong}")
        if not as_json:
            door.say(f"The audit chain is intact: {checked} entries.")

    @audit.verb("export", action=ACTION, examples=["audit export > audit.jsonl", "audit export --since 5000 > more.jsonl"])
    @click.option("--since", type=click.IntRange(0), default=0, show_default=True, metavar="ID", help="Only facts after this one.")
    async def export(door: Door, since: int) -> None:
        """Write facts to standard output, one JSON object a line, with the hashes that chain them."""
        await caught_up(door)
        async for entry in door.desk.audit.entries(since):
            await door.send((as_json_line(entry_row(entry)) + "\n").encode())
