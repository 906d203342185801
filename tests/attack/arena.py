"""The arena: a real bastion, attackers who send what they like, and a canary who must not notice."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncssh
from asyncssh.connection import SSHClientConnection
from asyncssh.constants import MSG_USERAUTH_FAILURE, MSG_USERAUTH_REQUEST, MSG_USERAUTH_SUCCESS
from asyncssh.packet import Boolean, Byte, String

from tests.lab.bastion import ROOT, Bastion
from tests.wire.attacker import Attacker, _Client

MIB = 1024 * 1024
FUZZ = max(1, int(os.environ.get("BASTION_FUZZ", "1")))
"""How many times larger the floods are than in a quick run."""
CANARY = 3.0
"""Seconds another user may take to log in and get an answer. The promise is 0.5 on a machine of one's own; two shared cores are not."""
LAG = 0.5
"""Seconds the loop may stand still by its own fault."""
GROWTH = 40 * MIB
MESSAGES = {MSG_USERAUTH_FAILURE, MSG_USERAUTH_SUCCESS}


@dataclass
class Toll:
    """What an attack cost the others."""

    name: str
    during: float
    after: float
    lag: float
    growth: int


@dataclass
class Arena:
    """A bastion, its keys, and the canary."""

    bastion: Bastion
    tolls: list[Toll] = field(default_factory=list)
    canary: asyncio.subprocess.Process | None = None
    visitors: list[Any] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Return the bastion's port."""
        return self.bastion.port

    def key(self, user: str) -> asyncssh.SSHKey:
        """Return somebody's private key."""
        return asyncssh.read_private_key(self.bastion.key_of(user))

    def log(self) -> bytes:
        """Return the server's log so far."""
        return (self.bastion.folder / "log").read_bytes()

    async def client(self, user: str = "alice", *, source: str = "127.0.0.1", **more: Any) -> asyncssh.SSHClientConnection:
        """Return a stock asyncssh connection."""
        more.setdefault("client_keys", [self.key(user)])
        conn = await asyncssh.connect(
            "127.0.0.1", self.port, local_addr=(source, 0), username=user, known_hosts=None, config=None, agent_path=None, **more
        )
        self.visitors.append(conn)
        return conn

    async def says(self, user: str, command: str) -> str:
        """Return what a command of somebody prints."""
        async with await self.client(user) as conn:
            done = await conn.run(command, check=True)
        return str(done.stdout)

    async def audit(self, code: str, *words: str) -> list[dict[str, Any]]:
        """Return the newest audited facts with that code, once all these words are among them (or time is over)."""
        for _ in range(50):
            found = list(json.loads(await self.says("root1", f"audit tail --json -n 200 --code {code}")))
            if found and all(word in json.dumps(found) for word in words):
                return found
            await asyncio.sleep(0.1)  # facts are written in batches, and nothing tells when
        raise AssertionError(f"{words} never came into {code}: {found}")

    async def attacker(self, user: str = "alice", source: str = "127.0.0.1") -> Attacker:
        """Log in as somebody who then sends what he likes."""
        conn, client = await asyncssh.create_connection(
            _Client, "127.0.0.1", self.port, local_addr=(source, 0), username=user, client_keys=[self.key(user)],
            known_hosts=None, config=None, agent_path=None,
        )  # fmt: skip
        self.visitors.append(conn)
        return Attacker(conn, client)

    async def knock(self, source: str = "127.0.0.1", **options: Any) -> Knocker:
        """Come up to the login, and no further."""
        knocker = await Knocker.come(self.port, source, **options)
        self.visitors.append(knocker.conn)
        return knocker

    @asynccontextmanager
    async def unshaken(self, name: str, growth: int = GROWTH) -> AsyncIterator[None]:
        """During what happens inside and after it others are served, memory stays bounded and nothing holds the loop."""
        await self._order("watch")
        try:
            yield
        finally:
            seen = await self._order("report")
        assert not seen["problem"], f"{name}: another user was not served: {seen['problem']}\n{self.log().decode(errors='replace')[-3000:]}"
        lags = seen["status"]["loop_lag"]
        new = [lag for lag in (lags["worst_own"], lags["last_minute"]) if datetime.fromisoformat(lag["at"]).timestamp() >= seen["began"] - 1]
        worst = max(new, key=lambda lag: lag["own"], default={"own": 0.0})
        toll = Toll(name, seen["during"], seen["after"], worst["own"], seen["peak"] - seen["before"])
        self.tolls.append(toll)
        assert toll.lag < LAG, f"{toll}\n{worst}"
        assert toll.during < CANARY, f"{toll}\n{worst}"
        assert toll.after < CANARY, toll
        assert toll.growth < growth, toll

    async def _order(self, word: str) -> dict[str, Any]:
        canary = self.canary
        if canary is None:
            process = self.bastion.process
            assert process is not None
            canary = self.canary = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.attack.canary", str(self.port), str(process.pid), str(self.bastion.folder / "keys"),
                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
        assert canary.stdin is not None
        assert canary.stdout is not None
        canary.stdin.write(f"{word}\n".encode())
        async with asyncio.timeout(60):
            return dict(json.loads(await canary.stdout.readline()))

    async def dismiss(self) -> None:
        """Send everybody home: they belong to one event loop."""
        for conn in self.visitors:
            conn.abort()
        for _ in range(20):  # let the loop close what was aborted
            await asyncio.sleep(0)
        canary, self.canary = self.canary, None
        if canary is not None:
            assert canary.stdin is not None
            canary.stdin.close()
            await canary.wait()


