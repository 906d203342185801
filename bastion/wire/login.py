"""The login of one client: connections whose login hooks cannot be talked round.

It never decides who a user is. The application's SSHServer object does, in hooks that are wrapped here.

Theory of operation. A login hook that raises, or returns anything but what it should, is a refusal. What
the client *proved* is kept in `proofs` (never what it only offered), and forgotten whenever it names another user.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

import asyncssh
from asyncssh import DisconnectError
from asyncssh.auth import KbdIntChallenge, KbdIntResponse, lookup_server_auth
from asyncssh.connection import SSHServerConnection
from asyncssh.constants import DISC_PROTOCOL_ERROR, MSG_KEXINIT

from bastion.wire.channels import ServerChannel
from bastion.wire.events import Code, safe_text
from bastion.wire.gate import Ending, Gate
from bastion.wire.guard import GuardedConnection
from bastion.wire.options import GCM, MAX_PACKET

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from asyncssh.packet import SSHPacket

_GCM: Final = tuple(name.encode() for name in GCM)
_HOLD: Final = 0.15
"""Seconds we wait for the client's algorithm lists before sending ours. Nearly all clients send theirs
at once; one that waits for us loses this much."""


@dataclass(frozen=True)
class Proof:
    """One factor that the client has proven in this login."""

    username: str
    method: str
    """`publickey`, `password` or `keyboard-interactive`."""
    key_data: bytes = b""
    """For `publickey`: the public key or certificate in SSH's wire form, whose signature was verified."""


def _signed_with(signature: bytes) -> bytes:
    """Return the algorithm that a signature in SSH's wire form names; b"" for what is none."""
    size = int.from_bytes(signature[:4], "big")
    return signature[4 : 4 + size] if size <= len(signature) - 4 else b""


