"""Turns a cast of any version into v2 (for Debian's asciinema 2.x and agg) or v3, as a stream.

Never keeps more than a chunk: a recording may be gigabytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from bastion.core.recording.asciicast import BY, event_line
from bastion.core.recording.reader import Header, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def to_v2(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of the v2 form. v2 counts time from the start and knows neither `x` nor comments."""
    header, events, _ = read(chunks)
    yield _line({"version": 2, "width": header.size.columns, "height": header.size.lines} | _common(header) | _env(header))
    for event in events:
        if event.code != "x":
            yield event_line(event.time, event.code, event.data)


def to_v3(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of the v3 form."""
    header, events, reader = read(chunks)
    term: dict[str, object] = {"cols": header.size.columns, "rows": header.size.lines}
    given = header.fields.get("term")
    term = (given | term) if isinstance(given, dict) else term
    if header.term:
        term["type"] = header.term
    yield _line({"version": 3, "term": term} | _common(header))
    last = 0
    author = ""
    for event in events:
        if event.code == "i" and event.by != author:
            author = event.by
            yield BY + author.encode() + b"\n"
        yield event_line(event.time - last, event.code, event.data)
        last = event.time
    if reader.tail:
        yield b"# bastion tail " + reader.tail.hex().encode() + b"\n"


def _line(fields: dict[str, object]) -> bytes:
    return orjson.dumps(fields) + b"\n"


def _env(header: Header) -> dict[str, object]:
    return {"env": {"TERM": header.term}} if header.term else {}


def _common(header: Header) -> dict[str, object]:
    fields: dict[str, object] = {}
    if header.timestamp is not None:
        fields["timestamp"] = int(header.timestamp)
    for key in ("idle_time_limit", "command", "title", "tags", "bastion"):
        if header.fields.get(key) is not None and header.fields[key] != "":
            fields[key] = header.fields[key]
    return fields
