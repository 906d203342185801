"""How answers look: aligned tables for people, JSON for programs, times and sizes in both spellings.

Everything from outside passes `safe_text` here. Never writes anywhere itself.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from bastion.core.text import safe_text, text_width

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = dict[str, object]
"""One object of a list: plain JSON values; `id` or `name` is its first key."""

_GAP: Final = "  "
_CELL: Final = 400  # longest text of one cell, before clipping to the window
_LINE: Final = 2000  # longest line of a sentence or a notice
_LEAST: Final = 3  # a column is never clipped below this
_HEAD: Final = ("\x1b[1m", "\x1b[0m")
_STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)Z")
_WHOLE: Final = frozenset({"AT", "CODE", "STATE", "RESULT"})  # what a list is read for: others give way first
_GIVES_WAY: Final = 6  # down to this many cells
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))


def rfc3339(at: float | None) -> str | None:
    """Return seconds since the epoch as RFC 3339 in UTC; None stays None."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def when(at: float | None) -> str:
    """Return a time for people, in UTC."""
    return "-" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def brief(value: object, today: str) -> object:
    """Return a time in RFC 3339 as a list at a terminal shows it: of `today` the time, else date and minute; other values as they are."""
    stamp = _STAMP.fullmatch(value) if isinstance(value, str) else None
    if stamp is None:
        return value
    day, time = stamp.groups()
    return time if day == today else f"{day} {time[:5]}"


def span(seconds: float | None) -> str:
    """Return a duration for people: `3d4h`, `12m5s`, `7s`."""
    if seconds is None:
        return "-"
    left = max(0, int(seconds))
    for index, (unit, letter) in enumerate(_UNITS):
        if left >= unit:
            smaller, small = (*_UNITS, (1, "s"))[index + 1]
            rest = left % unit // smaller
            return f"{left // unit}{letter}" + (f"{rest}{small}" if rest else "")
    return f"{left}s"


def amount(count: int) -> str:
    """Return a number of bytes for people."""
    size = float(count)
    for unit in ("B", "K", "M", "G"):
        if size < 1000 or unit == "G":  # noqa: PLR2004 - three digits and a letter fit a column
            return f"{size:.0f}{unit}" if unit == "B" or size >= 10 else f"{size:.1f}{unit}"  # noqa: PLR2004
        size /= 1024
    return ""


def as_json(value: object) -> str:
    """Return `value` as JSON in ASCII: no control or direction character survives in it."""
    return json.dumps(value, ensure_ascii=True, indent=2, default=str)


def as_json_line(value: object) -> str:
    """Return `value` as one line of JSON in ASCII."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), default=str)


def cell(value: object) -> str:
    """Return one value as a cell's text."""
    if value is None or value == "":
        return "-"
    if value is True or value is False:
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return safe_text(",".join(str(item) for item in value), _CELL) or "-"
    if isinstance(value, dict):
        return safe_text(",".join(f"{key}={item}" for key, item in value.items()), _CELL) or "-"
    return safe_text(str(value), _CELL)


def sentence(text: str) -> str:
    """Return a text of one or more lines with every line made safe."""
    return "\n".join(safe_text(line, _LINE) for line in text.split("\n"))


def clip(text: str, width: int) -> str:
    """Return `text` in at most `width` cells."""
    if text_width(text) <= width:
        return text
    kept: list[str] = []
    room = width - 1
    for character in text:
        room -= text_width(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept) + "…" if width > 0 else ""


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], *, width: int | None = None, colour: bool = False) -> str:
    """Return an aligned table. `width`: the window's columns, None for no clipping (a pipe)."""
    cells = [[cell(value) for value in row] for row in rows]
    titles = [head.upper() for head in heads]
    widths = [max(text_width(text) for text in column) for column in zip(titles, *cells, strict=True)]
    if width is not None:
        widths = _fit(titles, widths, width)
    lines = []
    for number, line in enumerate([titles, *cells]):
        parts = [clip(text, room) for text, room in zip(line, widths, strict=True)]
        padded = [part + " " * (room - text_width(part)) for part, room in zip(parts, widths, strict=True)]
        text = _GAP.join(padded).rstrip()
        if width is not None:
            text = clip(text, width)
        lines.append(f"{_HEAD[0]}{text}{_HEAD[1]}" if colour and number == 0 else text)
    return "\n".join(lines)


def facts(pairs: Sequence[tuple[str, object]], *, width: int | None = None) -> str:
    """Return `name  value` lines for one thing."""
    room = max((len(name) for name, _ in pairs), default=0)
    lines = [f"{name:<{room}}  {cell(value)}" for name, value in pairs]
    return "\n".join(lines if width is None else [clip(line, width) for line in lines])


def _fit(titles: Sequence[str], widths: list[int], width: int) -> list[int]:
    """Take cells from the widest columns until the table fits; ids in the first column stay whole, and codes and times while others can give way."""
    fitted = list(widths)
    over = sum(fitted) + len(_GAP) * (len(fitted) - 1) - width
    prose = [index for index in range(1, len(fitted)) if titles[index] not in _WHOLE]
    for columns, least in ((prose, _GIVES_WAY), (range(1, len(fitted)), _LEAST)):
        while over > 0 and columns:
            widest = max(columns, key=lambda index: fitted[index])
            if fitted[widest] <= least:
                break
            fitted[widest] -= 1
            over -= 1
    return fitted
