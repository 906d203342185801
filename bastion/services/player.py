"""Plays a recording on a person's terminal: through a virtual terminal, as differences between pictures.

Nothing an endpoint wrote ever reaches the person raw, and their terminal may have any size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bastion.core.errors import BastionError
from bastion.core.keys import Key, KeyDecoder
from bastion.core.recording import view
from bastion.core.recording.controls import action
from bastion.core.recording.playback import clock_text, exact_text
from bastion.core.recording.track import CONTROL, Entry
from bastion.core.terminal.diff import diff
from bastion.core.terminal.fullscreen import enter, leave
from bastion.core.terminal.grid import Grid
from bastion.core.terminal.style import PLAIN
from bastion.core.terminal.viewport import Viewport
from bastion.core.terminal.viewport import view as window
from bastion.services.lookup import Lookup
from bastion.services.playhead import Playhead
from bastion.services.scroll import Scroll

if TYPE_CHECKING:
    from bastion.core.terminal.caps import Caps
    from bastion.core.terminal.grid import Row
    from bastion.core.values import Size
    from bastion.services.console import Console
    from bastion.services.ports import Clock
    from bastion.services.record_ports import Recordings
    from bastion.services.stage import Stage

_ESCAPE_SECONDS: Final = 0.05
_GROW_SECONDS: Final = 1.0
_MESSAGE_SECONDS: Final = 5.0
_NEEDLE: Final = 200
_LINKS: Final = 20
_RUN: Final = 50  # keys taken between two pictures: a held key must not starve the screen

_IN_SCROLL: Final = frozenset(("wall", "input", "link", "help", "pan_left", "pan_right", "quit", "faster", "slower", "gaps"))
"""What does not leave the page of rows that scrolled by."""
_MOVES: Final = {"back": -5, "on": 5, "far_back": -60, "far_on": 60}
_PANS: Final = {"pan_up": (0, -1), "pan_down": (0, 1), "pan_left": (-8, 0), "pan_right": (8, 0)}

Job = Callable[[], bool]
"""A step of work for a thread; True when there is more to do."""


class Player:
    """One replay on one console. `run` returns when the person quits or is gone."""

    def __init__(
        self,
        console: Console,
        caps: Caps,
        stage: Stage,
        clock: Clock,
        recordings: Recordings,
        *,
        at: int = 0,
        speed: float = 1.0,
        live: bool = False,
        needle: str = "",
    ) -> None:
        self._console = console
        self._caps = caps
        self._stage = stage
        self._clock = clock
        self._recordings = recordings
        self._head = Playhead(stage, clock, at=at, speed=speed, live=live)
        self._viewport = Viewport(*console.size)
        self._shown: Grid | None = None
        self._keys = KeyDecoder()
        self._typed: list[Key] = []
        self._woken = asyncio.Event()
        self._writable = True
        self._done = False
        self._wall: int = 0  # 0 off, 1 UTC, 2 as on the bastion's host
        self._input = False
        self._prompt: str | None = None  # what is typed behind `/`
        self._needle = needle[:_NEEDLE]
        self._marked = bool(needle)  # whether it is marked on the screen
        self._message = ("", 0.0)
        self._links: list[str] = []
        self._help: int | None = None  # the first line of the help page in sight
        self._scroll: Scroll | None = None
        self._lookup: Lookup | None = None
        self._jobs: dict[str, tuple[asyncio.Future[bool], Job]] = {}
        self._grows_at = 0.0
        self._timeline: tuple[tuple[int, int, int], float, view.Timeline] | None = None

    # ------------------------------------------------------------ what the console tells (ConsoleListener)

    def typed(self, data: bytes) -> None:
        """Take keys."""
        self._typed += self._keys.feed(data)
        self._woken.set()

    def resized(self, size: Size) -> None:
        """Take the window's new size."""
        self._viewport = self._viewport.resized(*size)
        self._shown = None
        self._woken.set()

    def signalled(self, name: str) -> None:  # noqa: ARG002 - whichever it is
        """End on any signal."""
        self.lost()

    def ended(self) -> None:
        """End when no more keys can come."""
        self.lost()

    def lost(self) -> None:
        """End."""
        self._done = True
        self._woken.set()

    def drained(self) -> None:
        """Draw again."""
        self._writable = True
        self._woken.set()

    # ------------------------------------------------------------ the loop

    def stand_still(self) -> None:
        """Show the moment that was asked for, and wait for a key to play on."""
        self._head.pause()

    async def run(self) -> None:
        """Play until the person quits."""
        self._console.write(enter(self._caps))
        self._console.attach(self)
        self._start("index", self._stage.index.step)
        try:
            while not self._done:
                said = await self._head.advance(lambda: bool(self._typed) or self._done)
                if said:
                    self._say(said)
                self._draw()
                await self._wait()
                self._go_on_with_jobs()
                for key in self._take_keys():
                    await self._press(key)
        finally:
            self._console.detach()
            self._console.write(leave(self._caps, self._shown) + "".join(f"{link}\r\n" for link in self._links).encode())
            await self._end_jobs()
            self._stage.index.close()

    def _draw(self) -> None:
        if not self._writable:
            return
        picture = self._picture()
        change = diff(self._shown, picture, self._caps)
        self._shown = picture
        if change:
            self._writable = self._console.write(change)

    def _picture(self) -> Grid:
        columns, lines = self._viewport.columns, self._viewport.lines
        if self._help is not None:
            return view.help_page(columns, lines, self._help)
        rows = self._rows()
        if self._scroll is not None:
            page = self._scrolled(self._scroll, rows)
            if page is not None:
                return page
            rows = self._rows()
        needle = self._needle if self._marked else ""
        picture, self._viewport = view.frame(self._stage.screen.snapshot(), self._viewport, rows, needle)
        return picture

    def _scrolled(self, scroll: Scroll, below: list[Row]) -> Grid | None:
        """Return the page of what scrolled by, with the status line under it; None when it is back at the screen."""
        columns, lines = self._viewport.columns, self._viewport.lines
        kept = below[-1:] if lines > 1 else []
        page = scroll.page(lines - len(kept))
        if page is None:  # still loading: what stands there stays
            self._start("scroll", scroll.load)
            return self._shown if self._shown is not None and len(self._shown.rows) == lines else Grid(columns, tuple(below[-1:] * lines))
        if scroll.left:
            self._scroll = None
            return None
        if scroll.wants:
            self._start("scroll", scroll.load)  # a page ahead
        grid = view.pile([view.marked(row, self._needle) for row in page] if self._marked else page, columns)
        shown = window(grid, Viewport(columns, lines - len(kept), left=self._viewport.left, follow=False))
        return Grid(columns, shown.rows[: lines - len(kept)] + tuple(kept), cursor_visible=False)

    def _rows(self) -> list[Row]:
        columns = self._viewport.columns
        head, index = self._head, self._stage.index
        position, duration = head.position, head.duration
        entries = self._track()
        who = view.holder(entries, position)
        word, message = head.word, self._said(self._clock.monotonic())
        if self._scroll is not None:
            position = self._scroll.time
            word = "scrolled back"
            message = message or (
                "this is its start · Esc back" if self._scroll.at_start else "PgUp PgDn Home · Enter: go there · Esc back"
            )
        state = view.State(
            position=position,
            duration=duration,
            complete=index.complete and not head.live,
            speed=head.playback.speed,
            word=word,
            message=message,
            wall=self._wall_text(position) if self._wall else "",
            holder=who,
            look=view.holders(entries).get(who, PLAIN),
        )
        rows = [view.timeline_row(columns, position, self._prepared(columns, duration))]
        if self._input:
            rows.append(view.typed_row(columns, *self._stage.typed))
        return [*rows, view.status_row(columns, state)]

    def _track(self) -> list[Entry]:
        """Return who came, went and held control: whoever started the session holds it first."""
        return [Entry(0, CONTROL, self._stage.tape.header.user, ""), *self._stage.index.entries]

    def _prepared(self, columns: int, duration: int) -> view.Timeline:
        """Return the row of time; while it grows it is worked out anew once a second, not for each frame."""
        now = self._clock.monotonic()
        key = (columns, duration, self._stage.index.detail)
        busy = self._head.live or "index" in self._jobs
        if self._timeline is None or (
            key != self._timeline[0] and (columns != self._timeline[0][0] or now >= self._timeline[1] or not busy)
        ):
            index = self._stage.index
            made = view.timeline(columns, duration, index.activity(columns), self._track())
            self._timeline = (key, now + 1.0, made)
        return self._timeline[2]

    def _said(self, now: float) -> str:
        if self._prompt is not None:
            return f"find: {self._prompt}_"
        if self._lookup is not None:
            return f"looking for '{self._needle}' … {clock_text(self._lookup.position)} (Esc stops)"
        text, at = self._message
        return text if now - at < _MESSAGE_SECONDS else ""

    def _say(self, text: str) -> None:
        self._message = (text, self._clock.monotonic())

    def _wall_text(self, position: int) -> str:
        started_at = self._stage.tape.header.started_at
        if started_at is None:
            return "no date"
        moment = datetime.fromtimestamp(started_at + position / 1e6, UTC)
        if self._wall > 1:
            moment = moment.astimezone()  # the host's own zone: ssh does not tell the person's
        return moment.strftime("%Y-%m-%d %H:%M:%S %Z")

    async def _wait(self) -> None:
        """Wait for the next event, a key, a job, or a new second on the status line."""
        timeout = await self._head.timeout()
        if timeout is None and self._message[0]:
            timeout = _MESSAGE_SECONDS
        if self._lookup is not None:
            timeout = min(timeout or _GROW_SECONDS, _GROW_SECONDS)
        if self._keys.pending:
            timeout = _ESCAPE_SECONDS
        if not self._typed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), timeout)
            if not self._woken.is_set() and self._keys.pending:
                self._typed += self._keys.flush()
        self._woken.clear()

    # ------------------------------------------------------------ keys

    def _take_keys(self) -> list[Key]:
        keys, self._typed = self._typed[:_RUN], self._typed[_RUN:]
        return keys

    async def _press(self, key: Key) -> None:
        if self._prompt is not None and key.name not in ("ctrl-c", "ctrl-d"):
            self._press_in_prompt(key)
            return
        name = key.text if key.name == "text" else key.name
        wanted = action(name)
        if self._help is not None:
            self._press_in_help(wanted)
        elif self._scroll is None or not self._press_in_scroll(self._scroll, wanted, name):
            await self._do(wanted, name)

    async def _do(self, wanted: str, name: str) -> None:
        head = self._head
        if wanted in _MOVES:
            head.move(_MOVES[wanted])
        elif wanted in _PANS:
            self._viewport = self._viewport.panned(self._stage.screen.snapshot(), *_PANS[wanted])
        elif wanted in ("mark_before", "mark_after"):
            found = head.mark(forward=wanted == "mark_after")
            self._say((found.text or found.kind) if found else "no marker there")
        elif wanted in ("step", "step_back"):
            await head.step(forward=wanted == "step")
        elif wanted in ("find_after", "find_before"):
            self._find(forward=wanted == "find_after")
        elif wanted in ("scroll_back", "scroll_on"):
            self._scroll_by(-1 if wanted == "scroll_back" else 1)
        elif wanted == "tenth":
            head.tenth(int(name))
        elif wanted:
            {
                "toggle": head.toggle,
                "faster": lambda: head.playback.faster(self._clock.monotonic()),
                "slower": lambda: head.playback.slower(self._clock.monotonic()),
                "home": lambda: head.seek(0),
                "end": head.to_end,
                "search": self._open_prompt,
                "gaps": self._switch_gaps,
                "wall": self._switch_wall,
                "input": self._switch_input,
                "link": self._link,
                "pan_home": self._pan_home,
                "stop": self._stop,
                "help": self._open_help,
                "quit": self.lost,
            }[wanted]()

    def _press_in_prompt(self, key: Key) -> None:
        prompt = self._prompt or ""
        match key.name:
            case "text" | "paste":
                self._prompt = (prompt + key.text)[:_NEEDLE]
            case "backspace":
                self._prompt = prompt[:-1] if prompt else None
            case "enter":
                self._prompt = None
                self._needle = prompt or self._needle
                self._find(forward=True)
            case "escape":
                self._prompt = None

    def _press_in_help(self, wanted: str) -> None:
        page = max(1, self._viewport.lines - 3)
        steps = {"pan_down": 1, "pan_up": -1, "scroll_on": page, "scroll_back": -page}
        if wanted in steps:
            self._help = max(0, min((self._help or 0) + steps[wanted], view.help_length(self._viewport.columns) - page))
        elif wanted == "quit" or wanted not in steps:
            self._help = None

    def _press_in_scroll(self, scroll: Scroll, wanted: str, name: str) -> bool:
        """Move in what scrolled by; return False for a key that means the same as ever."""
        page = max(1, self._viewport.lines - 2)
        steps = {"pan_down": 1, "pan_up": -1, "scroll_on": page, "scroll_back": -page, "toggle": page}
        if wanted in steps:
            scroll.move(steps[wanted])
        elif wanted == "home":
            scroll.to_start()
        elif name == "enter":
            self._scroll = None
            self._head.seek(scroll.time)
        elif wanted in ("stop", "end"):
            self._scroll = None
        else:
            if wanted and wanted not in _IN_SCROLL:
                self._scroll = None
            return False
        return True

    def _scroll_by(self, direction: int) -> None:
        if direction > 0:
            return
        self._head.pause()
        index, tape = self._stage.index, self._stage.tape
        self._scroll = Scroll(self._recordings, tape, index, self._stage.reached, self._stage.screen.snapshot().rows)
        self._scroll.move(-max(1, self._viewport.lines - 2))

    def _open_prompt(self) -> None:
        self._prompt = ""

    def _open_help(self) -> None:
        self._help = 0

    def _stop(self) -> None:
        if self._lookup is not None:
            self._lookup = None
            self._jobs.pop("find", None)
            self._say("stopped looking")
        self._marked = False

    def _switch_gaps(self) -> None:
        self._head.skip_idle = not self._head.skip_idle
        self._say("gaps without output are skipped" if self._head.skip_idle else "gaps without output are shown")

    def _switch_wall(self) -> None:
        here = datetime.fromtimestamp(self._clock.now(), UTC).astimezone()
        self._wall = (self._wall + 1) % (3 if here.utcoffset() else 2)

    def _switch_input(self) -> None:
        self._input = not self._input

    def _pan_home(self) -> None:
        self._viewport = self._viewport.following()

    def _link(self) -> None:
        """Show the command that opens this moment; it is printed, too, when the player is left."""
        self._head.hold()
        link = f"replay {self._stage.tape.session_id} --at {exact_text(self._head.position)}"
        self._say(link)
        if link not in self._links:
            self._links = [*self._links[1 - _LINKS :], link]

    # ------------------------------------------------------------ work in threads

    def _start(self, name: str, job: Job) -> None:
        if name in self._jobs:
            return
        future = asyncio.get_running_loop().run_in_executor(None, job)
        future.add_done_callback(lambda _: self._woken.set())
        self._jobs[name] = (future, job)

    def _go_on_with_jobs(self) -> None:
        for name, (future, job) in list(self._jobs.items()):
            if not future.done():
                continue
            del self._jobs[name]
            error = future.exception()
            if isinstance(error, BastionError):  # a part of the file that cannot be read: the rest still plays
                self._say(error.public)
                self._lookup = None if name == "find" else self._lookup
            elif future.result():
                self._start(name, job)
            elif name == "find":
                self._show_found()
        now = self._clock.monotonic()
        if self._head.live and self._stage.index.complete and not self._jobs and now >= self._grows_at:
            self._grows_at = now + _GROW_SECONDS
            self._start("live", self._grow)

    def _grow(self) -> bool:
        """Take in what a live recording was given, in a thread; know when it ends."""
        live = self._recordings.is_live(self._stage.tape.session_id)
        while self._stage.index.grow() and not self._done:
            pass
        if not live:
            self._head.ended()
        return False

    async def _end_jobs(self) -> None:
        running, self._jobs = [future for future, _ in self._jobs.values()], {}
        await asyncio.gather(*running, return_exceptions=True)

    def _find(self, *, forward: bool) -> None:
        if not self._needle:
            self._say("type / and what to find")
            return
        self._head.pause()
        self._marked = True
        tape, index = self._stage.tape, self._stage.index
        position = max(self._head.position, self._stage.reached) if forward else self._head.position
        self._lookup = Lookup(self._recordings, tape, index, self._needle, position, forward=forward)
        self._jobs.pop("find", None)
        self._start("find", self._lookup.step)

    def _show_found(self) -> None:
        lookup, self._lookup = self._lookup, None
        if lookup is None:
            return
        if lookup.found is not None:
            self._head.seek(lookup.found)
            self._say(f"found '{lookup.needle}' (n: next, N: before)")
        elif lookup.forward:
            self._say(f"'{lookup.needle}' does not come any more (Home, then n: from the start)")
        else:
            self._say(f"'{lookup.needle}' does not come before this")
