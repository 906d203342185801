"""The list of what a search found, on a terminal: choose one, and it is played from there.

Never shows what an endpoint wrote but through the renderer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bastion.core.audit.event import AuditEvent
from bastion.core.keys import KeyDecoder
from bastion.core.menu.results import Back, Result, Results, update, view
from bastion.core.recording.playback import clock_text
from bastion.core.terminal import fullscreen
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.diff import diff
from bastion.frontends.commands.hits import excerpt, notes
from bastion.frontends.commands.output import brief, rfc3339
from bastion.frontends.commands.screen_events import ConsoleEvents

if TYPE_CHECKING:
    from bastion.core.recording.search import Hit
    from bastion.core.terminal.grid import Grid
    from bastion.frontends.commands.door import Door
    from bastion.services.console import Console
    from bastion.services.search import Answer

_ESCAPE_SECONDS: Final = 0.05


async def choose(door: Door, text: str, answer: Answer) -> bool:
    """Show the list until they leave it; return False where nothing can be drawn."""
    console = door.handover()
    environment = console.environment
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG", "")
    caps = Caps.of(console.term, environment.get("COLORTERM", ""), locale)
    if environment.get("NO_COLOR"):
        caps = replace(caps, colors=0)
    if not console.term or not caps.full_screen:
        return False
    hits = list(answer.found.hits)
    today = (rfc3339(door.desk.clock.now()) or "")[:10]
    rows = tuple(_result(hit, today) for hit in hits)
    listed = Results(text, rows, *console.size, note=" ".join(notes(answer)))
    while True:
        listed, chosen = await _one(console, caps, listed)
        if chosen is None or not console.is_open:
            return True
        await _play(door, console, hits[chosen])


async def _play(door: Door, console: Console, hit: Hit) -> None:
    desk, who = door.desk, door.identity
    data: dict[str, object] = {"at": round(hit.line.time / 1e6, 3)}
    desk.auditor.record(
        AuditEvent("recording.replayed", desk.clock.now(), who.name, who.source, subject=hit.endpoint, session=hit.session, data=data)
    )
    text = hit.line.text[hit.start : hit.start + hit.length]
    await desk.replay.play(hit.session, console, at=await desk.search.moment(hit), needle="" if hit.line.typed else text, paused=True)


async def _one(console: Console, caps: Caps, listed: Results) -> tuple[Results, int | None]:
    """Show the list until one is chosen; return it as it is then, and the position, None when they leave."""
    shown: Grid | None = None
    console.write(fullscreen.enter(caps))
    try:
        with ConsoleEvents(console) as events:
            decoder = KeyDecoder()
            while not events.gone:
                listed = listed.resized(*console.size)
                if events.writable:
                    picture = view(listed)
                    change = diff(shown, picture, caps)
                    shown = picture
                    if change:
                        events.writable = console.write(change)
                data = await events.wait(_ESCAPE_SECONDS if decoder.pending else None)
                for key in decoder.feed(data) if data else decoder.flush():
                    match update(listed, key):
                        case Results() as changed:
                            listed = changed
                        case int() as chosen:
                            return listed, chosen
                        case Back():
                            return listed, None
            return listed, None
    finally:
        console.write(fullscreen.leave(caps, shown))


def _result(hit: Hit, today: str) -> Result:
    line = hit.line
    before, found, after = excerpt(hit)
    at = f"{brief(rfc3339(hit.at), today)}  +{clock_text(line.time)}"
    where = f"{hit.endpoint} {'typed' if line.typed else f'row {line.row + 1}'}"
    return Result(at, where, line.by or hit.user, before, found, after)