class ServerConnection(GuardedConnection, SSHServerConnection):
    """One client. `owner` hooks: asyncssh's SSHServer, plus optional `factor_accepted(proof) -> bool`.

    `factor_accepted` returns True when the login is complete, and False when another factor is
    needed; the client is then told "partial success" and offered what `*_auth_supported()` says now.
    """

    allowed_channels = frozenset({b"session", b"direct-tcpip"})

    proofs: tuple[Proof, ...] = ()
    """What has been proven so far in this login; complete in `auth_completed`."""
    peer: tuple[str, int] | None = None
    """Address and port to believe in place of the socket's."""
    _admitted = False
    _gate: Gate | None = None
    _gate_source = ""
    _left: Callable[[ServerConnection], None] | None = None
    _candidate: Proof | None = None
    _failures = 0
    _auth_requests = 0
    _auth_method = b""
    _barred = True
    _ending = Ending.NO_AUTH
    _has_longer_grace = False
    _hold_timer: asyncio.TimerHandle | None = None
    _held_once = False

    # --- key exchange: GCM alone for whoever has it ---------------------------------------

    def _send_kexinit(self) -> None:
        if not self._session_id and not self._held_once:
            self._held_once = True
            self._hold_timer = self._loop.call_later(_HOLD, self._stop_holding)
            return
        super()._send_kexinit()

    def _stop_holding(self) -> None:
        self._hold_timer = None
        if self._transport is not None:
            super()._send_kexinit()

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> bool | Awaitable[None]:
        """Process a packet that is not a channel's; a KEXINIT is looked at before asyncssh sees it."""
        if pkttype != MSG_KEXINIT:
            return super().process_packet(pkttype, pktid, packet)
        at = packet._idx
        packet.get_bytes(16)
        kex, host_key, out, back = (packet.get_namelist() for _ in range(4))
        for _ in range(6):
            packet.get_namelist()
        guessed = packet.get_boolean()
        packet._idx = at
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None
            self._kexinit_sent = False
            if any(name in out for name in _GCM) and any(name in back for name in _GCM):
                self._enc_algs = [name for name in self._enc_algs if name in _GCM] or self._enc_algs
        result = super().process_packet(pkttype, pktid, packet)
        if not guessed or not inspect.isawaitable(result):
            return result
        right = (kex[:1], host_key[:1]) == (list(self._kex_algs[:1]), list(self._server_host_key_algs or ())[:1])
        return self._after_guess(result, right)

    async def _after_guess(self, result: Awaitable[None], right: bool) -> None:
        """RFC 4253 §7.1: a guess is wrong when the *first* of both sides' lists differ, whatever is chosen in the end.

        asyncssh compares with what is chosen, takes dropbear's wrong guess for real, and trips over the right one.
        """
        await result
        self._ignore_first_kex = not right

    # --- login ---------------------------------------------------------------------------

    async def _finish_userauth(self, begin_auth: bool, method: bytes, packet: SSHPacket) -> None:
        if not self._owner:
            return
        self._auth_requests += 1
        if self._auth_requests > self.limits.auth_requests:
            self._end_login("login.requests", "Too many authentication requests")
            return
        self._auth_method = method
        self._candidate = None
        if begin_auth:
            self.proofs = ()
            self._barred = not self._begin_login()
        if self._barred:
            self.send_userauth_failure(False)
            return
        self._auth = lookup_server_auth(self, self._username, method, packet)

    def _begin_login(self) -> bool:
        """Whether this user name may try. Only a literal True says so: asyncssh takes None for "no login needed"."""
        try:
            result = cast("Any", self._owner.begin_auth(self._username))
        except Exception as fault:
            self._hook_failed("begin_auth", fault)
            return False
        if result is True:
            return True
        if inspect.iscoroutine(result):
            result.close()
        self.report("login.hook", f"begin_auth returned {type(result).__name__}, not True")
        return False

    def _hook_failed(self, hook: str, fault: Exception) -> None:
        self.report("login.hook", f"{hook} raised {type(fault).__name__}")
        self.wire_log.error("login hook %s failed", hook, exc_info=fault)

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """A key, offered (no `msg`) or used. Only a verified signature makes it a candidate proof.

        asyncssh announces which signatures it takes, and then takes every one it knows, SHA-1 included.
        """
        if msg and _signed_with(signature) not in self._sig_algs:
            return False
        try:
            valid = await super().validate_public_key(username, key_data, msg, signature) is True
        except Exception as fault:
            self._hook_failed("validate_public_key", fault)
            return False
        if valid and msg:
            self._candidate = Proof(username, "publickey", key_data)
        return valid

    async def validate_password(self, username: str, password: str) -> bool:
        """A password. Anything but True, and any exception, is a refusal."""
        try:
            valid = await super().validate_password(username, password) is True
        except asyncssh.PasswordChangeRequired:
            raise
        except Exception as fault:
            self._hook_failed("validate_password", fault)
            return False
        if valid:
            self._candidate = Proof(username, "password")
        return valid

    async def change_password(self, username: str, old_password: str, new_password: str) -> bool:
        """Never here: passwords are changed where they live."""
        return False

    async def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> KbdIntChallenge:
        """The first question. A raising hook is a refusal."""
        try:
            challenge = await super().get_kbdint_challenge(username, lang, submethods)
        except Exception as fault:
            self._hook_failed("get_kbdint_challenge", fault)
            return False
        return challenge if isinstance(challenge, tuple | list) else False

    async def validate_kbdint_response(self, username: str, responses: KbdIntResponse) -> KbdIntChallenge:
        """Answers: True accepts, a tuple asks again, anything else refuses."""
        try:
            result = await super().validate_kbdint_response(username, responses)
        except Exception as fault:
            self._hook_failed("validate_kbdint_response", fault)
            return False
        return self._judge(username, result)

    def _judge(self, username: str, result: KbdIntChallenge) -> KbdIntChallenge:
        if isinstance(result, tuple | list):
            return result
        if result is True:
            self._candidate = Proof(username, "keyboard-interactive")
            return True
        return False

    def send_userauth_failure(self, partial_success: bool) -> None:
        """Refuse this try and count it; too many end the connection."""
        # paramiko asks for the service again before each method.
        self._next_service = b"ssh-userauth"
        if not partial_success and (self._auth_method != b"none" or self._auth_requests > 1):
            self._failures += 1
            if self._ending is Ending.NO_AUTH:
                self._ending = Ending.AUTH_FAILED
            if self._failures >= self.limits.auth_tries:
                self._end_login("login.tries", "Too many authentication failures")
                return
        super().send_userauth_failure(partial_success)

    async def send_userauth_success(self) -> None:
        """Accept the candidate factor, and the login if nothing more is needed."""
        proof = self._candidate
        self._candidate = None
        if proof is None or proof.username != self._username or self._owner is None:
            self.report("login.hook", "success without a proof")
            self.send_userauth_failure(False)
            return
        if proof in self.proofs:
            # The same factor twice is one factor.
            self.send_userauth_failure(False)
            return
        self.proofs = (*self.proofs, proof)
        accepted = getattr(self._owner, "factor_accepted", None)
        try:
            complete = accepted is None or accepted(proof) is True
        except Exception as fault:
            self._hook_failed("factor_accepted", fault)
            self.proofs = self.proofs[:-1]
            self.send_userauth_failure(False)
            return
        if not complete:
            self.send_userauth_failure(True)
            return
        self._leave_gate(None)
        try:
            await super().send_userauth_success()
        except Exception as fault:
            self._hook_failed("auth_completed", fault)
            self._force_close(DisconnectError(DISC_PROTOCOL_ERROR, "Login could not be completed"))
            return
        self.watch_unused()

    def _end_login(self, code: Code, reason: str) -> None:
        self.report(code, f"user {safe_text(self._username)}")
        self._reported_drop = True
        self._send_disconnect(DISC_PROTOCOL_ERROR, reason, "en")
        self._force_close(DisconnectError(DISC_PROTOCOL_ERROR, reason))

    def note_invalid_user(self) -> None:
        """Tell the penalties that the named user does not exist."""
        self._ending = Ending.INVALID_USER

    def extend_grace(self) -> bool:
        """Give this login the longer grace (a browser step is pending). False when too many have it."""
        if self._has_longer_grace:
            return True
        if self._gate is None or self._auth_complete or not self._gate.pending():
            return False
        self._has_longer_grace = True
        self._cancel_login_timer()
        self._login_timer = self._loop.call_later(self.limits.login_grace_pending, self._login_timer_callback)
        return True

    def _login_timer_callback(self) -> None:
        self._ending = Ending.GRACE
        self.report("login.grace", f"user {safe_text(self._username)}")
        super()._login_timer_callback()

    # --- sessions ------------------------------------------------------------------------

    def create_server_channel(self, encoding: Any = None, errors: str = "strict", window: int = 0, max_pktsize: int = 0) -> ServerChannel:
        """A session channel of ours: bytes, no line editor, whatever was asked for."""
        size = max_pktsize or MAX_PACKET
        self._update_recv_pktlen(size)
        return ServerChannel(
            self, self._loop, self._allow_pty, False, False, 0, 0, None, "strict",
            window or self.limits.receive_window, size,
        )  # fmt: skip

    # --- comings and goings --------------------------------------------------------------

    def admitted(self, gate: Gate, source: str, left: Callable[[ServerConnection], None]) -> None:
        """The gate let this one in as coming from `source`; tell it how it goes."""
        self._gate, self._gate_source, self._left, self._admitted = gate, source, left, True

    def _connection_made(self) -> None:
        if self.peer is not None:
            self._peer_addr, self._peer_port = self.peer
            self.set_extra_info(peername=self.peer)
        super()._connection_made()

    def _leave_gate(self, ending: Ending | None) -> None:
        gate = self._gate
        if gate is None:
            return
        if self._has_longer_grace:
            self._has_longer_grace = False
            gate.no_longer_pending()
        if self._admitted:
            self._admitted = False
            if ending is None:
                gate.authenticated(self._gate_source)
            else:
                gate.left(self._gate_source, ending, monotonic())

    def _force_close(self, exc: Exception | None) -> None:
        # The gate hears of it at once, not when the last callback has run.
        self._leave_gate(self._ending)
        if self._hold_timer is not None:
            self._hold_timer.cancel()
            self._hold_timer = None
        super()._force_close(exc)

    def _cleanup(self, exc: Exception | None) -> None:
        super()._cleanup(exc)
        if self._left is not None:
            self._left(self)
            self._left = None
