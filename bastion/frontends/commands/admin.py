"""The admin prompt: the same tree, line by line, with completion and history.

Never decides: each line passes the gate like any other command.
"""

from __future__ import annotations

from bastion.core.errors import BastionError
from bastion.frontends.commands.door import Door, Gone
from bastion.frontends.commands.words import split_command

LEAVE = frozenset({"exit", "quit", "logout"})


async def shell(door: Door) -> int:
    """Prompt until they leave; return 0."""
    return await plain_shell(door)


async def plain_shell(door: Door) -> int:
    """Read plain lines; for pipes and dumb terminals."""
    while door.console.is_open:
        try:
            line = await door.ask(f"bastion {door.identity.name}> " if door.terminal else "")
        except Gone:
            break
        if line.strip() in LEAVE:
            break
        await run_line(door, line)
    return 0


async def run_line(door: Door, line: str) -> int:
    """Run one line through the gate; return its exit code. Leaving a question leaves that command only."""
    from bastion.frontends.commands.gate import run_words  # noqa: PLC0415 - the gate knows the tree, which knows us

    if not line.strip():
        return 0
    try:
        words, door.tail = split_command(line.encode(errors="replace"))
    except BastionError as error:
        door.warn(error.public)
        return error.exit_code
    if words[:1] == ["admin"]:
        door.warn("You are in it already.")
        return 0
    return await run_words(door, words)
