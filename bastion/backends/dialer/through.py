"""Tunnels through SSH endpoints: one connection for all of a person's tunnels to one login there, gone with the last."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncssh

from bastion.backends.dialer import tcp
from bastion.core.access.decision import Grant
from bastion.core.errors import Unavailable
from bastion.core.text import safe_text
from bastion.services.tasks import spawn
from bastion.wire.sessions import TCPSession

if TYPE_CHECKING:
    from bastion.backends.dialer.ssh import SshDialer
    from bastion.services.ports import Secret
    from bastion.services.tunnels import TunnelChannel, TunnelEvents
    from bastion.wire.client import ClientConnection

CONNECT_SECONDS: Final = 10.0
_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Link:
    """A connection to an endpoint, and how many tunnels it carries."""

    opening: asyncio.Task[ClientConnection]
    carries: int = 0


class _Far(TCPSession):
    """A channel on an endpoint as the far side of a tunnel (implements TunnelChannel)."""

    def __init__(self, events: TunnelEvents, gone: Callable[[], None]) -> None:
        self.events = events
        self.gone = gone

    def opened(self) -> None:
        """Nothing is read before the client's side is open."""
        self.pause_input()

    def input_received(self, data: bytes) -> None:
        """Bytes came."""
        self.events.output(data)

    def eof(self) -> bool:
        """The far side sends no more; ours may still be wanted."""
        self.events.ended()
        return True

    def writable_changed(self, writable: bool) -> None:  # noqa: FBT001 - the base class says so
        """More may be sent."""
        if writable:
            self.events.drained()

    def closed(self, exc: Exception | None) -> None:
        """It is gone."""
        del exc
        self.gone()
        self.events.closed()


class _Channel:
    """What a tunnel holds of it."""

    def __init__(self, far: _Far) -> None:
        self._far = far

    def write(self, data: bytes) -> bool:
        """Send bytes."""
        self._far.write(data)
        return self._far.writable

    def write_eof(self) -> None:
        """Send no more."""
        if self._far._channel is not None:  # noqa: SLF001 - our own base class
            self._far.write_eof()

    def pause(self) -> None:
        """Stop reading."""
        self._far.pause_input()

    def resume(self) -> None:
        """Read again."""
        self._far.resume_input()

    def close(self) -> None:
        """Hang up after what was written."""
        if self._far._channel is not None:  # noqa: SLF001 - as above
            self._far.channel.close()


class EndpointWires:
    """TCP from here, and through endpoints (implements services.tunnels.Wires)."""

    def __init__(self, ssh: SshDialer, connect_timeout: float = CONNECT_SECONDS) -> None:
        self._ssh = ssh
        self._timeout = connect_timeout
        self._links: dict[_Key, _Link] = {}

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host."""
        return await tcp.resolve(host, port)

    def is_own(self, address: str) -> bool:
        """Return whether that is an address of this host."""
        return tcp.is_own(address)

    async def connect(self, address: str, port: int, events: TunnelEvents) -> TunnelChannel:
        """Connect from here."""
        return await tcp.connect(address, port, events, self._timeout)

    async def through(
        self, grant: Grant, host: str, port: int, events: TunnelEvents, unlock: Callable[[], Awaitable[Secret | None]]
    ) -> TunnelChannel:
        """Connect from the endpoint."""
        key = (grant.identity.user_id, grant.endpoint.id, grant.login.name)
        connection = await self._link(key, grant, unlock)
        far = _Far(events, lambda: self._leave(key, connection))
        try:
            async with asyncio.timeout(self._timeout):
                await connection.create_connection(lambda: far, host, port)
        except (asyncssh.Error, OSError, TimeoutError) as error:
            self._leave(key, connection)
            why = safe_text(str(error))[:200].rstrip(".") or f"no answer within {self._timeout:g} s"
            raise Unavailable("forward.unreachable", f"{grant.endpoint.name} did not reach {host}:{port}: {why}.") from error
        except BaseException:
            self._leave(key, connection)
            raise
        return _Channel(far)

    async def _link(self, key: _Key, grant: Grant, unlock: Callable[[], Awaitable[Secret | None]]) -> ClientConnection:
        """Return the connection of that person to that login, counted as used; make it where there is none."""
        link = self._links.get(key)
        if link is not None and link.opening.done() and (link.opening.cancelled() or link.opening.exception() or _closed(link)):
            link = None
        if link is None:
            link = self._links[key] = _Link(spawn("tunnel-link", self._ssh.connect(grant, unlock), crashed=_told_to_whoever_waits))
        link.carries += 1
        try:
            return await asyncio.shield(link.opening)
        except BaseException:
            link.carries -= 1
            if self._links.get(key) is link and not link.carries:
                del self._links[key]
                link.opening.cancel()
            raise

    def _leave(self, key: _Key, connection: ClientConnection) -> None:
        link = self._links.get(key)
        if link is None or not link.opening.done() or link.opening.result() is not connection:
            return
        link.carries -= 1
        if link.carries <= 0:
            del self._links[key]
            connection.close()


def _told_to_whoever_waits(name: str, error: BaseException) -> None:
    """Each tunnel that waits for the connection gets its failure."""
    del name, error


def _closed(link: _Link) -> bool:
    return bool(link.opening.result().is_closed())
