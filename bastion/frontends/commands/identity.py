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


async def opened(door: Door, session_id: str, identity: str | None) -> Replay:
    """Return the door to a recording, opened with the identity that is asked for when it is encrypted.

    Raises `Unavailable` that says what is needed when nobody can be asked, `Invalid` when what is given is no identity.
    """
    replay = door.desk.replay
    whom = await replay.encrypted_to(session_id)
    if not whom:
        if identity:
            raise Invalid("identity.unneeded", "That recording is not encrypted: leave --identity out.")
        return replay
    if identity:
        text = await door.read_all(_LONGEST)
    elif door.terminal:
        text = (await door.ask(f"Encrypted to {whom}. Paste the identity (AGE-SECRET-KEY-1..., not shown): ", shown=False)).encode()
    else:
        raise Unavailable(
            "recording.encrypted", f"That recording is encrypted to {whom}: add `--identity -` and give the identity on standard input."
        )
    return replay.unlocked(text)
