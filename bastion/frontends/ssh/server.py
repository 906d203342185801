"""The SSH server: who knocks, and what a logged-in person may open. Limits live in `bastion.wire`."""

from __future__ import annotations

from typing import Any, Final

import asyncssh

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Missing
from bastion.core.identity import Identity
from bastion.core.text import safe_text
from bastion.core.values import Target
from bastion.frontends.ssh.channel import Channel
from bastion.frontends.ssh.doorway import Door
from bastion.frontends.ssh.forward import open_tunnel
from bastion.frontends.ssh.inner import inner_server
from bastion.frontends.ssh.unoffered import Unoffered
from bastion.services.live.rights import is_guest
from bastion.services.login import Candidate
from bastion.services.tunnels import Via
from bastion.wire.server import Proof, ServerConnection

MIN_RSA_BITS: Final = 2048


class Visitor(asyncssh.SSHServer):
    """One connection. An offered key makes a candidate; only a proven one makes an identity."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._connection: ServerConnection | None = None
        self._unoffered = Unoffered()
        self._user_name = ""
        self._candidates: dict[bytes, Candidate] = {}
        self._tried = False
        self.identity: Identity | None = None
        self.target = Target("")

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Remember the connection."""
        assert isinstance(conn, ServerConnection)  # noqa: S101 - `wire` makes no other
        self._connection = conn

    def connection_lost(self, exc: Exception | None) -> None:
        """Write down a login that failed."""
        del exc
        self._door.inside.discard(self)
        if self.identity is None and self._tried:
            self._door.login.refused(self._user_name, self._source(), "no key of that user was proven")

    def _source(self) -> str:
        return str(self._connection.source) if self._connection is not None else ""

    # ------------------------------------------------------------ login

    def begin_auth(self, username: str) -> bool:
        """Everybody must prove who they are; another name starts anew."""
        self._user_name = username
        self._candidates.clear()
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys are how one logs in."""
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Say whether this key would do. Called for unsigned probes too: it proves nothing."""
        self._tried = True
        if not self._door.is_open[0] or not _strong(key):
            return False
        candidate = await self._door.login.candidate(username, key.get_fingerprint(), self._source())
        if candidate is None or username != self._user_name:
            return False
        self._candidates[key.public_data] = candidate
        return True

    def factor_accepted(self, proof: Proof) -> bool:
        """A signed key is all that is asked for today."""
        return proof.method == "publickey"

    def auth_completed(self) -> None:
        """Bind the identity to the key that was proven (synchronously: channels follow at once)."""
        connection = self._connection
        if connection is None or not connection.proofs:
            raise PermissionError("login without a proof")
        proof = connection.proofs[-1]
        candidate = self._candidates.get(proof.key_data)
        target = self._door.login.target(proof.username)
        if candidate is None or target is None or candidate.user.name != target.user:
            raise PermissionError("login with a key that was not looked up")
        client = safe_text(str(connection.get_extra_info("client_version") or ""))
        self.target = target
        self.identity = self._door.login.accept(candidate, self._source(), client)
        self._door.inside.add(self)

    def put_out(self, reason: str) -> None:
        """End this connection, telling the client why."""
        if self._connection is not None:
            self._connection.disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    # ------------------------------------------------------------ what they open

    def request_refused(self, request: str) -> None:
        """The client asked for what nobody gets; its next session says so."""
        self._unoffered.note(request)

    def session_requested(self) -> Any:
        """A session channel; its own requests are decided in the command tree."""
        if self.identity is None:
            return False
        try:
            line = self._door.login.line(self.identity)
        except Missing as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, error.public) from None
        return Channel(self.identity, self.target, self._door.run, self._refused, self._unoffered, line)

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        """A connection to an endpoint's name ends in a server of our own (`ssh -J`); any other is forwarding, which a rule must allow."""
        del orig_host
        if self.identity is None or is_guest(self.identity):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "This bastion forwards no ports.")
        return self._connect(self.identity, dest_host, dest_port, (self._source(), orig_port))

    async def _connect(self, identity: Identity, host: str, port: int, peer: tuple[str, int]) -> Any:
        inner = self._door.inner
        try:
            endpoint = await inner.jump.named(host, port) if inner is not None else None
            if inner is not None and endpoint is not None:
                inner.jump.admit(identity, endpoint)
                return inner_server(self._door, identity, endpoint, peer)
            if inner is not None and inner.jump.looks_like_a_name(host, port):
                inner.jump.missing(identity, host, port)
                raise inner.jump.unknown(host)
        except BastionError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, error.public) from None
        return await open_tunnel(self._door, identity, host, port, await self._via(identity))

    async def _via(self, identity: Identity) -> Via | None:
        """Return the endpoint in the user name: tunnels go through it, as they would with plain ssh to it."""
        if self.target.endpoint is None or self._door.inner is None:
            return None
        try:
            return await self._door.inner.jump.via(identity, self.target.endpoint, self.target.login)
        except BastionError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, error.public) from None

    def _refused(self, identity: Identity, code: str, what: str) -> None:
        door = self._door
        door.auditor.record(
            AuditEvent(code, door.clock.now(), identity.name, identity.source, safe_text(what), result="denied", reason="not offered")
        )


def _strong(key: asyncssh.SSHKey) -> bool:
    """RSA from 2,048 bits; the signature algorithms of the wire refuse SHA-1."""
    if key.algorithm != b"ssh-rsa":
        return True
    return int(getattr(key.pyca_key, "key_size", 0)) >= MIN_RSA_BITS
