"""The tree itself: the nouns and verbs together, made once at import. Runs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bastion.frontends.commands import (
    addressing,
    admin,
    audits,
    catalogue,
    credentials,
    endpoints,
    evidence,
    general,
    keys,
    node,
    policies,
    recordings,
    search,
    sessions,
    storage,
    together,
    users,
)
from bastion.frontends.commands.verbs import Noun, Verb

if TYPE_CHECKING:
    from collections.abc import Iterator

root = Noun("bastion", help="Reach machines through the bastion, together, on the record. Without a command: the menu.")
for room in (
    general,
    addressing,
    admin,
    sessions,
    together,
    catalogue,
    recordings,
    evidence,
    search,
    storage,
    keys,
    users,
    endpoints,
    credentials,
    policies,
    audits,
    node,
):
    room.fill(root)


def walk(noun: Noun = root, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Verb]]:
    """Yield every verb with its path."""
    for name, command in noun.commands.items():
        if isinstance(command, Noun):
            yield from walk(command, (*path, name))
        elif isinstance(command, Verb):
            yield path if command is noun.own else (*path, name), command
        else:
            raise TypeError(f"{name!r} declares no action")
