"""Opens channels on endpoints: SSH through `bastion.wire`, telnet, local commands in a PTY. Decides nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from bastion.backends.dialer.local import dial_local
from bastion.backends.dialer.ssh import SshDialer
from bastion.backends.dialer.telnet import dial_telnet, probe
from bastion.core.access.decision import Grant
from bastion.core.access.endpoint import Endpoint, HostKey
from bastion.core.errors import Unavailable
from bastion.services.ports import ChannelRequest, EndpointChannel, EndpointEvents, Secret

__all__ = ["EndpointDialer"]


class EndpointDialer:
    """Dials by the endpoint's kind (implements services.ports.Dialer)."""

    def __init__(self, ssh: SshDialer, home: str) -> None:
        self._ssh = ssh
        self._home = home

    async def dial(
        self,
        grant: Grant,
        request: ChannelRequest,
        events: EndpointEvents,
        unlock: Callable[[], Awaitable[Secret | None]],
    ) -> EndpointChannel:
        """Open a channel on the grant's endpoint."""
        match grant.endpoint.kind:
            case "ssh":
                return await self._ssh.dial(grant, request, events, unlock)
            case "telnet":
                return await dial_telnet(grant, request, events, unlock, *self._ssh.timeouts)
            case "local":
                return await dial_local(grant, request, events, self._home)
            case kind:
                raise Unavailable("endpoint.kind", f"{grant.endpoint.name} is of a kind this bastion cannot reach: {kind}.")

    async def scan(self, host: str, port: int, timeout: float) -> Sequence[HostKey]:
        """Return the host keys a machine presents."""
        return await self._ssh.scan(host, port, timeout)

    async def verify(self, endpoint: Endpoint, timeout: float) -> None:
        """Return when the endpoint answers with a trusted host key or certificate."""
        await (probe(endpoint, timeout) if endpoint.kind == "telnet" else self._ssh.verify(endpoint, timeout))
