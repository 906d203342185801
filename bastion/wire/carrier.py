"""What a channel needs of the connection that carries it.

It never does anything: a protocol, so that channels and connections need not know each other's classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import logging

    from bastion.wire.events import Code
    from bastion.wire.limits import Limits


class Carrier(Protocol):
    """A guarded connection, as its channels see it."""

    limits: Limits
    tcp_paused: bool
    heard: float
    wire_log: logging.Logger
    _kex_complete: bool

    @property
    def ready_to_send(self) -> bool:
        """Whether channel data may go out now."""
        ...

    def send_packet(self, pkttype: int, *args: bytes, handler: Any = None) -> None:
        """Send a packet, or defer it."""

    def send_channel_data(self, recipient: bytes, data: bytes, size: int) -> bool:
        """Send data the short way, if it may go that way now."""
        ...

    def cork(self) -> None:
        """Keep what is sent the short way, until `uncork` sends it in one piece."""

    def uncork(self) -> None:
        """Send what was kept."""

    def send_channel_open_failure(self, send_chan: int, code: int, reason: str, lang: str) -> None:
        """Refuse a channel."""

    def drop(self, code: Code, detail: str) -> None:
        """End the connection."""

    def report(self, code: Code, detail: str) -> None:
        """Tell the audit."""

    def tell_owner(self, request: bytes) -> None:
        """Let the owner know of a request that is not offered."""

    def idle_message(self, what: str) -> bool:
        """Count a message that carries nothing."""
        ...

    def window_change(self) -> bool:
        """Count a window change."""
        ...

    def channel_request(self) -> bool:
        """Count a request on a channel."""
        ...
