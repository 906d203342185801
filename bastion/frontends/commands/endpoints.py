"""`endpoint add|list|show|scan|test|accept-key|remove`: the machines behind the bastion, for admins.

Never decides who may (the gate asked for `admin.endpoint`), and never shows a credential.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.access.endpoint import Endpoint
from bastion.core.errors import Invalid
from bastion.core.text import safe_text
from bastion.frontends.commands import endpoint_telnet, endpoint_trust, stock
from bastion.frontends.commands.endpoint_trust import agree, key_row, literal
from bastion.frontends.commands.output import Row, facts, rfc3339
from bastion.frontends.commands.output import as_json as to_json
from bastion.frontends.commands.verbs import ENDPOINT, Noun, json_option, yes_option
from bastion.services.inventory import NewEndpoint, read_address, read_host_authorities, read_host_keys, read_label
from bastion.services.ports import Secret, SessionFilter

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door

ACTION = "admin.endpoint"


def endpoint_row(one: Endpoint) -> Row:
    """Return an endpoint as an object."""
    return {
        "name": one.name,
        "id": one.id,
        "kind": one.kind,
        "address": one.address,
        "logins": [{"name": login.name, "method": login.method} for login in one.logins],
        "labels": dict(one.labels),
        "description": one.description,
        "legacy": one.legacy,
        "host_keys": [key_row(key) for key in one.host_keys],
        "created_at": rfc3339(one.created_at),
    }


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""
    endpoint = Noun("endpoint", help="The machines behind the bastion, their logins and host keys.")
    root.add_command(endpoint)
    _fill_changes(endpoint)
    endpoint_trust.fill(endpoint)
    stock.fill(endpoint)
    endpoint_telnet.fill(endpoint)

    @endpoint.verb("list", action=ACTION, examples=["endpoint list", "endpoint list --json"])
    @json_option
    async def list_(door: Door, as_json: bool) -> None:  # noqa: FBT001
        """List every endpoint."""
        rows = [endpoint_row(one) for one in await door.desk.inventory.all()]
        if not as_json:
            rows = [
                {**row, "logins": [f"{login.name} ({login.method})" for login in one.logins]}
                for row, one in zip(rows, await door.desk.inventory.all(), strict=True)
            ]
        heads = ["name", "address", "logins", "labels", "description"]
        await door.listing(heads, rows, as_json_list=as_json, empty="There is no endpoint yet: endpoint add.")

    @endpoint.verb("show", action=ACTION, examples=["endpoint show web01", "endpoint show web01 --json"])
    @click.argument("name", type=ENDPOINT, metavar="NAME")
    @json_option
    async def show(door: Door, name: str, as_json: bool) -> None:  # noqa: FBT001
        """Show one endpoint with its host keys."""
        one = await door.desk.inventory.get(name)
        row = {**endpoint_row(one), "last_seen_at": rfc3339(await _last_seen(door, one.name))}
        if as_json:
            door.say(to_json(row))
            return
        logins = [f"{login.name} ({login.method})" for login in one.logins]
        shown = {**row, "logins": logins}
        heads = ("name", "kind", "address", "logins", "labels", "description", "legacy", "created_at", "last_seen_at")
        door.say(facts([(head, shown[head]) for head in heads], width=door.width))
        door.say("")
        rows = [key_row(key) for key in one.host_keys]
        await door.listing(["id", "type", "added_at", "added_by"], rows, as_json_list=False, empty="No host key is pinned.")


async def _last_seen(door: Door, name: str) -> float | None:
    """Return when a session last began to run there."""
    refused = "endpoint."  # how the reasons of sessions begin whose endpoint did not let them in
    found = await door.desk.sessions.find(SessionFilter(endpoint=name, limit=20))
    return next((one.started_at for one in found if not one.reason.startswith(refused)), None)


def _fill_changes(endpoint: Noun) -> None:
    """Put in the verbs that change something."""

    @endpoint.verb(
        "add",
        action=ACTION,
        examples=[
            "endpoint add web01 10.0.0.5 --login deploy --key - < id_ed25519",
            "endpoint add db01 db.example:2222 --login dba --password-stdin --label env=prod < secret",
            "endpoint add web02 10.0.0.6 --login deploy --ca --host-key 'ssh-ed25519 AAAA...'",
        ],
    )
    @click.argument("name", metavar="NAME")
    @click.argument("address", metavar="HOST[:PORT]")
    @click.option("--login", required=True, metavar="LOGIN", help="The account there.")
    @click.option("--key", metavar="FILE|-", help="Private key that unlocks it; - reads standard input.")
    @click.option("--passphrase", is_flag=True, help="The key has one: its first line on standard input, before the key; it is not kept.")
    @click.option("--password-stdin", is_flag=True, help="Password that unlocks it, from standard input.")
    @click.option("--ca", is_flag=True, help="A certificate of the bastion's user CA unlocks it.")
    @click.option("--ask", is_flag=True, help="Whoever connects types the password.")
    @click.option("--host-key", metavar="FILE|KEY", help="Its host key; without it, it is fetched, shown and confirmed.")
    @click.option("--host-ca", metavar="FILE|KEY", help="The CA that signs its host certificates, instead of its own key.")
    @click.option("--label", "labels", multiple=True, metavar="K=V", help="A label for policy and filters; may be repeated.")
    @click.option("--description", default="", metavar="TEXT", help="What it is, for people.")
    @click.option("--legacy", is_flag=True, help="Allow old algorithms with this one machine.")
    @yes_option
    async def add(
        door: Door,
        name: str,
        address: str,
        login: str,
        key: str | None,
        passphrase: bool,  # noqa: FBT001
        password_stdin: bool,  # noqa: FBT001
        ca: bool,  # noqa: FBT001
        ask: bool,  # noqa: FBT001
        host_key: str | None,
        host_ca: str | None,
        labels: tuple[str, ...],
        description: str,
        legacy: bool,  # noqa: FBT001
        yes: bool,  # noqa: FBT001
    ) -> None:
        """Add a machine, one login there, and what unlocks it. Its host key is pinned; a changed one is refused later."""
        ways = {"key": key is not None, "password": password_stdin, "ca": ca, "ask": ask}
        chosen = [way for way, given in ways.items() if given]
        if len(chosen) != 1:
            raise Invalid("endpoint.method", "Say what unlocks the login: exactly one of --key, --password-stdin, --ca, --ask.")
        host, port = read_address(address)
        secret = await _secret(door, chosen[0], key)
        if passphrase and secret is not None and chosen[0] == "key":
            first, _, rest = secret.reveal().partition(b"\n")
            secret = door.desk.inventory.opened(Secret(rest), Secret(first.rstrip(b"\r")))
        pinned = (
            *(read_host_keys(literal(host_key)) if host_key else ()),
            *(read_host_authorities(literal(host_ca)) if host_ca else ()),
        )
        wanted = NewEndpoint(
            name, host, port, login, chosen[0], secret, pinned, tuple(read_label(one) for one in labels), description, legacy=legacy
        )
        await door.desk.inventory.check(wanted)
        if not pinned:
            keys = tuple(await door.desk.inventory.scan(host, port))
            await agree(door, f"{name} ({safe_text(address, 80)})", keys, yes=yes)
            wanted = NewEndpoint(name, host, port, login, chosen[0], secret, keys, wanted.labels, description, legacy=legacy)
        made = await door.desk.inventory.add(door.identity, wanted)
        door.warn(f"Added {made.name} ({made.address}) with login {login}.")

    @endpoint.verb("remove", action=ACTION, examples=["endpoint remove web01 --yes"])
    @click.argument("name", type=ENDPOINT, metavar="NAME")
    @yes_option
    async def remove(door: Door, name: str, yes: bool) -> None:  # noqa: FBT001
        """Remove an endpoint, its credentials and pinned host keys; recordings stay."""
        one = await door.desk.inventory.get(name)
        live = sum(view.endpoint == one.name for view in door.desk.live.views())
        await door.confirm(f"Remove the endpoint {one.name} ({one.address}), {live} live session(s) on it?", yes=yes)
        await door.desk.inventory.remove(door.identity, name)
        door.warn(f"Removed {one.name}.")


async def _secret(door: Door, method: str, key: str | None) -> Secret | None:
    """Read the credential from standard input."""
    if method == "key":
        if key != "-":
            raise Invalid(
                "key.path",
                f"'{safe_text(key or '', 80)}' is a file on your machine, which the bastion cannot read: use --key - and '< FILE'.",
            )
        return Secret((await door.read_all()).strip() + b"\n")
    if method == "password":
        if door.terminal:
            return Secret((await door.ask("Password: ", shown=False)).encode())
        return Secret((await door.read_all()).rstrip(b"\r\n"))
    return None
