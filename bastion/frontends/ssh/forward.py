"""A direct-tcpip channel that is a tunnel: bytes both ways, half-closed as TCP is; both ways wait for each other. Decides nothing."""

from __future__ import annotations

import asyncssh

from bastion.core.errors import BastionError, Denied
from bastion.core.identity import Identity
from bastion.frontends.ssh.doorway import Door
from bastion.services.tunnels import Tunnel, Via
from bastion.wire.sessions import TCPSession


class ForwardSession(TCPSession):
    """The client's side of a tunnel (implements TunnelEvents)."""

    def __init__(self) -> None:
        self.tunnel: Tunnel | None = None

    def started(self) -> None:
        """The client's side is open: let the far side speak."""
        if self.tunnel is not None and self.tunnel.far is not None:
            self.tunnel.far.resume()

    # ------------------------------------------------------------ from the client

    def input_received(self, data: bytes) -> None:
        """Bytes for the far side."""
        if self.tunnel is not None and not self.tunnel.write(data):
            self.pause_input()

    def eof(self) -> bool:
        """The client sends no more; the far side may."""
        if self.tunnel is not None and self.tunnel.far is not None:
            self.tunnel.far.write_eof()
        return True

    def writable_changed(self, writable: bool) -> None:  # noqa: FBT001 - the base class says so
        """The client takes more, or no more."""
        far = self.tunnel.far if self.tunnel is not None else None
        if far is not None:
            (far.resume if writable else far.pause)()

    def closed(self, exc: Exception | None) -> None:
        """The channel is gone (also what TunnelEvents calls when the far side is)."""
        del exc
        tunnel, self.tunnel = self.tunnel, None
        if tunnel is not None:
            tunnel.end("client left")


class ToClient:
    """What a tunnel tells, for a channel that opens once the far side is there; nothing is read before."""

    def __init__(self, session: ForwardSession) -> None:
        self._session = session

    def output(self, data: bytes) -> None:
        """Bytes for the client."""
        self._session.write(data)

    def ended(self) -> None:
        """The far side sends no more."""
        self._session.write_eof()

    def closed(self) -> None:
        """The far side is gone."""
        self._session.tunnel = None
        if self._session._channel is not None:  # noqa: SLF001 - our own base class
            self._session.channel.close()

    def drained(self) -> None:
        """More may be written."""
        self._session.resume_input()


async def open_tunnel(door: Door, identity: Identity, host: str, port: int, via: Via | None) -> ForwardSession:
    """Open a tunnel for a channel that is about to open. Raises ChannelOpenError with one sentence."""
    inner = door.inner
    session = ForwardSession()
    if inner is None:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "This bastion forwards no ports.")
    try:
        session.tunnel = await inner.tunnels.open(identity, host, port, via, ToClient(session))
    except Denied as error:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, error.public) from None
    except BastionError as error:
        raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, error.public) from None
    return session
