"""Channels: asyncssh's, with back-pressure that holds, clamped requests and faults that stay in place.

It never decides what a session may do; the session's own code does. What no session may do is refused here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from asyncssh import DisconnectError, ProtocolError
from asyncssh.channel import SSHChannel, SSHClientChannel, SSHServerChannel, SSHTCPChannel
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_EXTENDED_DATA,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_WINDOW_ADJUST,
    OPEN_CONNECT_FAILED,
    PTY_OP_END,
    PTY_OP_RESERVED,
)
from asyncssh.packet import PacketDecodeError, SSHPacket, UInt32

from bastion.wire.events import safe_text
from bastion.wire.limits import TerminalSize, clamp_size, clean_term
from bastion.wire.traffic import TRAFFIC

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from bastion.wire.carrier import Carrier

_MAX_WINDOW: Final = 0xFFFFFFFF
_SIGNAL = re.compile(rb"[A-Z0-9]{1,16}")
_SUBSYSTEM = re.compile(rb"[A-Za-z0-9_.@-]{1,64}")
_MAX_BREAK_MS: Final = 3000  # RFC 4335 says how long a break should last at most
_MODE_SIZE: Final = 5

_CLOSING: Final = frozenset({"close_pending", "closed"})
"""States in which what still comes is thrown away: the session wants no more."""


_CORKED_BYTES: Final = 256 * 1024
"""The most that is encrypted at a stretch and given to the kernel in one piece."""


class WireChannel(SSHChannel[bytes]):
    """What all kinds of channels share. Bytes only."""

    _conn: Any  # Carrier | None; each base of asyncssh's declares its own
    _send_buf: list[tuple[bytes | memoryview, int | None]]  # type: ignore[assignment]

    # --- outward -------------------------------------------------------------------------

    def write(self, data: bytes, datatype: int | None = None) -> None:
        """Queue bytes to the peer; whoever writes on after `pause_writing` meets the output limit.

        Raises BrokenPipeError when the channel is no longer open for sending.
        """
        if self._send_state != "open":
            raise BrokenPipeError("Channel not open for sending")
        if datatype is not None and datatype not in self._write_datatypes:
            raise OSError("Invalid extended data type")
        size = len(data)
        if not size:
            return
        conn: Carrier | None = self._conn
        if (
            not self._send_buf
            and size <= self._send_pktsize
            and size <= self._send_window
            and datatype is None
            and conn is not None
            and conn._kex_complete
            and not conn.tcp_paused
            and self._send_chan is not None
            and conn.send_channel_data(self._send_chan.to_bytes(4, "big"), data, size)
        ):
            self._send_window -= size
            return
        self._send_buf.append((data, datatype))
        self._send_buf_len += size
        self._flush_send_buf()
        if conn is not None and self._send_buf_len > conn.limits.output_buffer:
            conn.drop("peer.output", "a channel's unsent output is over the limit")

    def _flush_send_buf(self) -> None:
        """Send while the peer's window, the kernel and the key exchange let us."""
        conn: Carrier | None = self._conn
        while conn is not None and self._send_buf and self._send_window and self._send_chan is not None and conn.ready_to_send:
            conn.cork()
            try:
                self._send_some(conn, self._send_chan)
            finally:
                conn.uncork()

        self._pause_resume_writing()

        if not self._send_buf:
            if self._send_state == "eof_pending":
                self.send_packet(MSG_CHANNEL_EOF)
                self._send_state = "eof"
            elif self._send_state == "close_pending":
                self._close_send()

    def _send_some(self, conn: Carrier, send_chan: int) -> None:
        """Send at most about `_CORKED_BYTES`."""
        buffered = self._send_buf
        left = _CORKED_BYTES
        while left > 0 and buffered and self._send_window and conn.ready_to_send:
            data, datatype = buffered[0]
            room = min(self._send_window, self._send_pktsize)
            if len(data) > room:
                buffered[0] = (memoryview(data)[room:], datatype)
                data = memoryview(data)[:room]
            else:
                del buffered[0]
            size = len(data)
            left -= size
            self._send_buf_len -= size
            self._send_window -= size
            if datatype is None and conn.send_channel_data(send_chan.to_bytes(4, "big"), data, size):  # type: ignore[arg-type]
                continue
            if datatype is None:
                head = send_chan.to_bytes(4, "big") + size.to_bytes(4, "big")
                conn.send_packet(MSG_CHANNEL_DATA, head, data)  # type: ignore[arg-type]
            else:
                head = UInt32(send_chan) + UInt32(datatype) + UInt32(size)
                conn.send_packet(MSG_CHANNEL_EXTENDED_DATA, head, data)  # type: ignore[arg-type]

    def _pause_resume_writing(self) -> None:
        try:
            super()._pause_resume_writing()
        except Exception as fault:
            self.fault(fault)

    # --- inward --------------------------------------------------------------------------

    def accept_data(self, data: bytes, datatype: int | None = None) -> None:
        """Data as the fast path found it, with the checks that the general path makes."""
        size = len(data)
        if self._recv_state != "open":
            raise ProtocolError("Channel not open for sending")
        if size > self._recv_window:
            raise ProtocolError("Window exceeded")
        if datatype is not None and datatype not in self._read_datatypes:
            raise ProtocolError("Invalid extended data type")
        if self._send_state in _CLOSING:
            return
        self._recv_window -= size
        if self._recv_paused:
            self._recv_buf.append((data, datatype))
        elif self._session is not None and self._recv_window >= self._init_recv_window // 2:
            if TRAFFIC.owner is not self:
                TRAFFIC.note(self, self._conn.heard)
            try:
                self._session.data_received(data, datatype)
            except Exception as fault:
                self.fault(fault)
        else:
            self._deliver_data(data, datatype)

    def accept_adjust(self, amount: int) -> None:
        """A larger window from the peer. RFC 4254: it must not pass 2^32 - 1."""
        if self._recv_state not in {"open", "eof_pending", "eof"}:
            raise ProtocolError("Channel not open")
        if self._send_window + amount > _MAX_WINDOW:
            raise ProtocolError("Window adjusted beyond 2^32 - 1")
        self._send_window += amount
        self._flush_send_buf()

    def _deliver_data(self, data: bytes, datatype: int | None) -> None:
        conn: Carrier | None = self._conn
        if conn is not None and TRAFFIC.owner is not self:
            TRAFFIC.note(self, conn.heard)
        if self._recv_window < self._init_recv_window // 2 and conn is not None:
            limits = conn.limits
            target = limits.receive_window_alone if TRAFFIC.alone(self, conn.heard) else limits.receive_window
            self._init_recv_window = target
            if target > self._recv_window:
                self.send_packet(MSG_CHANNEL_WINDOW_ADJUST, UInt32(target - self._recv_window))
                self._recv_window = target
        if self._session is not None:
            try:
                self._session.data_received(data, datatype)
            except Exception as fault:
                self.fault(fault)

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> bool | Awaitable[None]:
        """Process a packet; a fault of ours ends this channel, a fault of the peer the connection."""
        conn: Carrier | None = self._conn
        if conn is not None and not self._affordable(conn, pkttype, packet):
            return True
        try:
            return super().process_packet(pkttype, pktid, packet)
        except (PacketDecodeError, DisconnectError):
            raise
        except Exception as fault:
            self.fault(fault)
            return True

    def _affordable(self, conn: Carrier, pkttype: int, packet: SSHPacket) -> bool:
        """Whether the peer may still send this now. May end the connection."""
        if pkttype == MSG_CHANNEL_REQUEST:
            rest = packet.get_remaining_payload()
            if rest.startswith(b"\x00\x00\x00\x0dwindow-change"):
                return conn.window_change()
            return conn.channel_request()
        if pkttype == MSG_CHANNEL_WINDOW_ADJUST:
            amount = int.from_bytes(packet.get_remaining_payload()[:4], "big")
            if self._send_window + amount > _MAX_WINDOW:
                raise ProtocolError("Window adjusted beyond 2^32 - 1")
            return bool(amount) or conn.idle_message("empty window adjusts")
        if pkttype == MSG_CHANNEL_DATA:
            return any(packet.get_remaining_payload()[:4]) or conn.idle_message("empty data")
        return True

    async def _finish_open_request(self, result: Any) -> None:
        try:
            await super()._finish_open_request(result)
        except (PacketDecodeError, DisconnectError):
            raise
        except Exception as fault:
            if self._send_state == "closed" and self._conn is not None and self._send_chan is not None:
                self._conn.send_channel_open_failure(self._send_chan, OPEN_CONNECT_FAILED, "Session could not be started", "en")
                self._loop.call_soon(self._cleanup)
            self.fault(fault)

    def _flush_recv_buf(self, exc: Exception | None = None) -> None:
        try:
            super()._flush_recv_buf(exc)
        except (PacketDecodeError, DisconnectError):
            raise
        except Exception as fault:
            self.fault(fault)

    def fault(self, fault: BaseException) -> None:
        """An exception in the session's code: log it and end this channel, and nothing else."""
        conn: Carrier | None = self._conn
        if conn is not None:
            detail = f"{type(fault).__name__}: {fault}"
            conn.report("fault.session", detail)
            conn.wire_log.error("session fault: %s", safe_text(detail), exc_info=fault)
        self.abort()

    def log_received_packet(self, pkttype: int, pktid: int | None, packet: Any, note: str = "") -> None:
        """Nothing: a log string for each packet costs more than the packet."""

    def log_sent_packet(self, pkttype: int, pktid: int | None, packet: Any, note: str = "") -> None:
        """Nothing, as above."""


