"""Reads asciicast v1, v2 and v3 as a stream: bytes go in, events come out. Never holds more than one line.

What cannot be understood is skipped and noted, what makes the whole file useless raises `Corrupt`: a recording is
input from outside, since endpoints choose what stands in it and people bring files of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from bastion.core.errors import Corrupt
from bastion.core.recording.asciicast import BY, NULS, NULS_MOST, TAIL
from bastion.core.values import Size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

V1: Final = 1
V2: Final = 2
V3: Final = 3
MAX_LINE: Final = 2 * 1024 * 1024
"""Our own lines stay below 0.5 MB, stock asciinema's below 1 MB; a longer one is skipped."""
MAX_DOCUMENT: Final = 1024 * 1024
"""A v1 cast is one JSON value, which has to be held whole."""
MAX_HEADER: Final = 1024 * 1024
MAX_TIME: Final = 10 * 366 * 24 * 3600 * 1_000_000
"""Ten years in microseconds: nothing we can have recorded is later."""
MAX_STAMP: Final = 250_000_000_000
"""Seconds since the epoch: no date is later than the year 9892, and none that a calendar refuses."""
MAX_NOTES: Final = 20

_GZIP: Final = b"\x1f\x8b"
_EVENT: Final = 3  # time, code, data
_FRAME: Final = 2  # delay, data: an event of v1
_HEAD: Final = 64  # of an overlong line, enough to read its interval
_INTERVAL: Final = re.compile(rb"\s*\[\s*(\d{1,9}(?:\.\d{1,9})?)\s*,")
_SIZE: Final = re.compile(r"(\d{1,9})x(\d{1,9})")


class Event(NamedTuple):
    """One happening. `time`: microseconds since the start; `offset`: where its line begins in the file.

    `code`: "o" output, "i" input (`by` typed it, where known), "m" marker, "r" resize ("80x24"), "x" exit status.
    """

    time: int
    code: str
    data: str
    offset: int = 0
    by: str = ""


@dataclass(frozen=True, slots=True)
class Header:
    """What stands in a cast's first line. `fields` is all of it; `timestamp` seconds since the epoch."""

    version: int
    size: Size
    term: str = ""
    timestamp: float | None = None
    title: str = ""
    command: str = ""
    fields: dict[str, object] = field(default_factory=dict)

    @property
    def user(self) -> str:
        """Who started the session; "" where we did not record it."""
        ours = self.fields.get("bastion")
        return _text(ours.get("user")) if isinstance(ours, dict) else ""

    @property
    def started_at(self) -> float | None:
        """When it began, in seconds since the epoch; more exact than `timestamp` where we recorded it."""
        ours = self.fields.get("bastion")
        exact = _number(ours.get("started_at")) if isinstance(ours, dict) else None
        found = self.timestamp if exact is None else exact
        return found if found is not None and 0 <= found < MAX_STAMP else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _size(columns: object, lines: object) -> Size:
    if type(columns) is not int or type(lines) is not int or columns < 0 or lines < 0:
        raise Corrupt("cast.size", "The recording's header has no usable terminal size.", f"{columns!r} x {lines!r}"[:99])
    return Size.clamp(columns, lines)


def parse_size(text: str) -> Size | None:
    """Return the size an `r` event names, or None."""
    found = _SIZE.fullmatch(text)
    return Size.clamp(int(found[1]), int(found[2])) if found else None


def parse_header(fields: object) -> Header:
    """Return the header these JSON values make; `Corrupt` when they make none."""
    if not isinstance(fields, dict) or type(fields.get("version")) is not int:
        raise Corrupt("cast.header", "This is not a recording: its first line is no asciicast header.")
    version = fields["version"]
    if version == V3:
        term = fields.get("term")
        term = term if isinstance(term, dict) else {}
        size, name = _size(term.get("cols"), term.get("rows")), _text(term.get("type"))
    elif version in (V1, V2):
        size = _size(fields.get("width"), fields.get("height"))
        env = fields.get("env")
        name = _text(env.get("TERM")) if isinstance(env, dict) else ""
    else:
        raise Corrupt("cast.version", f"This recording is asciicast version {version}; versions 1 to 3 can be read.")
    stamp = _number(fields.get("timestamp"))
    stamp = stamp if stamp is not None and 0 <= stamp < MAX_STAMP else None
    return Header(version, size, name, stamp, _text(fields.get("title")), _text(fields.get("command")), fields)


