"""The inner server of `ssh -J bastion NAME`: a host certificate for that name, the outer person, the same channels.

Never makes an identity: whoever proves a key here must be the person whose connection this runs in, and acts as them.
"""

from __future__ import annotations

from typing import Any

import asyncssh

from bastion.core.access.endpoint import Endpoint
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Invalid
from bastion.core.identity import Identity
from bastion.core.text import safe_text
from bastion.core.values import Target
from bastion.frontends.ssh.channel import Channel
from bastion.frontends.ssh.doorway import Door
from bastion.frontends.ssh.forward import open_tunnel
from bastion.frontends.ssh.unoffered import Unoffered
from bastion.wire.events import Code
from bastion.wire.inner import InnerServer
from bastion.wire.server import Proof, ServerConnection


def inner_server(door: Door, identity: Identity, endpoint: Endpoint, peer: tuple[str, int]) -> InnerServer:
    """Return the session for a direct-tcpip channel that ends at this endpoint's name. The inner door must be open."""
    inner = door.inner
    if inner is None:
        raise RuntimeError("no inner door")

    def refused(code: Code, source: str, detail: str) -> None:
        event = AuditEvent(f"wire.{code}", door.clock.now(), identity.name, source, endpoint.name, result="denied", reason=detail)
        door.auditor.record(event)

    return InnerServer(
        lambda: InnerVisitor(door, identity, endpoint), inner.certifier.options(endpoint.name), inner.limits, refused, peer=peer
    )


class InnerVisitor(asyncssh.SSHServer):
    """One inner connection, bound to the outer one's person and to one endpoint."""

    def __init__(self, door: Door, identity: Identity, endpoint: Endpoint) -> None:
        self._door = door
        self._identity = identity
        self._endpoint = endpoint
        self._connection: ServerConnection | None = None
        self._unoffered = Unoffered()
        self._target: Target | None = None
        self._proven = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remember the connection."""
        assert isinstance(conn, ServerConnection)  # noqa: S101 - `wire` makes no other
        self._connection = conn

    # ------------------------------------------------------------ login

    def begin_auth(self, username: str) -> bool:
        """The inner user name is a login on the endpoint, or one's own name for its first one."""
        self._target = None
        inner = self._door.inner
        if inner is None:
            return False
        try:
            login = inner.jump.login(self._identity, self._endpoint, username)
        except Invalid as error:
            if self._connection is not None:
                self._connection.send_auth_banner(f"bastion: {error.public}\r\n")
            return False
        self._target = Target(self._identity.name, self._endpoint.name, login)
        return True

    def public_key_auth_supported(self) -> bool:
        """Whoever came with a key proves one again: stock clients do so unasked."""
        return self._has_key

    def kbdint_auth_supported(self) -> bool:
        """Whoever proved themselves otherwise did so on the outer connection; nothing more is asked here."""
        return not self._has_key

    @property
    def _has_key(self) -> bool:
        return any(factor.kind in ("publickey", "certificate") for factor in self._identity.factors)

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        """Ask nothing."""
        del username, lang, submethods
        return "", "", "", []

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        """Nothing was asked, so nothing may be answered."""
        del username
        return not self._has_key and not responses

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Any key of the outer person will do; it proves them, and nobody else."""
        del username
        if not self._door.is_open[0]:
            return False
        candidate = await self._door.login.candidate(self._identity.name, key.get_fingerprint(), self._identity.source)
        return candidate is not None and candidate.user.id == self._identity.user_id

    def factor_accepted(self, proof: Proof) -> bool:
        """One factor is enough: the outer login had all that policy asks for."""
        return proof.method in ("publickey", "keyboard-interactive")

    def auth_completed(self) -> None:
        """The identity stays the outer one."""
        if self._target is None or self._connection is None or not self._connection.proofs:
            raise PermissionError("inner login without a proof")
        self._proven = True

    # ------------------------------------------------------------ what they open

    def request_refused(self, request: str) -> None:
        """The client asked for what nobody gets; its next session says so."""
        self._unoffered.note(request)

    def session_requested(self) -> Any:
        """A session on the endpoint: the same channel as with the endpoint in the user name."""
        if not self._proven or self._target is None:
            return False
        return Channel(self._identity, self._target, self._door.run, self._refused, self._unoffered)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        """Forwarding through the endpoint, which a rule must allow."""
        del orig_host, orig_port
        if not self._proven or self._target is None:
            return False
        return self._forward(dest_host, dest_port, self._target.login)

    async def _forward(self, host: str, port: int, login: str | None) -> Any:
        inner = self._door.inner
        try:
            via = await inner.jump.via(self._identity, self._endpoint.name, login) if inner is not None else None
        except BastionError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, error.public) from None
        return await open_tunnel(self._door, self._identity, host, port, via)

    def _refused(self, identity: Identity, code: str, what: str) -> None:
        door = self._door
        door.auditor.record(
            AuditEvent(code, door.clock.now(), identity.name, identity.source, safe_text(what), result="denied", reason="not offered")
        )
