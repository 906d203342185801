"""SSH inside a channel of another SSH connection: the inner connection of `ssh -J`, without a socket in between.

It never decides who may open such a channel or log in on it: the inner server's owner does, in the same hooks.
"""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, Any

from bastion.wire.events import OnEvent, ignore
from bastion.wire.limits import DEFAULT_LIMITS, Limits
from bastion.wire.login import ServerConnection
from bastion.wire.sessions import TCPSession

if TYPE_CHECKING:
    from collections.abc import Callable

    import asyncssh
    from asyncssh import SSHServerConnectionOptions


class _ChannelTransport(asyncio.Transport):
    """What the inner connection takes for its socket."""

    def __init__(self, session: InnerServer, peer: tuple[str, int]) -> None:
        super().__init__({"peername": peer, "sockname": ("", 0)})
        self._session = session
        self._gone = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._gone:
            self._session.write(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0 if self._gone else self._session.unsent

    def pause_reading(self) -> None:
        self._session.pause_input()

    def resume_reading(self) -> None:
        self._session.resume_input()

    def is_closing(self) -> bool:
        return self._gone

    def close(self) -> None:
        """What was written goes out first."""
        if not self._gone:
            self._gone = True
            self._session.hang_up()

    abort = close


class InnerServer(TCPSession):
    """A direct-tcpip channel that speaks SSH as a server, to a client said to come from `peer`.

    There is no gate: the outer connection passed it.
    """

    def __init__(
        self,
        server_factory: Callable[[], asyncssh.SSHServer],
        options: SSHServerConnectionOptions,
        limits: Limits = DEFAULT_LIMITS,
        on_event: OnEvent = ignore,
        *,
        peer: tuple[str, int],
    ) -> None:
        own = copy.copy(options)
        own.protocol_factory = server_factory
        self.inner: ServerConnection | None = ServerConnection(asyncio.get_running_loop(), own)
        self.inner.guard(limits, on_event)
        self.inner.peer = peer
        self.transport = _ChannelTransport(self, peer)

    @property
    def unsent(self) -> int:
        """Bytes that the outer connection has not sent yet."""
        return self._channel.get_write_buffer_size() if self._channel is not None else 0

    def hang_up(self) -> None:
        """Close the channel after what was written."""
        if self._channel is not None:
            self.channel.close()

    def started(self) -> None:
        """The channel is open: greet."""
        if self.inner is not None:
            self.inner.connection_made(self.transport)

    def input_received(self, data: bytes) -> None:
        """Bytes for the inner connection."""
        if self.inner is not None:
            self.inner.data_received(data)

    def eof(self) -> bool:
        """The client hung up: an SSH connection has no half-close."""
        self.lost(None)
        return False

    def writable_changed(self, writable: bool) -> None:
        """The outer connection takes more, or no more."""
        if self.inner is not None:
            (self.inner.resume_writing if writable else self.inner.pause_writing)()

    def closed(self, exc: Exception | None) -> None:
        """The channel is gone, and the inner connection with it."""
        self.lost(exc)

    def lost(self, exc: Any) -> None:
        """Tell the inner connection once."""
        inner, self.inner = self.inner, None
        if inner is not None:
            inner.connection_lost(exc)


__all__ = ["InnerServer"]
