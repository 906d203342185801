"""The admin prompt: the same tree, line by line, with completion and history.

Never decides: each line passes the gate like any other command.
"""

from __future__ import annotations

import asyncio
from typing import Final

from bastion.core.errors import BastionError
from bastion.frontends.commands.door import Door, Gone
from bastion.frontends.commands.words import MAX_LINE, split_command

LEAVE: Final = frozenset({"exit", "quit", "logout"})
IDLE_SECONDS: Final = 30 * 60.0
"""An unattended admin prompt is a way in for whoever passes by."""

_WELCOME: Final = "Commands as after `ssh bastion`; Tab completes, `help` lists them, `exit` or Ctrl-D leaves."


async def shell(door: Door) -> int:
    """Prompt until they leave or idle too long; return 0."""
    if not door.terminal or door.console.term == "dumb":
        return await _plain(door)
    from bastion.frontends.commands.prompt import Interrupted, Left, Prompt  # noqa: PLC0415 - loads prompt_toolkit

    door.say(_WELCOME)
    prompt = Prompt(door)
    try:
        while door.console.is_open:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    line = await prompt.read()
            except Interrupted:
                continue
            except Left:
                break
            except TimeoutError:
                door.warn("Left idle for half an hour; goodbye.")
                break
            if line.strip() in LEAVE:
                break
            await run_line(door, line)
    finally:
        prompt.close()
    return 0


async def _plain(door: Door) -> int:
    """Read plain lines, for pipes and dumb terminals; return the last failure's exit code, as a script wants it."""
    code = 0
    while door.console.is_open:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                line = await door.ask(f"bastion {door.identity.name}> " if door.terminal else "")
        except (Gone, TimeoutError):
            break
        if line.strip() in LEAVE:
            break
        code = await run_line(door, line) or code
    return 0 if door.terminal else code


async def run_line(door: Door, line: str) -> int:
    """Run one line through the gate; return its exit code. Leaving a question leaves that command only."""
    from bastion.frontends.commands.gate import run_words  # noqa: PLC0415 - the gate knows the tree, which knows us

    if not line.strip():
        return 0
    try:
        words, door.tail = split_command(line.strip().encode(errors="replace")[: MAX_LINE + 1])
    except BastionError as error:
        door.warn(f"bastion: {error.public}")
        return error.exit_code
    if words[:1] == ["admin"]:
        door.warn("You are in it already.")
        return 0
    return await run_words(door, words)
