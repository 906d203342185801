"""`audit tail|verify|export`: what was done here, by whom, with what result.

Never changes a fact; the chain is kept elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from bastion.core.access.durations import parse_duration
from bastion.core.audit.formats import cef, ocsf
from bastion.core.errors import Corrupt, Invalid, Unavailable
from bastion.frontends.commands.output import Row, as_json_line, rfc3339, sentence, when
from bastion.frontends.commands.policies import read_time
from bastion.frontends.commands.verbs import SESSION, USER, Noun, json_option
from bastion.services.tasks import spawn

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door
    from bastion.frontends.commands.verbs import Callback
    from bastion.services.ports import AuditEntry

ACTION: Final = "audit"
FOLLOW_SECONDS: Final = 0.5
MOST: Final = 10_000
MOST_DIGITS: Final = 19
MOST_INPUT: Final = 64 << 20  # some 180,000 checkpoints


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

    @audit.verb("tail", action=ACTION, examples=["audit tail", "audit tail -n 50 --actor alice", "audit tail --code session. --follow"])
    @click.option("-n", "--count", type=click.IntRange(0, 10_000), default=20, show_default=True, help="How many.")
    @_filters
    @click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on, a line each; Ctrl-C ends.")
    @json_option
    async def tail(
        door: Door,
        count: int,
        code: str,
        actor: str,
        session: str,
        result: str,
        follow: bool,  # noqa: FBT001
        as_json: bool,  # noqa: FBT001
    ) -> None:
        """Show the newest facts, oldest of them first."""
        await caught_up(door)
        wanted = _Wanted(code, actor, session, result)
        if follow:
            await _follow(door, wanted, count, as_json=as_json)
            return
        entries = await _newest(door, wanted, count)
        rows = [entry_row(entry) for entry in entries]
        if not as_json:
            for row, entry in zip(rows, entries, strict=True):
                row.update(session=entry.event.session[:12])
        heads = ["id", "at", "code", "actor", "source", "subject", "session", "result", "reason"]
        await door.listing(heads, rows, as_json_list=as_json, empty="Nothing matches.")

    @audit.verb("verify", action=ACTION, examples=["audit verify", "audit verify --json", "audit verify --against - < copy.jsonl"])
    @click.option("--against", type=click.Choice(["-"]), metavar="-", help="Also against checkpoints kept elsewhere, from standard input.")
    @json_option
    async def verify(door: Door, against: str | None, as_json: bool) -> None:  # noqa: FBT001
        """Check the whole chain; exit code 65 when a fact was changed or is gone."""
        elsewhere = [line for line in (await door.read_all(MOST_INPUT)).split(b"\n") if line.strip()] if against else []
        if against and not elsewhere:
            raise Invalid("audit.against", "There is no checkpoint on standard input: give it a copy of checkpoints.jsonl.")
        await caught_up(door)
        checked, wrong = await door.desk.audit.verify(elsewhere)
        if as_json:
            door.say(as_json_line({"name": "audit", "entries": checked, "intact": not wrong, "problem": wrong or None}))
        if wrong:
            raise Corrupt("audit.broken", f"The audit chain is broken after {checked} good entries: {wrong}")
        if not as_json:
            door.say(f"The audit chain is intact: {checked} entries.")

    @audit.verb(
        "export",
        action=ACTION,
        examples=["audit export > audit.jsonl", "audit export --since 5000 > more.jsonl", "audit export --format cef --since 7d"],
    )
    @click.option(
        "--since", default="0", show_default=True, metavar="ID|TIME", help="Only facts after this one, or from a time on: 7d, 2026-03-31."
    )
    @click.option("--format", "form", type=click.Choice(sorted(_FORMATS)), default="jsonl", show_default=True, help="How they are written.")
    @_filters
    async def export(door: Door, since: str, form: str, code: str, actor: str, session: str, result: str) -> None:
        """Write facts to standard output, one a line, with the hashes that chain them."""
        await caught_up(door)
        wanted = _Wanted(code, actor, session, result)
        start = await _since(door, since)
        spell = _FORMATS[form]
        async for entry in door.desk.audit.entries(start):
            if wanted.holds(entry):
                await door.send(f"{spell(entry, door)}\n".encode())


def _filters(work: Callback) -> Callback:
    """Add the options that choose facts."""
    options = [
        click.option("--code", default="", metavar="CODE", help="Only this code; `session.` is all that begin so."),
        click.option("--actor", type=USER, default="", metavar="NAME", help="Only what NAME did."),
        click.option("--session", type=SESSION, default="", metavar="ID", help="Only this session."),
        click.option(
            "--result", type=click.Choice(["ok", "denied", "failed"]), default=None, callback=_or_any, help="Only what came of it."
        ),
    ]
    for option in reversed(options):
        work = option(work)
    return work


def _or_any(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    return value or ""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which facts are asked for; "" is any."""

    code: str
    actor: str
    session: str
    result: str

    def holds(self, entry: AuditEntry) -> bool:
        event = entry.event
        right = event.code.startswith(self.code) if self.code.endswith(".") else self.code in ("", event.code)
        return right and self.actor in ("", event.actor) and event.session.startswith(self.session) and self.result in ("", event.result)


