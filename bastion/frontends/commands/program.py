"""The `bastion` program's front: which commands run here, which at the server; failures become exit codes once.

Never runs a command itself.
"""

from __future__ import annotations

import os
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bastion.core.errors import BastionError, Invalid
from bastion.core.text import safe_text
from bastion.frontends.commands.verbs import Shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bastion.frontends.commands.host import Program

USAGE: Final = 64
INTERNAL: Final = 70
_INTERRUPTED: Final = 130


def run_program(program: Program, argv: Sequence[str]) -> int:  # noqa: PLR0911
    """Run the program; return its exit code. Never shows a traceback of an expected failure."""
    try:
        return _run(program, list(argv))
    except Shown as asked:
        program.say(asked.text)
        return 0
    except click.UsageError as error:
        program.warn("\n".join(f"bastion: {safe_text(line, 300)}" for line in error.format_message().splitlines()[:4]))
        return USAGE
    except BastionError as error:
        program.warn("\n".join(f"bastion: {line}" for line in error.public.splitlines()))
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return 0
    except Exception as error:  # noqa: BLE001 - the last resort: one line for the person, the rest into a file
        where = _write_down(error)
        program.warn(f"bastion: something went wrong here, and it is ours: {type(error).__name__} (traceback in {where}).")
        return INTERNAL


def _write_down(error: Exception) -> str:
    """Write a traceback into a file that only this user can read; return its name."""
    handle, name = tempfile.mkstemp(prefix="bastion-", suffix=".txt")
    with os.fdopen(handle, "w") as file:
        file.write("".join(traceback.format_exception(error)))
    return name


def _run(program: Program, argv: list[str]) -> int:
    from bastion.frontends.commands import host_local  # noqa: PLC0415 - each part is loaded only when it is needed

    home, words = split_home(argv)
    if words[:1] == ["--help"] or words == ["help"]:
        raise Shown(host_local.overview())
    if words[:1] == ["--version"]:
        words = ["version"]
    if host_local.is_local(words):
        call = host_local.parse_local(words)
        return call.work(program, home, **call.params)
    from bastion.frontends.commands import host_remote  # noqa: PLC0415

    return host_remote.run_remote(program, home, words)


def split_home(argv: list[str]) -> tuple[Path | None, list[str]]:
    """Take `--home DIR` from before the command. Raises `Invalid` where DIR is missing."""
    if argv and argv[0].startswith("--home="):
        return Path(argv[0].partition("=")[2]), argv[1:]
    if argv and argv[0] == "--home":
        if len(argv) == 1:
            raise Invalid("usage.home", "--home needs a folder.")
        return Path(argv[1]), argv[2:]
    return None, argv
