"""`search`: what stood on screens, and what was typed, in the recordings that one may play.

Never looks into a recording itself; the service decides, searches and audits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.errors import Missing
from bastion.core.recording.search import Wanted
from bastion.core.text import safe_text
from bastion.frontends.commands.hits import as_json_rows, lines, notes
from bastion.frontends.commands.output import rfc3339
from bastion.frontends.commands.search_list import choose
from bastion.frontends.commands.times import moment
from bastion.frontends.commands.verbs import ENDPOINT, RECORDING, USER, Noun, json_option
from bastion.services.ports import SessionRecord

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door
    from bastion.services.search import Answer


def fill(root: Noun) -> None:
    """Put the verb into the tree."""

    @root.verb(
        "search",
        action="search",
        asks="service",
        examples=["search 'rm -rf'", "search ERROR --endpoint web01 --since 7d", "search passwd --typed --user alice --json"],
    )
    @click.argument("text", metavar="TEXT")
    @click.option("--endpoint", type=ENDPOINT, default="", metavar="NAME", help="Only sessions on NAME.")
    @click.option("--user", type=USER, default="", metavar="NAME", help="Only sessions that NAME started.")
    @click.option("--session", type=RECORDING, default="", metavar="ID", help="Only this recording.")
    @click.option("--since", default="", metavar="TIME", help="Only what stood there later: 7d (ago), 2026-11-20, 2026-11-20T10:00.")
    @click.option("--until", default="", metavar="TIME", help="Only what stood there earlier.")
    @click.option("--typed/--shown", "typed", default=None, help="Only what was typed, or only what stood on screens.")
    @click.option("--case", is_flag=True, help="Capitals matter.")
    @click.option("-n", "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many, the newest.")
    @click.option("--plain", is_flag=True, help="Lines instead of a list to choose from.")
    @json_option
    async def search(
        door: Door,
        text: str,
        endpoint: str,
        user: str,
        session: str,
        since: str,
        until: str,
        typed: bool | None,  # noqa: FBT001
        case: bool,  # noqa: FBT001
        limit: int,
        plain: bool,  # noqa: FBT001
        as_json: bool,  # noqa: FBT001
    ) -> None:
        """Find a text in recordings, also inside vim or less; in a terminal Enter plays from there."""
        now = door.desk.clock.now()
        wanted = Wanted(
            text,
            frozenset([endpoint] if endpoint else []),
            case=case,
            user=user,
            session=(await _session(door, session)).id if session else "",
            since=moment(since, now),
            until=moment(until, now),
            typed=typed,
            limit=limit,
        )
        answer = await door.desk.search.find(door.identity, wanted)
        await _show(door, text, answer, plain=plain, as_json=as_json)


async def _show(door: Door, text: str, answer: Answer, *, plain: bool, as_json: bool) -> None:
    hits = answer.found.hits
    if as_json:
        await door.send((as_json_rows(hits) + "\n").encode())
        for note in notes(answer):
            door.console.write_error((note + "\n").encode())
        return
    if not plain and hits and await choose(door, text, answer):
        return
    if hits:
        shown = lines(hits, door.width, rfc3339(door.desk.clock.now()) or "", colour=door.colour)
        await door.send((shown.replace("\n", "\r\n") + "\r\n" if door.terminal else shown + "\n").encode())
    else:
        door.warn("Nothing was found.")
    for note in notes(answer):
        door.warn(note)


async def _session(door: Door, prefix: str) -> SessionRecord:
    try:
        return await door.desk.sessions.get(prefix)
    except Missing:
        raise Missing("recording.missing", f"There is no recording '{safe_text(prefix, 64)}'.") from None
