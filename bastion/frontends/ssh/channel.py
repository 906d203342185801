"""A session channel: what the client asks for becomes a console and one line for the command tree."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from bastion.core.identity import Identity
from bastion.core.values import Target
from bastion.frontends.ssh.console import SshConsole
from bastion.frontends.ssh.unoffered import Unoffered
from bastion.services.tasks import spawn
from bastion.wire.limits import TerminalSize
from bastion.wire.sessions import ServerSession

Run = Callable[[SshConsole, bytes | None], Awaitable[int]]
Refused = Callable[[Identity, str, str], None]
DENIED: Final = 77
SFTP_NEEDS: Final = b"bastion: No files are kept here: name an endpoint, too: sftp USER%NAME@BASTION, scp FILE USER%NAME@BASTION:\r\n"
NO_SUBSYSTEM: Final = b"bastion: The only subsystem here is sftp, with an endpoint: sftp USER%NAME@BASTION\r\n"


class Channel(ServerSession):
    """One channel of a logged-in person. `line`: what runs where they name no command (a guest's only one)."""

    def __init__(
        self, identity: Identity, target: Target, run: Run, refused: Refused, unoffered: Unoffered, line: bytes | None = None
    ) -> None:
        self._line = line
        self._unoffered = unoffered
        self._identity = identity
        self._target = target
        self._run = run
        self._refused = refused
        self._command: bytes | None = None
        self._refusal = b""
        self._console: SshConsole | None = None
        self._task: asyncio.Task[None] | None = None

    def shell(self) -> bool:
        """No command: the menu, or the endpoint that the user name carried."""
        self._command = self._addressed(None)
        return True

    def exec(self, command: str) -> bool:
        """A command: a verb, or (with a target in the user name) a command for the endpoint."""
        self._command = self._addressed(command.encode("utf-8", "surrogateescape"))
        return True

    def subsystem(self, name: str) -> bool:
        """SFTP goes on to the endpoint in the user name. The rest is granted only to say no: clients drop a plain refusal's text."""
        if name == "sftp" and self._target.endpoint is not None:
            self._command = b"sftp " + self._place()
            return True
        self._refused(self._identity, "channel.subsystem", f"subsystem {name[:64]}")
        self._refusal = SFTP_NEEDS if name == "sftp" else NO_SUBSYSTEM
        return True

    def _addressed(self, command: bytes | None) -> bytes | None:
        if self._target.endpoint is None:
            return self._line if command is None else command
        line = b"connect " + self._place()
        return line if command is None else line + b" -- " + command

    def _place(self) -> bytes:
        target = self._target
        return (f"{target.login}@{target.endpoint}" if target.login else target.endpoint or "").encode()

    def started(self) -> None:
        """The request was granted: go."""
        if text := self._unoffered.take():
            (self.write if self.term else self.write_stderr)(text)
        if self._refusal:
            self.write_stderr(self._refusal)
            self.exit(DENIED)
            return
        environment = {
            key.decode("ascii", "replace"): value.decode("utf-8", "replace") for key, value in self.channel.get_environment_bytes().items()
        }
        self._console = SshConsole(self, self._identity, environment)
        self._task = spawn("channel", self._serve(self._console))

    async def _serve(self, console: SshConsole) -> None:
        status = await self._run(console, self._command)
        if self._channel is None:
            return
        if console.signal:
            self.exit_signal(console.signal, False, "")  # noqa: FBT003 - the library's order
        else:
            self.exit(status & 0xFF)

    # ------------------------------------------------------------ what comes

    def input_received(self, data: bytes) -> None:
        """Typed bytes."""
        if self._console is not None:
            self._console.typed(data)

    def resized(self, size: TerminalSize) -> None:
        """The window changed."""
        if self._console is not None:
            self._console.resized(size.cols, size.rows)

    def signalled(self, name: str) -> None:
        """A signal came."""
        if self._console is not None:
            self._console.signalled(name)

    def break_asked(self, msec: int) -> bool:
        """A break came (serial consoles want it)."""
        del msec
        if self._console is not None:
            self._console.signalled("BREAK")
        return True

    def eof(self) -> bool:
        """No more input: keep our direction open."""
        if self._console is not None:
            self._console.ended()
        return True

    def writable_changed(self, writable: bool) -> None:  # noqa: FBT001 - the base class says so
        """More may be written again."""
        if writable and self._console is not None:
            self._console.drained()

    def closed(self, exc: Exception | None) -> None:
        """The channel is gone."""
        del exc
        if self._console is not None:
            self._console.lost()
