"""The guard: what any connection, from either side, may cost while it lives.

It never decides who may log in or what a session may do. `gate` guards the door, `channels` a channel.
"""

from __future__ import annotations

import logging
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, cast

from asyncssh import ChannelOpenError, DisconnectError, ProtocolError
from asyncssh.connection import SSHConnection
from asyncssh.constants import (
    DISC_PROTOCOL_ERROR,
    MSG_CHANNEL_OPEN,
    MSG_DEBUG,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_KEXINIT,
    MSG_UNIMPLEMENTED,
    MSG_USERAUTH_REQUEST,
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_CONNECT_FAILED,
    OPEN_RESOURCE_SHORTAGE,
)

from bastion.wire.bucket import Bucket
from bastion.wire.channels import TCPChannel
from bastion.wire.events import Code, OnEvent, ignore, safe_text
from bastion.wire.limits import DEFAULT_LIMITS, Limits
from bastion.wire.receive import ReceivePath
from bastion.wire.send import SendPath

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable

    from asyncssh.packet import SSHPacket

_LOG: Final = logging.getLogger("bastion.wire")

_IDLE_TYPES: Final = frozenset({MSG_IGNORE, MSG_DEBUG, MSG_UNIMPLEMENTED, MSG_USERAUTH_REQUEST})
_ANSWERED_GLOBALS: Final = frozenset({b"keepalive@openssh.com", b"hostkeys-00@openssh.com", b"hostkeys-prove-00@openssh.com"})
_SMALL: Final = 1024
_LARGE: Final = 64 * 1024
"""Reads up to the one size belong to somebody's typing; from the other on they are large enough."""
_NO_MORE_SESSIONS: Final = b"no-more-sessions@openssh.com"


