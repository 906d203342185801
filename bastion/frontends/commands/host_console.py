"""The program's own streams as a Console, for commands that run on the host's files while no server runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, BinaryIO

from bastion.core.errors import Invalid
from bastion.core.values import Size

if TYPE_CHECKING:
    from bastion.core.identity import Identity
    from bastion.services.console import ConsoleListener

READ_BYTES = 64 * 1024


class HostConsole:
    """Standard streams, no terminal (implements services.console.Console)."""

    def __init__(self, identity: Identity, stdin: BinaryIO, stdout: BinaryIO, stderr: BinaryIO) -> None:
        self.identity = identity
        self.term = ""
        self.size = Size(80, 24)
        self.environment: dict[str, str] = {}
        self.is_open = True
        self._stdin = stdin
        self._stdout = stdout
        self._stderr = stderr

    def write(self, data: bytes) -> bool:
        """Write to standard output, at once."""
        self._stdout.write(data)
        self._stdout.flush()
        return True

    def write_error(self, data: bytes) -> bool:
        """Write to standard error, at once."""
        self._stderr.write(data)
        self._stderr.flush()
        return True

    async def drain(self) -> None:
        """Nothing is held back."""

    async def read(self) -> bytes:
        """Read what there is of standard input."""
        read = getattr(self._stdin, "read1", self._stdin.read)
        return bytes(await asyncio.to_thread(read, READ_BYTES))

    async def size_changed(self) -> Size:
        """There is no window here, so this waits for ever."""
        never: asyncio.Future[Size] = asyncio.get_running_loop().create_future()
        return await never

    def exit_signal(self, name: str) -> None:
        """No far program runs here."""

    def window_command(self, key: str, rest: bytes) -> bool:  # noqa: ARG002
        """There are no windows on the host."""
        return False

    def attach(self, listener: ConsoleListener) -> None:  # noqa: ARG002
        """Refuse: sessions need the server."""
        raise Invalid("host.no_server", "That needs the running server. Start it: bastion serve")

    def detach(self) -> None:
        """Nothing was attached."""

    def pause(self) -> None:
        """Nothing to stop."""

    def resume(self) -> None:
        """Nothing was stopped."""