async def _newest(door: Door, wanted: _Wanted, count: int) -> list[AuditEntry]:
    """Return the newest matching facts, oldest of them first. What came of it is looked for in the newest 10,000 that else match."""
    most = count if not wanted.result else MOST
    found = await door.desk.audit.last(most, code=wanted.code, actor=wanted.actor, session=wanted.session)
    chosen = [entry for entry in found if wanted.result in ("", entry.event.result)]
    return chosen[-count:] if count else []


async def _follow(door: Door, wanted: _Wanted, count: int, *, as_json: bool) -> None:
    """Show the newest facts, then each as it is stored, until the reader leaves."""
    newest = await door.desk.audit.last(1)
    last = newest[-1].seq if newest else 0
    end = "\r\n" if door.terminal else "\n"
    spell = _FORMATS["jsonl"] if as_json else _line
    for entry in await _newest(door, wanted, count):
        await door.send(f"{spell(entry, door)}{end}".encode())
    keys = spawn("audit-follow-keys", _until_asked(door)) if door.terminal else None
    try:
        while door.console.is_open and not (keys and keys.done()):
            async for entry in door.desk.audit.entries(last):
                last = entry.seq
                if wanted.holds(entry):
                    await door.send(f"{spell(entry, door)}{end}".encode())
            await asyncio.sleep(FOLLOW_SECONDS)
    finally:
        if keys is not None:
            keys.cancel()


async def _until_asked(door: Door) -> None:
    """Return when Ctrl-C, Ctrl-D or q is typed, or nothing more can be."""
    while data := await door.console.read():
        if set(data) & set(b"\x03\x04q"):
            return


def _line(entry: AuditEntry, _door: Door) -> str:
    """Return a fact as one line for people."""
    event = entry.event
    words = [
        str(entry.seq),
        when(event.at),
        event.code,
        event.actor,
        event.source,
        event.subject,
        event.session[:12],
        event.result,
        event.reason,
    ]
    return sentence("  ".join(word for word in words if word))


async def _since(door: Door, text: str) -> int:
    """Return the entry after which facts are wanted: an id, or the last one before a time."""
    if text.isascii() and text.isdigit() and len(text) < MOST_DIGITS:
        return int(text)
    try:
        at = door.desk.clock.now() - parse_duration(text)
    except ValueError:
        try:
            at = read_time(text)
        except Invalid as error:
            raise Invalid("time.invalid", f"--since takes a fact's id, a length of time (7d) or a time. {error.public}") from None
    return await door.desk.audit.seq_before(at)


def _as_cef(entry: AuditEntry, door: Door) -> str:
    return cef(entry.seq, entry.event, entry.hash, node=_node(door), version=door.desk.version)


def _as_ocsf(entry: AuditEntry, door: Door) -> str:
    return as_json_line(ocsf(entry.seq, entry.event, entry.previous, entry.hash, node=_node(door), version=door.desk.version))


def _node(door: Door) -> str:
    return str(door.desk.node.status()["name"]) if door.desk.node is not None else "local"


_FORMATS: Final[dict[str, Callable[[AuditEntry, Door], str]]] = {
    "jsonl": lambda entry, _door: as_json_line(entry_row(entry)),
    "cef": _as_cef,
    "ocsf": _as_ocsf,
}
