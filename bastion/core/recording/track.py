"""The participants track: who came, went, held control, and every marker, with its moment. Never reads a file.

The side file `track.jsonl` has one line each: `{"t": microseconds, "kind": ..., "who": ..., "text": ...}`. `text` is
what stands in the cast as a marker. It is derived, but for `kind` and `who`, which asciicast has no place for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE: Final = "track.jsonl"
MARKER: Final = "marker"
CONTROL: Final = "control"
"""`who` holds the keyboard from here on ("" for nobody)."""
MAX_ENTRIES: Final = 10_000


class Entry(NamedTuple):
    """One line. `time`: microseconds since the start; `kind`: "marker", "join", "leave", "control", "pause"..."""

    time: int
    kind: str
    who: str
    text: str


def line(entry: Entry) -> bytes:
    """Return an entry's line."""
    return orjson.dumps({"t": entry.time, "kind": entry.kind, "who": entry.who, "text": entry.text}) + b"\n"


def parse(data: bytes) -> list[Entry]:
    """Return the entries of a track by time; lines that are none are left out."""
    found: list[Entry] = []
    for each in data.split(b"\n")[: MAX_ENTRIES + 1]:
        try:
            value = orjson.loads(each)
            time, texts = value["t"], (value["kind"], value["who"], value["text"])
        except (orjson.JSONDecodeError, KeyError, TypeError):
            continue
        if type(time) is int and time >= 0 and all(isinstance(text, str) for text in texts):
            found.append(Entry(time, *texts))
    return sorted(found, key=lambda entry: entry.time)


def merged(track: Iterable[Entry], markers: Iterable[Entry]) -> list[Entry]:
    """Return a track together with markers read from the cast, each told once."""
    found = list(track)
    known = {(entry.time, entry.text) for entry in found}
    found += [marker for marker in markers if (marker.time, marker.text) not in known]
    return sorted(found, key=lambda entry: entry.time)
