"""`status`: how this node is doing. Never shows what anybody does, only how much of it there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bastion.core.errors import Unavailable
from bastion.frontends.commands.output import amount, as_json, facts, rfc3339, span, when
from bastion.frontends.commands.verbs import Noun, json_option

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door


def fill(root: Noun) -> None:
    """Put the verb into the tree."""

    @root.verb("status", action="admin.node", examples=["status", "status --json"])
    @json_option
    async def status(door: Door, as_json: bool) -> None:  # noqa: FBT001
        """Show how this bastion is doing: sessions, connections, how late its loop runs, queues, memory, disk."""
        node = door.desk.node
        if node is None:
            raise Unavailable("node.not_serving", "No bastion is serving here.")
        door.say(_json(node.status()) if as_json else _text(node.status(), door.width))


def _json(found: dict[str, Any]) -> str:
    lags = {name: {**lag, "at": rfc3339(lag["at"])} if isinstance(lag, dict) else lag for name, lag in found["loop_lag"].items()}
    return as_json({**found, "loop_lag": lags})


def _text(found: dict[str, Any], width: int | None) -> str:
    lag, audit, disk = found["loop_lag"], found["audit"], found["recordings_disk"]
    search = found["search_index"]
    worst = lag["worst"]
    place = f" at {worst['where']}" if worst["where"] else ""
    pairs: list[tuple[str, object]] = [
        ("node", found["name"]),
        ("up for", span(found["uptime"])),
        ("sessions", str(found["sessions"])),
        ("connections", f"{found['connections']}, {found['unauthenticated']} of them not logged in"),
        ("loop lag, last minute", f"{lag['last_minute']['seconds'] * 1000:.0f} ms at worst"),
        ("loop lag, ever", f"{worst['seconds'] * 1000:.0f} ms on {when(worst['at'])}, {lag['alarms']} alarms{place}"),
        ("audit events waiting", f"{audit['waiting']}, {'written' if audit['healthy'] else 'NOT WRITTEN'}, {audit['lost']} lost"),
        ("search index", f"{search['lines']} lines to be written, {search['recordings']} recordings to be read"),
        ("memory", amount(found["memory"])),
        ("disk for recordings", f"{amount(disk['free'])} free of {amount(disk['total'])}"),
        ("tasks", str(found["tasks"])),
    ]
    return facts(pairs, width=width)
