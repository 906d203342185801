"""The client side: connections that the bastion opens to endpoints, and sessions on them.

It never retries, never asks and never falls back to another key, agent or file.
"""

from __future__ import annotations

import asyncio
import copy
from typing import TYPE_CHECKING, TypeVar

import asyncssh
from asyncssh import SSHClientConnectionOptions
from asyncssh.connection import SSHClientConnection

from bastion.wire.channels import ClientChannel
from bastion.wire.events import OnEvent, ignore
from bastion.wire.guard import GuardedConnection
from bastion.wire.limits import DEFAULT_LIMITS, Limits, TerminalSize
from bastion.wire.options import MAX_PACKET

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

_Session = TypeVar("_Session", bound=asyncssh.SSHClientSession[bytes])


class ClientConnection(GuardedConnection, SSHClientConnection):
    """A connection to an endpoint, within the same limits: endpoints are not trusted either."""

    allowed_channels = frozenset()  # an endpoint has no business opening channels to us

    async def start_session(
        self,
        session_factory: Callable[[], _Session],
        *,
        command: str | None = None,
        subsystem: str | None = None,
        term: str | None = None,
        size: TerminalSize | None = None,
        modes: Mapping[int, int] | None = None,
        env: Mapping[bytes, bytes] | None = None,
    ) -> tuple[ClientChannel, _Session]:
        """Open a session: with `term` set on a terminal; a command, a subsystem, or else a shell.

        Raises asyncssh.ChannelOpenError when the endpoint refuses. If the caller is cancelled,
        the half-open channel is closed.
        """
        self._update_recv_pktlen(MAX_PACKET)
        channel = ClientChannel(self, self._loop, self._utf8_decode_errors, None, "strict", self.limits.receive_window, MAX_PACKET)
        try:
            session = await channel.create(
                session_factory,
                command,
                subsystem,
                dict(env or {}),
                term is not None,
                term,
                size or TerminalSize(80, 24),
                dict(modes or {}),
                False,
                None,
                None,
                False,
                False,
            )
        except asyncio.CancelledError:
            channel.abort()
            raise
        return channel, session  # type: ignore[return-value]


class ConnectTimeoutError(TimeoutError):
    """No connection came about in time."""


async def connect(
    host: str,
    port: int,
    client_factory: Callable[[], asyncssh.SSHClient],
    options: SSHClientConnectionOptions,
    *,
    timeout: float,
    connect_timeout: float | None = None,
    limits: Limits = DEFAULT_LIMITS,
    on_event: OnEvent = ignore,
    sock: socket.socket | None = None,
) -> ClientConnection:
    """Connect and log in, within `timeout` seconds in all, of which `connect_timeout` may pass until the other side is reached.

    `options` come from `client_options` and may be shared. With `sock`, a connected socket is used
    in place of a new one. Raises ConnectTimeoutError, TimeoutError, OSError or asyncssh.Error; nothing is left open then.
    """
    loop = asyncio.get_running_loop()
    own = copy.copy(options)
    own.host, own.orig_host, own.port = host, host, port
    own.protocol_factory = client_factory
    waiter: asyncio.Future[None] = loop.create_future()
    own.waiter = waiter

    def make() -> ClientConnection:
        connection = ClientConnection(loop, own, wait="auth")
        connection.guard(limits, on_event)
        return connection

    connection: ClientConnection | None = None
    try:
        async with asyncio.timeout(timeout):
            if sock is not None:
                _, connection = await loop.create_connection(make, sock=sock)
            else:
                try:
                    async with asyncio.timeout(connect_timeout):
                        _, connection = await loop.create_connection(make, host, port)
                except TimeoutError as error:
                    raise ConnectTimeoutError from error
            connection.set_extra_info(host=host, port=port)
            await waiter
    except BaseException:
        waiter.cancel()
        if connection is not None:
            connection.abort()
        raise
    return connection


__all__ = ["ClientConnection", "ConnectTimeoutError", "connect"]
