"""Writes asciicast v3: each call turns one happening into the bytes of its lines.

Never opens a file and asks no clock: times are passed in as monotonic seconds.
"""

from __future__ import annotations

import re
from codecs import utf_8_decode
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bastion.core.values import Size

FORMAT: Final = 2
"""Version of what this product adds to asciicast; see the room's docstring."""

TAIL: Final = b"# bastion tail "
BY: Final = b"# bastion by "
NULS: Final = b"# bastion nul "
NULS_MOST: Final = 4096
"""A longer run of NULs becomes several comments, so that what a reader makes of a line stays bounded."""
EVENT_CHARACTERS: Final = 65_536
"""Longer output becomes several events, so that a reader can bound its lines (JSON makes at most 6 bytes of one)."""

_MANY_NULS: Final = bytes(64)
"""From here on a comment is shorter than six bytes of JSON for each of them, and a flood of zeros costs next to nothing."""
_NUL_RUN: Final = re.compile(rb"\0{64,}")
_MARKER_CHARACTERS: Final = 1000
_MICROSECONDS: Final = 1_000_000


def clean(text: str) -> str:
    """Return `text` without lone surrogates (file names and commands may carry some; JSON cannot)."""
    return text.encode("utf-8", "replace").decode()


def header(
    *,
    size: Size,
    term: str,
    started_at: float,
    session: str,
    user: str,
    endpoint: str,
    login: str,
    command: str = "",
    title: str = "",
    tags: Sequence[str] = (),
) -> dict[str, object]:
    """Return the v3 header of a session that starts at `started_at` (seconds since the epoch)."""
    fields: dict[str, object] = {
        "version": 3,
        "term": {"cols": size.columns, "rows": size.lines, "type": clean(term)},
        "timestamp": int(started_at),
    }
    if command:
        fields["command"] = clean(command)
    if title:
        fields["title"] = clean(title)
    if tags:
        fields["tags"] = [clean(tag) for tag in tags]
    fields["bastion"] = {
        "format": FORMAT,
        "session": session,
        "user": clean(user),
        "endpoint": clean(endpoint),
        "login": clean(login),
        "started_at": started_at,
    }
    return fields


def event_line(interval: int, code: str, data: str) -> bytes:
    """Return one event's line; `interval` in microseconds."""
    return b'[%d.%06d,"%b",%b]\n' % (*divmod(interval, _MICROSECONDS), code.encode(), orjson.dumps(data))


