"""What the majority of three terminals shows at a checkpoint, and how a grid differs from it.

Never decides where they disagree: a cell, colour or attribute without a majority is not judged.
"""

from __future__ import annotations

import gzip
import json
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "terminal"
TERMINALS = ("tmux", "vterm", "xterm")
UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufe0e\ufe0f\ufeff"))
BLANKS = frozenset(" \u00a0\u2002\u2003\u3000")
RIGHT_HALF = ("", "", "", "")
NOT_TOLD_BY_VTERM = "dco"

Cell = tuple[str, str, str, str]


class Wanted(NamedTuple):
    """A judged cell: None and missing flags are left open."""

    text: str
    fg: str | None
    bg: str | None
    flags: tuple[tuple[str, bool], ...]


class Case(NamedTuple):
    """A stream up to a checkpoint."""

    name: str
    index: int
    offset: int


class Stream(NamedTuple):
    """A recorded stream: its first size, its changes of size, its checkpoints."""

    data: bytes
    columns: int
    lines: int
    resizes: list[tuple[int, int, int]]
    checkpoints: list[int]


@lru_cache(maxsize=8)
def stream(name: str) -> Stream:
    meta = json.loads((GOLDEN / f"{name}.json").read_text())
    data = (GOLDEN / f"{name}.bytes").read_bytes()
    return Stream(data, meta["cols"], meta["rows"], [tuple(r) for r in meta["resizes"]], meta["checkpoints"] or [len(data)])


def names() -> list[str]:
    return sorted(path.stem for path in GOLDEN.glob("*.bytes"))


@lru_cache(maxsize=8)
def _reference(name: str) -> dict[str, Any]:
    with gzip.open(GOLDEN / "refs" / f"{name}.json.gz", "rt") as file:
        reference: dict[str, Any] = json.load(file)
        return reference


@lru_cache(maxsize=512)
def palette(color: str) -> str:
    """The 240 fixed colours of the palette are the same as their true colours."""
    if not color.startswith("p") or int(color[1:]) < 16:
        return color
    number = int(color[1:]) - 16
    if number >= 216:
        return f"#{8 + (number - 216) * 10:02x}" + f"{8 + (number - 216) * 10:02x}" * 2
    steps = (0, 95, 135, 175, 215, 255)
    return "#" + "".join(f"{steps[part]:02x}" for part in (number // 36, number // 6 % 6, number % 6))


@lru_cache(maxsize=65536)
def canonical(cell: Cell) -> Cell:
    """The same for all cells that look the same."""
    text, fg, bg, flags = cell
    if text == "":
        return RIGHT_HALF
    text = unicodedata.normalize("NFC", text).translate(UNSEEN).replace("♦", "◆")
    fg, bg = palette(fg), palette(bg)
    if text in BLANKS and not set(flags) & set("uso"):
        return (" ", "", bg if "r" not in flags else "inv" if fg == "d" else fg, "")
    return (text, fg, bg, flags)


def _cells(row: list[Any]) -> Iterator[Cell]:
    texts = row[0].split("\x1f")
    at = 0
    for count, (fg, bg, flags) in row[1]:
        for text in texts[at : at + count]:
            yield canonical((text, fg, bg, flags))
        at += count


@lru_cache(maxsize=4096)
def _row(packed: str) -> tuple[Cell, ...]:
    return tuple(_cells(json.loads(packed)))


@lru_cache(maxsize=65536)
def _agree(cells: tuple[Cell | None, ...]) -> Wanted | None:
    texts = [cell[0] for cell in cells if cell is not None]
    text = next((one for one in texts if texts.count(one) >= 2), None)
    if text is None:
        return None
    same = [(name, cell) for name, cell in zip(TERMINALS, cells, strict=True) if cell is not None and cell[0] == text]

    def most(part: int) -> str | None:
        # tmux does not tell the background of cells that were only erased.
        votes = [cell[part] for name, cell in same if not (part == 2 and name == "tmux" and cell == (" ", "", "d", ""))]
        return next((vote for vote in votes if votes.count(vote) >= 2), None)

    flags = []
    for flag in "bdiukrcso":
        votes = [flag in cell[3] for name, cell in same if not (name == "vterm" and flag in NOT_TOLD_BY_VTERM)]
        if len(votes) >= 2 and (len(votes) == 3 or len(set(votes)) == 1):
            flags.append((flag, sum(votes) * 2 > len(votes)))
    return Wanted(text, most(1), most(2), tuple(flags))


@lru_cache(maxsize=8192)
def _majority(rows: tuple[str | None, ...]) -> tuple[Wanted | None, ...]:
    known = [_row(row) if row is not None else None for row in rows]
    width = max(len(row) for row in known if row is not None)
    return tuple(_agree(tuple(row[x] if row is not None and x < len(row) else None for row in known)) for x in range(width))


def _differs(wanted: Wanted, cell: Cell) -> bool:
    text, fg, bg, flags = canonical(cell)
    if text != wanted.text:
        return True
    if text == "":
        return False
    return wanted.fg not in {None, fg} or wanted.bg not in {None, bg} or any((flag in flags) != on for flag, on in wanted.flags)


def differences(case: Case, shown: dict[str, Any]) -> list[str]:
    """What is not as the majority has it, in words, of a described grid."""
    screens = [_reference(case.name)[name][case.index : case.index + 1] for name in TERMINALS]
    told = [found[0] for found in screens if found]
    wrong = []
    for y in range(len(shown["cells"])):
        rows = tuple(json.dumps(found[0]["packed"][y]) if found and y < len(found[0]["packed"]) else None for found in screens)
        for x, wanted in enumerate(_majority(rows)):
            if wanted is not None and _differs(wanted, tuple(shown["cells"][y][x])):
                wrong.append(f"cell {x},{y} is {shown['cells'][y][x]}, most show {wanted}")
    for part in ("cursor", "visible", "alt", "title"):
        votes = [[min(one["cursor"][0], one["cols"] - 1), one["cursor"][1]] if part == "cursor" else one[part] for one in told]
        most = next((vote for vote in votes if votes.count(vote) >= 2), None)
        if most is not None and most != shown[part]:
            wrong.append(f"{part} is {shown[part]}, most show {most}")
    return wrong
