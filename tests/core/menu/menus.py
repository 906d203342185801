"""Items and pictures for the menu's tests. Never random."""

from __future__ import annotations

from bastion.core.keys import KeyDecoder
from bastion.core.menu import Menu, MenuItem, Outcome, update, view

FEW = (
    MenuItem("web10", "Shop front end", (("env", "prod"), ("site", "muc")), ("connect", "sftp")),
    MenuItem("web2", "Shop front end", (("env", "test"), ("site", "fra")), ("connect",)),
    MenuItem("db01", "PostgreSQL primary", (("env", "prod"),), ("connect",), ("bob", "carol")),
    MenuItem("router", "Edge router", (), (), note="needs approval"),
    MenuItem("build", "CI runner", (("env", "test"),), ("connect",), note="opens mon 08:00"),
    MenuItem("cache", "Redis web cache", (), ("connect",), favourite=True),
    MenuItem("archive", "Old files", (), ("connect",), last_used=500.0),
    MenuItem("backup", "Tapes", (), ("connect",), last_used=900.0),
    MenuItem("resume web2", "s-4f2a, detached", (), ("resume",), ("alice",), kind="session"),
)


def many(count: int) -> list[MenuItem]:
    return [
        MenuItem(
            f"{('web', 'db', 'cache')[n % 3]}{n:04}.example.org",
            f"Machine number {n} of the fleet",
            (("env", ("prod", "test", "dev")[n % 7 % 3]), ("rack", f"r{n % 40}")),
            ("connect", "sftp"),
        )
        for n in range(count)
    ]


def typed(menu: Menu, keys: str) -> Menu:
    """Return the menu after these keys, none of which may leave it."""
    for key in KeyDecoder().feed(keys.encode()):
        after = update(menu, key)
        assert isinstance(after, Menu), after
        menu = after
    return menu


def outcome(menu: Menu, keys: str) -> Menu | Outcome:
    """Return what the last of these keys makes of the menu."""
    *first, last = KeyDecoder().feed(keys.encode())
    for key in first:
        after = update(menu, key)
        assert isinstance(after, Menu), after
        menu = after
    return update(menu, last)


def screen(menu: Menu) -> list[str]:
    return ["".join(row.chars).rstrip() for row in view(menu).rows]


def names(menu: Menu) -> list[str]:
    return [menu.index.entries[at].item.name for at in menu.hits]
