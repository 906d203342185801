"""Asks for what opens an encrypted recording. Never writes it down, and never takes it from a command line, which others can see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door
    from bastion.frontends.commands.verbs import Callback
    from bastion.services.replay import Replay

_LONGEST = 64 * 1024


def identity_option(work: Callback) -> Callback:
    """Add `--identity -`."""
    return click.option(
        "--identity", type=click.Choice(["-"]), metavar="-", help="Of an encrypted recording: the age identity comes on standard input."
    )(work)


async def asked(door: Door, session_id: str, identity: str | None) -> bytes | None:
    """Return what opens a recording, asked for when it is encrypted; None when it is not.

    Raises `Unavailable` that says what is needed when nobody can be asked.
    """
    whom = await door.desk.replay.encrypted_to(session_id)
    if not whom:
        if identity:
            raise Invalid("identity.unneeded", "That recording is not encrypted: leave --identity out.")
        return None
    if identity:
        return await door.read_all(_LONGEST)
    if door.terminal:
        return (await door.ask(f"Encrypted to {whom}. Paste the identity (AGE-SECRET-KEY-1..., not shown): ", shown=False)).encode()
    raise Unavailable(
        "recording.encrypted", f"That recording is encrypted to {whom}: add `--identity -` and give the identity on standard input."
    )


async def opened(door: Door, session_id: str, identity: str | None) -> Replay:
    """Return the door to a recording, opened where it is encrypted. Raises as `asked`, and `Invalid` for what is no identity."""
    text = await asked(door, session_id, identity)
    return door.desk.replay if text is None else door.desk.replay.unlocked(text)
