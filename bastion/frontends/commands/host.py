"""The `bastion` program on the host: offline commands here, all others at the running server over SSH on loopback.

Never opens the database of a running server for what the server itself should do.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from bastion.core.errors import Misconfigured
from bastion.frontends.commands.output import sentence

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bastion.core.access.decision import Decision
    from bastion.services.setup import Caller, Report
    from bastion.settings import Settings

_LOOPBACK: Final = ("127.", "::1", "localhost")


class Link(Protocol):
    """The way to the running server: SSH on loopback with the operator's key."""

    def run(self, argv: Sequence[str], stdin: BinaryIO, stdout: BinaryIO, stderr: BinaryIO, tty: bool) -> int:  # noqa: FBT001
        """Run one command there and return its exit code. Raises `Unavailable` when no server answers.

        `argv` is quoted where it must be: it is sent joined by single spaces, as ssh does. Empty: no command.
        """


class Host(Protocol):
    """What the program needs of the rest; `bastion.app.Host` is it."""

    async def serve(self, settings: Settings, ready: Callable[[str], None]) -> int:
        """Listen until asked to stop; call `ready` once with `ready ssh=HOST:PORT web=URL`."""

    async def initialise(self, settings: Settings, report: Report, *, admin: tuple[str, Sequence[str]] | None, demo: Caller | None) -> None:
        """Make home, keys, database and accounts where they are missing."""

    async def migrate(self, settings: Settings) -> str:
        """Bring the database to this version; return what was done, as a sentence."""

    def check_policies(self, folder: Path) -> Sequence[object]:
        """Return warnings; raises `Misconfigured` with every mistake in `detail`."""

    def test_policies(self, folder: Path) -> Sequence[str]:
        """Run the cases kept beside the policies; return what failed, one line each."""

    async def explain(
        self, settings: Settings, user: str, endpoint: str | None, action: str, at: float | None, source: str
    ) -> tuple[Decision, float]:
        """Decide as the files and the database have it, without a server; return the decision and its time."""

    def verify_file(self, path: Path, key: Path | None) -> str:
        """Check a recording's file (against its seals with a public key); return what was found good, raise `Corrupt`."""

    def link(self, settings: Settings) -> Link:
        """Return the way to the running server."""


@dataclass(frozen=True, slots=True)
class Program:
    """The program's surroundings: where the host comes from, and the three streams."""

    load: Callable[[], Host]
    stdin: BinaryIO
    stdout: BinaryIO
    stderr: BinaryIO

    def say(self, text: str) -> None:
        """Write a line on standard output, at once."""
        self.stdout.write(f"{text}\n".encode(errors="replace"))
        self.stdout.flush()

    def warn(self, text: str) -> None:
        """Write a line on standard error, made safe."""
        self.stderr.write(f"{sentence(text)}\n".encode(errors="replace"))
        self.stderr.flush()


@dataclass(frozen=True, slots=True)
class Local:
    """A local command line that was understood."""

    work: Callable[..., int]
    params: dict[str, Any]


def this_caller() -> Caller:
    """Return who runs this program."""
    from bastion.services.setup import find_caller  # noqa: PLC0415

    entry = pwd.getpwuid(os.getuid())
    return find_caller(dict(os.environ), entry.pw_name, entry.pw_shell, Path(os.environ.get("HOME") or entry.pw_dir))


def refuse_root(settings: Settings, warn: Callable[[str], None], euid: int) -> None:
    """As root: warn on loopback, refuse other addresses unless the settings allow it. Raises `Misconfigured`."""
    if euid != 0:
        return
    away = [host for host in (settings.ssh.host, settings.web.host) if not host.startswith(_LOOPBACK)]
    if away and not settings.allow_root:
        raise Misconfigured("serve.root", f"Running as root on {away[0]} is refused: use another user, or set allow_root = true.")
    warn("bastion: running as root; another user would be safer.")


def run_async(work: Awaitable[int]) -> int:
    """Run a coroutine of the program on a loop of its own."""

    async def main() -> int:
        return await work

    return asyncio.run(main())


def streams(load: Callable[[], Host]) -> Program:
    """Return the program on the process's own streams."""
    return Program(load, sys.stdin.buffer, sys.stdout.buffer, sys.stderr.buffer)
