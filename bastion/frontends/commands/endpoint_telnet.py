"""`endpoint add-telnet`: machines that know nothing better. Never without saying what telnet does not prove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from bastion.core.errors import Invalid
from bastion.core.text import safe_text
from bastion.frontends.commands.verbs import Noun, yes_option
from bastion.services.inventory import NewEndpoint, read_address, read_label
from bastion.services.ports import Secret

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door

ACTION: Final = "admin.endpoint"
PORT: Final = 23
_LONGEST_PROMPT: Final = 64


def fill(endpoint: Noun) -> None:
    """Put the verb into the noun."""

    @endpoint.verb(
        "add-telnet",
        action=ACTION,
        examples=[
            "endpoint add-telnet plc01 10.9.0.5 --login operator --password-stdin --yes < secret",
            "endpoint add-telnet sw01 10.9.0.6:2323 --login admin --ask --yes",
            "endpoint add-telnet drive7 10.9.0.7 --login svc --password-stdin --prompts 'User ID>' 'PIN>' --yes < secret",
        ],
    )
    @click.argument("name", metavar="NAME")
    @click.argument("address", metavar="HOST[:PORT]")
    @click.option("--login", required=True, metavar="LOGIN", help="The account there.")
    @click.option("--password-stdin", is_flag=True, help="Password that the bastion types at the prompt, from standard input.")
    @click.option("--ask", is_flag=True, help="Whoever connects logs in themselves.")
    @click.option("--prompts", nargs=2, metavar="LOGIN PASSWORD", help="How its prompts end, where they are unusual.")
    @click.option("--label", "labels", multiple=True, metavar="K=V", help="A label for policy and filters; may be repeated.")
    @click.option("--description", default="", metavar="TEXT", help="What it is, for people.")
    @yes_option
    async def add_telnet(
        door: Door,
        name: str,
        address: str,
        login: str,
        password_stdin: bool,  # noqa: FBT001
        ask: bool,  # noqa: FBT001
        prompts: tuple[str, str] | None,
        labels: tuple[str, ...],
        description: str,
        yes: bool,  # noqa: FBT001
    ) -> None:
        """Add a machine that speaks telnet only. Nothing on that way is encrypted, and nothing proves who answers there."""
        if password_stdin == ask:
            raise Invalid("endpoint.method", "Say what unlocks the login: exactly one of --password-stdin, --ask.")
        if any(not prompt.isprintable() or not 0 < len(prompt.strip()) <= _LONGEST_PROMPT for prompt in prompts or ()):
            raise Invalid("endpoint.prompt", f"A prompt is a visible text of at most {_LONGEST_PROMPT} characters.")
        host, port = read_address(address, PORT)
        secret = await _password(door) if password_stdin else None
        wanted = NewEndpoint(
            name,
            host,
            port,
            login,
            "password" if password_stdin else "ask",
            secret,
            (),
            tuple(read_label(one) for one in labels),
            description,
            kind="telnet",
            command=prompts or (),
        )
        await door.desk.inventory.check(wanted)
        where = safe_text(address, 80)
        await door.confirm(f"Reach {name} by telnet: what goes to {where} can be read and changed on its way. Add it?", yes=yes)
        made = await door.desk.inventory.add(door.identity, wanted)
        door.warn(f"Added {made.name} (telnet {made.address}) with login {login}.")


async def _password(door: Door) -> Secret:
    if door.terminal:
        return Secret((await door.ask("Password: ", shown=False)).encode())
    return Secret((await door.read_all()).rstrip(b"\r\n"))
