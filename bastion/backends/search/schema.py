"""The index's tables, and how lines become rows. Never opens a file.

Theory of operation. Lines of a recording are kept in *blocks* of at most `BLOCK_LINES`. FTS5 knows only which three letters
stand together in which block (`detail=none`, no content, no column sizes): a candidate block is then looked through
for the text itself. That makes the index a third of what it is line by line, and newest-first with an early end costs next to nothing.

A block's number is the time of its first line in sixteenths of a second, so blocks stand by time whenever they were
indexed: the newest come first, and a span of time is a range. All letters are folded (`str.casefold`) before FTS5 sees them.

The index is derived: where its version is another, it is made again from the casts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from bastion.core.recording.lines import Line

VERSION: Final = 1
BLOCK_LINES: Final = 32
BLOCK_CHARACTERS: Final = 8192
BLOCK_SECONDS: Final = 60.0
TICKS: Final = 16
GRAM: Final = 3
_MOST_GRAMS: Final = 12

TABLES: Final = (
    """CREATE TABLE recordings (id INTEGER PRIMARY KEY, session TEXT NOT NULL UNIQUE, user TEXT NOT NULL, endpoint TEXT NOT NULL,
       started_at REAL NOT NULL, mark TEXT NOT NULL, done INTEGER NOT NULL, lines INTEGER NOT NULL, floods TEXT NOT NULL)""",
    "CREATE INDEX unfinished ON recordings (id) WHERE done = 0",
    "CREATE TABLE blocks (id INTEGER PRIMARY KEY, recording INTEGER NOT NULL, typed INTEGER NOT NULL)",
    "CREATE INDEX of_recording ON blocks (recording)",
    "CREATE TABLE texts (id INTEGER PRIMARY KEY, text TEXT NOT NULL, marks TEXT NOT NULL)",
    "CREATE VIRTUAL TABLE grams USING fts5 (text, content='', detail=none, columnsize=0, tokenize='trigram case_sensitive 1')",
    "INSERT INTO grams (grams, rank) VALUES ('automerge', 8)",  # measured: a third less writing than 4; searches stay the same
    f"PRAGMA user_version = {VERSION}",
)


class Block(NamedTuple):
    """Lines of one kind that stood there within a minute."""

    at: float
    typed: bool
    text: str
    marks: str


def blocks(lines: Sequence[Line], started_at: float) -> Iterator[Block]:
    """Yield the blocks that these lines make, in order."""
    for typed in (False, True):
        part: list[Line] = []
        size = 0
        for line in lines:
            if line.typed != typed:
                continue
            if part and (
                len(part) >= BLOCK_LINES
                or size + len(line.text) > BLOCK_CHARACTERS
                or line.time - part[0].time > BLOCK_SECONDS * 1e6
                or line.time < part[0].time
            ):
                yield _block(part, started_at)
                part, size = [], 0
            part.append(line)
            size += len(line.text)
        if part:
            yield _block(part, started_at)


def _block(lines: Sequence[Line], started_at: float) -> Block:
    names = list(dict.fromkeys(line.by for line in lines))
    marks = {"by": names, "at": [[line.time, line.row, names.index(line.by)] for line in lines]}
    text = "\n".join(storable(line.text) for line in lines)
    return Block(started_at + lines[0].time / 1e6, lines[0].typed, text, json.dumps(marks, separators=(",", ":")))


def storable(text: str) -> str:
    """Return a line as it can be kept: one line, no NUL, no half of a surrogate pair."""
    return " ".join(text.replace("\0", "").splitlines()).encode("utf-8", "replace").decode()


def read_marks(marks: str) -> list[tuple[int, int, str]]:
    """Return (time, row, by) of each line of a block."""
    value = json.loads(marks)
    return [(time, row, value["by"][by]) for time, row, by in value["at"]]


def grams(folded: str) -> str:
    """Return the FTS5 query for blocks in which all threes of letters of `folded` stand; "" when it is too short."""
    if len(folded) < GRAM:
        return ""
    last = len(folded) - GRAM
    step = max(1, -(-last // (_MOST_GRAMS - 1)))
    places = [*range(0, last, step), last]
    found = dict.fromkeys(folded[at : at + GRAM] for at in places)
    return " AND ".join('"' + gram.replace('"', '""') + '"' for gram in found)