class CastReader:
    """Turns a cast's bytes into events, chunk by chunk.

    `header` is set once the first line is in. `notes` says what was skipped (the first 20), `skipped` how often.
    """

    def __init__(self) -> None:
        self.header: Header | None = None
        self.time = 0
        self.skipped = 0
        self.notes: list[str] = []
        self.tail = b""
        """Output bytes shown last that no event holds yet (`# bastion tail`)."""
        self._by = ""
        self._parts: list[bytes] = []
        self._held = 0
        self._offset = 0  # of the line in hand
        self._line = 0
        self._document = False  # v1: one JSON value over many lines

    @classmethod
    def resume(cls, header: Header, offset: int, time: int, by: str = "") -> CastReader:
        """Return a reader of a v2 or v3 cast that starts at the line at `offset`, `time` microseconds in."""
        reader = cls()
        reader.header, reader._offset, reader.time, reader._by = header, offset, time, by
        return reader

    @property
    def offset(self) -> int:
        """Where the line that is not complete yet begins in the file."""
        return self._offset

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes. Raises `Corrupt` when this is no cast at all."""
        events: list[Event] = []
        start = 0
        while not self._document:
            end = data.find(b"\n", start)
            if end < 0:
                break
            self._hold(data[start:end])
            start = end + 1
            self._finish_line(events)
        self._hold(data[start:])
        return events

    def close(self) -> list[Event]:
        """Return the events at the end of the file; a last line that was cut is noted, never an error."""
        events: list[Event] = []
        if self._document:
            self._read_document(events)
        elif self._held:
            self._finish_line(events)
            if self._document:
                self._read_document(events)
        if self.header is None:
            raise Corrupt("cast.empty", "This recording is empty.")
        return events

    def _hold(self, piece: bytes) -> None:
        if not piece:
            return
        self._held += len(piece)
        if self.header is None and self._offset == 0:
            if not self._parts and piece.startswith(_GZIP):
                raise Corrupt("cast.compressed", "This recording is compressed: unpack it first.")
            if self._held > (MAX_DOCUMENT if self._document else MAX_HEADER):
                raise Corrupt("cast.header", "This is not a recording: its first line does not end.")
        if self._held <= MAX_LINE or self._document:
            self._parts.append(piece)
        else:  # keep its beginning, which has the time
            self._parts = [b"".join(self._parts)[:_HEAD]]

    def _finish_line(self, events: list[Event]) -> None:
        line = b"".join(self._parts)
        offset, held = self._offset, self._held
        self._line += 1
        self._parts = []
        self._held = 0
        self._offset += held + 1
        if held > MAX_LINE:
            self._skip_overlong(line, held)
        elif self.header is None:
            self._first(line)
        elif line[:1] == b"#":
            self._comment(line, offset, events)
        elif line and not line.isspace():
            self._event(line, offset, events)

    def _first(self, line: bytes) -> None:
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError:
            if not line.lstrip().startswith(b"{") or self._line > 1:
                raise Corrupt("cast.header", "This is not a recording: its first line is no asciicast header.") from None
            fields = None
        if fields is None or (isinstance(fields, dict) and fields.get("version") == V1):
            self._document = True
            self._parts = [line, b"\n"]
            self._held = len(line) + 1
            self._offset = 0
            return
        self.header = parse_header(fields)

    def _comment(self, line: bytes, offset: int, events: list[Event]) -> None:
        if line.startswith(TAIL):
            try:
                self.tail = bytes.fromhex(line[len(TAIL) :][:6].decode())
            except ValueError:
                self._note("a comment of ours that was changed")
        elif line.startswith(BY):
            self._by = line[len(BY) :][:200].decode("utf-8", "replace").strip()
        elif line.startswith(NULS):
            count = line[len(NULS) :][:10]
            if count.isdigit() and int(count) <= NULS_MOST:
                self.tail = b""
                events.append(Event(self.time, "o", "\0" * int(count), offset))
            else:
                self._note("a comment of ours that was changed")

    def _event(self, line: bytes, offset: int, events: list[Event]) -> None:
        try:
            values = orjson.loads(line)
        except orjson.JSONDecodeError:
            self._note("not a JSON line")
            return
        if not isinstance(values, list) or len(values) < _EVENT:
            self._note("no event")
            return
        if not self._advance(values[0]):
            return
        code, data = values[1], values[2]
        if not isinstance(code, str) or not isinstance(data, str) or not code:
            self._note("no event")
            return
        if code == "o":
            self.tail = b""
            events.append(Event(self.time, code, data, offset))
        elif code == "i":
            events.append(Event(self.time, code, data, offset, self._by))
        elif code in ("m", "r", "x"):
            events.append(Event(self.time, code, data, offset))

    def _advance(self, value: object) -> bool:
        seconds = _number(value)
        if seconds is None or seconds * 1e6 > MAX_TIME:
            self._note("no usable time")
            return False
        given = round(seconds * 1e6)
        if self.header is not None and self.header.version == V2:
            given -= self.time
        time = self.time + max(0, given)
        if time > MAX_TIME:
            self._note("no usable time")
            return False
        self.time = time
        return True

    def _skip_overlong(self, head: bytes, size: int) -> None:
        found = _INTERVAL.match(head)
        if found:
            self._advance(float(found[1]))
        self._note(f"a line of {size} bytes, more than the {MAX_LINE} that are read")

    def _read_document(self, events: list[Event]) -> None:
        try:
            fields = orjson.loads(b"".join(self._parts))
        except orjson.JSONDecodeError:
            raise Corrupt("cast.header", "This is not a recording: its first line is no asciicast header.") from None
        self._parts = []
        self.header = parse_header(fields)
        frames = fields.pop("stdout", None)
        if self.header.version != V1 or not isinstance(frames, list):
            raise Corrupt("cast.header", "This is not a recording: it has no asciicast events.")
        for frame in frames:
            if isinstance(frame, list) and len(frame) == _FRAME and isinstance(frame[1], str) and self._advance(frame[0]):
                events.append(Event(self.time, "o", frame[1]))
            else:
                self._note("no event")

    def _note(self, what: str) -> None:
        self.skipped += 1
        if len(self.notes) < MAX_NOTES:
            self.notes.append(f"line {self._line}: {what}; skipped")


def read(chunks: Iterable[bytes]) -> tuple[Header, Iterator[Event], CastReader]:
    """Return the header, the events and the reader (for its notes) of a cast; `Corrupt` when it is none."""
    reader = CastReader()
    source = iter(chunks)
    early: list[Event] = []
    for chunk in source:
        early = reader.feed(chunk)
        if reader.header is not None:
            break
    else:
        early = reader.close()
    header = reader.header
    if header is None:  # pragma: no cover - close() raises first
        raise Corrupt("cast.empty", "This recording is empty.")

    def events() -> Iterator[Event]:
        yield from early
        for chunk in source:
            yield from reader.feed(chunk)
        if header.version != V1:
            yield from reader.close()

    return header, events(), reader
