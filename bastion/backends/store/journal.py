"""The audit's journal: one line an entry, forced to the disk before anybody is told that it is written.

Blocks on purpose and knows no loop: call it in a thread. Never changes or removes a line that was reported written.
One process at a time may write (a lock says so); anybody may read meanwhile. Files are named by their first entry.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bastion.backends.store.files import private_file, private_folder, sync_folder
from bastion.core.audit.chain import MAX_EVENT_BYTES, Head, Link, decode_line, encode_line
from bastion.core.errors import Unavailable

# A new file now and then, so that old ones can be copied away, and start reads little after a crash
SEGMENT_ENTRIES: Final = 100_000
MAX_LINE: Final = MAX_EVENT_BYTES + 256
LOCK_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.05


class Place(NamedTuple):
    """Where a line starts."""

    segment: Path
    offset: int


class Journal:
    """The files of one node's journal, in `folder`."""

    def __init__(self, folder: Path, segment_entries: int = SEGMENT_ENTRIES) -> None:
        self.folder = folder
        self._segment_entries = segment_entries
        self._lock: int | None = None
        self._file: int | None = None
        self._size = 0
        self._room = 0
        self._dirty = False

    def segments(self) -> list[Path]:
        """Return the journal's files, oldest first."""
        return sorted(self.folder.glob("[0-9]*.jsonl"))

    def lock(self, seconds: float = LOCK_SECONDS) -> None:
        """Become the one writer, or raise `Unavailable` when another process stays it for that long."""
        private_folder(self.folder)
        path = self.folder / "lock"
        private_file(path)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < until:
                    time.sleep(_POLL_SECONDS)
                    continue
                os.close(descriptor)
                raise Unavailable("audit.locked", "Another bastion process is writing this audit log.", str(path)) from None
            self._lock = descriptor
            for segment in self.segments():
                private_file(segment)
            return

    def read(self, after: int = 0) -> Iterator[tuple[Place, Link | None]]:
        """Yield what follows entry `after`, line by line; None is an unreadable line.

        A last line without its end is skipped: it is being written, or was when a crash came.
        """
        for place, line in self._lines(after):
            entry = decode_line(line)
            if entry is None or entry.seq > after:
                yield place, entry

    def lines(self) -> Iterator[bytes]:
        """Yield every line as it stands; a last one without its end is skipped."""
        return (line for _place, line in self._lines(0))

    def _lines(self, after: int) -> Iterator[tuple[Place, bytes]]:
        segments = self.segments()
        begin = max((n for n, path in enumerate(segments) if _first(path) <= after + 1), default=0)
        for path in segments[begin:]:
            with path.open("rb") as file:
                offset = 0
                while line := file.readline(MAX_LINE):
                    if not line.endswith(b"\n") and path == segments[-1] and len(line) < MAX_LINE:
                        break
                    yield Place(path, offset), line
                    offset += len(line)

    def tail(self) -> tuple[Link | None, bool]:
        """Return the last whole line's entry (None: there is none, or it is unreadable), and whether all ends cleanly.

        Reads a bounded piece of the last file only.
        """
        segments = self.segments()
        if not segments:
            return None, True
        with segments[-1].open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 2 * MAX_LINE))
            lines = file.read().splitlines(keepends=True)
        if not lines:
            return (self._last_before(segments), True) if len(segments) > 1 else (None, True)
        entry = decode_line(lines[-1])
        return entry, entry is not None

    def set_aside(self, place: Place) -> Path:
        """Move what stands from `place` to the end of the last file into a file of its own; return that."""
        kept = place.segment.with_suffix(f".torn-{place.offset}")
        with place.segment.open("r+b") as file:
            file.seek(place.offset)
            rest = file.read()
            private_file(kept)
            with kept.open("wb") as copy:
                copy.write(rest)
                copy.flush()
                os.fsync(copy.fileno())
            file.truncate(place.offset)
            os.fsync(file.fileno())
        sync_folder(self.folder)
        return kept

    def append(self, entries: list[Link]) -> None:
        """Write the entries and force them to the disk. Raises `OSError` when that fails; then none is written."""
        if self._lock is None:
            raise OSError("the journal is not open for writing")
        if self._dirty:
            self._undo()
        if self._file is None or self._room <= 0:
            self._start_segment(entries[0].seq)
        assert self._file is not None  # noqa: S101 - _start_segment made it
        data = b"".join(map(encode_line, entries))
        try:
            self._dirty = True
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fdatasync(self._file)
        except OSError:
            self._undo()
            raise
        self._dirty = False
        self._size += len(data)
        self._room -= len(entries)

    def resume(self, head: Head, *, fresh: bool) -> None:
        """Go on after `head` in the last file, or in a `fresh` one."""
        segments = self.segments()
        if fresh or not segments:
            self._room = 0
            return
        self._file = os.open(segments[-1], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._size = os.fstat(self._file).st_size
        self._room = self._segment_entries - (head.seq - _first(segments[-1]) + 1)

    def close(self) -> None:
        """Let another process write."""
        for descriptor in (self._file, self._lock):
            if descriptor is not None:
                os.close(descriptor)
        self._file = self._lock = None

    def _start_segment(self, seq: int) -> None:
        path = self.folder / f"{seq:020d}.jsonl"
        number = 0
        while path.exists() and path.stat().st_size:  # only after damage: the old file stays as evidence
            number += 1
            path = self.folder / f"{seq:020d}-{number}.jsonl"
        private_file(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        if self._file is not None:
            os.close(self._file)
        self._file, self._size, self._room = descriptor, 0, self._segment_entries

    def _undo(self) -> None:
        """Take back a write that failed half-way; what it wrote was never reported written."""
        if self._file is not None:
            os.ftruncate(self._file, self._size)
            os.fdatasync(self._file)
        self._dirty = False

    def _last_before(self, segments: list[Path]) -> Link | None:
        with segments[-2].open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 2 * MAX_LINE))
            lines = file.read().splitlines(keepends=True)
        return decode_line(lines[-1]) if lines else None


def _first(path: Path) -> int:
    return int(path.stem.partition("-")[0])
