"""The menu as a program: choose, go there, come back with the message how it ended, until they leave.

Never decides: items come from policy's decisions, and what is chosen is decided again where it is opened.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from bastion.core.access.decision import Decision, Verdict
from bastion.core.errors import BastionError
from bastion.core.keys import KeyDecoder
from bastion.core.menu import Chosen, Menu, MenuItem, Quit, Redraw, Refresh, ToggleFavourite, plain_choose, plain_lines, update, view
from bastion.core.session.chord import WINDOW_KEYS, ChordReader, Typed, show_chord
from bastion.core.terminal import fullscreen
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.diff import diff
from bastion.frontends.commands.desk import SessionView, visible_endpoints
from bastion.frontends.commands.door import Door, Gone
from bastion.frontends.commands.once_more import offering_again
from bastion.frontends.commands.screen_events import ConsoleEvents

if TYPE_CHECKING:
    from collections.abc import Callable

    from bastion.core.access.endpoint import Endpoint
    from bastion.core.terminal.grid import Grid
    from bastion.services.console import Console
    from bastion.services.windows import Windows

REFRESH_SECONDS: Final = 2.0
"""How often "who is on it now" is looked up."""

_KEYS_A_TURN: Final = 256
_ESCAPE_SECONDS: Final = 0.05  # an ESC alone is the key after this; sequences come in one piece
_ID: Final = 12
_TOLD: Final = 2  # sessions that ended meanwhile, as many as the message's lines hold
_LARGE: Final = 500  # items; below, making the menu takes under 10 ms


class _WindowKey(NamedTuple):
    """A key after the chord, and what was typed after it."""

    key: str
    rest: bytes


class _Catalogue:
    """What there is to choose. Decisions are asked anew on each visit and on Ctrl-R; who is live, each refresh."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._endpoints: list[tuple[Endpoint, Decision]] = []
        self._all: dict[str, Endpoint] = {}
        self._known: dict[str, tuple[bool, float | None]] = {}
        self._seen: list[tuple[object, ...]] = []

    async def look(self) -> list[MenuItem]:
        """Ask policy and store again."""
        desk, who = self._door.desk, self._door.identity
        self._all = {endpoint.name: endpoint for endpoint in await desk.inventory.all()}
        self._endpoints = await visible_endpoints(desk, who)
        self._known = await desk.preferences.of(who.user_id)
        return self.items()

    def news(self) -> list[MenuItem] | None:
        """Return the items if somebody came or went since they were last returned; None where nobody did."""
        return self.items() if self._who_is_on() != self._seen else None

    def _who_is_on(self) -> list[tuple[object, ...]]:
        views = self._door.desk.control.visible(self._door.identity)
        return [
            *self._windows(),
            *((one.id, one.detached, one.joinable, one.invited, *(person.name for person in one.participants)) for one in views),
        ]

    def _windows(self) -> list[tuple[object, ...]]:
        """Return number and name of the windows to go back to."""
        rows = self._door.windows.sessions if self._door.windows is not None else []
        return [(row.number, row.session.endpoint if row.session is not None else row.name) for row in rows]

    def items(self) -> list[MenuItem]:
        """Return the items with who is on them now."""
        self._seen = self._who_is_on()
        views = list(self._door.desk.control.visible(self._door.identity))
        on_it: dict[str, list[str]] = {}
        for one in views:
            on_it.setdefault(one.endpoint, []).append(one.owner)
        items = [
            MenuItem(f"window {number}", f"go back to {name}", actions=("switch",), kind="session") for number, name in self._windows()
        ]
        items += [item for one in views if (item := self._session(one)) is not None]
        for endpoint, decision in self._endpoints:
            favourite, last_used = self._known.get(endpoint.name, (False, None))
            waits = decision.verdict is Verdict.NEEDS_APPROVAL
            items.append(
                MenuItem(
                    endpoint.name,
                    endpoint.description,
                    endpoint.labels,
                    () if waits else ("connect",),
                    tuple(dict.fromkeys(on_it.get(endpoint.name, ()))),
                    favourite=favourite,
                    last_used=last_used,
                    note="needs approval" if waits else "",
                )
            )
        return items

    def _session(self, one: SessionView) -> MenuItem | None:
        """Return a session as an item: one's own detached ones to resume, others' to look on."""
        who = self._door.identity
        names = tuple(person.name for person in one.participants)
        if one.owner_id == who.user_id:
            if not one.detached:
                return None
            return MenuItem(one.id[:_ID], f"resume your session on {one.endpoint}", actions=("attach",), live=names, kind="session")
        if not one.joinable:
            return None
        note = f"invited as {one.invited}" if one.invited else ""
        return MenuItem(one.id[:_ID], f"{one.owner} on {one.endpoint}", actions=("join",), live=names, note=note, kind="session")

    async def favourite(self, item: MenuItem) -> None:
        """Remember a favourite."""
        if item.kind == "endpoint":
            await self._door.desk.preferences.set_favourite(self._door.identity.user_id, item.name, item.favourite)
            self._known[item.name] = (item.favourite, self._known.get(item.name, (False, None))[1])


