"""A recording as a player holds it: events one after another, from any place where a line begins.

Never holds more than one chunk of it, and reads in a thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from bastion.core.errors import Corrupt
from bastion.core.recording.reader import CastReader, Event, Header

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bastion.services.record_ports import Recordings


class Tape:
    """A recording with a reading head. A live one grows: `peek` then finds more later."""

    def __init__(self, recordings: Recordings, session_id: str, header: Header) -> None:
        self._recordings = recordings
        self.session_id = session_id
        self.header = header
        self._events: deque[Event] = deque()
        self._reader = CastReader()
        self._chunks: Iterator[bytes] | None = None
        self._offset = 0

    @classmethod
    async def open(cls, recordings: Recordings, session_id: str) -> Tape:
        """Return the tape at its beginning. `Missing`, `Corrupt`."""
        reader = CastReader()
        chunks = await asyncio.to_thread(recordings.chunks, session_id)
        while reader.header is None:
            data = await asyncio.to_thread(next, chunks, b"")
            if not data:
                reader.close()
                break
            reader.feed(data)
        if reader.header is None:
            raise Corrupt("cast.empty", "This recording is empty.")
        return cls(recordings, session_id, reader.header)

    def copy(self) -> Tape:
        """Return another head on the same recording, at the beginning."""
        return Tape(self._recordings, self.session_id, self.header)

    @property
    def notes(self) -> list[str]:
        """What was skipped since the last `wind`."""
        return self._reader.notes

    def wind(self, offset: int = 0, time: int = 0, by: str = "") -> None:
        """Move the head to the line at `offset`, which is `time` microseconds in; 0 is the beginning."""
        self._events.clear()
        self._chunks = None
        self._offset = offset
        self._reader = CastReader.resume(self.header, offset, time, by) if offset else CastReader()

    async def peek(self) -> Event | None:
        """Return the next event without passing it; None at the end of what is written."""
        while not self._events:
            if self._chunks is None:
                self._chunks = await asyncio.to_thread(self._recordings.chunks, self.session_id, self._offset)
            data = await asyncio.to_thread(next, self._chunks, b"")
            if not data:
                self._chunks = None  # a live recording may have grown when we are asked again
                return None
            self._offset += len(data)
            self._events.extend(self._reader.feed(data))
        return self._events[0]

    def take(self) -> Event:
        """Pass the event that `peek` returned."""
        return self._events.popleft()
