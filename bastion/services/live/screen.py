"""The screen of a live session, followed beside it: pictures for those who look on, keyframes for who takes over.

Theory of operation: output is queued with `push` (one list append on the hot path) and parsed when somebody needs
it: for frames, for a keyframe, when 64 KB wait, or once the session is quiet. Parsing happens in slices of a few
milliseconds on the loop: the parser is pure Python, so a thread would hold the interpreter all the same, and a process
would copy every byte twice. Every byte counts, so what is shown and kept is exact. A flood (beyond 1 MB) is left to the
recording (`unread`) and read back once it is over, or when somebody takes over: then its endpoint, and none but it, is not
read until all is drawn, and so it is beyond 256 MB. While it lasts, who looks on is shown what came last. Where nothing can
be read back, at most `MOST_BACKLOG` waits. Viewers get differences at most `FRAMES` times a second; those with the same
picture and the same window share one computed difference; who does not keep up skips frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Final, NamedTuple, Protocol

from bastion.core.errors import BastionError
from bastion.core.terminal import Terminal
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.diff import diff_slices
from bastion.core.terminal.grid import Grid, Row
from bastion.core.terminal.overlay import Overlay, overlay
from bastion.core.terminal.past import past
from bastion.core.terminal.viewport import Viewport, view
from bastion.core.values import Size
from bastion.services.live.reading import MOST_PLACES, ScreenReader
from bastion.services.live.unread import Readable, Unread
from bastion.services.tasks import spawn

FRAMES: Final = 30
SECONDS_A_VIEWER: Final = 0.002  # a frame costs 0.1 ms a viewer, and as much at the other end: beyond 16 they get fewer frames, 50 get 10
SLICE_BYTES: Final = 8 * 1024  # 1 ms of parsing, 8 ms at worst (measured); the loop breathes between slices
QUIET_SECONDS: Final = 0.5
EAGER_BACKLOG: Final = 64 * 1024  # parsed now, viewers or not: a program that never rests is followed closely
FLOOD_BYTES: Final = 256 * 1024  # in one frame's time: 8 MB/s
LAZY_BACKLOG: Final = 1024 * 1024  # of a flood: what comes beyond is left to the recording until it matters
FLOOD_FRAME: Final = 0.1  # seconds between pictures of such a flood: each is drawn anew
MOST_UNREAD: Final = 256 * 1024 * 1024  # bytes of recording so left: about how long who looks on then waits, 1 to 5 s
UNREAD_STEP: Final = 8 * 1024 * 1024  # beyond that the endpoint waits until so much is read
UNSEEN_PACE: Final = 0.01  # seconds between looks at such a flood: at 100 MB/s a megabyte comes in that time
MOST_BACKLOG: Final = 4 * 1024 * 1024  # further behind than this, the endpoint waits
LOW_BACKLOG: Final = 1024 * 1024  # until no more than this is left
FLOOD_KEYFRAMES: Final = 1.0  # seconds between keyframes of a flood, though due more often
LONGEST_DUE: Final = 10.0  # seconds after which a flood is stopped for a moment, so that a keyframe can be made
VIEWERS_A_TURN: Final = 4  # 0.4 ms; between turns everybody else's keys are served
SPREAD: Final = 0.5  # the part of a frame's time over which its viewers are served: a burst to fifty delays who types


class Picture(Protocol):
    """One who is shown the screen."""

    caps: Caps
    size: Size

    def ready(self) -> bool:
        """Return whether they took what they were sent; else this frame is skipped for them."""

    def status(self) -> Row | None:
        """Return their status line, None for no such line."""

    def panel(self) -> tuple[Row, ...]:
        """Return lines of ours to stand over the top of the picture."""

    def show(self, data: bytes) -> None:
        """Send the bytes of a frame."""


class Ties(NamedTuple):
    """What a screen asks of its session."""

    keyframe_due: Callable[[], bool]
    """Whether the recording wants one, if the screen is where the recording is."""
    keep: Callable[[Size, bytes], None]
    """Take that keyframe."""
    hold_back: Callable[[bool], None]
    """Read nothing more from the endpoint, or go on."""
    failed: Callable[[int, str], None]
    """Take note that an error of ours reset the screen: how often so far, and where the latest was."""
    reader: ScreenReader | None = None
    """Who tells the search index what stands on it."""
    recording: Readable | None = None
    """Where all output is before it is pushed."""


class _Viewer:
    __slots__ = ("last", "picture", "viewport")

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.last: Grid | None = None
        self.viewport = Viewport(*picture.size, status=True)


class LiveScreen:
    """The followed screen of one session."""

    def __init__(self, size: Size, ties: Ties) -> None:
        self._terminal: Terminal | None = None
        self._first_size = size
        self._ties = ties
        self._reader = ties.reader
        self._quiet: asyncio.TimerHandle | None = None
        self._pushed = 0  # bytes, since somebody last looked
        self._flood = False
        self._holding_back = False
        self._total = 0  # bytes pushed
        self._mark: tuple[int, int] | None = None  # of a moment lately: bytes pushed, and where the recording was then
        self._unread: Unread | None = None
        self._kept_at = perf_counter()  # when the last keyframe was made
        self._told_faults = 0
        self._viewers: dict[str, _Viewer] = {}
        self._held: Grid | None = None
        self._sees_held: Callable[[str], bool] = _nobody
        self._waiting: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self._dirty = asyncio.Event()
        self._closed = False

    @property
    def terminal(self) -> Terminal:
        """Return the terminal, made at first need."""
        if self._terminal is None:
            self._terminal = Terminal(*self._first_size, searchable=self._reader is not None)
        return self._terminal

    @property
    def title(self) -> str:
        """Return the window title as far as it was parsed."""
        return self._terminal.title if self._terminal else ""

    @property
    def faults(self) -> int:
        """Return how often an error of ours reset the screen."""
        return self._terminal.faults if self._terminal else 0

    def push(self, data: bytes) -> None:
        """Queue output. Cheap: nothing is parsed here."""
        self._pushed += len(data)
        if self._unread is not None:
            self._unread.output(data)
            if self._reader is not None:
                self._reader.pushed(data)
            self._wake()
            return
        terminal = self._terminal or self.terminal
        terminal.push(data)
        self._total += len(data)
        backlog = terminal.backlog
        crowded = self._reader is not None and self._reader.pushed(data)
        if backlog > EAGER_BACKLOG and (self._mark is None or self._total - self._mark[0] > backlog):
            place = self._ties.recording.place() if self._ties.recording is not None else (0, False, False)
            self._mark = (self._total, place[0]) if place[1:] == (True, False) else None
        if crowded or self._viewers or self._waiting or backlog > EAGER_BACKLOG:
            lazy = backlog > LAZY_BACKLOG and not self._urgent()
            if not (lazy and self._leave_unread()) and backlog > MOST_BACKLOG:
                self._hold_back(on=True)
            self._wake()
        elif self._quiet is None:
            self._quiet = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._when_quiet)

    def _when_quiet(self) -> None:
        """Catch up once nothing came for a while: titles, keyframes and search are then up to date for next to nothing."""
        self._quiet = None
        if self._closed:
            return
        if self._pushed:
            self._pushed = 0
            self._quiet = asyncio.get_running_loop().call_later(QUIET_SECONDS, self._when_quiet)
        elif self.terminal.backlog:
            self._wake()

    def resize(self, size: Size) -> None:
        """Queue a change of size, in order with the output. It is on file already."""
        if self._unread is None:
            self.terminal.push_resize(*size)
        else:
            self._unread.resize(size)
        self._wake()

    def add(self, key: str, picture: Picture) -> None:
        """Show the screen to one more."""
        self._viewers[key] = _Viewer(picture)
        self._wake()

    def remove(self, key: str) -> None:
        """Stop showing it to one."""
        self._viewers.pop(key, None)

    def window(self, key: str, size: Size) -> None:
        """Take the new size of a viewer's window and redraw it there."""
        viewer = self._viewers.get(key)
        if viewer is not None:
            viewer.viewport = viewer.viewport.resized(*size)
            viewer.last = None
            self._wake()

    def pan(self, key: str, right: int, down: int) -> None:
        """Move a viewer's window by cells; 0, 0 ties it to the cursor again."""
        viewer = self._viewers.get(key)
        if viewer is not None:
            here = viewer.viewport
            viewer.viewport = here.panned(self.terminal.snapshot(), right, down) if right or down else here.following()
            self._wake()

    def hold(self, sees: Callable[[str], bool] | None) -> None:
        """Keep the picture as it is for all viewers but those whom `sees` names; None lets it go on."""
        self._held = None
        if sees is not None:
            self._look()
            self._held = self.terminal.snapshot()
            self._sees_held = sees
        self.refresh()

    def refresh(self) -> None:
        """Draw again soon: a status line changed."""
        if self._viewers:
            self._wake()

    def when_current(self, call: Callable[[], None]) -> None:
        """Call once everything queued so far is parsed; at once when little waits."""
        if self._look():
            call()
            return
        self._waiting.append(call)
        self._wake()

    def overlay(self, rows: list[Row], at: int) -> Overlay | None:
        """Return how to show rows of ours over a terminal that has seen all that was pushed; None amid a sequence."""
        terminal = self.terminal
        if not self._look() or terminal.pending or at + len(rows) > terminal.lines:
            return None
        drawn = [overlay(terminal.screen, at + number, row, terminal.stream.last) for number, row in enumerate(rows)]
        return Overlay(b"".join(each.show for each in drawn), b"".join(each.hide for each in drawn))

    @property
    def cursor_line(self) -> int:
        """Return the line the cursor is on."""
        return self.terminal.cursor[1]

    def keyframe(self) -> bytes:
        """Return bytes that bring a fresh terminal of this size to the state here, unfinished sequences included.

        For calls made by `when_current`: else what waits would all be parsed at once.
        """
        self._catch_up()
        keyframe = self.terminal.dump() + self.terminal.pending
        self._tell_faults()
        return keyframe

    def _with_past(self) -> bytes:
        """Return a keyframe that brings the newest rows of scrollback along."""
        keyframe = self.keyframe()
        return past(self.terminal.screen) + keyframe

    def left_behind(self) -> tuple[bool, bool]:
        """Return whether the program is on the alternate screen, and whether its cursor is inside a line.

        As far as it was parsed, where much waits: leaving is not held up by that.
        """
        self._look()
        return self.terminal.alternate, self.terminal.cursor[0] > 0

    def _look(self) -> bool:
        """Parse what waits if it is little; False when it is more than may hold everybody up.

        A megabyte of switches between the screens takes 1.5 s to parse.
        """
        if self.terminal.backlog > SLICE_BYTES or self._unread is not None:
            return False
        self._catch_up()
        self._tell_faults()
        return True

    def _catch_up(self) -> None:
        """Parse all that waits, with a stop wherever a picture is wanted."""
        terminal = self.terminal
        while self._reader is not None and self._reader.places and terminal.backlog:
            self._parse(SLICE_BYTES)
        terminal.catch_up()

    def _parse(self, limit: int) -> int:
        """Parse up to `limit` bytes, or to where a picture is wanted; return how many."""
        terminal, reader = self.terminal, self._reader
        if reader is None:
            return terminal.advance(limit)
        stop = reader.next_place(terminal.offset)
        taken = terminal.advance(min(limit, stop) if stop else limit)
        if reader.places and not terminal.stream.held:
            reader.look(terminal)
        return taken

    def _tell_faults(self) -> None:
        """Tell of errors of ours that reset the screen: of the first, then whenever they have doubled."""
        terminal = self.terminal
        if terminal.faults > self._told_faults * 2 - bool(self._told_faults):
            self._told_faults = terminal.faults
            self._ties.failed(terminal.faults, terminal.fault)

    def _hold_back(self, *, on: bool) -> None:
        if on is not self._holding_back:
            self._holding_back = on
            self._ties.hold_back(on)

    def close(self) -> None:
        """Stop following."""
        if self._reader is not None:
            self._reader.close(self.terminal if self._look() else None)
            self._reader = None
        self._closed = True
        self._viewers.clear()
        self._waiting.clear()
        self._dirty.set()
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    # ------------------------------------------------------------ beside the session

    def _wake(self) -> None:
        self._dirty.set()
        if self._task is None and not self._closed:
            self._task = spawn("live-screen", self._follow())

    async def _follow(self) -> None:
        try:
            while not self._closed:
                self._dirty.clear()
                pace = max(1 / FRAMES if self._unread is None else FLOOD_FRAME, len(self._viewers) * SECONDS_A_VIEWER)
                more = await self._advance(pace)
                if self._viewers and not self._closed:
                    await self._frame(pace)
                if more:
                    continue
                if self._dirty.is_set():
                    await asyncio.sleep(UNSEEN_PACE if self._flood and not self._viewers and self._unread is None else pace)
                    continue
                if not self._viewers and not self._waiting:
                    return
                await self._dirty.wait()
        finally:
            self._task = None
            if self._dirty.is_set() and not self._closed and (self._viewers or self._waiting):
                self._wake()

    async def _advance(self, pace: float) -> bool:
        """Parse what waits, by slices; True when it is time for a frame before the rest is parsed.

        What comes meanwhile waits for the next turn: more of it can be skipped then.
        """
        terminal = self.terminal
        began = perf_counter()
        self._flood = self._pushed > (FLOOD_BYTES // 8 if self._flood else FLOOD_BYTES)
        self._pushed = 0
        lazy = self._unread is not None or (not self._viewers and terminal.backlog < LAZY_BACKLOG)
        if self._flood and not self._urgent() and (lazy or (terminal.backlog >= LAZY_BACKLOG and self._leave_unread())):
            self._dirty.set()  # no eye can follow it: look again a frame later, when it may be over
            return False
        if self._unread is not None:
            await self._read(self._unread)
        left = terminal.backlog
        try:
            while terminal.backlog and (left > 0 or self._urgent()):
                if terminal.backlog > SLICE_BYTES and self._urgent():
                    self._hold_back(on=True)
                start = perf_counter()
                left -= self._parse(SLICE_BYTES)
                self._tell_faults()
                if terminal.backlog < LOW_BACKLOG and not self._urgent():
                    self._hold_back(on=False)
                await asyncio.sleep(0 if self._waiting else perf_counter() - start)
                if self._closed:
                    return False
                if self._viewers and perf_counter() - began > pace:
                    return terminal.backlog > 0
            if self._unread is not None:
                return True
            self._now_current()
        finally:
            if terminal.backlog < LOW_BACKLOG and not (self._unread is not None and self._urgent()):
                self._hold_back(on=False)
        return False

    def _leave_unread(self) -> bool:
        """Leave what waits, and what comes, to the recording; return whether it stands there."""
        file, mark = self._ties.recording, self._mark
        if (
            self._unread is None
            and file is not None
            and mark is not None
            and file.place()[1]
            and self.terminal.unpush(self._total - mark[0])
        ):
            self._unread = Unread(file, Size(self.terminal.columns, self.terminal.lines), mark[1])
            self._mark = None
        return self._unread is not None

    async def _read(self, unread: Unread) -> None:
        """Push some of what was left to the recording; once nothing of it is left, what comes is pushed again."""
        if self._urgent():
            self._hold_back(on=True)
        try:
            items = await asyncio.to_thread(unread.read)
        except (BastionError, OSError) as error:  # what was just written cannot be read: the screen starts anew
            self.terminal.give_up(error)
            self._tell_faults()
            self._unread = None
            return
        if unread.left <= 0:
            items += unread.rest
            self._unread = None
        for item in items:
            if isinstance(item, bytes):
                self.terminal.push(item)
                self._total += len(item)
            else:
                self.terminal.push_resize(*item)

    def _urgent(self) -> bool:
        """Return whether somebody waits for the screen as it is after all that came, or too much of it is unread."""
        if self._waiting:
            return True
        if self._unread is None:
            return perf_counter() - self._kept_at > LONGEST_DUE and self._ties.keyframe_due()
        most = MOST_UNREAD - (UNREAD_STEP if self._holding_back else 0)
        crowded = self._reader is not None and len(self._reader.places) > MOST_PLACES
        return crowded or bool(self._unread.kept) or self._unread.left > most

    def _now_current(self) -> None:
        """Do what waited for the screen to show all that came, if it does."""
        terminal = self.terminal
        if terminal.backlog > SLICE_BYTES:
            return
        if self._reader is not None and not terminal.backlog:
            self._reader.current(terminal)
        often = perf_counter() - self._kept_at < FLOOD_KEYFRAMES
        if not (self._flood and often) and self._ties.keyframe_due():
            self._kept_at = perf_counter()
            keyframe = self._with_past()
            self._ties.keep(Size(terminal.columns, terminal.lines), keyframe)
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()

    async def _frame(self, pace: float) -> None:
        unread = self._unread
        current = self.terminal.snapshot() if unread is None else unread.glimpse(Size(self.terminal.columns, self.terminal.lines))
        shared: dict[tuple[object, ...], tuple[Grid, bytes]] = {}
        done = 0
        for name, viewer in list(self._viewers.items()):
            grid = current if self._held is None or self._sees_held(name) else self._held
            if not viewer.picture.ready():
                self._dirty.set()
                continue
            status, panel = viewer.picture.status(), viewer.picture.panel()
            viewer.viewport = viewer.viewport.followed(grid)
            key = (id(viewer.last), id(grid), viewer.viewport, viewer.picture.caps, status, panel)
            found = shared.get(key)
            if found is None:
                try:
                    found = shared[key] = await _drawn(grid, viewer, status, panel)
                except Exception as error:  # noqa: BLE001 - what cannot be shown is reset, and nothing else is harmed
                    self.terminal.give_up(error)
                    self._tell_faults()
                    self._held = None
                    self._dirty.set()
                    return
            if self._viewers.get(name) is not viewer:
                continue  # they left, or took over, while it was drawn
            viewer.last, data = found
            if data:
                viewer.picture.show(data)
            done += 1
            if done % VIEWERS_A_TURN == 0 and done < len(self._viewers):
                await asyncio.sleep(pace * SPREAD * VIEWERS_A_TURN / len(self._viewers))


async def _drawn(grid: Grid, viewer: _Viewer, status: Row | None, panel: tuple[Row, ...]) -> tuple[Grid, bytes]:
    """Return a viewer's next picture, and the bytes that turn their last into it; holds nobody up over a hostile one."""
    after = view(grid, viewer.viewport, status)
    if panel:
        over = min(len(panel), len(after.rows) - 1)
        after = replace(after, rows=(*panel[:over], *after.rows[over:]))
    slices = diff_slices(viewer.last, after, viewer.picture.caps)
    while True:
        try:
            next(slices)
        except StopIteration as done:
            data: bytes = done.value
            return after, data
        await asyncio.sleep(0)


def _nobody(_: str) -> bool:
    return False