class ServerChannel(WireChannel, SSHServerChannel[bytes]):
    """A session channel that a client opened: requests clamped before anyone else sees them."""

    _env_size: int = 0
    _term_size: TerminalSize

    def _process_pty_req_request(self, packet: SSHPacket) -> bool:
        term = packet.get_string()
        size = [packet.get_uint32() for _ in range(4)]
        modes = packet.get_string()
        packet.check_end()
        conn = self._guarded()
        if not self._allow_pty or not (self._conn.check_key_permission("pty") and self._conn.check_certificate_permission("pty")):
            return self._refuse("pty-req", "no terminal for this key")
        if self._term_type is not None or self._session_started:
            return self._refuse("pty-req", "asked for twice or after the session began")
        clean = clean_term(term)
        clamped = clamp_size(size[0], size[1], size[2], size[3], conn.limits)
        wanted = _terminal_modes(modes, conn.limits.terminal_modes)
        if not self._session.pty_requested(clean, clamped, wanted):
            return False
        self._term_type, self._term_size, self._term_modes = clean, clamped, wanted
        return True

    def _process_window_change_request(self, packet: SSHPacket) -> bool:
        size = [packet.get_uint32() for _ in range(4)]
        packet.check_end()
        clamped = clamp_size(size[0], size[1], size[2], size[3], self._guarded().limits)
        if self._term_type is not None and clamped != self._term_size:
            self._term_size = clamped
            self._session.terminal_size_changed(*clamped)
        return True

    def _process_env_request(self, packet: SSHPacket) -> bool:
        name, value = packet.get_string(), packet.get_string()
        packet.check_end()
        conn = self._guarded()
        limits = conn.limits
        size = self._env_size + len(name) + len(value)
        known = name in self._env
        if (
            (len(self._env) >= limits.env_names and not known)
            or size > limits.env_bytes
            or not re.fullmatch(limits.env_name, name.decode("ascii", "replace"))
            or not re.fullmatch(limits.env_value, value.decode("ascii", "replace"))
        ):
            conn.report("peer.env", safe_text(name))
            return False
        self._env_size = size
        self._env[name] = value
        return True

    def _process_exec_request(self, packet: SSHPacket) -> bool:
        at = packet._idx
        command = packet.get_string()
        limit = self._guarded().limits.command_bytes
        if len(command) > limit or b"\0" in command:
            self._guarded().report("peer.command", f"{len(command)} bytes")
            return False
        packet._idx = at
        return super()._process_exec_request(packet)

    def _process_subsystem_request(self, packet: SSHPacket) -> bool:
        at = packet._idx
        if not _SUBSYSTEM.fullmatch(packet.get_string()):
            return self._refuse("subsystem", "not a name")
        packet._idx = at
        return super()._process_subsystem_request(packet)

    def _process_signal_request(self, packet: SSHPacket) -> bool:
        name = packet.get_string()
        packet.check_end()
        if not _SIGNAL.fullmatch(name) or not self._session_started:
            return self._refuse("signal", safe_text(name))
        self._session.signal_received(name.decode("ascii"))
        return True

    def _process_break_request(self, packet: SSHPacket) -> bool:
        msec = packet.get_uint32()
        packet.check_end()
        if not self._session_started:
            return self._refuse("break", "before the session began")
        return bool(self._session.break_received(min(msec, _MAX_BREAK_MS)))

    def _process_auth_agent_req_at_openssh_dot_com_request(self, packet: SSHPacket) -> bool:  # type: ignore[override]
        return self._refuse("auth-agent-req@openssh.com", "agent forwarding is not offered")

    def _process_x11_req_request(self, packet: SSHPacket) -> bool:
        return self._refuse("x11-req", "X11 forwarding is not offered")

    def _refuse(self, request: str, why: str) -> bool:
        conn = self._guarded()
        conn.report("peer.request", f"{request}: {why}")
        conn.tell_owner(request.encode())
        return False

    def _guarded(self) -> Carrier:
        return cast("Carrier", self._conn)


