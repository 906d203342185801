"""The one gate of the tree: parse, decide, run, audit, and map failures to exit codes.

Never shows a traceback: an unexpected failure is one line with an id, and the log has the rest.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Final

import click

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Denied
from bastion.core.text import safe_text
from bastion.frontends.commands.door import Door, Gone
from bastion.frontends.commands.tree import root
from bastion.frontends.commands.verbs import SELF, Call, Shown, parse
from bastion.frontends.commands.words import split_command
from bastion.services.live.rights import is_guest

if TYPE_CHECKING:
    from bastion.frontends.commands.desk import Desk
    from bastion.services.console import Console

USAGE: Final = 64
INTERNAL: Final = 70
_LEFT: Final = 64  # they left at a question, or said no: nothing was done
_DENIED_RESULT: Final = "denied"
_SUPERVISION: Final = frozenset({"end", "pause"})  # a hidden session "does not exist"; that it was tried is written down

log = logging.getLogger(__name__)


async def run(desk: Desk, console: Console, command: bytes | None) -> int:
    """Run one command line of a proven person; return its exit code. Never raises but for cancellation.

    `command` None is a login without a command: the menu, as plain lines where there is no PTY.
    """
    door = Door(desk, console)
    door.again = run_words
    try:
        if command is None:
            words, door.tail = (["menu"] if console.term else ["menu", "--plain"]), None
        else:
            words, door.tail = split_command(command)
    except BastionError as error:
        return _refuse(door, error)
    return await run_words(door, words)


async def run_words(door: Door, words: list[str]) -> int:  # noqa: PLR0911
    """Run a command line that is split already. Never raises but for cancellation."""
    try:
        return await _run(door, words)
    except Shown as asked:
        door.say(asked.text)
        return 0
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "bastion"
        door.warn(f"{where}: {_short(error.format_message())}\nTry: {where.replace('bastion', 'help', 1)}")
        return USAGE
    except BastionError as error:
        return _refuse(door, error)
    except Gone:
        return _LEFT
    except (BrokenPipeError, ConnectionError):
        return _LEFT
    except asyncio.CancelledError:
        raise
    except Exception:
        number = secrets.token_hex(4)
        log.exception("command failed", extra={"incident": number, "person": door.identity.name, "words": words[:2]})
        door.warn(f"bastion: something went wrong here, and it is ours: incident {number}.")
        return INTERNAL


async def _run(door: Door, words: list[str]) -> int:
    call = parse(root, words or ["help"], width=door.width or 80)
    _decide(door, call)
    try:
        return await call.run(door)
    except Denied as error:
        _audit(door, call, _DENIED_RESULT, error.public)
        raise
    except BastionError as error:
        if call.verb.action.startswith("admin.") or call.verb.action in _SUPERVISION:
            _audit(door, call, "failed", error.public)
        raise


def _decide(door: Door, call: Call) -> None:
    """Refuse what policy does not allow. The only way past is `self`, or a service that asks itself."""
    if is_guest(door.identity) and call.path.partition(" ")[2] != "join":
        reason = "A guest may do nothing but join the session they were invited to: log in without a command."
        _audit(door, call, _DENIED_RESULT, reason)
        raise Denied("access.guest", reason)
    if call.verb.action == SELF or call.verb.asks == "service":
        return
    decision = door.desk.policies.decide(door.identity, call.verb.action)
    if not decision.allowed:
        _audit(door, call, _DENIED_RESULT, decision.reason)
        raise Denied("access.denied", f"{call.path.partition(' ')[2]}: {decision.reason}", decision.rule)


def _audit(door: Door, call: Call, result: str, reason: str) -> None:
    event = AuditEvent(
        f"command.{result}",
        door.desk.clock.now(),
        actor=door.identity.name,
        source=door.identity.source,
        subject=call.path.partition(" ")[2],
        result=result,
        reason=reason,
        data={"action": call.verb.action},
    )
    door.desk.auditor.record(event)


def _refuse(door: Door, error: BastionError) -> int:
    log.info("refused: %s %s", error.code, safe_text(error.detail, 400))
    door.warn("\n".join(f"bastion: {line}" for line in error.public.splitlines()))
    return error.exit_code


def _short(message: str) -> str:
    """Return click's sentence without the 20 KB that somebody typed into it."""
    return "\n".join(safe_text(line, 300) for line in message.splitlines()[:4])