class GuardedConnection(ReceivePath, SendPath, SSHConnection):
    """One connection within its limits. Mixed into asyncssh's server and client connection."""

    allowed_channels: frozenset[bytes] = frozenset()
    limits: Limits = DEFAULT_LIMITS
    on_event: OnEvent = staticmethod(ignore)
    wire_log: logging.Logger = _LOG

    tcp_paused = False
    """Whether the kernel takes no more for now."""
    _received = 0
    _no_more_channels = False
    _reported_drop = False
    _requests: Bucket | None = None
    _globals: Bucket | None = None
    _rekeys: Bucket | None = None
    _idle: Bucket | None = None
    _changes: Bucket | None = None
    _unused_timer: asyncio.TimerHandle | None = None

    def guard(self, limits: Limits, on_event: OnEvent) -> None:
        """Put this connection under `limits`; to be called before `connection_made`."""
        self.limits = limits
        self.on_event = on_event

    @property
    def source(self) -> str:
        """The peer's address, or "" while there is none."""
        return self._peer_addr

    def report(self, code: Code, detail: str) -> None:
        """Tell the audit; an audit that fails is logged and ends nothing here."""
        try:
            self.on_event(code, self._peer_addr, safe_text(detail))
        except Exception:
            _LOG.exception("on_event raised for %s", code)

    def drop(self, code: Code, detail: str) -> None:
        """Report, tell the peer why in one line, and end the connection."""
        if not self._reported_drop:
            self._reported_drop = True
            self.report(code, detail)
        if self._transport is not None:
            reason = f"Limit reached: {detail}"
            if self._transport.get_write_buffer_size() < self.limits.output_buffer // 2:
                self._send_disconnect(DISC_PROTOCOL_ERROR, reason, "en")
            self._force_close(DisconnectError(DISC_PROTOCOL_ERROR, reason))

    # --- bytes in and out ----------------------------------------------------------------

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Take bytes from the kernel, within the limits before and after login."""
        if self._auth_complete:
            if self._inpbuf:
                if len(self._inpbuf) + len(data) > self.limits.input_buffer:
                    self.drop("peer.input", "too much unparsed input")
                    return
                self._inpbuf += data
            else:
                self._inpbuf = data
            self._recv_data()
            if _SMALL < len(data) < _LARGE:
                self.rest_in_flood(len(data))
        else:
            size = len(data)
            self.quick_ack()
            if self.is_server():
                self._received += size
                if self._received > self.limits.input_before_login:
                    self.drop("login.input", "too much input before login")
                    return
            super().data_received(data, datatype)

    def pause_writing(self) -> None:
        """The kernel takes no more: stop sending from channels, so that their sources are paused."""
        self.tcp_paused = True

    def resume_writing(self) -> None:
        """The kernel takes more again."""
        self.tcp_paused = False
        self.flush_channels()

    def flush_channels(self) -> None:
        """Let every channel send what it held back."""
        for channel in list(self._channels.values()):
            channel._flush_send_buf()

    @property
    def ready_to_send(self) -> bool:
        """Whether channel data may go out now."""
        return self._kex_complete and not self.tcp_paused

    def _send(self, data: bytes) -> None:
        transport = self._transport
        if transport is not None:
            transport.write(data)
            if self.tcp_paused and transport.get_write_buffer_size() > self.limits.output_buffer:
                self.drop("peer.output", "too much unread output")

    # --- what comes, and how often -------------------------------------------------------

    def idle_message(self, what: str) -> bool:
        """Count a message that carries nothing; one is free for each that carried something."""
        if self.useful_messages > 0:
            self.useful_messages -= 1
            return True
        if self._idle is None:
            self._idle = Bucket(self.limits.idle_message_rate, self.limits.idle_messages, perf_counter())
        if self._idle.take(perf_counter()):
            return True
        self.drop("peer.idle_messages", f"flood of {what}")
        return False

    def window_change(self) -> bool:
        """Count a window change: coalesced anyway, so it has the wider limits of idle messages."""
        self.useful_messages += 1
        if self._changes is None:
            self._changes = Bucket(self.limits.idle_message_rate, self.limits.idle_messages, perf_counter())
        if self._changes.take(perf_counter()):
            return True
        self.drop("peer.idle_messages", "flood of window changes")
        return False

    def channel_request(self) -> bool:
        """Count a request on a channel."""
        self.useful_messages += 1
        if self._requests is None:
            self._requests = Bucket(self.limits.request_rate, self.limits.request_burst, perf_counter())
        if self._requests.take(perf_counter()):
            return True
        self.drop("peer.requests", "too many channel requests")
        return False

    def process_packet(self, pkttype: int, pktid: int, packet: SSHPacket) -> bool | Awaitable[None]:
        """Process a packet that is not a channel's."""
        if self._auth_complete or pkttype == MSG_KEXINIT:
            if pkttype == MSG_GLOBAL_REQUEST:
                if self._globals is None:
                    self._globals = Bucket(self.limits.global_rate, self.limits.request_burst, perf_counter())
                if not self._globals.take(perf_counter()):
                    self.drop("peer.requests", "too many global requests")
                    return True
            elif pkttype == MSG_KEXINIT:
                if self._session_id and not self._kexinit_sent and not self._rekey_allowed():
                    return True
            elif (pkttype in _IDLE_TYPES or pkttype not in self._packet_handlers) and not self.idle_message("messages that carry nothing"):
                return True
        return super().process_packet(pkttype, pktid, packet)

    def tell_owner(self, request: bytes) -> None:
        """Let the owner know of a request that is not offered (`request_refused(name)`, where it has that): clients hide the refusal."""
        hook = getattr(self._owner, "request_refused", None)
        if hook is None:
            return
        try:
            hook(request.decode("ascii", "replace"))
        except Exception:
            _LOG.exception("request_refused raised")

    def _rekey_allowed(self) -> bool:
        if self._rekeys is None:
            rate = self.limits.rekeys_per_minute
            self._rekeys = Bucket(rate / 60.0, rate, perf_counter())
        if self._rekeys.take(perf_counter()):
            return True
        self.drop("peer.rekeys", "too many key exchanges")
        return False

    def _guard_global_request(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        at = packet._idx
        name = packet.get_string()
        if name == _NO_MORE_SESSIONS:
            self._no_more_channels = True
        elif name not in _ANSWERED_GLOBALS:
            # Listeners (-R), cancels of these and anything unknown: answered with a refusal.
            self.report("peer.request", f"global {safe_text(name)}")
            self.tell_owner(name)
            wants_reply = packet.get_boolean()
            self._global_request_queue.append((None, packet, wants_reply))
            if len(self._global_request_queue) == 1:
                self._service_next_global_request()
            return
        packet._idx = at
        super()._process_global_request(pkttype, pktid, packet)

    def _guard_channel_open(self, pkttype: int, pktid: int, packet: SSHPacket) -> None:
        at = packet._idx
        kind = packet.get_string()
        send_chan = packet.get_uint32()
        packet.get_uint32()
        largest = packet.get_uint32()
        packet._idx = at
        refusal = self._refuse_channel(kind, largest)
        if refusal is not None:
            self.send_channel_open_failure(send_chan, refusal.code, refusal.reason, "en")
            return
        if self._unused_timer is not None:
            self._unused_timer.cancel()
            self._unused_timer = None
        try:
            super()._process_channel_open(pkttype, pktid, packet)
        except DisconnectError:
            raise
        except Exception as fault:
            self.report("fault.session", f"{type(fault).__name__}: {fault}")
            _LOG.error("fault while a channel was opened", exc_info=fault)
            self.send_channel_open_failure(send_chan, OPEN_CONNECT_FAILED, "Session could not be started", "en")

    def _refuse_channel(self, kind: bytes, largest: int) -> ChannelOpenError | None:
        limits = self.limits
        if kind not in self.allowed_channels:
            self.report("peer.channel_type", safe_text(kind))
            return ChannelOpenError(OPEN_ADMINISTRATIVELY_PROHIBITED, "This kind of channel is not offered")
        if self._no_more_channels and kind == b"session":
            self.report("peer.channels", "after no-more-sessions")
            return ChannelOpenError(OPEN_ADMINISTRATIVELY_PROHIBITED, "No more sessions were wanted")
        if len(self._channels) >= limits.channels:
            self.report("peer.channels", f"more than {limits.channels} channels")
            return ChannelOpenError(OPEN_RESOURCE_SHORTAGE, f"No more than {limits.channels} channels")
        if largest < limits.min_packet:
            self.report("peer.packet_size", f"maximum packet {largest}")
            return ChannelOpenError(OPEN_RESOURCE_SHORTAGE, f"Maximum packet below {limits.min_packet} bytes")
        if not self.channel_request():
            return ChannelOpenError(OPEN_RESOURCE_SHORTAGE, "Too many requests")
        return None

    _packet_handlers = {  # noqa: RUF012  asyncssh's own name and kind
        **SSHConnection._packet_handlers,
        MSG_GLOBAL_REQUEST: _guard_global_request,
        MSG_CHANNEL_OPEN: _guard_channel_open,
    }

    # --- channels and their absence ------------------------------------------------------

    def create_tcp_channel(  # type: ignore[override]
        self, encoding: None = None, errors: str = "strict", window: int = 0, max_pktsize: int = 32768
    ) -> TCPChannel:
        """A direct-tcpip channel of ours; always bytes."""
        self._update_recv_pktlen(max_pktsize)
        return TCPChannel(self, self._loop, None, errors, window or self.limits.receive_window, max_pktsize)

    def remove_channel(self, recv_chan: int) -> None:
        """Forget a closed channel; without any left, the connection may not linger."""
        super().remove_channel(recv_chan)
        self.watch_unused()

    def watch_unused(self) -> None:
        """Close the connection unless a channel is opened in time."""
        if self._transport is None or not self.is_server() or self._channels or self._unused_timer is not None:
            return
        self._unused_timer = self._loop.call_later(self.limits.unused_connection, self._unused)

    def _unused(self) -> None:
        self._unused_timer = None
        if not self._channels:
            self.drop("peer.unused", "no channel was open for too long")

    # --- endings -------------------------------------------------------------------------

    def internal_error(self, exc_info: Any = None, error_logger: Any = None) -> None:
        """An exception outside any channel: a peer's nonsense, or a fault of ours. Ends the connection."""
        fault = (exc_info or sys.exc_info())[1]
        if isinstance(fault, UnicodeDecodeError | ValueError) and not self._auth_complete:
            self.report("peer.protocol", f"{type(fault).__name__}: {fault}")
        else:
            self.report("fault.connection", f"{type(fault).__name__}: {fault}")
            _LOG.error("connection fault", exc_info=cast("BaseException", fault))
        super().internal_error(exc_info, error_logger)

    def _force_close(self, exc: Exception | None) -> None:
        if isinstance(exc, ProtocolError) and self._transport is not None and not self._reported_drop:
            self._reported_drop = True
            self.report("peer.protocol", str(exc))
        super()._force_close(exc)

    def _cleanup(self, exc: Exception | None) -> None:
        if self._unused_timer is not None:
            self._unused_timer.cancel()
            self._unused_timer = None
        super()._cleanup(exc)


__all__ = ["GuardedConnection"]
