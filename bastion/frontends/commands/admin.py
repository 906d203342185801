"""The admin prompt: the same tree, line by line, with completion and history.

Never decides: each line passes the gate like any other command.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Final

from bastion.core.errors import BastionError, Denied
from bastion.frontends.commands.door import Door, Gone
from bastion.frontends.commands.words import MAX_LINE, split_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bastion.core.access.endpoint import Endpoint
    from bastion.frontends.commands.verbs import Noun

LEAVE: Final = frozenset({"exit", "quit", "logout"})
IDLE_SECONDS: Final = 30 * 60.0
"""An unattended admin prompt is a way in for whoever passes by."""

_ADMINISTERS: Final = ("admin.user", "admin.endpoint", "admin.policy", "admin.lock", "admin.audit", "admin.node", "audit")
_SUPERVISES: Final = ("end", "pause", "moderate")
_WELCOME: Final = "Commands as after `ssh bastion`; Tab completes, `help` lists them, `exit` or Ctrl-D leaves."


def fill(root: Noun) -> None:
    """Put the verb into the tree."""

    @root.verb("admin", action="admin.node", asks="service", examples=["admin"])
    async def admin(door: Door) -> int:
        """Open a prompt for these commands, with completion and history."""
        _refuse_idle_hands(door, await door.desk.inventory.all())
        return await shell(door, root)


async def shell(door: Door, root: Noun) -> int:
    """Prompt until they leave or idle too long; return 0."""
    if not door.terminal or door.console.term == "dumb":
        return await _plain(door)
    # loads prompt_toolkit: half a second of processor, which everybody's keystrokes would wait for
    await asyncio.to_thread(import_module, "bastion.frontends.commands.prompt")
    from bastion.frontends.commands.prompt import Interrupted, Left, Prompt  # noqa: PLC0415 - loaded above

    door.say(_WELCOME)
    prompt = Prompt(door, root)
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
    return await door.again(door, words)


def _refuse_idle_hands(door: Door, endpoints: Sequence[Endpoint]) -> None:
    """Refuse the prompt to people for whom it would have nothing that the plain commands have not."""
    decide = door.desk.policies.decide
    first = decide(door.identity, _ADMINISTERS[0])
    if first.allowed or any(decide(door.identity, action).allowed for action in _ADMINISTERS[1:]):
        return
    if any(decide(door.identity, action, one).allowed for one in endpoints for action in _SUPERVISES):
        return
    raise Denied("access.denied", f"admin: {first.reason}", first.rule)
