"""Brings lines into the search index, beside the sessions: what they tell while they run, and what a crash left untold.

Never holds a session up: telling is an append, writing is a thread's. What cannot be kept (a full disk, a slow one) is not
lost: the place up to which the index knows a recording is stored with its lines, and the rest is read from the cast later.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from bastion.core.errors import BastionError, Corrupt, Missing
from bastion.core.recording import track
from bastion.core.recording.glean import Gleaner, Mark
from bastion.core.recording.reader import CastReader, Header
from bastion.core.recording.search import Portion
from bastion.services.indexing import Index
from bastion.services.ports import SessionFilter
from bastion.services.storage import is_kept

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bastion.core.recording.keyframes import Keyframe
    from bastion.core.recording.lines import Flood, Line
    from bastion.services.ports import Clock, SessionRecord, Sessions
    from bastion.services.record_ports import Recordings, SearchIndex

WRITE_SECONDS: Final = 60.0
"""How long lines wait to be written, at most: they can be found meanwhile, and many are cheaper to write than few."""
WRITE_LINES: Final = 2000
MOST_LINES: Final = 20_000
"""Lines that may wait in all; a disk that slow gets the rest from the casts."""
_TICK: Final = 1.0
_PAGE: Final = 500
_RESTS: Final = 4  # reading casts takes one part in five of a processor
_PIECE: Final = 16 * 1024  # of a cast between two rests: some milliseconds

_log = logging.getLogger("bastion.search")


@dataclass(slots=True)
class Sheaf:
    """The lines of one live session that are not in the index yet."""

    session: str
    user: str
    endpoint: str
    started_at: float
    lines: list[Line] = field(default_factory=list)
    floods: list[Flood] = field(default_factory=list)
    mark: Mark | None = None
    since: float = 0.0
    """When the first of them came (monotonic seconds)."""
    lost: bool = False
    """Some could not be kept: the cast is read once the session is over."""
    held: Line | None = None
    """The line under the cursor: it can be found, and is not written yet."""

    def portion(self, *, done: bool = False) -> Portion:
        """Return what is to be written, and start anew."""
        made = Portion(self.session, self.user, self.endpoint, self.started_at, self.lines, self.floods, self.mark, done)
        self.lines, self.floods, self.mark = [], [], None
        return made


class Lag(NamedTuple):
    """What is not in the index yet: lines that wait to be written (they are found), recordings that wait to be read (not found)."""

    lines: int
    recordings: int


class Harvest:
    """The one who writes the index. `run` is spawned once."""

    def __init__(self, index: SearchIndex, recordings: Recordings, sessions: Sessions, clock: Clock) -> None:
        self._index = index
        self._recordings = recordings
        self._sessions = sessions
        self._clock = clock
        self._live: dict[str, Sheaf] = {}
        self._ended: list[Portion] = []
        self._ended_at = 0.0
        self._writing: list[Portion] = []
        self._queue: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._stopped = False

    # ------------------------------------------------------------ what sessions tell

    def begin(self, record: SessionRecord) -> Sheaf:
        """Return where a new session puts its lines."""
        sheaf = self._live[record.id] = Sheaf(record.id, record.user, record.endpoint, record.started_at)
        return sheaf

    def told(self, sheaf: Sheaf, lines: Sequence[Line], floods: Sequence[Flood], mark: Mark | None) -> None:
        """Take lines, and the place before which all are told."""
        if sheaf.lost:
            return
        if not sheaf.lines and lines:
            sheaf.since = self._clock.monotonic()
        sheaf.lines += lines
        sheaf.floods += floods
        sheaf.mark = mark or sheaf.mark
        if len(sheaf.lines) >= WRITE_LINES:
            if self.lag.lines > MOST_LINES:
                self._lose(sheaf)
            self._wake.set()

    def end(self, sheaf: Sheaf, *, done: bool) -> None:
        """Take note that a session is over. `done`: all its lines were told; else its cast is read from the mark on."""
        self._live.pop(sheaf.session, None)
        done = done and not sheaf.lost
        if not self._ended:
            self._ended_at = self._clock.monotonic()
        self._ended.append(sheaf.portion(done=done))
        if not done:
            self._queue[sheaf.session] = None
        self._wake.set()

    async def remove(self, session: str) -> None:
        """Forget a recording that is deleted; the next start does so where this cannot."""
        self._queue.pop(session, None)
        try:
            await self._index.remove(session)
        except BastionError as error:
            _log.error("a deleted recording stays in the search index for now: %s", error.detail or error.public)

    # ------------------------------------------------------------ what a search asks

    def waiting(self) -> Iterator[Portion]:
        """Yield what is not in the index yet, or perhaps not yet."""
        yield from self._writing
        yield from self._ended
        for sheaf in self._live.values():
            lines = [*sheaf.lines, sheaf.held] if sheaf.held is not None else list(sheaf.lines)
            yield Portion(sheaf.session, sheaf.user, sheaf.endpoint, sheaf.started_at, lines)

    @property
    def lag(self) -> Lag:
        """Return what is not in the index yet."""
        waiting = sum(len(portion.lines) for portion in [*self._writing, *self._ended])
        return Lag(waiting + sum(len(sheaf.lines) for sheaf in self._live.values()), len(self._queue))

    # ------------------------------------------------------------ the worker

    async def run(self) -> None:
        """Write what was told and read what was left, until `stop`."""
        if self._stopped:
            return
        try:
            await self._look_back()
        except BastionError as error:
            _log.error("the search index cannot be looked through: %s", error.detail or error.public)
        while not self._stopped:
            if not self._queue:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _TICK)
                self._wake.clear()
            await self.write(everything=any(one.session in self._queue for one in self._ended))  # what is read goes on behind what was told
            if self._queue and not self._stopped:
                await self._read(next(iter(self._queue)))
        await self.write(everything=True)

    def stop(self) -> None:
        """End `run` after a last write."""
        self._stopped = True
        self._wake.set()

    async def write(self, *, everything: bool = False) -> None:
        """Write what waited long enough, or is much, or is complete."""
        now = self._clock.monotonic()
        sheaves = [one for one in self._live.values() if one.lines or (one.mark and everything)]
        much = sum(len(one.lines) for one in sheaves) >= WRITE_LINES
        waited = any(now - one.since >= WRITE_SECONDS for one in sheaves) or (self._ended and now - self._ended_at >= WRITE_SECONDS)
        due = much or everything or waited or sum(len(one.lines) for one in self._ended) >= WRITE_LINES
        if not due:
            return
        self._writing = [*self._ended, *(one.portion() for one in sheaves)]
        self._ended = []
        if not self._writing:
            return
        try:
            await self._index.add(self._writing)
        except BastionError as error:
            _log.error("lines for the search wait for the disk: %s", error.detail or error.public)
            for portion in self._writing:
                if portion.session in self._live:
                    self._lose(self._live[portion.session])
                else:
                    self._queue[portion.session] = None
        finally:
            self._writing = []

    def _lose(self, sheaf: Sheaf) -> None:
        sheaf.lost = True
        sheaf.portion()

    # ------------------------------------------------------------ reading casts

    async def _look_back(self) -> None:
        """Queue what a crash left, and recordings that are older than the index."""
        waiting = [session for session in await self._index.unfinished() if session not in self._live]
        until: float | None = None
        while not self._stopped:
            page = await self._sessions.find(SessionFilter(live=False, until=until, limit=_PAGE))
            known = await self._index.known([one.id for one in page])
            for one in page:
                if is_kept(one) and one.id not in known and one.id not in self._live:
                    waiting.append(one.id)
                elif one.id in known and not is_kept(one):
                    await self.remove(one.id)
            if len(page) < _PAGE or page[-1].started_at == until:
                break
            until = page[-1].started_at
        pending = {portion.session for portion in self._ended}
        self._queue.update((session, None) for session in waiting if session not in pending)

    async def _read(self, session: str) -> None:
        """Read what one cast has that the index has not."""
        done = True
        try:
            record = await self._sessions.get(session)
            mark = (await self._index.unfinished()).get(session, Mark())
            portion = Portion(record.id, record.user, record.endpoint, record.started_at)
            done = await self._glean(portion, mark)
        except Missing:
            await self._index.remove(session)
        except Corrupt as error:
            _log.warning("the recording of %s cannot be read for the search: %s", session, error.public)
            with suppress(BastionError):
                await self._index.add([Portion(session, record.user, record.endpoint, record.started_at, done=True)])
        except BastionError as error:
            if error.code == "recording.encrypted":
                self._queue.pop(session, None)
                return
            _log.error("reading casts for the search is put off: %s", error.detail or error.public)
            await asyncio.sleep(_TICK)
            return
        if done:
            self._queue.pop(session, None)

    async def _glean(self, whose: Portion, mark: Mark) -> bool:
        """Read a cast from the mark to its end, in pieces with rests; return whether it came there."""
        reading = await asyncio.to_thread(_Reading, self._recordings, whose, mark)
        found: list[Line] = []
        while not reading.ended:
            if self._stopped:
                return False
            began = self._clock.monotonic()
            found += await asyncio.to_thread(reading.step)
            took = self._clock.monotonic() - began
            if len(found) >= WRITE_LINES and not reading.ended:
                at = reading.gleaner.mark()
                await self._index.add([reading.portion([*found, *reading.gleaner.drain()], at)])
                found = []
            await asyncio.sleep(took * _RESTS)
            if self._wake.is_set():
                self._wake.clear()
                await self.write()
        at = reading.gleaner.mark()
        await self._index.add([reading.portion([*found, *reading.gleaner.drain()], at, done=True)])
        return True


class _Reading:
    """A cast that is being read. All of it is called in threads, one call at a time."""

    def __init__(self, recordings: Recordings, whose: Portion, mark: Mark) -> None:
        self._whose = whose
        header = _header(recordings, whose.session)
        start, entries = _start(recordings, whose.session, header, mark) if mark.offset else (None, _track(recordings, whose.session))
        self.gleaner = Gleaner(header, mark, entries, whose.user, start)
        self._chunks = recordings.chunks(whose.session, start.offset if start else 0)
        self._data = b""
        self.ended = False

    def step(self) -> list[Line]:
        """Read a piece; return its lines."""
        self._data = self._data or next(self._chunks, b"")
        piece, self._data = self._data[:_PIECE], self._data[_PIECE:]
        if piece and not self.gleaner.enough:
            return self.gleaner.feed(piece)
        self.ended = True
        return self.gleaner.close()

    def portion(self, lines: Sequence[Line], mark: Mark, *, done: bool = False) -> Portion:
        """Return these lines as they are written."""
        whose = self._whose
        return Portion(whose.session, whose.user, whose.endpoint, whose.started_at, lines, self.gleaner.floods(), mark, done)


def _header(recordings: Recordings, session: str) -> Header:
    reader = CastReader()
    for data in recordings.chunks(session):
        reader.feed(data)
        if reader.header is not None:
            return reader.header
    reader.close()
    raise Corrupt("cast.empty", "This recording is empty.")


def _track(recordings: Recordings, session: str) -> list[track.Entry]:
    side = recordings.open_side(session, track.FILE)
    if side is None:
        return []
    try:
        return track.parse(side.pread(4 * 1024 * 1024, 0))
    finally:
        side.close()


def _start(recordings: Recordings, session: str, header: Header, mark: Mark) -> tuple[Keyframe | None, list[track.Entry]]:
    """Return the last keyframe that is not behind the mark, and who had control when."""
    index = Index(recordings, session, header)
    try:
        found = index.keyframe(mark.time)
        if found is not None and found.offset > mark.offset:
            found = index.keyframe(found.time - 1)
        if found is not None and found.offset > mark.offset:
            found = None
        return found, index.entries
    finally:
        index.close()