async def run_menu(door: Door, *, plain: bool) -> int:
    """Show the menu until they leave; return 0."""
    environment = door.console.environment
    locale = environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG", "")
    caps = Caps.of(door.console.term, environment.get("COLORTERM", ""), locale)
    if environment.get("NO_COLOR"):
        caps = replace(caps, colors=0)
    catalogue = _Catalogue(door)
    message = await _farewells(door)
    item: MenuItem | _WindowKey | None
    while door.console.is_open:
        if plain or not door.terminal or not caps.full_screen:
            item = await _choose_line(door, catalogue, message)
        else:
            item = await _choose_screen(door, catalogue, caps, message)
        match item:
            case MenuItem():
                message = await _open(door, item)
            case _WindowKey(key, rest) if door.windows is not None:
                door.windows.command(key, rest)
                message = await door.windows.turn()
            case _ if door.windows is not None and door.windows.back():
                message = await door.windows.turn()
            case _:
                break
    return 0


async def _farewells(door: Door) -> str:
    """Return why sessions ended while their owner was away, told once."""
    said = [
        f"{one.endpoint} ({one.session_id[:_ID]}): {one.text}" for one in await door.desk.sessions.take_farewells(door.identity.user_id)
    ]
    if not said:
        return ""
    more = f"  And {len(said) - _TOLD} more: sessions --past" if len(said) > _TOLD else ""
    return "Ended while you were away: " + "  ".join(said[:_TOLD]) + more


async def _open(door: Door, item: MenuItem) -> str:
    """Go there; return what happened until the menu is looked at again, such as how it ended."""
    windows = door.windows
    if windows is not None and "switch" in item.actions:
        windows.command(item.name.rpartition(" ")[2])
        return await windows.turn()
    try:
        if windows is None:
            status = await _enter(door, item, door.handover())
        else:
            windows.open(lambda console: _enter(door, item, console), item.name, fresh="join" not in item.actions)
            return await windows.turn()
    except BastionError as error:
        return error.public if error.public.startswith(item.name) else f"{item.name}: {error.public}"
    mine = (one for one in door.desk.control.visible(door.identity) if one.owner_id == door.identity.user_id and one.detached)
    if any(item.name == one.endpoint or one.id.startswith(item.name) for one in mine):
        return f"{item.name}: detached. The session goes on; it stands in the list to be resumed."
    return f"{item.name}: ended" + (f" with exit status {status}." if status else ".")


async def _enter(door: Door, item: MenuItem, console: Console) -> int:
    connect = door.desk.connect
    if item.kind == "endpoint":
        return await offering_again(door, lambda at: connect.connect(at, item.name, None, None))(console)
    if "attach" in item.actions:
        return await connect.attach(console, item.name)
    return await connect.join(console, item.name, "viewer")


async def _choose_screen(door: Door, catalogue: _Catalogue, caps: Caps, message: str) -> MenuItem | _WindowKey | None:
    """Show the menu on the whole screen; return what was chosen, None to leave. The screen is given back either way."""
    items = await catalogue.look()
    console = door.console
    leave = "back" if door.windows is not None and door.windows.sessions else "quit"
    if leave == "back" and not message:
        message = f"Your sessions go on: {show_chord(door.desk.chord)} n goes back, s lists them, D leaves them all detached."
    menu = await _beside(len(items), lambda: Menu.of(items, *console.size, user=door.identity.name, message=message, leave=leave))
    console.write(fullscreen.enter(caps, paste=True))
    screen = _Screen(door, caps)
    try:
        with ConsoleEvents(console) as events:
            return await _turn(menu, screen, events, catalogue, door.windows, door.desk.chord)
    finally:
        console.write(fullscreen.leave(caps, screen.shown))


