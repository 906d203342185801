"""A house to attack: a server with a few sessions that say what they got, and ways in."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncssh
import psutil

from bastion import wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ROOMY = wire.Limits(
    unauthenticated_per_source=100,
    connection_rate=1000.0,
    connection_burst=1000,
    penalty_min=1000.0,
)
"""Limits for tests that come from one address and are about something else than the gate."""

USER_KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519")
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")


class Say(wire.ServerSession):
    """Understands a few commands, each of which shows one behaviour."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.command = ""
        self.got = bytearray()
        self.resizes: list[wire.TerminalSize] = []

    def opened(self) -> None:
        self.house.sessions.append(self)
        if self.house.on_opened is not None:
            self.house.on_opened(self)

    def shell(self) -> bool:
        self.command = "shell"
        return True

    def exec(self, command: str) -> bool:
        self.command = command
        return True

    def started(self) -> None:
        word, _, rest = self.command.partition(" ")
        if word == "hello":
            self.write(b"hello\n")
            self.exit(0)
        elif word == "exit":
            self.exit(int(rest))
        elif word == "flood":
            self.pour()
        elif word == "pour":
            self.left = int(rest)
            self.pour()
        elif word == "boom":
            raise ZeroDivisionError("on purpose")
        elif word == "rude":
            for _ in range(int(rest)):
                self.write(bytes(65536))
        elif word == "both":
            self.write(b"out1\n")
            self.write_stderr(b"err\n")
            self.write(b"out2\n")
            self.exit(3)
        elif word == "tell":
            environment = sorted(self.channel.get_environment())
            self.write(f"{self.term} {self.size} {environment}\n".encode())
            self.exit(0)
        elif word == "ready":
            self.write(b"ready\n")

    left = 1 << 60

    def pour(self) -> None:
        while self.writable and self.left > 0 and self._channel is not None:
            size = min(65536, self.left)
            self.write(self.house.pattern[:size])
            self.left -= size
        if self.left <= 0 and self.command.startswith("pour"):
            self.exit(0)

    def writable_changed(self, writable: bool) -> None:
        self.house.pauses += not writable
        if writable and self.command.startswith(("flood", "pour")):
            self.pour()

    def input_received(self, data: bytes) -> None:
        self.got += data
        self.house.chunks += 1
        if self.command.startswith(("shell", "cat")):
            self.write(data)
            if not self.writable:
                self.pause_input()
        if self.command == "boom-later":
            raise ZeroDivisionError("on purpose")

    def eof(self) -> bool:
        if self.command.startswith("count"):
            self.write(b"%d\n" % len(self.got))
            self.exit(0)
        elif self.command.startswith("cat"):
            self.exit(0)
        return True

    def resized(self, size: wire.TerminalSize) -> None:
        self.resizes.append(size)
        self.house.resized.set()

    def closed(self, exc: Exception | None) -> None:
        self.house.closed += 1


class Cat(Say):
    """`cat` with back-pressure through it."""

    def writable_changed(self, writable: bool) -> None:
        super().writable_changed(writable)
        if writable:
            self.resume_input()


