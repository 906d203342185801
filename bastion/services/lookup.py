"""Looks for a text on the screens of a recording, on from a moment or back from it, a chunk at a time.

`step` is called in a thread. Never holds more of the recording than a chunk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bastion.core.recording.find import Finder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bastion.core.recording.keyframes import Keyframe
    from bastion.services.indexing import Index
    from bastion.services.record_ports import Recordings
    from bastion.services.tape import Tape


class Lookup:
    """One search. `found` is the moment (microseconds) once `step` returned False; None: it is not there."""

    def __init__(self, recordings: Recordings, tape: Tape, index: Index, needle: str, position: int, *, forward: bool) -> None:
        self._recordings = recordings
        self._tape = tape
        self._index = index
        self.needle = needle
        self.forward = forward
        self.found: int | None = None
        self.position = position
        """How far it looked."""
        self._before = position
        self._stop: int | None = None  # where the stretch ends that is looked through now
        self._start: Keyframe | None = None
        self._open(position if forward else position - 1, position if forward else -1)

    def _open(self, time: int, after: int) -> None:
        """Start at the keyframe before `time`."""
        self._start = start = self._index.keyframe(time)
        self._finder = Finder(self._tape.header, self.needle, after=after, start=start)
        self._at = start.offset if start else 0
        self._chunks: Iterator[bytes] = self._recordings.chunks(self._tape.session_id, self._at)

    def step(self) -> bool:
        """Look through a chunk; return whether there is more to do."""
        data = next(self._chunks, b"")
        if self.forward:
            self.found = self._finder.feed(data) if data else self._finder.close()
            self.position = self._finder.time
            return bool(data) and self.found is None
        if self._stop is not None:
            data = data[: max(0, self._stop - self._at)]
        self._at += len(data)
        for time in self._finder.moments(data):
            if time < self._before:
                self.found = time  # the last one before counts
        if data and self._finder.time < self._before:
            return True
        last = self._finder.close()
        if last is not None and last < self._before:
            self.found = last
        if self.found is not None or self._start is None:
            return False
        self._stop, self.position = self._start.offset, self._start.time
        self._open(self._start.time - 1, -1)
        return True
