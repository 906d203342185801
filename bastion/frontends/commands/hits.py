"""How the hits of a search look: rows for programs, a table, an excerpt, and what the list does not have.

Everything from outside passes `safe_text` here. Never writes anywhere itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bastion.core.recording.playback import clock_text, exact_text
from bastion.core.text import safe_text, text_width
from bastion.frontends.commands.output import Row, as_json, brief, rfc3339, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bastion.core.recording.search import Hit
    from bastion.services.search import Answer

_AROUND: Final = 60  # characters of the line shown before and after what was found
_BOLD: Final = "\x1b[1m"
_FOUND: Final = ("\x1b[1;33m", "\x1b[0m")
_ID: Final = 12
_HEADS: Final = ("id", "at", "time", "endpoint", "by", "where")
_GIVE_WAY: Final = ("where", "time", "by", "endpoint")
_LEAST: Final = 32  # columns of the line
_GAP: Final = 2


def as_json_rows(hits: Sequence[Hit]) -> str:
    """Return the hits as JSON."""
    return as_json([row(hit) for hit in hits])


def row(hit: Hit) -> Row:
    """Return a hit as an object."""
    line = hit.line
    return {
        "id": hit.session,
        "owner": hit.user,
        "endpoint": hit.endpoint,
        "at": rfc3339(hit.at),
        "seconds": round(line.time / 1e6, 3),
        "kind": "typed" if line.typed else "shown",
        "row": None if line.typed else line.row + 1,
        "by": line.by,
        "text": line.text,
        "start": hit.start,
        "length": hit.length,
        "replay": replay_line(hit),
    }


def replay_line(hit: Hit) -> str:
    """Return the command that plays from there."""
    return f"replay {hit.session[:_ID]} --at {exact_text(hit.line.time)}"


def excerpt(hit: Hit) -> tuple[str, str, str]:
    """Return the line around what was found: before, it, after; each safe to show."""
    text, start, end = hit.line.text, hit.start, hit.start + hit.length
    before, after = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    before = ("…" if start > _AROUND else "") + before
    after += "…" if len(text) > end + _AROUND else ""
    return safe_text(before).lstrip(), safe_text(text[start:end]), safe_text(after)


def notes(answer: Answer) -> list[str]:
    """Return what the list does not have, one sentence each."""
    found, lag, state = answer.found, answer.lag, answer.state
    told = []
    if found.back_to is not None:
        told.append(f"Time was up: nothing before {rfc3339(found.back_to)} was looked through. Go on with --until, or a longer text.")
    elif found.more:
        told.append("There are older ones: --until, or a larger -n, shows them.")
    if lag.recordings:
        told.append(f"{lag.recordings} recordings are still being indexed and are not searched yet.")
    if state.floods:
        told.append(f"In {state.floods} recordings more scrolled by at once than is kept for searching; replay them to see it.")
    return told


def lines(hits: Sequence[Hit], width: int | None, today: str, *, colour: bool) -> str:
    """Return the hits as a table, the text that was found in bold where `colour` is welcome.

    `width`: the window's columns; in a narrow one other columns give way to the line.
    """
    shown = [excerpt(hit) for hit in hits]
    cells = [_cells(hit, today if width is not None else "") for hit in hits]
    heads = list(_HEADS)
    room: int | None = None
    while width is not None:
        widths = [max(text_width(text) for text in column) for column in zip(heads, *cells, strict=True)]
        room = width - sum(widths) - _GAP * len(heads)
        narrow = next((head for head in _GIVE_WAY if head in heads), None)
        if room >= _LEAST or narrow is None:
            break
        gone = heads.index(narrow)
        heads.pop(gone)
        for row_ in cells:
            row_.pop(gone)
    rows = [[*row_, _fitted(part, room)] for row_, part in zip(cells, shown, strict=True)]
    head, *told = table([*heads, "line"], rows, width=width, colour=colour).split("\n")
    if colour:
        begin = head.find("LINE") - len(_BOLD)
        told = [_highlighted(text, found, begin) for text, (_, found, _) in zip(told, shown, strict=True)]
    return "\n".join([head, *told])


def _cells(hit: Hit, today: str) -> list[str]:
    line = hit.line
    at = rfc3339(hit.at)
    return [
        hit.session[:_ID],
        str(brief(at, today[:10]) if today else at),
        f"+{clock_text(line.time)}",
        hit.endpoint,
        safe_text(line.by or hit.user),
        "typed" if line.typed else f"row {line.row + 1}",
    ]


def _fitted(parts: tuple[str, str, str], room: int | None) -> str:
    """Return the line with what was found in sight: the beginning gives way."""
    before, found, after = parts
    if room is not None and text_width(before + found) > room:
        spare = max(0, room - text_width(found) - 1)
        while before and text_width(before) > spare:
            before = before[1:]
        before = "…" + before
    return before + found + after


def _highlighted(text: str, found: str, begin: int) -> str:
    at = text.find(found, max(0, begin))
    return text if at < 0 else f"{text[:at]}{_FOUND[0]}{found}{_FOUND[1]}{text[at + len(found) :]}"