class Owner(asyncssh.SSHServer):
    """Logs in `alice` with the key or the password; refuses everybody else."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.identity = ""
        self.offered: list[bytes] = []

    def connection_made(self, conn: Any) -> None:
        self.conn: wire.ServerConnection = conn
        self.house.owners.append(self)

    def begin_auth(self, username: str) -> Any:
        self.offered.clear()
        self.identity = ""
        return self.house.begin(username)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self.offered.append(key.public_data)
        if self.house.validate_key is not None:
            return bool(self.house.validate_key(username, key))
        return username == "alice" and key.public_data == USER_KEY.public_data

    def password_auth_supported(self) -> bool:
        return self.house.passwords

    async def validate_password(self, username: str, password: str) -> bool:
        return self.house.validate_password(username, password)

    def auth_completed(self) -> None:
        self.identity = self.conn.proofs[-1].username

    def session_requested(self) -> Any:
        return Cat(self.house)


class House:
    """The server and what it saw."""

    def __init__(self) -> None:
        self.sessions: list[Say] = []
        self.owners: list[Owner] = []
        self.events: list[tuple[str, str, str]] = []
        self.closed = 0
        self.pauses = 0
        self.chunks = 0
        self.resized = asyncio.Event()
        self.passwords = True
        self.pattern = os.urandom(65536)
        self.begin: Any = lambda username: True
        self.on_opened: Any = None
        self.validate_key: Any = None
        self.validate_password: Any = lambda username, password: (username, password) == ("alice", "secret")
        self.factory: Any = None
        self.server: wire.Server

    @property
    def port(self) -> int:
        return self.server.port

    def saw(self, code: str) -> list[str]:
        """The details of events with this code."""
        return [detail for seen, _, detail in self.events if seen == code]

    async def until(self, code: str) -> str:
        """Wait for an event with this code (5 s at most)."""
        async with asyncio.timeout(5):
            while not self.saw(code):
                self.news.clear()
                await self.news.wait()
        return self.saw(code)[0]

    news: asyncio.Event

    def _event(self, code: str, source: str, detail: str) -> None:
        self.events.append((code, source, detail))
        self.news.set()

    def client_options(self, **more: Any) -> asyncssh.SSHClientConnectionOptions:
        more.setdefault("client_keys", [USER_KEY])
        username = more.pop("username", "alice")
        return wire.client_options(username, known_hosts=([HOST_KEY.convert_to_public()], [], []), **more)

    async def stock(self, **more: Any) -> asyncssh.SSHClientConnection:
        """A stock asyncssh client."""
        more.setdefault("username", "alice")
        more.setdefault("client_keys", [USER_KEY])
        return await asyncssh.connect(
            "127.0.0.1", self.port, known_hosts=None, config=None, agent_path=None, encryption_algs=more.pop("ciphers", ()), **more
        )

    async def canary(self) -> float:
        """Seconds for another user to log in and get first output."""
        start = time.perf_counter()
        async with await asyncssh.connect(
            "127.0.0.1",
            self.port,
            local_addr=("127.0.9.9", 0),
            username="alice",
            client_keys=[USER_KEY],
            known_hosts=None,
            config=None,
            agent_path=None,
        ) as conn:
            result = await conn.run("hello", request_pty=False)
            assert result.stdout == "hello\n"
        return time.perf_counter() - start


async def settle() -> None:
    """Let transports that were aborted, on either side, be closed by the loop."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def house(limits: wire.Limits = ROOMY, **options: Any) -> AsyncIterator[House]:
    """A running server on a free port."""
    made = House()
    made.news = asyncio.Event()
    made.server = await wire.listen(
        "127.0.0.1",
        0,
        lambda: made.factory(made) if made.factory is not None else Owner(made),
        wire.server_options([HOST_KEY], limits=limits, **options),
        limits,
        made._event,
    )
    try:
        yield made
    finally:
        made.server.close()
        for connection in list(made.server.connections):
            connection.abort()
        await made.server.wait_closed()
        await settle()


def key_file(folder: Path, key: asyncssh.SSHKey = USER_KEY) -> Path:
    """The key as a file that OpenSSH accepts."""
    path = folder / "key"
    if not path.exists():
        path.write_bytes(key.export_private_key())
        path.chmod(0o600)
    return path


async def run(*argv: str | Path, stdin: bytes = b"", seconds: float = 20) -> tuple[int, bytes, bytes]:
    """Run a program to its end: exit status, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *map(str, argv), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out, err


MIB = 1024 * 1024


def memory() -> int:
    return psutil.Process().memory_info().rss


class LoopLag:
    """The longest time that the loop was held."""

    worst = 0.0

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            asked = loop.time()
            await asyncio.sleep(0.005)
            self.worst = max(self.worst, loop.time() - asked - 0.005)


@asynccontextmanager
async def unshaken(made: House, canary: float = 1.0, growth: int = 40 * MIB, lag: float = 0.5) -> AsyncIterator[None]:
    """During what happens inside, others log in, memory stays and nobody holds the loop."""
    before = memory()
    watch = LoopLag()
    task = asyncio.ensure_future(watch.watch())
    try:
        yield
        assert await made.canary() < canary
        assert memory() - before < growth
        assert watch.worst < lag
    finally:
        task.cancel()


__all__ = [
    "HOST_KEY",
    "MIB",
    "OTHER_KEY",
    "ROOMY",
    "USER_KEY",
    "House",
    "LoopLag",
    "Owner",
    "Say",
    "house",
    "key_file",
    "replace",
    "run",
    "settle",
    "unshaken",
]
