"""The send path: asyncssh's packets, without what only defended modes we do not offer.

It never sends before asyncssh itself would; where the check of private parts failed, it is asyncssh.
"""

from __future__ import annotations

import os
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from asyncssh import ProtocolError
from asyncssh.connection import SSHConnection
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_DEBUG,
    MSG_KEX_LAST,
    MSG_NEWKEYS,
    MSG_SERVICE_ACCEPT,
    MSG_SERVICE_REQUEST,
    MSG_USERAUTH_BANNER,
    MSG_USERAUTH_LAST,
)

from bastion.wire import selfcheck
from bastion.wire.gcm import FastGCM, faster

if TYPE_CHECKING:
    from collections.abc import Callable

_NOT_IN_KEX: Final = frozenset({MSG_DEBUG, MSG_SERVICE_REQUEST, MSG_SERVICE_ACCEPT})
_QUICK_READS: Final = 64
"""Reads during which we acknowledge at once. A login is about twelve of them."""
_PADDING: Final = os.urandom(64)
"""Padding of AEAD packets. It is encrypted and authenticated, so it need not be fresh."""

_PADDINGS: Final = tuple(_PADDING[:padding] for padding in range(32))
_DATA_HEADS: Final = tuple(bytes((padding, MSG_CHANNEL_DATA)) for padding in range(32))


class SendPath(SSHConnection):
    """The sending half of a connection."""

    flush_channels: Callable[[], None]
    _corked: list[bytes] | None = None
    _quick_reads = _QUICK_READS

    def quick_ack(self) -> None:
        """Acknowledge at once while logging in: a delayed ACK costs up to 40 ms a round."""
        if self._quick_reads > 0 and self._transport is not None:
            self._quick_reads -= 1
            sock = self._transport.get_extra_info("socket")
            if sock is not None and hasattr(socket, "TCP_QUICKACK") and sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def send_newkeys(self, k: bytes, h: bytes) -> None:
        """Switch to new keys, then let channels send what they held back meanwhile."""
        super().send_newkeys(k, h)
        if selfcheck.fast_path():
            self._send_encryption = faster(self._send_encryption)
            self._next_recv_encryption = faster(self._next_recv_encryption)
        if self._auth_complete:
            self.flush_channels()

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send a packet, or defer it exactly when asyncssh would."""
        if self._corked:
            self.uncork()
        if not selfcheck.fast_path() or self._compressor is not None:
            super().send_packet(pkttype, *args, handler=handler)
            return

        if self._auth_complete and self._kex_complete:
            if self._rekey_bytes_sent >= self._rekey_bytes or (self._rekey_seconds and monotonic() >= self._rekey_time):
                self._send_kexinit()
                self._kexinit_sent = True
                if pkttype > MSG_KEX_LAST:
                    self._deferred_packets.append((pkttype, args))
                    return
        elif (
            ((pkttype in _NOT_IN_KEX or pkttype > MSG_KEX_LAST) and not self._kex_complete)
            or (pkttype == MSG_USERAUTH_BANNER and not (self._auth_in_progress or self._auth_complete))
            or (pkttype > MSG_USERAUTH_LAST and not self._auth_complete)
        ):
            self._deferred_packets.append((pkttype, args))
            return

        # No MSG_IGNORE goes before the packet: that hides the IV of CBC modes, and we offer none.
        size = 1
        for part in args:
            size += len(part)
        padding = -(self._send_enchdrlen + size) % self._send_blocksize
        if padding < 4:
            padding += self._send_blocksize
        length = 1 + size + padding
        header = length.to_bytes(4, "big")
        cipher = self._send_encryption
        if type(cipher) is FastGCM:
            body = b"".join((bytes((padding, pkttype)), *args, _PADDING[:padding]))
            self._send(header + cipher.seal(header, body))
        else:
            body = b"".join((bytes((padding, pkttype)), *args, os.urandom(padding)))
            if cipher is None:
                self._send(header + body)
            else:
                packet, mac = cipher.encrypt_packet(self._send_seq, header, body)
                self._send(packet + mac)

        if self._send_seq == 0xFFFFFFFF and cipher is None:
            self._send_seq = 0
            raise ProtocolError("Sequence rollover before kex complete")
        self._send_seq = 0 if pkttype == MSG_NEWKEYS and self._strict_kex else (self._send_seq + 1) & 0xFFFFFFFF
        if self._kex_complete:
            self._rekey_bytes_sent += length

    def send_channel_data(self, recipient: bytes, data: bytes, size: int) -> bool:
        """Send one CHANNEL_DATA packet the short way; False when it must go the general way."""
        # Written out in one piece, since every keystroke and every 32 KiB of output passes here.
        cipher = self._send_encryption
        transport = self._transport
        if (
            type(cipher) is not FastGCM
            or transport is None
            or self._rekey_bytes_sent >= self._rekey_bytes
            or (self._rekey_seconds and monotonic() >= self._rekey_time)
            or self._compressor is not None
        ):
            return False
        padding = 16 - (10 + size) % 16
        if padding < 4:
            padding += 16
        length = 10 + size + padding
        header = length.to_bytes(4, "big")
        body = b"".join((_DATA_HEADS[padding], recipient, size.to_bytes(4, "big"), data, _PADDINGS[padding]))
        packet = header + cipher.encrypt(cipher.next_nonce(), body, header)
        if self._corked is None:
            transport.write(packet)
        else:
            self._corked.append(packet)
        self._send_seq = (self._send_seq + 1) & 0xFFFFFFFF
        self._rekey_bytes_sent += length
        return True

    def cork(self) -> None:
        """Keep the packets of `send_channel_data` until `uncork`, to give them to the kernel in one piece."""
        if self._corked is None:
            self._corked = []

    def uncork(self) -> None:
        """Send what was kept."""
        corked, self._corked = self._corked, None
        if corked and self._transport is not None:
            self._transport.write(corked[0] if len(corked) == 1 else b"".join(corked))

    def log_received_packet(self, pkttype: int, pktid: int | None, packet: Any, note: str = "") -> None:
        """Nothing: a log string for each packet costs more than the packet."""

    def log_sent_packet(self, pkttype: int, pktid: int | None, packet: Any, note: str = "") -> None:
        """Nothing, as above."""
