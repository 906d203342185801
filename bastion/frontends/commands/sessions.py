"""`sessions`, `join`, `kill`, `pause`, `resume`: live sessions and what is done to them.

Never decides who may; the live services ask policy with the session's endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.errors import Invalid
from bastion.frontends.commands.desk import Participant, SessionView, visible_session
from bastion.frontends.commands.output import Row, amount, rfc3339, span
from bastion.frontends.commands.verbs import ENDPOINT, SELF, SESSION, USER, Noun, json_option, yes_option
from bastion.frontends.commands.window_list import in_windows
from bastion.services.ports import SessionFilter, SessionRecord

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door

MAX_REASON = 500


def participant_row(one: Participant) -> Row:
    """Return a participant as an object."""
    return {
        "id": one.id,
        "name": one.name,
        "role": one.role,
        "source": one.source,
        "joined_at": rfc3339(one.joined_at),
        "columns": one.size.columns,
        "lines": one.size.lines,
        "controls": one.controls,
    }


def live_row(view: SessionView, now: float) -> Row:
    """Return a live session as an object."""
    return {
        "id": view.id,
        "kind": view.kind,
        "owner": view.owner,
        "endpoint": view.endpoint,
        "login": view.login,
        "state": view.state,
        "detached": view.detached,
        "started_at": rfc3339(view.started_at),
        "seconds": int(max(0, now - view.started_at)),
        "columns": view.size.columns,
        "lines": view.size.lines,
        "title": view.title,
        "bytes_out": view.bytes_out,
        "participants": [participant_row(one) for one in view.participants],
    }


def past_row(record: SessionRecord) -> Row:
    """Return an ended session as an object."""
    seconds = None if record.ended_at is None else int(max(0, record.ended_at - record.started_at))
    return {
        "id": record.id,
        "kind": record.kind,
        "owner": record.user,
        "endpoint": record.endpoint,
        "login": record.login,
        "state": record.state,
        "source": record.source,
        "started_at": rfc3339(record.started_at),
        "ended_at": rfc3339(record.ended_at),
        "seconds": seconds,
        "exit_status": record.exit_status,
        "reason": record.reason,
        "rule": record.rule,
        "bytes_out": record.bytes_out,
        "bytes_in": record.bytes_in,
    }


def named(view: SessionView) -> str:
    """Return what a confirmation calls a session: whose, where, and who else is in it."""
    others = [one.name for one in view.participants if one.name != view.owner]
    company = f", with {', '.join(others)} in it" if others else ""
    return f"session {view.id[:12]} of {view.owner} on {view.endpoint}{company}"


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""

    @root.verb("sessions", action=SELF, examples=["sessions", "sessions --json", "sessions --past --user alice"])
    @click.option("--past", is_flag=True, help="Ended sessions instead of live ones.")
    @click.option("--user", type=USER, default="", metavar="NAME", help="Only sessions that NAME started.")
    @click.option("--endpoint", type=ENDPOINT, default="", metavar="NAME", help="Only sessions on NAME.")
    @click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
    @json_option
    async def sessions(door: Door, past: bool, user: str, endpoint: str, limit: int, as_json: bool) -> None:  # noqa: FBT001
        """List live sessions that you may know of: your own, joined ones, and what policy shows you."""
        if past:
            await _past(door, SessionFilter(user=user, endpoint=endpoint, live=False, limit=limit), as_json=as_json)
            return
        now = door.desk.clock.now()
        seen = sorted(door.desk.control.visible(door.identity), key=lambda view: view.started_at)
        views = [view for view in seen if user in {"", view.owner} and endpoint in {"", view.endpoint}][:limit]
        rows = [live_row(view, now) for view in views]
        if not as_json:
            for row, view in zip(rows, views, strict=True):
                row.update(
                    id=view.id[:12],
                    state=f"{view.state}, detached" if view.detached else view.state,
                    age=span(now - view.started_at),
                    who=[f"{one.name}:{one.role}{'*' if one.controls else ''}" for one in view.participants],
                    out=amount(view.bytes_out),
                )
        heads = ["id", "owner", "endpoint", "login", "state", "age", "out", "who", "title"]
        await door.listing(heads, rows, as_json_list=as_json, empty="There is no live session that you may see.")

    @root.verb("join", action="join", asks="service", examples=["join 4f2a", "join 4f2a --as moderator"])
    @click.argument("session", type=SESSION, metavar="ID")
    @click.option(
        "--as",
        "role",
        type=click.Choice(["viewer", "controller", "moderator"]),
        default="viewer",
        show_default=True,
        help="What to be there.",
    )
    async def join(door: Door, session: str, role: str) -> int:
        """Look on in a running session, or take part in it; the line at the bottom says how to leave."""
        return await in_windows(door, lambda console: door.desk.connect.join(console, session, role), f"session {session}", fresh=False)

    @root.verb("attach", action="connect", asks="service", examples=["attach", "attach 4f2a"])
    @click.argument("session", type=SESSION, required=False, default="", metavar="[ID]")
    async def attach(door: Door, session: str) -> int:
        """Go back to a session of yours, with its exact screen; one that is attached elsewhere moves here."""
        for one in await door.desk.sessions.take_farewells(door.identity.user_id):
            door.warn(f"Ended while you were away: {one.endpoint} ({one.session_id[:12]}): {one.text}")
        return await in_windows(door, lambda console: door.desk.connect.attach(console, session), f"session {session}".strip())

    @root.verb(
        "kill", action="end", asks="service", examples=["kill 4f2a --reason 'wrong machine'", "kill 4f2a --reason maintenance --yes"]
    )
    @click.argument("session", type=SESSION, metavar="ID")
    @click.option("--reason", metavar="TEXT", help="Shown to everybody in the session, and audited.")
    @yes_option
    async def kill(door: Door, session: str, reason: str | None, yes: bool) -> None:  # noqa: FBT001
        """End a session for everybody in it."""
        view = visible_session(door.desk, door.identity, session)
        why = await _reason(door, reason)
        await door.confirm(f"End {named(view)}?", yes=yes)
        await door.desk.control.kill(door.identity, view.id, why)
        door.warn(f"Ended {named(view)}.")

    @root.verb("pause", action="pause", asks="service", examples=["pause 4f2a --reason 'let us talk first'", "pause 4f2a --hold"])
    @click.argument("session", type=SESSION, metavar="ID")
    @click.option("--reason", default="", metavar="TEXT", help="Shown to everybody in the session, and audited.")
    @click.option("--hold", is_flag=True, help="Hold output, too: only moderators see what comes until it is resumed.")
    async def pause(door: Door, session: str, reason: str, hold: bool) -> None:  # noqa: FBT001
        """Hold a session: nobody's keys reach the endpoint until it is resumed."""
        view = visible_session(door.desk, door.identity, session)
        await door.desk.control.pause(door.identity, view.id, _checked(reason), hold=hold)
        door.warn(f"Paused {named(view)}.")

    @root.verb("resume", action="pause", asks="service", examples=["resume 4f2a"])
    @click.argument("session", type=SESSION, metavar="ID")
    async def resume(door: Door, session: str) -> None:
        """Let a paused session go on."""
        view = visible_session(door.desk, door.identity, session)
        await door.desk.control.resume(door.identity, view.id)
        door.warn(f"Resumed {named(view)}.")


