"""`help`, `whoami`, `version`, `ls`, `connect`, `menu`: the verbs for everybody.

Never decides who may; `connect` asks its service, which asks policy with the endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.errors import Invalid
from bastion.core.text import safe_text
from bastion.core.values import endpoint_name, login_name
from bastion.frontends.commands.desk import visible_endpoints
from bastion.frontends.commands.once_more import offering_again
from bastion.frontends.commands.output import Row, as_json, facts, rfc3339, when
from bastion.frontends.commands.verbs import ENDPOINT, SELF, Noun, Shown, json_option
from bastion.frontends.commands.window_list import in_windows, menu_in_windows

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""

    @root.verb("help", action=SELF, examples=["help", "help endpoint add"])
    @click.argument("words", nargs=-1, metavar="[COMMAND]...")
    async def help_(door: Door, words: tuple[str, ...]) -> None:
        """Show what there is, or how one command is used."""
        context = root.make_context("bastion", [], resilient_parsing=True, terminal_width=min(door.width or 80, 100))
        command: click.Command = root
        for word in words:
            if not isinstance(command, Noun):
                break
            name, found, _ = command.resolve_command(context, [word])
            if found is None:
                context.resilient_parsing = False
                command.resolve_command(context, [word])  # says what was perhaps meant
                raise Invalid("command.unknown", f"There is no command '{safe_text(word, 80)}'.")
            command, context = found, click.Context(found, info_name=name, parent=context)
        raise Shown(command.get_help(context))

    @root.verb("whoami", action=SELF, examples=["whoami", "whoami --json"])
    @json_option
    async def whoami(door: Door, as_json: bool) -> None:  # noqa: FBT001
        """Show who you are here: roles, address, and how you proved it."""
        who = door.identity
        row: Row = {
            "name": who.name,
            "full_name": who.full_name,
            "roles": list(who.roles),
            "groups": list(who.groups),
            "source": who.source,
            "factors": [{"kind": one.kind, "at": rfc3339(one.at)} for one in who.factors],
        }
        if as_json:
            door.say(_json(row))
            return
        proofs = ", ".join(f"{one.kind} at {when(one.at)}" for one in who.factors)
        door.say(facts([("name", who.name), ("roles", row["roles"]), ("from", who.source), ("proven by", proofs)], width=door.width))

    @root.verb("version", action=SELF, examples=["version"])
    async def version(door: Door) -> None:
        """Show the bastion's version."""
        door.say(f"bastion {door.desk.version}")

    @root.verb("ls", action=SELF, examples=["ls", "ls --label env=prod", "ls --json"])
    @click.argument("text", required=False, default="")
    @click.option("--label", "labels", multiple=True, metavar="K=V", help="Only endpoints with this label.")
    @json_option
    async def ls(door: Door, text: str, labels: tuple[str, ...], as_json: bool) -> None:  # noqa: FBT001
        """List the endpoints you may connect to. TEXT: only those whose name or description has it."""
        wanted = dict(label.partition("=")[::2] for label in labels)
        rows: list[Row] = []
        for endpoint, decision in await visible_endpoints(door.desk, door.identity):
            own = dict(endpoint.labels)
            matches = all(own.get(key) == value for key, value in wanted.items())
            if matches and text.lower() in f"{endpoint.name} {endpoint.description}".lower():
                rows.append(
                    {
                        "name": endpoint.name,
                        "kind": endpoint.kind,
                        "logins": [login.name for login in endpoint.logins],
                        "labels": own,
                        "description": endpoint.description,
                        "access": decision.verdict.value,
                        "rule": decision.rule,
                    }
                )
        heads = ["name", "description", "logins", "labels", "access"]
        await door.listing(heads, rows, as_json_list=as_json, empty="There is no endpoint that you may connect to.")

    @root.verb(
        "connect",
        action="connect",
        asks="service",
        examples=["connect web01", "connect deploy@web01", "connect web01 -- uptime", "connect web01 -- 'cd /srv && ls' > list.txt"],
    )
    @click.argument("endpoint", type=ENDPOINT, metavar="NAME")
    @click.option("--login", "-l", metavar="LOGIN", help="The account there; the endpoint's first one without it.")
    @click.argument("command", nargs=-1, metavar="[-- COMMAND]")
    async def connect(door: Door, endpoint: str, login: str | None, command: tuple[str, ...]) -> int:
        """Open a session on an endpoint, or run one COMMAND there; what follows ' -- ' goes on exactly as typed."""
        before, at, name = endpoint.rpartition("@")
        if at and login is None:
            login = before
        tail = door.tail
        if tail is None and command:
            raise Invalid("command.tail", "A command for the endpoint follows ' -- ': connect NAME -- COMMAND.")
        endpoint_name(name)
        account = login_name(login) if login else None
        if tail is not None:
            return await door.desk.connect.connect(door.handover(), name, account, tail)
        shell = offering_again(door, lambda console: door.desk.connect.connect(console, name, account, None))
        return await in_windows(door, shell, name, fresh=False)

    @root.verb("sftp", action="sftp", asks="service", examples=["sftp web01"])
    @click.argument("endpoint", type=ENDPOINT, metavar="NAME")
    async def sftp(door: Door, endpoint: str) -> int:
        """Speak SFTP with an endpoint, for programs; people type: sftp USER%NAME@BASTION."""
        login, at, name = endpoint.rpartition("@")
        endpoint_name(name)
        return await door.desk.connect.sftp(door.handover(), name, login_name(login) if at else None)

    @root.verb("menu", action=SELF, examples=["menu", "menu --plain"])
    @click.option("--plain", is_flag=True, help="Numbered lines, for screen readers and dumb terminals.")
    async def menu(door: Door, plain: bool) -> int:  # noqa: FBT001
        """Choose an endpoint or a session from a list; without a command you land here."""
        return await menu_in_windows(door, plain=plain)


def _json(row: Row) -> str:
    return as_json(row)