async def _beside(size: int, make: Callable[[], Menu]) -> Menu:
    """Make a menu; a large one in a thread, since sorting thousands of items holds the loop for 0.1 s."""
    return await asyncio.to_thread(make) if size > _LARGE else make()


class _Screen:
    """What their terminal shows."""

    def __init__(self, door: Door, caps: Caps) -> None:
        self._door = door
        self._caps = caps
        self.shown: Grid | None = None

    def draw(self, menu: Menu, events: ConsoleEvents) -> None:
        """Show the menu, unless the line is full: then the next picture has it."""
        if events.writable:
            picture = view(menu)
            change = diff(self.shown, picture, self._caps)
            self.shown = picture
            if change:
                events.writable = self._door.console.write(change)

    @property
    def size(self) -> tuple[int, int]:
        """Return columns and lines now."""
        return self._door.console.size.columns, self._door.console.size.lines


async def _turn(  # noqa: PLR0912 - one turn of everything that can happen
    menu: Menu, screen: _Screen, events: ConsoleEvents, catalogue: _Catalogue, windows: Windows | None, chord_byte: int
) -> MenuItem | _WindowKey | None:
    """Turn what happens into pictures, until something is chosen."""
    decoder = KeyDecoder()
    chord = ChordReader(chord_byte if windows is not None else None)
    loop = asyncio.get_running_loop()
    refresh_at = loop.time() + REFRESH_SECONDS
    while not events.gone:
        if (menu.columns, menu.lines) != screen.size:
            menu = menu.resized(*screen.size)
        screen.draw(menu, events)
        until = max(0.0, refresh_at - loop.time())
        data = await events.wait(min(until, _ESCAPE_SECONDS) if decoder.pending else until)
        keys = [] if data else decoder.flush()
        parts = chord.read(data)
        for number, part in enumerate(parts, 1):
            if isinstance(part, Typed):
                keys += decoder.feed(part.data)
            elif part.key in WINDOW_KEYS:
                return _WindowKey(part.key, chord.unread(parts[number:]))
        for number, key in enumerate(keys, 1):
            if number % _KEYS_A_TURN == 0:
                await asyncio.sleep(0)  # a big paste is nobody else's wait
            match update(menu, key):
                case Chosen(item):
                    return item
                case Quit():
                    return None
                case Redraw(same):
                    menu, screen.shown = same, None
                case Refresh(same):
                    menu = same.with_items(await catalogue.look())
                case ToggleFavourite(item, changed):
                    menu = changed
                    await catalogue.favourite(item)
                case Menu() as changed:
                    menu = changed
        if loop.time() >= refresh_at:
            refresh_at = loop.time() + REFRESH_SECONDS
            if windows is not None and (said := windows.take()):
                menu = menu.saying(said)
            if (items := catalogue.news()) is not None:  # thousands of items are not compared each time, only who is on
                now, found = menu, items
                menu = await _beside(len(found), lambda: now.with_items(found))  # noqa: B023 - awaited in this very turn
    return None


async def _choose_line(door: Door, catalogue: _Catalogue, message: str) -> MenuItem | None:
    """Offer the menu as numbered lines; return what was chosen, None to leave."""
    menu = Menu.of(await catalogue.look(), *door.console.size, user=door.identity.name, message=message)
    while True:
        for text in plain_lines(menu):
            door.say(text)
        try:
            line = await door.ask("> ")
        except Gone:
            return None
        match plain_choose(menu, line):
            case Chosen(item):
                return item
            case Quit():
                return None
            case Redraw(same):
                menu = same
            case Refresh(same):
                menu = same.with_items(await catalogue.look())
            case ToggleFavourite(item, changed):
                menu = changed
                await catalogue.favourite(item)
            case Menu() as changed:
                menu = changed