class CastEncoder:
    """The state between two lines of a cast: the time written so far and characters that are not complete yet.

    Invariant: `time` is the exact sum of the intervals handed out, so no rounding error ever adds up.
    """

    __slots__ = ("_input", "_input_by", "_origin", "author", "faithful", "tail", "time")

    def __init__(self, at: float) -> None:
        self._origin = at
        self.time = 0
        """Microseconds since the start, as of the last line handed out."""
        self.tail = b""
        """Output bytes (at most three) that begin a character and wait for its end."""
        self.faithful = True
        """Whether the last output was all UTF-8, so that its events hold it byte for byte."""
        self.author = ""
        """Whom the last comment named: they typed the `i` events behind it."""
        self._input = b""  # typed bytes that wait for the end of their character
        self._input_by = ""

    def header(self, fields: Mapping[str, object]) -> bytes:
        """Return the first line."""
        return orjson.dumps(dict(fields)) + b"\n"

    def output(self, data: bytes, at: float) -> bytes:
        """Return the lines that put `data` on file. Invalid UTF-8 becomes U+FFFD, as asciinema does it."""
        if self.tail:
            data = self.tail + data
        if 0 in data and _MANY_NULS in data:  # the first is a memchr
            return self._with_nuls(data, at)
        try:
            text, used = utf_8_decode(data, "strict", False)  # noqa: FBT003 - positional only: not the end
            self.faithful = True
        except UnicodeDecodeError:
            text, used = utf_8_decode(data, "replace", False)  # noqa: FBT003
            self.faithful = False
        time = int((at - self._origin) * 1e6 + 0.5)
        interval = time - self.time
        if interval < 0:
            interval = 0
        else:
            self.time = time
        if used == len(data):
            self.tail = b""
            if len(text) <= EVENT_CHARACTERS:  # the hot path: whole characters, one line
                return b'[%d.%06d,"o",%b]\n' % (
                    interval // _MICROSECONDS,
                    interval % _MICROSECONDS,
                    orjson.dumps(text),
                )
        else:
            self.tail = data[used:]
        return self._long(interval, text)

    def _with_nuls(self, data: bytes, at: float) -> bytes:
        """Return the lines for output with long runs of NULs, which stand in comments: terminals look past them, too."""
        lines = []
        start = 0
        self.faithful = True
        for run in _NUL_RUN.finditer(data):
            text = self._text(data[start : run.start()])
            lines += [self._event("o", text[p : p + EVENT_CHARACTERS], at) for p in range(0, max(1, len(text)), EVENT_CHARACTERS)]
            start = run.end()
            whole, rest = divmod(start - run.start(), NULS_MOST)
            lines.append(b"%b%d\n" % (NULS, NULS_MOST) * whole)
            if rest:
                lines.append(b"%b%d\n" % (NULS, rest))
        last = data[start:]
        text, used = utf_8_decode(last, "replace", False)  # noqa: FBT003 - positional only: not the end
        self.faithful = self.faithful and text.encode() == last[:used]
        self.tail = last[used:]
        return b"".join(lines) + self._long(0, text)

    def _text(self, data: bytes) -> str:
        text = data.decode("utf-8", "replace")
        self.faithful = self.faithful and text.encode() == data
        return text

    def _long(self, interval: int, text: str) -> bytes:
        lines = []
        for start in range(0, len(text), EVENT_CHARACTERS):
            lines.append(event_line(interval, "o", text[start : start + EVENT_CHARACTERS]))
            interval = 0
        if not text:  # nothing but a tail: its time is given to the next event
            self.time -= interval
        if self.tail:
            lines.append(TAIL + self.tail.hex().encode() + b"\n")
        return b"".join(lines)

    def input(self, data: bytes, at: float, by: str) -> bytes:
        """Return the lines for input typed by `by`. An incomplete character waits for the rest of it."""
        lines = b""
        if self._input and by != self._input_by:
            lines = self._typed("\ufffd", at, self._input_by)
            self._input = b""
        self._input_by = by
        data = self._input + data
        text, used = utf_8_decode(data, "replace", False)  # noqa: FBT003 - positional only: not the end
        self._input = data[used:]
        return lines + self._typed(text, at, by) if text else lines

    def _typed(self, text: str, at: float, by: str) -> bytes:
        comment = b""
        if by != self.author:
            self.author = by
            name = "".join(c if c.isprintable() else "?" for c in clean(by))
            comment = BY + name.encode() + b"\n"
        pieces = range(0, len(text), EVENT_CHARACTERS)
        return comment + b"".join(self._event("i", text[p : p + EVENT_CHARACTERS], at) for p in pieces)

    def resize(self, size: Size, at: float) -> bytes:
        """Return the line for a change of size."""
        return self._event("r", f"{size.columns}x{size.lines}", at)

    def marker(self, text: str, at: float) -> bytes:
        """Return the line for a marker; its text is cut at 1,000 characters."""
        return self._event("m", clean(text[:_MARKER_CHARACTERS]), at)

    def end(self, status: int | None, at: float) -> bytes:
        """Return the last lines. `status` None (no exit status is known) writes no `x` event."""
        lines = b""
        if self.tail:
            self.tail = b""
            lines += self._event("o", "\ufffd", at)
        if self._input:
            self._input = b""
            lines += self._typed("\ufffd", at, self._input_by)
        if status is not None:
            lines += self._event("x", str(status), at)
        return lines

    def lost(self, time: int) -> None:
        """Forget the last lines: they could not be written, and `time` is what `self.time` was before them.

        What waited of half characters is forgotten too, and the author is named anew.
        """
        self.time = time
        self.tail = self._input = b""
        self.author = ""

    def _event(self, code: str, data: str, at: float) -> bytes:
        time = max(self.time, int((at - self._origin) * 1e6 + 0.5))
        interval = time - self.time
        self.time = time
        return event_line(interval, code, data)
