"""What anyone can try before login, as it was measured to freeze or bloat a server without limits; each with a canary."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_IGNORE,
)
from asyncssh.packet import Boolean, String, UInt32

from bastion import wire

from .house import MIB, OTHER_KEY, ROOMY, USER_KEY, house, unshaken


async def test_m1_three_thousand_silent_connections_leave_the_door_open_for_others() -> None:
    async with house(wire.DEFAULT_LIMITS) as made, unshaken(made, growth=30 * MIB):
        sockets = []
        for batch in range(60):
            for _ in range(50):
                sock = socket.socket()
                sock.setblocking(False)
                sock.bind(("127.0.2.1", 0))
                sock.connect_ex(("127.0.0.1", made.port))
                sockets.append(sock)
            async with asyncio.timeout(5):
                while len(made.events) < len(sockets) - 20:
                    await asyncio.sleep(0)
            if batch == 30:
                assert await made.canary() < 1.0
        assert made.server.gate.unauthenticated <= 10
        for sock in sockets:
            sock.close()
    refused = len(made.saw("refused.source")) + len(made.saw("refused.rate")) + len(made.saw("refused.penalty"))
    assert refused > 2900


async def test_a_refused_connection_is_told_so_in_one_line() -> None:
    async with house(replace(ROOMY, unauthenticated_per_source=1)) as made:
        first = await asyncio.open_connection("127.0.0.1", made.port)
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        assert await reader.read() == b"Not allowed at this time\r\n"
        first[1].close()
        writer.close()
    assert made.saw("refused.source") == [""]


async def test_m3_half_packets_from_one_source_cost_nothing() -> None:
    async with house(wire.DEFAULT_LIMITS) as made, unshaken(made, growth=20 * MIB):
        for _ in range(200):
            sock = socket.socket()
            sock.setblocking(False)
            sock.bind(("127.0.2.1", 0))
            sock.connect_ex(("127.0.0.1", made.port))
            try:
                sock.send(b"SSH-2.0-x\r\n\x00\x03\xff\xff" + bytes(100_000))
            except OSError:
                pass
            sock.close()
            await asyncio.sleep(0)


async def test_m4_input_before_login_is_cut_off_at_300_kib() -> None:
    async with house() as made, unshaken(made):
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        await reader.readline()
        writer.write(b"SSH-2.0-flood\r\n")
        for _ in range(2000):
            writer.write(bytes(1024))
            await asyncio.sleep(0)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(10_000_000)
        writer.close()
    assert made.saw("login.input") or made.saw("peer.protocol")


async def test_m4_a_login_that_waits_for_its_directory_is_not_a_place_to_pile_up_input() -> None:
    async with house() as made, unshaken(made, growth=10 * MIB):
        waiting = asyncio.Event()

        class Slow(asyncssh.SSHServer):
            def begin_auth(self, username: str) -> bool:
                return True

            def password_auth_supported(self) -> bool:
                return True

            async def validate_password(self, username: str, password: str) -> bool:
                waiting.set()
                await asyncio.Event().wait()
                return True

        made.factory = lambda _: Slow()
        client = asyncio.ensure_future(made.stock(username="x", password="p", client_keys=None))
        await waiting.wait()
        (connection,) = made.server.connections
        conn = next(c for c in _client_connections() if c._host == "127.0.0.1")
        for _ in range(400):
            if conn._transport is None:
                break
            conn.send_packet(MSG_IGNORE, String(bytes(1024)))
            await asyncio.sleep(0)
        with pytest.raises((asyncssh.Error, OSError)):
            await client
        assert connection.is_closed()
        made.factory = None
    assert made.saw("login.input") == ["too much input before login"]


def _client_connections() -> list[Any]:
    import gc

    return [o for o in gc.get_objects() if type(o) is asyncssh.SSHClientConnection and o._transport is not None]


async def test_m5_the_sixth_wrong_password_ends_the_connection() -> None:
    tried: list[str] = []

    class Guesser(asyncssh.SSHClient):
        def password_auth_requested(self) -> str:
            return f"guess{len(tried)}"

    async with house() as made:
        made.validate_password = lambda username, password: bool(tried.append(password))
        with pytest.raises(asyncssh.Error, match="Too many authentication failures"):
            await asyncssh.create_connection(
                Guesser, "127.0.0.1", made.port, username="alice", client_keys=None, known_hosts=None, config=None,
                preferred_auth="password",
            )  # fmt: skip
    assert len(tried) == 6
    assert made.saw("login.tries") == ["user alice"]


async def test_after_four_failed_logins_the_source_waits_and_others_do_not() -> None:
    limits = replace(wire.DEFAULT_LIMITS, connection_rate=1000.0, connection_burst=1000)
    async with house(limits) as made:
        for _ in range(4):
            with pytest.raises((asyncssh.Error, OSError)):
                await made.stock(client_keys=[OTHER_KEY], local_addr=("127.0.2.1", 0))
            while made.server.connections:
                await asyncio.sleep(0)
        with pytest.raises((asyncssh.Error, OSError)):
            await made.stock(local_addr=("127.0.2.1", 0))
        assert made.saw("refused.penalty") == [""]
        assert await made.canary() < 1.0


@pytest.mark.parametrize("answer", [None, False, "", 0, 1, "yes"])
async def test_m22_only_a_literal_true_from_begin_auth_lets_a_user_try(answer: object) -> None:
    async with house() as made:
        made.begin = lambda username: answer
        with pytest.raises(asyncssh.PermissionDenied):
            await made.stock()
    assert made.saw("login.hook")[0] == f"begin_auth returned {type(answer).__name__}, not True"
    assert not made.sessions


async def test_m22_a_begin_auth_that_is_a_coroutine_or_raises_is_a_refusal() -> None:
    async def later(username: str) -> bool:
        return False

    def broken(username: str) -> bool:
        raise ZeroDivisionError

    async with house() as made:
        for hook in (later, broken):
            made.begin = hook
            with pytest.raises(asyncssh.PermissionDenied):
                await made.stock()
    assert "begin_auth returned coroutine, not True" in made.saw("login.hook")
    assert "begin_auth raised ZeroDivisionError" in made.saw("login.hook")


@pytest.mark.parametrize("hook", ["validate_key", "validate_password"])
async def test_m24_a_login_hook_that_raises_is_a_clean_refusal(hook: str) -> None:
    def broken(username: str, secret: object) -> bool:
        raise ConnectionError("directory is down")

    async with house() as made:
        setattr(made, hook, broken)
        with pytest.raises(asyncssh.PermissionDenied):
            await made.stock(**({} if hook == "validate_key" else {"client_keys": None, "password": "secret"}))
    assert any("ConnectionError" in detail for detail in made.saw("login.hook"))


async def test_m23_an_offered_key_proves_nothing_about_a_login_by_password() -> None:
    """The victim's public key is offered without a signature, then the attacker's own password is used."""

    class Thief(asyncssh.SSHClient):
        pass

    async with house() as made:
        victim = USER_KEY.public_data
        made.validate_key = lambda username, key: True
        made.validate_password = lambda username, password: password == "own"
        original = asyncssh.SSHClientConnection.send_userauth_request

        async def probe_only(self: Any, method: bytes, *args: bytes, key: Any = None, trivial: bool = True) -> None:
            if method == b"publickey":  # say that we have the key, then never sign with it
                await original(self, method, Boolean(False), *args[1:3], trivial=trivial)
                await original(self, b"password", Boolean(False), String("own"), trivial=False)
            else:
                await original(self, method, *args, key=key, trivial=trivial)

        conn = None
        try:
            asyncssh.SSHClientConnection.send_userauth_request = probe_only  # type: ignore[method-assign]
            conn, _ = await asyncssh.create_connection(
                Thief, "127.0.0.1", made.port, username="mallory", client_keys=[USER_KEY], password="own",
                known_hosts=None, config=None, agent_path=None,
            )  # fmt: skip
        except asyncssh.Error:
            pass
        finally:
            asyncssh.SSHClientConnection.send_userauth_request = original  # type: ignore[method-assign]
        owner = made.owners[-1]
        assert victim in owner.offered
        assert [proof.method for proof in owner.conn.proofs] == ["password"]
        assert owner.conn.proofs[0].key_data == b""
        if conn is not None:
            conn.abort()


async def test_a_proof_is_forgotten_when_another_user_is_named() -> None:
    """Alice's key is accepted as a first factor; then bob is named with a password only."""

    class TwoFactor(asyncssh.SSHServer):
        def connection_made(self, conn: Any) -> None:
            self.conn: wire.ServerConnection = conn

        def begin_auth(self, username: str) -> bool:
            return True

        def public_key_auth_supported(self) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return username == "alice"

        def validate_password(self, username: str, password: str) -> bool:
            return username == "bob"

        def factor_accepted(self, proof: wire.Proof) -> bool:
            return len(self.conn.proofs) == 2

    class Switcher(asyncssh.SSHClient):
        def connection_made(self, conn: Any) -> None:
            self.conn = conn

        def password_auth_requested(self) -> str:
            self.conn._username = "bob"
            self.asked = getattr(self, "asked", 0) + 1
            return "pw" if self.asked < 3 else None  # type: ignore[return-value]

    async with house() as made:
        made.factory = lambda _: TwoFactor()
        with pytest.raises(asyncssh.Error):
            await asyncssh.create_connection(
                Switcher, "127.0.0.1", made.port, username="alice", client_keys=[USER_KEY], known_hosts=None,
                config=None, agent_path=None,
            )  # fmt: skip


