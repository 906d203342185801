"""Closes a cast that a crash left open: cut after the last whole line, then a marker. Never loads it whole."""

from __future__ import annotations

import os
from typing import Final

import orjson

from bastion.backends.recordings import safe
from bastion.core.recording.asciicast import event_line, header
from bastion.core.values import Size

INTERRUPTED: Final = "interrupted: the bastion stopped while this was recorded"

_BLOCK: Final = 64 * 1024
_LOOK_BACK: Final = 64  # lines that may be damaged by a power cut (blocks of zeros)
_HOLD: Final = 8 * 1024 * 1024


def mend(directory: int, name: str, session_id: str) -> int:
    """Cut, mark and sync the cast; return its length. A cast without a whole header gets a bare one."""
    descriptor = safe.opened(directory, name, os.O_RDWR | os.O_APPEND)
    try:
        os.ftruncate(descriptor, _sound_length(descriptor))
        lines = b""
        if os.fstat(descriptor).st_size == 0:
            started_at = os.fstat(descriptor).st_mtime
            fields = header(size=Size(80, 24), term="", started_at=started_at, session=session_id, user="", endpoint="", login="")
            lines = orjson.dumps(fields) + b"\n"
        os.write(descriptor, lines + event_line(0, "m", INTERRUPTED))
        os.fdatasync(descriptor)
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _sound_length(descriptor: int) -> int:
    """Return the file's length up to the end of its last line that is whole and parses."""
    end = _line_end(descriptor, os.fstat(descriptor).st_size)
    for _ in range(_LOOK_BACK):
        if end == 0:
            break
        begin = _line_end(descriptor, end - 1)
        if end - begin <= _HOLD and _parses(os.pread(descriptor, end - begin, begin)):
            break
        end = begin
    return end


def _line_end(descriptor: int, before: int) -> int:
    """Return the offset after the last newline before `before` (0 when there is none)."""
    while before > 0:
        start = max(0, before - _BLOCK)
        found = os.pread(descriptor, before - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        before = start
    return 0


def _parses(line: bytes) -> bool:
    if line.startswith(b"#"):
        return b"\0" not in line
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
