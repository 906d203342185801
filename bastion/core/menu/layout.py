"""Where the menu's parts stand on a terminal of some size, and how wide its columns are.

Never knows what they say.
"""
# ruff: noqa: PLR2004 - the numbers are the lines from which on a part has room

from __future__ import annotations

from typing import Final, NamedTuple

from bastion.core.text import char_width

MARK: Final = 3  # cells before the name: the selection mark, a symbol, a blank
GAP: Final = 2  # blanks between two columns

_MESSAGE_LINES: Final = 3


class Natural(NamedTuple):
    """The width that each column would need to show everything."""

    name: int
    description: int
    labels: int
    may: int
    live: int


class Layout(NamedTuple):
    """The line each part stands on (-1: nowhere) and the lines of list and message."""

    header: int
    prompt: int
    heading: int
    list_top: int
    list_height: int
    detail: int
    message_top: int
    message: tuple[str, ...]
    help: int


def layout(columns: int, lines: int, message: str) -> Layout:
    """Return where everything stands. What is least needed goes first when lines are few."""
    most = _MESSAGE_LINES if lines > 6 else 1
    says = wrap(message, columns - 2, most) if lines > 2 else ()
    header = 0 if lines >= 4 else -1
    prompt = header + 1 if lines >= 2 else -1
    roomy = lines >= 16
    heading = prompt + 1 + roomy if lines >= 8 else -1
    list_top = (heading if heading >= 0 else prompt) + 1
    bottom = lines
    help_line = -1
    if lines >= 7 or (lines >= 5 and not says):
        bottom -= 1
        help_line = bottom
    message_top = -1
    if says:
        bottom -= len(says)
        message_top = bottom
    detail = -1
    if lines >= 10:
        bottom -= 1
        detail = bottom
        bottom -= roomy
    return Layout(
        header, prompt, heading, list_top, max(bottom - list_top, 1),
        detail, message_top, says, help_line,
    )  # fmt: skip


class Column(NamedTuple):
    """One column of the list: which part, where it begins and how wide it is."""

    part: str
    x: int
    width: int


# In the order of need: the smallest useful width of each part and the most it is given.
_NEEDS: Final = (("name", 12, 40), ("live", 8, 24), ("description", 16, 60),
                 ("may", 10, 40), ("labels", 12, 60))  # fmt: skip
_ORDER: Final = ("name", "description", "labels", "may", "live")


def columns_of(columns: int, natural: Natural) -> tuple[Column, ...]:
    """Return the list's columns for that many cells. Parts that say nothing get no column."""
    room = max(columns - MARK - 2, 1)  # the scroll bar and a blank before it
    widths: dict[str, int] = {}
    wanted: dict[str, int] = {}
    for part, least, most in _NEEDS:
        natural_width = getattr(natural, part)
        if part != "name" and not natural_width:
            continue
        heading = len(HEADINGS[part])
        want = min(max(natural_width, heading), most)
        width = min(want, max(least, heading))
        used = sum(widths.values()) + GAP * len(widths)
        if widths and used + width > room:
            continue
        widths[part], wanted[part] = min(width, room), want
    spare = room - sum(widths.values()) - GAP * (len(widths) - 1)
    for part in ("name", "may"):  # what people look for, and whether they may: not cut for labels
        if part in widths:
            more = min(wanted[part] - widths[part], max(spare, 0))
            widths[part] += more
            spare -= more
    while spare > 0 and (short := [part for part in widths if widths[part] < wanted[part]]):
        for part in short[:spare]:
            widths[part] += 1
        spare -= len(short[:spare])
    result, x = [], MARK
    for part in _ORDER:
        if part in widths:
            result.append(Column(part, x, widths[part]))
            x += widths[part] + GAP
    return tuple(result)


HEADINGS: Final = {
    "name": "NAME",
    "description": "DESCRIPTION",
    "labels": "LABELS",
    "may": "YOU MAY",
    "live": "ON IT NOW",
}


def wrap(text: str, width: int, most: int) -> tuple[str, ...]:
    """Return safe text as lines of at most `width` cells, cut after `most` lines."""
    lines: list[str] = []
    line = ""
    room = width
    for word in text.split():
        size = sum(map(char_width, word))
        if line and size + 1 <= room:
            line, room = f"{line} {word}", room - size - 1
            continue
        if line:
            lines.append(line)
        line, room = word, width - size
    if line:
        lines.append(line)
    if len(lines) > most:
        lines[most - 1] += "…"
    return tuple(lines[:most])