async def test_a_login_that_takes_longer_than_the_grace_is_ended() -> None:
    async with house(replace(ROOMY, login_grace=0.05)) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
        await reader.read()
        writer.close()
    assert made.saw("login.grace") == ["user "]


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (90, String("session") + UInt32(0) + UInt32(2**21) + UInt32(32768)),
        (80, String("keepalive@openssh.com") + Boolean(True)),
        (52, b""),
        (192, String("ping")),
    ],
    ids=["channel-open", "global-request", "userauth-success", "ping"],
)
async def test_m25_nothing_but_a_login_is_taken_before_login(kind: int, payload: bytes) -> None:
    sent = asyncio.Event()

    class Eager(asyncssh.SSHClient):
        def connection_made(self, conn: Any) -> None:
            self.conn = conn

        def begin_auth(self, username: str) -> None:
            conn = self.conn
            conn._auth_complete = True
            conn.send_packet(kind, payload)
            conn._auth_complete = False
            sent.set()

    async with house() as made, unshaken(made):
        with pytest.raises((asyncssh.Error, OSError)):
            async with asyncio.timeout(5):
                await asyncssh.create_connection(
                    Eager, "127.0.0.1", made.port, username="nobody", client_keys=[OTHER_KEY], known_hosts=None,
                    config=None, agent_path=None,
                )  # fmt: skip
        assert sent.is_set()
        assert not made.sessions
