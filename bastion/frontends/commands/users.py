"""`user add|list|show|lock|unlock|role|key|remove`: accounts, for admins.

Never decides who may; the gate asked policy for `admin.user` before any of this runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.errors import BastionError, Invalid
from bastion.core.text import safe_text
from bastion.frontends.commands.keys import KEY_HEADS, key_row
from bastion.frontends.commands.output import Row, facts, rfc3339
from bastion.frontends.commands.output import as_json as to_json
from bastion.frontends.commands.verbs import USER, Noun, json_option, yes_option
from bastion.frontends.commands.words import KEY_STARTS

if TYPE_CHECKING:
    from bastion.core.identity import User
    from bastion.frontends.commands.door import Door

ACTION = "admin.user"


def user_row(user: User) -> Row:
    """Return an account as an object."""
    return {
        "name": user.name,
        "id": user.id,
        "full_name": user.full_name,
        "roles": list(user.roles),
        "locked": user.disabled,
        "created_at": rfc3339(user.created_at),
    }


async def public_keys(door: Door, given: tuple[str, ...]) -> list[str]:
    """Return the key lines meant by `--key`: `-` is standard input, a key itself is itself, a path cannot be read here."""
    lines: list[str] = []
    for one in given:
        if one == "-":
            text = (await door.read_all()).decode(errors="replace")
            lines += [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        elif one.startswith(KEY_STARTS):
            lines.append(one)
        else:
            raise Invalid(
                "key.path",
                f"'{safe_text(one, 80)}' is a file on your machine, which the bastion cannot read: use --key - and '< FILE'.",
            )
    return lines


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""
    user = Noun("user", help="Accounts: who may log in at all, with which keys and roles.")
    root.add_command(user)

    @user.verb("add", action=ACTION, examples=["user add bob --key - --role engineer < bob.pub"])
    @click.argument("name", metavar="NAME")
    @click.option("--key", "keys", multiple=True, required=True, metavar="FILE|-", help="Public key; - reads standard input.")
    @click.option("--role", "roles", multiple=True, metavar="ROLE", help="A role of the policy; may be repeated.")
    @click.option("--full-name", default="", metavar="TEXT", help="Their name for people.")
    async def add(door: Door, name: str, keys: tuple[str, ...], roles: tuple[str, ...], full_name: str) -> None:
        """Make an account that logs in with these public keys (Ed25519, ECDSA, RSA of 2048 bits or more)."""
        made, read = await door.desk.people.add(door.identity, name, await public_keys(door, keys), roles, full_name)
        proofs = ", ".join(key.fingerprint for key in read)
        door.warn(f"Added {made.name} with {proofs}; roles: {', '.join(made.roles) or 'none'}.")

    @user.verb("list", action=ACTION, examples=["user list", "user list --json"])
    @json_option
    async def list_(door: Door, as_json: bool) -> None:  # noqa: FBT001
        """List the accounts."""
        rows = [user_row(one) for one in await door.desk.people.all()]
        await door.listing(["name", "full_name", "roles", "locked", "created_at"], rows, as_json_list=as_json, empty="There is no user.")

    @user.verb("show", action=ACTION, examples=["user show bob", "user show bob --json"])
    @click.argument("name", type=USER, metavar="NAME")
    @json_option
    async def show(door: Door, name: str, as_json: bool) -> None:  # noqa: FBT001
        """Show one account and its keys."""
        one = await door.desk.people.get(name)
        keys = [key_row(key) for key in await door.desk.people.keys(one.id)]
        row = {**user_row(one), "keys": keys}
        if as_json:
            door.say(to_json(row))
            return
        door.say(facts([(head, row[head]) for head in ("name", "full_name", "roles", "locked", "created_at")], width=door.width))
        door.say("")
        await door.listing(KEY_HEADS, keys, as_json_list=False, empty="No keys.")

    @user.verb("lock", action=ACTION, examples=["user lock bob --reason 'left the company' --yes"])
    @click.argument("name", type=USER, metavar="NAME")
    @click.option("--reason", required=True, metavar="TEXT", help="Audited, and shown in the sessions that end.")
    @yes_option
    async def lock(door: Door, name: str, reason: str, yes: bool) -> None:  # noqa: FBT001
        """Bar an account from logging in and end its live sessions."""
        one = await door.desk.people.get(name)
        live = [view for view in door.desk.live.views() if view.owner_id == one.id]
        await door.confirm(f"Lock {one.name} and end {len(live)} live session(s)?", yes=yes)
        await door.desk.people.set_locked(door.identity, name, reason, locked=True)
        failed: BastionError | None = None
        for view in live:
            try:
                await door.desk.control.kill(door.identity, view.id, reason)
            except BastionError as error:  # one that ends by itself, or may not be ended, must not save the others
                failed = error
                door.warn(f"Session {view.id[:12]}: {error.public}")
        door.warn(f"Locked {one.name}.")
        if failed:
            raise failed

    @user.verb("unlock", action=ACTION, examples=["user unlock bob"])
    @click.argument("name", type=USER, metavar="NAME")
    async def unlock(door: Door, name: str) -> None:
        """Let a locked account log in again."""
        await door.desk.people.set_locked(door.identity, name, "", locked=False)
        door.warn(f"Unlocked {name}.")

    @user.verb("role", action=ACTION, examples=["user role bob --add supervisor --remove engineer"])
    @click.argument("name", type=USER, metavar="NAME")
    @click.option("--add", "added", multiple=True, metavar="ROLE", help="Give this role.")
    @click.option("--remove", "removed", multiple=True, metavar="ROLE", help="Take this role.")
    async def role(door: Door, name: str, added: tuple[str, ...], removed: tuple[str, ...]) -> None:
        """Give and take roles."""
        if not added and not removed:
            raise Invalid("role.none", "Nothing to change: --add ROLE or --remove ROLE.")
        one = await door.desk.people.set_roles(door.identity, name, added, removed)
        door.warn(f"{one.name} has the roles: {', '.join(one.roles) or 'none'}.")

    @user.verb("key", action=ACTION, examples=["user key bob --add - < bob2.pub", "user key bob --remove SHA256:4Fq"])
    @click.argument("name", type=USER, metavar="NAME")
    @click.option("--add", "added", multiple=True, metavar="FILE|-", help="Add this public key.")
    @click.option("--remove", "removed", multiple=True, metavar="FINGERPRINT", help="Remove this key.")
    async def key(door: Door, name: str, added: tuple[str, ...], removed: tuple[str, ...]) -> None:
        """Add and remove keys of an account."""
        one = await door.desk.people.get(name)
        if not added and not removed:
            raise Invalid("key.none", "Nothing to change: --add FILE or --remove FINGERPRINT.")
        gone = [await door.desk.people.find_key(one, prefix) for prefix in removed]
        for line in await public_keys(door, added):
            made = await door.desk.people.add_key(door.identity, one, line)
            door.warn(f"Added {made.fingerprint} to {one.name}.")
        for old in gone:
            await door.desk.people.remove_key(door.identity, one, old)
            door.warn(f"Removed {old.fingerprint} from {one.name}.")

    @user.verb("remove", action=ACTION, examples=["user remove bob --yes"])
    @click.argument("name", type=USER, metavar="NAME")
    @yes_option
    async def remove(door: Door, name: str, yes: bool) -> None:  # noqa: FBT001
        """Remove an account and its keys; what it did stays in the audit log and the recordings."""
        one = await door.desk.people.get(name)
        await door.confirm(f"Remove the user {one.name} ({one.full_name or 'no full name'}) and their keys?", yes=yes)
        await door.desk.people.remove(door.identity, name)
        door.warn(f"Removed {one.name}.")
