"""`credential rotate`: new keys for logins, without a moment in which none works. Never shows a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.errors import Unavailable
from bastion.frontends.commands.output import as_json as to_json
from bastion.frontends.commands.verbs import ENDPOINT, Noun, json_option, yes_option
from bastion.services.rotation import KEYS_FILE

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door

ACTION = "admin.endpoint"


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""
    credential = Noun("credential", help="What unlocks logins on endpoints.")
    root.add_command(credential)

    @credential.verb(
        "rotate",
        action=ACTION,
        examples=[
            "credential rotate web01",
            "credential rotate web01 --login deploy --yes",
            "credential rotate nas --file /etc/ssh/keys/root",
        ],
    )
    @click.argument("name", type=ENDPOINT, metavar="NAME")
    @click.option("--login", metavar="LOGIN", help="The account there; the endpoint's first one without it.")
    @click.option("--file", default=KEYS_FILE, show_default=True, metavar="PATH", help="Where that account's authorized keys are kept.")
    @yes_option
    @json_option
    async def rotate(door: Door, name: str, login: str | None, file: str, yes: bool, as_json: bool) -> None:  # noqa: FBT001
        """Make a new key for a login, install and test it, switch to it, and take the old one off the endpoint."""
        endpoint = await door.desk.inventory.get(name)
        await door.confirm(f"Replace the stored key of {login or 'the first login'} on {endpoint.name} ({endpoint.address})?", yes=yes)
        if door.desk.rotation is None:
            raise Unavailable("credential.none", "Keys cannot be rotated here.")
        public = await door.desk.rotation.rotate(door.identity, endpoint, login, file, (lambda _: None) if as_json else door.warn)
        if as_json:
            door.say(to_json({"name": endpoint.name, "public": public}))