def _terminal_modes(encoded: bytes, most: int) -> dict[int, int]:
    """RFC 4254 §8, tolerant: what is cut off or beyond the limit is left out."""
    modes: dict[int, int] = {}
    for at in range(0, len(encoded) - _MODE_SIZE + 1, _MODE_SIZE):
        opcode = encoded[at]
        if opcode == PTY_OP_END or opcode >= PTY_OP_RESERVED or len(modes) >= most:
            break
        modes[opcode] = int.from_bytes(encoded[at + 1 : at + _MODE_SIZE], "big")
    return modes


class ClientChannel(WireChannel, SSHClientChannel[bytes]):
    """A session channel that we opened on an endpoint. The endpoint is not trusted either."""

    def process_open_confirmation(self, send_chan: int, send_window: int, send_pktsize: int, packet: SSHPacket) -> None:
        """Take the endpoint's confirmation, unless its packets are too small to be serious."""
        if self._conn is not None and send_pktsize < self._conn.limits.min_packet:
            raise ProtocolError("Maximum packet size is too small")
        super().process_open_confirmation(send_chan, send_window, send_pktsize, packet)


class TCPChannel(WireChannel, SSHTCPChannel[bytes]):
    """A direct-tcpip channel, in either direction."""

    def process_open_confirmation(self, send_chan: int, send_window: int, send_pktsize: int, packet: SSHPacket) -> None:
        """Take the endpoint's confirmation, unless its packets are too small to be serious."""
        if self._conn is not None and send_pktsize < self._conn.limits.min_packet:
            raise ProtocolError("Maximum packet size is too small")
        super().process_open_confirmation(send_chan, send_window, send_pktsize, packet)


__all__ = ["ClientChannel", "ServerChannel", "TCPChannel", "WireChannel"]
