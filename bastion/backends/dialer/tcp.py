"""Plain TCP for tunnels: look a name up, connect to an address. Decides nothing, and looks nothing up twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import Final, cast

from bastion.core.errors import Unavailable
from bastion.services.tunnels import TunnelEvents

LOOKUP_SECONDS: Final = 5.0


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as the system has them."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise Unavailable("forward.lookup", f"{host} could not be looked up within {LOOKUP_SECONDS:g} s.") from error
    except (OSError, UnicodeError) as error:
        raise Unavailable("forward.lookup", f"{host} has no address.", str(error)) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_own(address: str) -> bool:
    """Return whether that is an address of this host: only then the kernel lets one bind to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        return True
    return False


class _Far(asyncio.Protocol):
    """A TCP connection as the far side of a tunnel (implements TunnelChannel)."""

    def __init__(self, events: TunnelEvents) -> None:
        self._events = events
        self._transport: asyncio.Transport | None = None
        self._writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.pause_reading()  # until the client's side is open

    def data_received(self, data: bytes) -> None:
        self._events.output(data)

    def eof_received(self) -> bool:
        self._events.ended()
        return True  # the other direction stays open

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._events.closed()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._events.drained()

    def write(self, data: bytes) -> bool:
        """Send bytes."""
        if self._transport is not None:
            self._transport.write(data)
        return self._writable

    def write_eof(self) -> None:
        """Send no more."""
        if self._transport is not None and self._transport.can_write_eof():
            with contextlib.suppress(OSError):
                self._transport.write_eof()

    def pause(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """Hang up after what was written."""
        if self._transport is not None:
            self._transport.close()


async def connect(address: str, port: int, events: TunnelEvents, timeout: float) -> _Far:
    """Connect to an address, which must be one: nothing is looked up."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setblocking(False)  # noqa: FBT003 - the library's order
    try:
        async with asyncio.timeout(timeout):
            await loop.sock_connect(sock, (address, port))
        _, far = await loop.create_connection(lambda: _Far(events), sock=sock)
    except TimeoutError as error:
        sock.close()
        raise Unavailable("forward.timeout", f"{address}:{port} did not answer within {timeout:g} s.") from error
    except OSError as error:
        sock.close()
        raise Unavailable("forward.unreachable", f"{address}:{port} cannot be reached: {os.strerror(error.errno or 0).lower()}.") from error
    except BaseException:
        sock.close()
        raise
    return far