async def _past(door: Door, wanted: SessionFilter, *, as_json: bool) -> None:
    """List ended sessions: one's own, and those on endpoints where policy lets recordings or lists be seen."""
    endpoints = {endpoint.name: endpoint for endpoint in await door.desk.inventory.all()}
    decide = door.desk.policies.decide
    records = [
        record
        for record in await door.desk.sessions.find(wanted)
        if record.user_id == door.identity.user_id
        or any(decide(door.identity, action, endpoints.get(record.endpoint)).allowed for action in ("list", "replay"))
    ]
    rows = [past_row(record) for record in records]
    if not as_json:
        for row, record in zip(rows, records, strict=True):
            row.update(id=record.id[:12], seconds=span(None if row["seconds"] is None else float(str(row["seconds"]))))
    heads = ["id", "owner", "endpoint", "login", "started_at", "seconds", "exit_status", "reason"]
    await door.listing(heads, rows, as_json_list=as_json, empty="There is no ended session that you may see.")


async def _reason(door: Door, reason: str | None) -> str:
    """Return the reason, asked for where a person can answer."""
    if reason is None and door.terminal:
        reason = await door.ask("Reason: ")
    if not reason or not reason.strip():
        raise Invalid("reason.missing", "A reason is wanted: --reason TEXT.")
    return _checked(reason)


def _checked(reason: str) -> str:
    if len(reason) > MAX_REASON:
        raise Invalid("reason.too_long", f"A reason may have {MAX_REASON} characters.")
    return reason.strip()