class _Line(SSHClientConnection):
    """A client connection that stops at the login and notes what it is told."""

    said: asyncio.Queue[tuple[int, bytes]]

    def try_next_auth(self, *, next_method: bool = False) -> None:
        self._auth = self  # type: ignore[assignment]
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set_result(None)

    def process_packet(self, pkttype: int, pktid: int, packet: Any) -> Any:
        if pkttype in MESSAGES or 60 <= pkttype < 80:
            self.said.put_nowait((pkttype, packet.get_full_payload()[1:]))
            return True
        return super().process_packet(pkttype, pktid, packet)

    def cancel(self) -> None:
        """As an authentication in progress."""


class Knocker:
    """Somebody at the door who sends login requests of his own making."""

    def __init__(self, conn: Any, client: _Client) -> None:
        self.conn = conn
        self.lost = client.lost

    @classmethod
    async def come(cls, port: int, source: str, **more: Any) -> Knocker:
        loop = asyncio.get_running_loop()
        client = _Client()
        options = asyncssh.SSHClientConnectionOptions(
            username="nobody", known_hosts=None, config=None, agent_path=None, client_keys=None, **more
        )
        own = copy(options)
        own.host = own.orig_host = "127.0.0.1"
        own.port = port
        own.protocol_factory = lambda: client
        own.waiter = loop.create_future()

        def made() -> _Line:
            line = _Line(loop, own, wait="auth")
            line.said = asyncio.Queue()
            return line

        async with asyncio.timeout(15):
            _, conn = await loop.create_connection(made, "127.0.0.1", port, local_addr=(source, 0))
            await own.waiter
        return cls(conn, client)

    def ask(self, user: bytes | str, method: bytes | str, *more: bytes, service: bytes | str = "ssh-connection") -> None:
        """Send a login request."""
        self.conn.send_packet(MSG_USERAUTH_REQUEST, String(user), String(service), String(method), *more)

    def send(self, kind: int, payload: bytes = b"") -> None:
        """Send any packet, allowed or not."""
        was, self.conn._auth_complete = self.conn._auth_complete, True
        self.conn.send_packet(kind, payload)
        self.conn._auth_complete = was

    def offer(self, user: str, key: asyncssh.SSHKey, algorithm: bytes | None = None) -> None:
        """Offer a public key without signing."""
        name = algorithm or key.algorithm
        self.ask(user, "publickey", Boolean(False), String(name), String(key.public_data))

    def sign(self, user: str, key: asyncssh.SSHKey, *, algorithm: bytes | None = None, session: bytes | None = None, name: bytes | None = None) -> None:
        """Offer a public key with a signature; over another session id where one is given."""
        algorithm = algorithm or key.algorithm
        shown = name or algorithm
        body = String(user) + String("ssh-connection") + String("publickey") + Boolean(True) + String(shown) + String(key.public_data)
        data = String(self.conn._session_id if session is None else session) + Byte(MSG_USERAUTH_REQUEST) + body
        self.conn.send_packet(MSG_USERAUTH_REQUEST, body, String(key.sign(data, algorithm)))

    async def answer(self) -> tuple[int, bytes]:
        """Wait for the server's next answer; (0, reason) when it hung up."""
        async with asyncio.timeout(10):
            get = asyncio.ensure_future(self.conn.said.get())
            await asyncio.wait([get, self.lost], return_when=asyncio.FIRST_COMPLETED)
            if get.done():
                return get.result()
            get.cancel()
            return 0, str(self.lost.result()).encode()

    async def gone(self) -> str:
        """Wait for the server to hang up; what it said."""
        async with asyncio.timeout(15):
            return str(await asyncio.shield(self.lost))

    def close(self) -> None:
        self.conn.abort()
