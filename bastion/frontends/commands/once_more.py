"""A session whose endpoint died under it: say so, and offer to connect again. Never connects unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bastion.core.errors import Ended
from bastion.frontends.commands.door import Gone

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door
    from bastion.services.console import Console
    from bastion.services.windows import Program

LOST: Final = "endpoint-lost"
_YES: Final = frozenset({"", "y", "yes"})


def offering_again(door: Door, connect: Program) -> Program:
    """Return a program that runs `connect`, and again as long as its endpoint is lost and the person at the terminal says so."""

    async def program(console: Console) -> int:
        at = door.at(console, door.windows)
        while True:
            try:
                return await connect(at.handover())
            except Ended as error:
                if error.code != LOST or not console.term or not console.is_open:
                    raise
                at.warn(f"\nbastion: {error.public}")
                try:
                    answer = await at.ask("Connect again? [Y/n] ")
                except Gone:
                    return error.exit_code
                if answer.strip().lower() not in _YES:
                    return error.exit_code

    return program
