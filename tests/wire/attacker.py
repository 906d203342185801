"""An attacker: a stock client that sends whatever packet it likes and only notes what comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncssh
from asyncssh.constants import (
    MSG_CHANNEL_OPEN,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
)
from asyncssh.packet import Boolean, String, UInt32

from .house import USER_KEY, House


class _Sink:
    def __init__(self, attacker: Attacker) -> None:
        self.attacker = attacker

    def log_received_packet(self, *args: Any) -> None:
        pass

    def process_packet(self, pkttype: int, pktid: int, packet: Any) -> bool:
        self.attacker.note(pkttype, packet.get_full_payload()[1:])
        return True

    def process_connection_close(self, exc: Exception | None) -> None:
        pass


class _Anything(dict[int, Any]):
    def __init__(self, sink: _Sink) -> None:
        super().__init__()
        self.sink = sink

    def __missing__(self, key: int) -> Any:
        return self.sink


class _Client(asyncssh.SSHClient):
    def connection_made(self, conn: Any) -> None:
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(exc)


class Attacker:
    """A logged-in connection out of control."""

    def __init__(self, conn: Any, client: _Client) -> None:
        self.conn = conn
        self.lost = client.lost
        self.seen: list[tuple[int, bytes]] = []
        self.news = asyncio.Event()
        conn._channels = _Anything(_Sink(self))
        noted = (MSG_CHANNEL_OPEN_CONFIRMATION, MSG_CHANNEL_OPEN_FAILURE, MSG_REQUEST_SUCCESS, MSG_REQUEST_FAILURE)
        conn._packet_handlers = {
            **type(conn)._packet_handlers,
            **dict.fromkeys(noted, lambda _, kind, __, packet: self.note(kind, packet.get_full_payload()[1:])),
        }

    @classmethod
    async def login(cls, house: House, source: str = "127.0.2.1") -> Attacker:
        conn, client = await asyncssh.create_connection(
            _Client, "127.0.0.1", house.port, local_addr=(source, 0), username="alice", client_keys=[USER_KEY],
            known_hosts=None, config=None, agent_path=None,
        )  # fmt: skip
        return cls(conn, client)

    def note(self, kind: int, payload: bytes) -> None:
        self.seen.append((kind, payload))
        self.news.set()

    def all(self, kind: int) -> list[bytes]:
        return [payload for seen, payload in self.seen if seen == kind]

    async def until(self, kind: int, count: int = 1) -> list[bytes]:
        """Wait until `count` packets of this kind have come (5 s at most)."""
        async with asyncio.timeout(5):
            while len(self.all(kind)) < count:
                self.news.clear()
                await self.news.wait()
        return self.all(kind)

    def open(self, number: int = 0, *, kind: bytes = b"session", window: int = 2**21, packet: int = 32768, more: bytes = b"") -> None:
        self.conn.send_packet(MSG_CHANNEL_OPEN, String(kind), UInt32(number), UInt32(window), UInt32(packet), more)

    async def opened(self, number: int = 0, **more: Any) -> int:
        """Open a session channel; the server's number for it."""
        have = len(self.all(MSG_CHANNEL_OPEN_CONFIRMATION))
        self.open(number, **more)
        payload = (await self.until(MSG_CHANNEL_OPEN_CONFIRMATION, have + 1))[-1]
        return int.from_bytes(payload[4:8], "big")

    def request(self, channel: int, name: bytes, more: bytes = b"", *, reply: bool = True) -> None:
        self.conn.send_packet(MSG_CHANNEL_REQUEST, UInt32(channel), String(name), Boolean(reply), more)

    def exec(self, channel: int, command: bytes) -> None:
        self.request(channel, b"exec", String(command))

    async def flushed(self) -> None:
        """Wait until the kernel has taken what was sent (or the connection is gone)."""
        while not self.lost.done() and self.conn._transport and self.conn._transport.get_write_buffer_size() > 65536:
            await asyncio.sleep(0)

    async def ended(self) -> str:
        """Wait for the server to end the connection; what it said."""
        async with asyncio.timeout(10):
            return str(await self.lost)

    def close(self) -> None:
        self.conn.abort()
