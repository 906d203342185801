"""Opens and closes the SSH door. Never looks at what comes through it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import asyncssh

from bastion.core.audit.event import AuditEvent
from bastion.frontends.ssh.certifier import Certifier
from bastion.frontends.ssh.channel import Run
from bastion.frontends.ssh.doorway import Door, Inner
from bastion.frontends.ssh.server import Visitor
from bastion.services.jump import Jump
from bastion.services.login import Login
from bastion.services.ports import Auditing, Clock
from bastion.services.tunnels import Tunnels
from bastion.wire.events import Code
from bastion.wire.limits import Limits
from bastion.wire.options import server_options
from bastion.wire.server import Server, listen

_log = logging.getLogger("bastion.ssh")


class SshDoor:
    """The listener and what its connections need."""

    def __init__(self, login: Login, run: Run, auditor: Auditing, clock: Clock, jump: Jump, tunnels: Tunnels) -> None:
        self._door = Door(login, run, auditor, clock)
        self._jump = jump
        self._tunnels = tunnels
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return self._server.port if self._server is not None else 0

    @property
    def connections(self) -> tuple[int, int]:
        """Return how many connections there are, and how many of them have not logged in."""
        return (len(self._server.connections), self._server.gate.unauthenticated) if self._server is not None else (0, 0)

    async def open(self, host: str, port: int, host_key: Path, host_ca: Path, limits: Limits) -> None:
        """Listen."""
        self._door = replace(self._door, inner=Inner(self._jump, self._tunnels, Certifier(host_key, host_ca, limits), limits))
        options = server_options([asyncssh.read_private_key(host_key)], limits=limits)
        self._server = await listen(host, port, lambda: Visitor(self._door), options, limits, self._refused)
        self._tunnels.doors.add(self._server.port)

    def _refused(self, code: Code, source: str, detail: str) -> None:
        door = self._door
        _log.info("%s %s %s", code, source, detail)
        door.auditor.record(AuditEvent(f"wire.{code}", door.clock.now(), "", source, result="denied", reason=detail))

    def present(self) -> set[str]:
        """Return the accounts that have connections."""
        return {visitor.identity.user_id for visitor in self._door.inside if visitor.identity is not None}

    def put_out(self, user_id: str, reason: str) -> None:
        """End every connection of an account."""
        for visitor in [one for one in self._door.inside if one.identity is not None and one.identity.user_id == user_id]:
            visitor.put_out(reason)

    async def close(self, end_sessions: Callable[[], Awaitable[None]], drain: float) -> None:
        """Let nobody in any more, end what runs, and give the last words `drain` seconds to go out."""
        self._door.is_open[0] = False
        server = self._server
        if server is None:
            return
        server.close()
        self._tunnels.end_all("shutdown")
        await end_sessions()
        server.close_connections()
        try:
            async with asyncio.timeout(drain):
                await server.wait_closed()
        except TimeoutError:
            _log.warning("some connections did not close in time")
