"""The receive path: whole packets parsed in place, channel data handed straight to its channel.

It never keeps the event loop: after its budget others get their turn. What it does not know by
heart it opens and gives to asyncssh's general path, as does everything where the check failed.
"""

from __future__ import annotations

import struct
from time import perf_counter
from typing import TYPE_CHECKING, Final, cast

from asyncssh import DisconnectError, MACError, ProtocolError
from asyncssh.connection import SSHConnection
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA, MSG_CHANNEL_WINDOW_ADJUST
from cryptography.exceptions import InvalidTag

from bastion.wire.gcm import FastGCM
from bastion.wire.traffic import TRAFFIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from bastion.wire.channels import WireChannel
    from bastion.wire.limits import Limits

_TAG: Final = 16
_START: Final = struct.Struct(">BBII")
"""Padding, kind, and in the packets that we know: the channel, and a number. The shortest packet is longer (RFC 4253 §6)."""
_NO_END: Final = 1 << 40
_CHECK_EVERY: Final = 32
"""Packets between two looks at the clock. A packet costs 5 to 100 us."""
_FLOOD_BYTES: Final = 32 * 1024
_FLOOD_SECONDS: Final = 0.004
"""What arrives faster than this much in this time (8 MB/s) is a flood, and taken in larger pieces."""
_REST: Final = 0.001
"""How long a flood gathers in the kernel between two reads: a piece then is 50 packets of a PTY and not one or two,
which halves the processor time for each byte and gives the neighbours their turn."""
_USEFUL_KEPT: Final = 10_000
"""Credit for idle messages that a connection can save up."""


class ReceivePath(SSHConnection):
    """The receiving half of a connection."""

    limits: Limits
    heard = 0.0
    """When the last read came, on the monotonic clock."""
    useful_messages = 0
    last_of_read = False
    """Whether the packet in hand is the last whole one of this read, so that nothing more can be collected."""
    _parsing = False
    _waiting_turn = False
    _flood_start = 0.0
    _flood_bytes = 0
    _with_data: list[Callable[[], None]] | None = None

    def deliver_after_parse(self, deliver: Callable[[], None]) -> bool:
        """Have `deliver` called when this read is parsed; False when no read is being parsed."""
        if not self._parsing:
            return False
        if self._with_data is None:
            self._with_data = []
        self._with_data.append(deliver)
        return True

    def _recv_data(self) -> None:
        nested, self._parsing = self._parsing, True
        start = perf_counter()
        self.heard = start
        end = start + self.limits.parse_budget
        most = _NO_END if TRAFFIC.alone_on(self, start) else self.limits.parse_share
        count = 0
        try:
            while self._inpbuf:
                if type(self._recv_encryption) is FastGCM and self._auth_complete and not self._packet:
                    if self._recv_handler == self._recv_pkthdr and not self._parse_fast(end, most):
                        break
                    if not self._recv_handler():
                        break
                elif not self._recv_handler():
                    break
                count += 1
                if not count % _CHECK_EVERY and perf_counter() > end:
                    self._yield()
                    break
        except DisconnectError as exc:
            self._send_disconnect(exc.code, exc.reason, exc.lang)
            self._force_close(exc)
        except Exception:
            self.internal_error()
        finally:
            self._parsing = nested
            self.last_of_read = False
            if not nested and self._with_data:
                waiting, self._with_data = self._with_data, None
                for deliver in waiting:
                    deliver()

    def _parse_fast(self, end: float, most: int) -> bool:
        """Parse packets in place. True when the next one, already opened, needs the general path."""
        cipher = cast("FastGCM", self._recv_encryption)
        if cipher.ready is not None:
            return True
        buffer = self._inpbuf
        view = memoryview(buffer)
        size, at, count = len(buffer), 0, 0
        channels = self._channels
        decrypt, next_nonce = cipher.decrypt, cipher.next_nonce
        start_of = _START.unpack_from
        try:
            while size - at > 4 + _TAG and self._transport is not None:
                head = buffer[at : at + 4]
                length = int.from_bytes(head, "big")
                if length > self._max_recv_pktlen:
                    raise ProtocolError("Max packet size exceeded")
                if length < 16 or length % 16:
                    raise ProtocolError("Invalid packet size")
                behind = at + 4 + length + _TAG
                if behind > size:
                    break
                try:
                    body = decrypt(next_nonce(), view[at + 4 : behind], head)
                except InvalidTag:
                    raise MACError("MAC verification failed") from None
                padding, kind, recipient, number = start_of(body)
                last = length - padding
                taken = False
                channel: WireChannel | None = channels.get(recipient)  # type: ignore[assignment]
                if channel is not None:
                    self.last_of_read = size - behind <= 4 + _TAG
                    if kind == MSG_CHANNEL_DATA:
                        if number and 10 + number == last:
                            channel.accept_data(body[10:last])
                            taken = True
                    elif kind == MSG_CHANNEL_WINDOW_ADJUST:
                        if number and last == 10:
                            channel.accept_adjust(number)
                            taken = True
                    elif kind == MSG_CHANNEL_EXTENDED_DATA and last > 14 and 14 + int.from_bytes(body[10:14], "big") == last:
                        channel.accept_data(body[14:last], number)
                        taken = True
                if not taken:
                    cipher.ready = body
                    return True
                self._auth_final = True
                self._recv_seq = (self._recv_seq + 1) & 0xFFFFFFFF
                at = behind
                count += 1
                if at >= most or (not count % _CHECK_EVERY and perf_counter() > end):
                    self._yield()
                    break
            return False
        finally:
            if self.useful_messages < _USEFUL_KEPT:
                self.useful_messages += count
            self._inpbuf = buffer[at:] if at else buffer

    def _yield(self) -> None:
        """Let others have the loop, then go on with what has been read already."""
        if self._transport is not None and not self._waiting_turn:
            self._waiting_turn = True
            self._transport.pause_reading()
            self._loop.call_soon(self._go_on)

    def rest_in_flood(self, size: int) -> None:
        """Take note of a read; during a flood the next one waits a moment. Keystrokes and their echo never do."""
        if self.heard - self._flood_start > _FLOOD_SECONDS:
            self._flood_start, self._flood_bytes = self.heard, 0
        self._flood_bytes += size
        if self._flood_bytes >= _FLOOD_BYTES and not self._waiting_turn and self._transport is not None:
            self._flood_start, self._flood_bytes = self.heard, _FLOOD_BYTES
            self._waiting_turn = True
            self._transport.pause_reading()
            self._loop.call_later(_REST, self._go_on)

    def _go_on(self) -> None:
        self._waiting_turn = False
        if self._transport is not None:
            self._transport.resume_reading()
            self._recv_data()

    # One timer that looks at the last read, instead of a new timer at each read.

    def _reset_keepalive_timer(self) -> None:
        self.heard = perf_counter()

    def _keepalive_timer_callback(self) -> None:
        left = self.heard + self._keepalive_interval - perf_counter()
        if left > 0.001:
            self._keepalive_timer = self._loop.call_later(left, self._keepalive_timer_callback)
            return
        super()._keepalive_timer_callback()
