"""The server side: a listener behind the gate, and SSH on a socket that is there already.

It never speaks SSH itself: a doorkeeper asks the gate before asyncssh's objects are made; `login` has the rest.
"""

from __future__ import annotations

import asyncio
import copy
import random
import resource
from time import monotonic
from typing import TYPE_CHECKING, cast

from bastion.wire import selfcheck
from bastion.wire.events import Code, OnEvent, ignore
from bastion.wire.gate import Gate, source_of
from bastion.wire.limits import DEFAULT_LIMITS, Limits
from bastion.wire.login import Proof, ServerConnection

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    import asyncssh
    from asyncssh import SSHServerConnectionOptions


class _Doorkeeper(asyncio.Protocol):
    """Holds a new connection for the moment it takes to ask the gate."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server.arrived(cast("asyncio.Transport", transport))


class Server:
    """A listener and the connections that came through it."""

    def __init__(
        self,
        server_factory: Callable[[], asyncssh.SSHServer],
        options: SSHServerConnectionOptions,
        limits: Limits,
        on_event: OnEvent,
    ) -> None:
        self._options = copy.copy(options)
        self._options.protocol_factory = server_factory
        self._limits = limits
        self._on_event = on_event
        self._listener: asyncio.Server | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.gate = Gate(limits)
        self.connections: set[ServerConnection] = set()
        """Every live connection, logged in or not."""
        self.port = 0
        """The TCP port that is listened on."""

    async def start(self, host: str, port: int, sock: socket.socket | None) -> None:
        """Begin to listen. Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        if sock is not None:
            self._listener = await loop.create_server(lambda: _Doorkeeper(self), sock=sock, backlog=128)
        else:
            self._listener = await loop.create_server(lambda: _Doorkeeper(self), host, port, backlog=128)
        self.port = int(self._listener.sockets[0].getsockname()[1])

    def arrived(self, transport: asyncio.Transport) -> None:
        """A new connection: refuse it, or make it an SSH connection."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""
        sock = transport.get_extra_info("socket")
        # The kernel gives the lowest free number, so a number tells how many are taken.
        share = sock.fileno() / self._files if sock is not None and self._files > 0 else 0.0
        source = source_of(address)
        refusal = self.gate.admit(source, monotonic(), random.random(), share)  # noqa: S311  a lot drawn, no secret
        if refusal is not None:
            transport.write(b"Not allowed at this time\r\n")
            transport.abort()
            self._report(refusal, address)
            return
        connection = ServerConnection(asyncio.get_running_loop(), self._options)
        connection.guard(self._limits, self._on_event)
        connection.admitted(self.gate, source, self._departed)
        self.connections.add(connection)
        self._idle.clear()
        transport.set_protocol(connection)
        connection.connection_made(transport)

    def _report(self, code: Code, address: str) -> None:
        try:
            self._on_event(code, address, "")
        except Exception:
            ServerConnection.wire_log.exception("on_event raised for %s", code)

    def _departed(self, connection: ServerConnection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._idle.set()

    def close(self) -> None:
        """Stop listening. Live connections stay."""
        if self._listener is not None:
            self._listener.close()

    def close_connections(self) -> None:
        """Say good-bye to every live connection."""
        for connection in list(self.connections):
            connection.close()

    async def wait_closed(self) -> None:
        """Wait until the last connection has gone."""
        await self._idle.wait()


def raise_open_files(wanted: int) -> int:
    """Raise the soft limit of open files to `wanted`, within the hard one. Returns what we have now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < goal:
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
        return goal
    return soft


async def listen(
    host: str,
    port: int,
    server_factory: Callable[[], asyncssh.SSHServer],
    options: SSHServerConnectionOptions,
    limits: Limits = DEFAULT_LIMITS,
    on_event: OnEvent = ignore,
    *,
    sock: socket.socket | None = None,
) -> Server:
    """Listen for SSH on `host`:`port` (0 picks a free one), or on `sock` where it is given.

    Raises WireMismatch when asyncssh is not the one that the limits were written for, OSError when
    the address cannot be had.
    """
    selfcheck.check()
    raise_open_files(limits.open_files)
    server = Server(server_factory, options, limits, on_event)
    await server.start(host, port, sock)
    return server


async def serve(
    sock: socket.socket,
    server_factory: Callable[[], asyncssh.SSHServer],
    options: SSHServerConnectionOptions,
    limits: Limits = DEFAULT_LIMITS,
    on_event: OnEvent = ignore,
    *,
    peer: tuple[str, int],
) -> ServerConnection:
    """Speak SSH on a connected socket, coming from `peer` whatever the socket says.

    For the inner connection of `ssh -J`, whose outer one has passed the gate already: there is no gate here.
    """
    selfcheck.check()
    loop = asyncio.get_running_loop()
    own = copy.copy(options)
    own.protocol_factory = server_factory
    connection = ServerConnection(loop, own)
    connection.guard(limits, on_event)
    connection.peer = peer
    await loop.connect_accepted_socket(lambda: connection, sock)
    return connection


__all__ = ["Proof", "Server", "ServerConnection", "listen", "raise_open_files", "serve"]
