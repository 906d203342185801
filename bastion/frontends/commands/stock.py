"""`endpoint import|export`: lists of endpoints from files and into files. Never takes anything away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from bastion.core.errors import Invalid, Unavailable
from bastion.core.inventory.write import as_csv, as_object, as_yaml
from bastion.frontends.commands.output import Row
from bastion.frontends.commands.output import as_json as to_json
from bastion.frontends.commands.verbs import Noun, json_option
from bastion.services.stocktaking import FORMATS, Change, Stocktaking

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door

ACTION: Final = "admin.endpoint"
LARGEST: Final = 1_000_000
_SIGNS: Final = {"add": "+", "change": "~", "same": "="}


def fill(endpoint: Noun) -> None:
    """Put the verbs into the noun."""

    @endpoint.verb(
        "import",
        action=ACTION,
        examples=[
            "endpoint import - < hosts.yaml",
            "endpoint import - --apply < hosts.yaml",
            "endpoint import - --format ansible < inventory.ini",
        ],
    )
    @click.argument("file", metavar="FILE|-")
    @click.option("--format", "format_name", type=click.Choice(FORMATS), help="What the file is; guessed without it.")
    @click.option(
        "--method", type=click.Choice(("ca", "ask")), default="ca", show_default=True, help="For logins of which it does not say."
    )
    @click.option("--apply", is_flag=True, help="Do it; without it, only shows what would change.")
    @json_option
    async def import_(door: Door, file: str, format_name: str | None, method: str, apply: bool, as_json: bool) -> None:  # noqa: FBT001
        """Take endpoints from YAML, JSON, CSV, ssh_config or an Ansible inventory; all of it or nothing. What it leaves out stays."""
        if file != "-":
            raise Invalid("import.path", "That is a file on your machine, which the bastion cannot read: use - and '< FILE'.")
        stock = _stock(door)
        changes = await stock.plan(door.identity, await door.read_all(LARGEST), format_name, method)
        if apply:
            await stock.apply(door.identity, changes)
        if as_json:
            door.say(to_json([{"name": one.name, "change": one.kind, "what": list(one.what)} for one in changes]))
            return
        for one in changes:
            if one.kind != "same":
                door.say(f"{_SIGNS[one.kind]} {one.name}  {'; '.join(one.what)}")
        door.warn(_summary(changes, applied=apply))

    @endpoint.verb("export", action=ACTION, examples=["endpoint export > endpoints.yaml", "endpoint export --format csv"])
    @click.option(
        "--format", "format_name", type=click.Choice(("yaml", "csv")), default="yaml", show_default=True, help="How it is written."
    )
    @json_option
    async def export(door: Door, format_name: str, as_json: bool) -> None:  # noqa: FBT001
        """Print every endpoint in a form that import reads; secrets are not in it."""
        everything = list(await door.desk.inventory.all())
        if as_json:
            rows: list[Row] = [{"name": one.name, **as_object(one)} for one in everything]
            door.say(to_json(rows))
        else:
            await door.send((as_csv if format_name == "csv" else as_yaml)(everything).encode())


def _stock(door: Door) -> Stocktaking:
    if door.desk.stocktaking is None:
        raise Unavailable("import.unavailable", "This bastion reads no lists of endpoints.")
    return door.desk.stocktaking


def _summary(changes: list[Change], *, applied: bool) -> str:
    counts = {kind: sum(one.kind == kind for one in changes) for kind in _SIGNS}
    text = f"{counts['add']} new, {counts['change']} changed, {counts['same']} unchanged."
    return f"Done: {text}" if applied else f"{text} Nothing was done: add --apply."
