"""Windows for whoever has a terminal: programs run in them, the menu and the list are two of their own.

Never knows what a session shows; the service behind it switches.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bastion.core.keys import KeyDecoder
from bastion.core.menu.windows import Back, Listed, WindowList, update, view
from bastion.core.terminal import fullscreen
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.diff import diff
from bastion.frontends.commands.screen_events import ConsoleEvents
from bastion.services.windows import MENU, WindowRow, Windows

if TYPE_CHECKING:
    from bastion.core.terminal.grid import Grid
    from bastion.frontends.commands.door import Door
    from bastion.services.console import Console
    from bastion.services.windows import Program

REFRESH_SECONDS: Final = 1.0
"""How often titles and marks are looked up."""

_ESCAPE_SECONDS: Final = 0.05
_BACK: Final = -1


async def in_windows(door: Door, program: Program, name: str, *, fresh: bool = True) -> int:
    """Run a program in a window of its own, to which others can be opened; without a terminal just run it."""
    if not door.terminal or door.windows is not None:
        return await program(door.handover())
    return await _windows(door, plain=False).run(program, name, fresh=fresh)


async def menu_in_windows(door: Door, *, plain: bool) -> int:
    """Run the menu; what is chosen there opens in windows where there is a terminal."""
    from bastion.frontends.commands.menu_loop import run_menu  # noqa: PLC0415 - most calls need no menu

    if not door.terminal or door.windows is not None:
        return await run_menu(door, plain=plain)
    return await _windows(door, plain=plain).run(None)


def _windows(door: Door, *, plain: bool) -> Windows:
    from bastion.frontends.commands.menu_loop import run_menu  # noqa: PLC0415 - most calls need no menu

    return Windows(
        door.handover(),
        lambda windows, console: run_menu(door.at(console, windows), plain=plain),
        _choose,
        door.desk.chord,
    )


async def _choose(windows: Windows, console: Console) -> int:
    """Show the list until a window is chosen; return its number, or a negative one to go back."""
    environment = console.environment
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG", "")
    caps = Caps.of(console.term, environment.get("COLORTERM", ""), locale)
    if environment.get("NO_COLOR"):
        caps = replace(caps, colors=0)
    if not caps.full_screen:
        return _tell(windows, console)
    shown: Grid | None = None
    console.write(fullscreen.enter(caps))
    try:
        with ConsoleEvents(console) as events:
            listed = WindowList.of(_rows(windows), *console.size, user=console.identity.name)
            decoder = KeyDecoder()
            loop = asyncio.get_running_loop()
            while not events.gone:
                listed = listed.with_rows(_rows(windows)).resized(*console.size)
                if events.writable:
                    picture = view(listed)
                    change = diff(shown, picture, caps)
                    shown = picture
                    if change:
                        events.writable = console.write(change)
                until = loop.time() + REFRESH_SECONDS
                data = await events.wait(_ESCAPE_SECONDS if decoder.pending else max(0.0, until - loop.time()))
                for key in decoder.feed(data) if data else decoder.flush():
                    match update(listed, key):
                        case WindowList() as changed:
                            listed = changed
                        case int() as number:
                            return number
                        case Back():
                            return _BACK
            return _BACK
    finally:
        console.write(fullscreen.leave(caps, shown))


def _tell(windows: Windows, console: Console) -> int:
    """Say the list in lines, where nothing can be drawn."""
    for row in _rows(windows):
        mark = "* " if row.current else "! " if row.active else "  "
        console.write(f"\r\n{mark}{row.number} {row.name} {row.state}".encode())
    console.write(f"\r\n{windows.chord} and the number goes there.\r\n".encode())
    return _BACK


def _rows(windows: Windows) -> tuple[Listed, ...]:
    return tuple(_listed(row) for row in windows.rows())


def _listed(row: WindowRow) -> Listed:
    session = row.session
    if session is None:
        state = "" if row.number == MENU else "opening"
        return Listed(row.number, row.name, "choose another endpoint" if row.number == MENU else "", "", state, row.current)
    types = next((person.name for person in session.participants if person.controls), "nobody")
    name = f"{session.login}@{session.endpoint}" if session.login else session.endpoint
    if len(session.participants) > 1:
        types += f" of {len(session.participants)}"
    return Listed(row.number, name, session.title, types, session.state, row.current, row.active)
