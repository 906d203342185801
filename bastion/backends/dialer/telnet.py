"""Telnet endpoints: one TCP connection a session; where the login has a password, the bastion types it, once, unseen.

Nothing proves who answers there, and nothing is encrypted: whoever adds such an endpoint says so (`endpoint add --telnet`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

from bastion.backends.dialer.telnet_protocol import BRK, IAC, IP, TelnetProtocol
from bastion.core.access.decision import Grant
from bastion.core.access.endpoint import Endpoint
from bastion.core.errors import Unavailable
from bastion.core.text import safe_text
from bastion.core.values import Size
from bastion.services.ports import ChannelRequest, EndpointChannel, EndpointEvents, Secret

PROMPTS: Final = ("login:", "username:", "user name:", "user:", "user id:")
PASSWORD_PROMPTS: Final = ("password:", "passwd:", "passcode:", "password for")
_REFUSALS: Final = re.compile(rb"incorrect|invalid|fail|denied|bad password|% ?bad", re.IGNORECASE)
_TAIL: Final = 256  # bytes of output in which a prompt is looked for
_HIDDEN_BYTES: Final = 4096  # of what follows the password: a far side that echoes it does so here
_QUIET: Final = {"TCP_KEEPIDLE": 8, "TCP_KEEPINTVL": 8, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": 24_000}
_ESCAPES: Final = re.compile(rb"\x1b\[[0-9;?]*[@-~]|[\x00-\x09\x0b-\x1f]")


Kind = TypeVar("Kind", bound=asyncio.BaseProtocol)


async def dial_telnet(
    grant: Grant,
    request: ChannelRequest,
    events: EndpointEvents,
    unlock: Callable[[], Awaitable[Secret | None]],
    connect_timeout: float,
    login_timeout: float,
) -> EndpointChannel:
    """Connect, and log in where there is a password to type. Raises `Unavailable` with one sentence for people."""
    endpoint = grant.endpoint
    if request.command is not None or request.subsystem:
        raise Unavailable("endpoint.no_exec", f"{endpoint.name} speaks telnet, which has shells only: leave the command out.")
    secret = await unlock()
    line = await _connected(endpoint, lambda: _Line(events, request), connect_timeout)
    if secret is None:
        line.let_type()
        return line
    try:
        async with asyncio.timeout(login_timeout):
            await line.log_in(endpoint, grant.login.name, secret)
    except TimeoutError as error:
        line.close()
        raise Unavailable(
            "endpoint.timeout", f"{endpoint.name} asked for no login and password within {login_timeout:g} s that the bastion knows."
        ) from error
    except BaseException:
        line.close()
        raise
    return line


async def probe(endpoint: Endpoint, timeout: float) -> None:
    """Return when somebody answers there; telnet proves no more."""

    class _Knock(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    await _connected(endpoint, _Knock, timeout)


async def _connected(endpoint: Endpoint, make: Callable[[], Kind], timeout: float) -> Kind:
    name = f"{endpoint.name} ({endpoint.address})"
    try:
        async with asyncio.timeout(timeout):
            _, line = await asyncio.get_running_loop().create_connection(make, endpoint.host, endpoint.port)
    except TimeoutError as error:
        raise Unavailable("endpoint.timeout", f"{name} cannot be reached: no answer within {timeout:g} s.") from error
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else safe_text(str(error))[:200]
        raise Unavailable("endpoint.unreachable", f"{name} cannot be reached: {why}.", str(error)) from error
    return line


class _Line(asyncio.Protocol):
    """One connection (implements EndpointChannel). What a person types waits until the login is over."""

    def __init__(self, events: EndpointEvents, request: ChannelRequest) -> None:
        self._events = events
        self._lines = not request.term
        self._protocol = TelnetProtocol(self._send, request.term, *request.size)
        self._transport: asyncio.Transport | None = None
        self._writable = True
        self._waiting: bytearray | None = bytearray()
        self._tail = b""
        self._news = asyncio.Event()
        self._secret = b""
        self._hide = 0
        self._held = b""  # the beginning of what may become the secret
        self._gone = False

    # ------------------------------------------------------------ the wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _QUIET.items():
                with contextlib.suppress(OSError, AttributeError):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._protocol.greet()

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        shown = self._protocol.receive(data)
        if self._hide > 0:
            shown = self._unseen(shown)
        if shown:
            if self._waiting is not None:
                self._tail = (self._tail + shown)[-_TAIL:]
                self._news.set()
            self._events.output(shown)

    def _unseen(self, data: bytes) -> bytes:
        """Return the output without the password, should the far side echo it, also across pieces."""
        self._hide -= len(data)
        data = (self._held + data).replace(self._secret, b"*" * 8)
        keep = next((size for size in range(min(len(self._secret) - 1, len(data)), 0, -1) if data.endswith(self._secret[:size])), 0)
        if self._hide <= 0:
            keep, self._secret = 0, b""
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._held:
            self._events.output(self._held)
        self._transport = None
        self._secret = b""
        if not self._gone:
            self._gone = True
            self._news.set()
            error = "" if exc is None else f"The endpoint was lost: {safe_text(str(exc))[:200].rstrip('.') or 'connection closed'}."
            self._events.closed(0 if exc is None else None, None, error)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._events.drained()

    # ------------------------------------------------------------ the login

    async def log_in(self, endpoint: Endpoint, name: str, secret: Secret) -> None:
        """Answer the login's prompts, each once. Raises `Unavailable` when the far side refuses."""
        own = [prompt.lower() for prompt in endpoint.command]
        await self._asked(endpoint, own[:1] or list(PROMPTS) + list(PASSWORD_PROMPTS))
        if own or not self._ends_with(PASSWORD_PROMPTS):
            self._type(name.encode())
            await self._asked(endpoint, own[1:] or list(PASSWORD_PROMPTS))
        self._secret, self._hide = secret.reveal(), _HIDDEN_BYTES
        self._type(self._secret)
        while not self._said().strip():
            await self._more(endpoint)
        if _REFUSALS.search(self._said()) or self._ends_with([*own, *PROMPTS, *PASSWORD_PROMPTS]):
            raise Unavailable("endpoint.auth_failed", f"{endpoint.name} refused the stored password of {name}. An admin can replace it.")
        self.let_type()

    def _type(self, data: bytes) -> None:
        self._tail = b""
        self._send(self._protocol.send(data + b"\r"))

    async def _asked(self, endpoint: Endpoint, prompts: list[str]) -> None:
        while not self._ends_with(prompts):
            await self._more(endpoint)

    async def _more(self, endpoint: Endpoint) -> None:
        if self._gone:
            raise Unavailable("endpoint.auth_failed", f"{endpoint.name} hung up during the login.")
        self._news.clear()
        await self._news.wait()

    def _said(self) -> bytes:
        return _ESCAPES.sub(b"", self._tail)

    def _ends_with(self, prompts: list[str] | tuple[str, ...]) -> bool:
        last = self._said().decode("utf-8", "replace").rpartition("\n")[2].lower().rstrip()
        return any(last.endswith(prompt.rstrip()) for prompt in prompts)

    def let_type(self) -> None:
        """The login is over: what was typed meanwhile goes out."""
        waiting, self._waiting, self._tail = self._waiting, None, b""
        if waiting:
            self.write(bytes(waiting))

    # ------------------------------------------------------------ EndpointChannel

    def write(self, data: bytes) -> bool:
        """Send bytes."""
        if self._waiting is not None:
            self._waiting += data
            return len(self._waiting) < 65536  # noqa: PLR2004 - a screenful typed ahead
        self._send(self._protocol.send(data, lines=self._lines))
        return self._writable

    def write_eof(self) -> None:
        """Send Ctrl-D: telnet has no end of input."""
        self.write(b"\x04")

    def resize(self, size: Size) -> None:
        """Tell the window's size."""
        self._protocol.resize(*size)

    def signal(self, name: str) -> None:
        """Send a break or an interrupt."""
        if name in ("BREAK", "INT"):
            self._send(bytes([IAC, BRK if name == "BREAK" else IP]))

    def pause(self) -> None:
        """Stop reading."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()
