"""The menu as numbered lines: for terminals without a cursor, and for screen readers.

Never sends a control character, never draws: each line is a sentence that can be read aloud.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bastion.core.menu.update import Chosen, Outcome, Quit, Refresh, ToggleFavourite

if TYPE_CHECKING:
    from bastion.core.menu.model import Entry, Menu

_DIGITS: Final = 9  # of a number that is looked at
_NAMED: Final = 5  # names given back when several fit
HELP: Final = (
    "Type a number or a name to open it. /TEXT filters, / alone shows everything, Enter shows the"
    " next page, p the page before, * and a number marks a favourite, r looks anew, q leaves."
)
_NOTHING: Final = "There is nothing for you to open yet. Ask an administrator for access, then type r. Type q to leave."


def plain_lines(menu: Menu) -> list[str]:
    """Return the lines of the current page, the message first, the prompt's hint last."""
    lines = [menu.message] if menu.message else []
    total, size = len(menu.hits), menu.plain_page
    if not menu.index.entries:
        return [*lines, _NOTHING]
    if not total:
        return [
            *lines,
            f'Nothing matches "{menu.query}". Type / to show everything, or q to leave.',
        ]
    first = menu.selected // size * size
    last = min(first + size, total)
    what = f'matching "{menu.query}"' if menu.query else "to choose from"
    pages = f", showing {first + 1} to {last}" if total > size else ""
    lines.append(f"{total} {what}{pages}.")
    width = len(str(last))
    shown = enumerate(menu.hits[first:last], first + 1)
    lines += [_sentence(number, width, menu.index.entries[at]) for number, at in shown]
    more = "Enter for more, " if last < total else ""
    lines.append(f"Number or name, /text to filter, {more}? for help, q to leave.")
    return lines


def _sentence(number: int, width: int, entry: Entry) -> str:
    parts = [f"{number:>{width}}. {entry.name}"]
    if entry.item.kind == "session":
        parts[0] += " (session)"
    if entry.description:
        parts.append(entry.description)
    if entry.labels:
        parts.append(entry.labels)
    if entry.may:
        parts.append(f"you may {entry.may}")
    if entry.note:
        parts.append(entry.note)
    if entry.live:
        parts.append(f"on it now {entry.live}")
    if entry.item.favourite:
        parts.append("favourite")
    return "; ".join(parts)


def plain_choose(menu: Menu, line: str) -> Menu | Outcome:  # noqa: PLR0911 - one per command
    """Return what a typed line makes of the menu.

    Numbers count through all pages. A name may be shortened to a prefix that only it has; a full
    name goes before a command of one letter only when it is longer. Case counts only where two
    names differ in nothing else.
    """
    text = "".join(c for c in line.strip() if c.isprintable())
    menu = replace(menu, message="")
    match text:
        case "":
            return _page(menu, 1)
        case "q" | "quit" | "exit":
            return Quit()
        case "?" | "help":
            return menu.saying(HELP)
        case "p":
            return _page(menu, -1)
        case "n":
            return _page(menu, 1)
        case "r":
            return Refresh(menu)
    if text.startswith("/"):
        return menu.filtered(text[1:].strip())
    if text.startswith("*"):
        return _favourite(menu, text[1:].strip())
    return _named(menu, text)


def _page(menu: Menu, by: int) -> Menu:
    size = menu.plain_page
    start = menu.selected // size * size + by * size
    if start >= len(menu.hits):
        return menu.saying("This is the last page.") if menu.hits else menu
    if start < 0:
        return menu.saying("This is the first page.")
    return replace(menu, selected=start).fitted()


def _numbered(menu: Menu, text: str) -> int | None:
    """Return the position in the hits that a number names, if it names one."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        return None
    number = int(text)
    return number - 1 if 1 <= number <= len(menu.hits) else None


def _favourite(menu: Menu, text: str) -> Menu | Outcome:
    place = _numbered(menu, text)
    if place is None:
        return menu.saying(f"After * a number from 1 to {len(menu.hits)} is needed.")
    toggled = replace(menu, selected=place).toggled()
    current = toggled.current
    if current is None:
        return menu
    word = "is now a favourite" if current.favourite else "is no longer a favourite"
    return ToggleFavourite(current, toggled.saying(f"{current.name} {word}."))


def _named(menu: Menu, text: str) -> Menu | Outcome:
    place = _numbered(menu, text)
    if place is not None:
        return Chosen(menu.index.entries[menu.hits[place]].item)
    entries = menu.index.entries
    low = text.lower()
    names = menu.index.names
    exact = [e for e in entries if e.name == text]
    exact = exact or [e for e, name in zip(entries, names, strict=True) if name == low]
    found = exact or [e for e, name in zip(entries, names, strict=True) if name.startswith(low)]
    if len(found) == 1:
        return Chosen(found[0].item)
    if not found:
        if text.isdigit() and menu.hits:
            return menu.saying(f"There is no number {text}: 1 to {len(menu.hits)} are shown.")
        return menu.saying(f'No name begins with "{text}". /{text} looks inside names as well.')
    some = ", ".join(e.name for e in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return menu.saying(f'"{text}" could be {some}{more}. Type more of the name, or its number.')
