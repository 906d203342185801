"""What a player knows of a recording before it read it: keyframes, markers, its length. Never on a session's path.

Mostly made while the session ran; what is missing (a crash, the last seconds) is made here, in steps, in a thread.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bastion.core.recording import keyframes, track
from bastion.core.recording.indexer import Indexer
from bastion.core.recording.keyframes import Keyframe, Place, Places
from bastion.core.recording.reader import CastReader, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bastion.core.recording.reader import Header
    from bastion.services.record_ports import Recordings, SideReader

_TRACK_BYTES: Final = 4 * 1024 * 1024
_GAP_BYTES: Final = 4 * keyframes.EVERY_BYTES  # a flood leaves the session no quiet moment for a keyframe
_SCAN_BYTES: Final = 16 * 1024 * 1024
_SCAN_POINTS: Final = 400
_RECORD: Final = keyframes.HEAD + 2 * keyframes.MAX_SCREEN  # what a damaged header claims may be gigabytes
_HEADS: Final = 64 * 1024  # read at once: small keyframes are many to a block


@dataclass(slots=True)
class _Stretch:
    """A part of the cast that is being indexed."""

    indexer: Indexer
    chunks: Iterator[bytes]
    at: int
    stop: int


class Index:
    """A recording's table of contents. All methods but the properties are called in a thread, one at a time."""

    def __init__(self, recordings: Recordings, session_id: str, header: Header) -> None:
        self._recordings = recordings
        self._session_id = session_id
        self._header = header
        self._live = recordings.is_live(session_id)
        self._found: list[Place] = []
        self._held: dict[int, bytes] = {}  # by cast offset; records that are not on file (of live recordings)
        self._track: list[track.Entry] = []
        self._side: SideReader | None = None
        self._length = self._load()
        self.places = Places(self._found)
        self._indexer = Indexer(header, self._start())
        self._chunks: Iterator[bytes] | None = None
        self._gaps: list[tuple[int, int]] = []  # (time of the keyframe before, offset where it ends), last first
        self._gap: _Stretch | None = None
        self._points: list[tuple[int, int]] = []
        self._scanned: tuple[CastReader, Iterator[bytes]] | None = None
        self.complete = False
        """Whether the recording's end, as it was then, is known."""

    @property
    def duration(self) -> int:
        """Microseconds from the start to the last event known."""
        return self._indexer.time

    @property
    def entries(self) -> list[track.Entry]:
        """Who came and went, and every marker, by time."""
        return track.merged(self._track, self._indexer.marks)

    @property
    def detail(self) -> int:
        """A number that changes as more becomes known of how much happened when."""
        return len(self._points) + len(self.places)

    def activity(self, columns: int) -> list[int]:
        """Return how much was written in each of `columns` equal parts of the recording."""
        points = sorted({(place.time, place.offset) for place in self.places}.union(self._indexer.points, self._points))
        return keyframes.activity(points, self.duration, columns)

    def keyframe(self, time: int) -> Keyframe | None:
        """Return the last keyframe that is not after `time`."""
        for place in self.places.before(time):
            found = self.keyframe_at(place)
            if found is not None:
                return found
        return None

    def keyframe_at(self, place: Place) -> Keyframe | None:
        """Return the keyframe that stands there; None when it is damaged."""
        record = self._held.get(place.offset, b"")
        if not record and self._side is not None:
            record = self._side.pread(min(place.length, _RECORD), place.at)
        return keyframes.unpack(record)

    def step(self) -> bool:
        """Look through the next chunk of what was not indexed yet; return whether there is more to do.

        First the end, so that the length is known, then the stretches within that a busy session left without keyframes.
        """
        if self.complete:
            return self._fill() or self._scan()
        if self._chunks is None:
            self._chunks = self._recordings.chunks(self._session_id, self._read_from)
        data = next(self._chunks, b"")
        if not data:
            self._chunks = None
            self.complete = True
            self._gaps = [] if self._live else self._find_gaps()
            return True
        self._read_from += len(data)
        self._keep(self._indexer.feed(data))
        return True

    def grow(self) -> bool:
        """Take in the next chunk of what a live recording was given since; return whether there may be more at once."""
        chunks = self._recordings.chunks(self._session_id, self._read_from)
        data = next(chunks, b"")
        if not data:
            return False
        self._read_from += len(data)
        self._keep(self._indexer.feed(data))
        self._load_track()
        return True

    def ended(self) -> None:
        """Know that nothing is written any more."""
        self._live = False

    def close(self) -> None:
        """Let go of the files."""
        if self._side is not None:
            self._side.close()
            self._side = None

    # ------------------------------------------------------------ the inside

    def _find_gaps(self) -> list[tuple[int, int]]:
        gaps = []
        time, offset = 0, 0
        for place in self.places:
            if place.offset - offset > _GAP_BYTES:
                gaps.append((time, place.offset))
            time, offset = place.time, place.offset
        return gaps[::-1]

    def _fill(self) -> bool:
        if self._gap is None:
            if not self._gaps:
                return False
            time, stop = self._gaps.pop()
            start = self.keyframe(time)
            at = start.offset if start else 0
            chunks = self._recordings.chunks(self._session_id, at)
            self._gap = _Stretch(Indexer(self._header, start), chunks, at, stop)
        gap = self._gap
        data = next(gap.chunks, b"")[: gap.stop - gap.at]
        if data:
            gap.at += len(data)
            self._keep(gap.indexer.feed(data))
        else:
            self._gap = None
        return self._gap is not None or bool(self._gaps)

    def _load(self) -> int:
        """Read what side files there are; return the length of the sound part of the keyframes."""
        self._load_track()
        self._side = side = self._recordings.open_side(self._session_id, keyframes.FILE)
        at = 0
        if side is not None:
            block, start = b"", 0
            while True:
                if at + keyframes.HEAD > start + len(block):
                    block, start = side.pread(_HEADS, at), at
                place = keyframes.place(block[at - start : at - start + keyframes.HEAD], at)
                if place is None:
                    break
                self._found.append(place)
                at += place.length
            while self._found and not side.pread(1, self._found[-1].at + self._found[-1].length - 1):
                at = self._found.pop().at  # the last record is not all there
        return at

    def _scan(self) -> bool:
        """Look how much happened when, finer than keyframes tell; only in what is small."""
        if self._scanned is None:
            if not 0 < self._from <= _SCAN_BYTES:
                return False
            self._scanned = (CastReader(), self._recordings.chunks(self._session_id))
        reader, chunks = self._scanned
        data = next(chunks, b"")
        step = max(1, self.duration // _SCAN_POINTS)
        for event in reader.feed(data):
            if event.offset < self._from and event.time - (self._points[-1][0] if self._points else 0) >= step:
                self._points.append((event.time, event.offset))
        return bool(data)

    def _load_track(self) -> None:
        side = self._recordings.open_side(self._session_id, track.FILE)
        if side is not None:
            self._track = track.parse(side.pread(_TRACK_BYTES, 0))
            side.close()

    def _start(self) -> Keyframe | None:
        start = self.keyframe(self.places.last.time) if self.places.last else None
        self._read_from = self._from = start.offset if start else 0
        return start

    def _keep(self, found: list[Keyframe]) -> None:
        if not found:
            return
        for each in found:
            record = keyframes.pack(each)
            if not record:
                continue
            if self._live or not self._save(record):
                self._held[each.offset] = record
                self._found.append(Place(each.time, each.offset, each.size, 0, 0))
            else:
                self._found.append(Place(each.time, each.offset, each.size, self._length, len(record)))
                self._length += len(record)
        self.places = Places(self._found)

    def _save(self, record: bytes) -> bool:
        """Write a keyframe for next time; a full or read-only disk only means that it is made again."""
        try:
            if self._side is None or self._side.pread(1, self._length):
                with suppress(FileNotFoundError):
                    self._recordings.cut_side(self._session_id, keyframes.FILE, self._length)
            self._recordings.append_side(self._session_id, keyframes.FILE, record)
        except OSError:
            return False
        if self._side is None:
            self._side = self._recordings.open_side(self._session_id, keyframes.FILE)
        return self._side is not None


def build(recordings: Recordings, session_id: str) -> int:
    """Make all keyframes a finished recording lacks; return how many it has now. `Missing`, `Corrupt`.

    This takes a second of CPU for some 5 to 50 MB of cast: run it in a process of low priority, not in the server's.
    """
    chunks = recordings.chunks(session_id)
    header, _, _ = read(chunks)
    index = Index(recordings, session_id, header)
    try:
        while index.step():
            pass
        return len(index.places)
    finally:
        index.close()
