"""`keys list|add|remove`: the public keys one logs in with oneself.

Never touches anybody else's keys, and never takes a private key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.frontends.commands.output import Row, rfc3339
from bastion.frontends.commands.verbs import SELF, Noun, json_option, yes_option

if TYPE_CHECKING:
    from bastion.core.identity import UserKey
    from bastion.frontends.commands.door import Door


def key_row(key: UserKey) -> Row:
    """Return a key as an object."""
    return {
        "id": key.fingerprint,
        "type": key.public.partition(" ")[0],
        "comment": key.comment,
        "added_at": rfc3339(key.added_at),
        "last_used_at": rfc3339(key.last_used_at),
        "public": key.public,
    }


KEY_HEADS = ["id", "type", "comment", "added_at", "last_used_at"]


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""
    keys = Noun("keys", help="Your own public keys.")
    root.add_command(keys)

    @keys.verb("list", action=SELF, examples=["keys list", "keys list --json"])
    @json_option
    async def list_(door: Door, as_json: bool) -> None:  # noqa: FBT001
        """List the keys that you can log in with."""
        rows = [key_row(key) for key in await door.desk.people.keys(door.identity.user_id)]
        await door.listing(KEY_HEADS, rows, as_json_list=as_json, empty="You have no key here.")

    @keys.verb("add", action=SELF, examples=["keys add < ~/.ssh/id_ed25519.pub", "keys add 'ssh-ed25519 AAAA... me@laptop'"])
    @click.argument("key", nargs=-1, metavar="[KEY]")
    async def add(door: Door, key: tuple[str, ...]) -> None:
        """Add a public key: given here, or on standard input."""
        line = " ".join(key)
        if line in {"", "-"}:
            line = (await door.read_all()).decode(errors="replace")
        user = await door.desk.people.get(door.identity.name)
        added = await door.desk.people.add_key(door.identity, user, line)
        door.warn(f"Added {added.fingerprint} ({added.algorithm}, {added.bits} bits).")

    @keys.verb("remove", action=SELF, examples=["keys remove SHA256:4Fq", "keys remove SHA256:4Fq --yes"])
    @click.argument("fingerprint", metavar="FINGERPRINT")
    @yes_option
    async def remove(door: Door, fingerprint: str, yes: bool) -> None:  # noqa: FBT001
        """Remove one of your keys; the first characters of its fingerprint are enough."""
        user = await door.desk.people.get(door.identity.name)
        key = await door.desk.people.find_key(user, fingerprint)
        await door.confirm(f"Remove your key {key.fingerprint} {key.comment}?", yes=yes)
        await door.desk.people.remove_key(door.identity, user, key)
        door.warn(f"Removed {key.fingerprint}.")
