"""What people in a session are told on lines of ours: whose it is and who types, which keys work, who is here.

Only text, fitted to a width; never draws and never makes anything safe to show (who draws it does).
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bastion.core.session.state import State

if TYPE_CHECKING:
    from bastion.core.session.participants import Participant
    from bastion.core.session.session import Session
    from bastion.core.values import Size

MOST_LINES: Final = 4  # of one notice; the rest of a longer one is cut
_LONG_HOURS: Final = 10
_NAMED: Final = 3


def status_line(session: Session, endpoint: str, who: Participant, size: Size, seconds_left: float | None) -> str:
    """Return a viewer's status line: the longest form that fits `size`."""
    paused = " PAUSED" if session.state is State.PAUSED else ""
    place = f"{session.people[session.owner].name}@{endpoint}{paused}"
    types, role, chord, left = who_types(session), who.role.value, session.chord_name, time_left(seconds_left)
    whole = size.columns >= session.size.columns and size.lines >= session.size.lines  # but for this very line
    sizes = f"{session.size}" if whole else f"{session.size}, you see {size}"
    forms = [
        f"{place} {session.size} | {types} | you: {role} {size} | REC{left and ' | ' + left} | {chord} d leaves, ? help",
        f"{place} {sizes} | {types} | you: {role} | REC{left and ', ' + left} | {chord} ? help",
        f"{place} {sizes} | {types} | {role} | REC{left and ', ' + left} | {chord} ? help",
        f"{place} {sizes} | {types} | {role} | REC | {chord} ?",
        f"{place} {sizes} | {types} | REC | {chord} ?",
        f"{place} | {types} | REC | {chord} ?",
        f"{paused.strip()}{paused and ' | '}{types} | REC | {chord} ?",
    ]
    return next((form for form in forms if len(form) < size.columns), forms[-1])


def who_types(session: Session) -> str:
    """Return who types, or may type."""
    names = [session.people[key].name for key in session.typists()]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    if len(names) > 1:
        return f"{', '.join(names[:_NAMED])}{more} type"
    return f"{names[0] if names else 'nobody'} types"


def time_left(seconds: float | None) -> str:
    """Return how long is left, by the minute (by the hour while it is long); "" where nothing ends it."""
    if seconds is None:
        return ""
    hours, minutes = divmod(math.ceil(max(0.0, seconds) / 60), 60)
    if hours >= _LONG_HOURS:
        return f"{hours}h left"
    return f"{hours}h{minutes:02d}m left" if hours else f"{minutes}m left"


def help_lines(session: Session, who: Participant, width: int) -> list[str]:
    """Return the keys that do something for this participant, in as many columns as fit."""
    chord = session.chord_name
    types, owner, moderates = who.id in session.typists(), who.id == session.owner, "moderate" in who.rights
    keys = [("d", "leave, goes on" if owner else "leave"), ("w", "who is here")]
    if who.id != session.control.holder:
        keys += [("r", "ask for keyboard")] if not types else []
        keys += [("t", "take keyboard")] if owner or moderates else []
        keys += [("arrows", "move view"), (".", "follow cursor")]
    if who.id == session.control.holder or moderates:
        keys.append(("g", "give keyboard"))
    keys += [("i", "invite")] if owner or moderates else []
    keys += [("P", "pause, resume")] if "pause" in who.rights else []
    keys += [("k", "end for all")] if owner or "end" in who.rights else []
    keys += [("c", "menu, new window"), ("n p 0-9", "switch"), ("s", "list windows"), ("D", "leave all")]
    cells = [f"{key} {text}" for key, text in keys] + [f"{chord} send it"]
    columns = max(1, (width - 1) // (max(map(len, cells)) + 1))
    cell, rows = (width - 1) // columns, -(-len(cells) // columns)
    lines = ["".join(text.ljust(cell) for text in cells[row::rows]).rstrip() for row in range(rows)]
    return [f"{chord} and then:", *lines]


def wrapped(texts: Sequence[str], width: int) -> list[str]:
    """Return texts as lines of at most `width` characters, each text on as few as it needs."""
    return [line for text in texts for line in (textwrap.wrap(text, max(10, width)) or [""])[:MOST_LINES]]
