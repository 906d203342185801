"""What a key makes of the menu: another menu, or an outcome for whoever shows it.

Never acts on an outcome itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from bastion.core.menu.layout import layout
from bastion.core.menu.model import QUERY_LIMIT

if TYPE_CHECKING:
    from bastion.core.keys import Key
    from bastion.core.menu.model import Menu, MenuItem


class Chosen(NamedTuple):
    """The item that was chosen."""

    item: MenuItem


class Quit(NamedTuple):
    """The person wants to leave."""


class Redraw(NamedTuple):
    """The screen is spoilt: draw the menu anew from nothing."""

    menu: Menu


class Refresh(NamedTuple):
    """Look up the items again and go on with `menu.with_items(…)`."""

    menu: Menu


class ToggleFavourite(NamedTuple):
    """Remember `item.favourite` as it is now; `menu` shows it already."""

    item: MenuItem
    menu: Menu


Outcome = Chosen | Quit | Redraw | Refresh | ToggleFavourite

_STEPS: Final = {
    "up": -1, "down": 1, "ctrl-p": -1, "ctrl-n": 1, "backtab": -1, "tab": 1,
    "home": -(10**9), "end": 10**9,
}  # fmt: skip


def update(menu: Menu, key: Key) -> Menu | Outcome:  # noqa: PLR0911 - one per key
    """Return what this key makes of the menu. Keys that mean nothing here change nothing."""
    name = key.name
    if name in {"text", "paste"}:
        return _typed(menu, key.text)
    if name in _STEPS:
        return menu.moved(_STEPS[name])
    match name:
        case "pageup" | "pagedown":
            page = max(layout(menu.columns, menu.lines, menu.message).list_height - 1, 1)
            return menu.moved(-page if name == "pageup" else page)
        case "backspace":
            return menu.filtered(menu.query[:-1]) if menu.query else menu
        case "ctrl-w":
            return menu.filtered(menu.query.rstrip().rpartition(" ")[0])
        case "ctrl-u":
            return menu.filtered("")
        case "escape":
            return menu.filtered("") if menu.query else menu.saying("")
        case _:
            return _acted(menu, name)


def _acted(menu: Menu, name: str) -> Menu | Outcome:  # noqa: PLR0911 - one per key
    current = menu.current
    match name:
        case "enter" if current is not None:
            return Chosen(current)
        case "ctrl-f" if current is not None:
            toggled = menu.toggled()
            after = toggled.current
            return ToggleFavourite(after, toggled) if after is not None else menu
        case "ctrl-c":
            return Quit()
        case "ctrl-d" if not menu.query:
            return Quit()
        case "ctrl-l":
            return Redraw(menu)
        case "ctrl-r":
            return Refresh(menu)
        case _:
            return menu


def _typed(menu: Menu, text: str) -> Menu:
    """Add to the filter what can stand in one line; a paste counts up to its first line's end."""
    lines = text.splitlines()
    shown = "".join(c for c in (lines[0] if lines else "") if c.isprintable())
    query = (menu.query + shown).lstrip()[:QUERY_LIMIT]
    return menu if query == menu.query else menu.filtered(query)
