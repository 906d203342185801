"""The fast path: the same bytes as asyncssh's own path, whatever the cipher, the size or the moment of a rekey."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from typing import Any

import asyncssh
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bastion import wire
from bastion.wire import gcm, selfcheck
from bastion.wire.options import CIPHERS

from .house import House, house

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))


class Collect(wire.ClientSession):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.err = bytearray()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def output_received(self, data: bytes, stderr: bool) -> None:
        (self.err if stderr else self.out).extend(data)

    def closed(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def dial(made: House, **more: Any) -> wire.ClientConnection:
    return await wire.connect("127.0.0.1", made.port, asyncssh.SSHClient, made.client_options(**more), timeout=5)


async def through(made: House, conn: wire.ClientConnection, data: bytes) -> tuple[bytes, Collect]:
    """Send data through `cat` on the server, with back-pressure, and a half-close at the end."""
    _, session = await conn.start_session(Collect, command="cat")
    for at in range(0, len(data), 100_000):
        session.write(data[at : at + 100_000])
        await session.drain()
    session.write_eof()
    await session.done
    return bytes(session.out), session


@pytest.fixture(params=["fast", "stock"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "stock":
        monkeypatch.setattr(selfcheck, "FAST_VERSIONS", frozenset())
    return str(request.param)


@pytest.mark.parametrize("cipher", CIPHERS)
async def test_three_megabytes_pass_unchanged_with_every_cipher_on_either_path(path: str, cipher: str) -> None:
    data = os.urandom(3_000_001)
    async with house() as made:
        assert wire.fast_path() is (path == "fast")
        options = made.client_options()
        options.encryption_algs = [cipher.encode()]
        conn = await wire.connect("127.0.0.1", made.port, asyncssh.SSHClient, options, timeout=5)
        assert conn.get_extra_info("send_cipher") == cipher
        out, session = await through(made, conn, data)
        assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()
        assert session.exit == wire.Exit(status=0)
        conn.abort()
    assert not made.events


async def test_aes_gcm_is_really_on_the_fast_path() -> None:
    async with house() as made:
        conn = await dial(made)
        (server,) = made.server.connections
        assert type(conn._send_encryption) is gcm.FastGCM
        assert type(server._recv_encryption) is gcm.FastGCM
        conn.abort()


@pytest.mark.parametrize("cipher", [CIPHERS[1], CIPHERS[0], CIPHERS[3]])
@pytest.mark.parametrize("side", ["server", "client", "both"])
async def test_bytes_pass_unchanged_through_rekeys_begun_by_either_side(side: str, cipher: str) -> None:
    data = os.urandom(2_000_000)
    limits = wire.Limits(rekeys_per_minute=10_000, unauthenticated_per_source=100)
    small = {"rekey_bytes": 200_000}
    async with house(limits, **(small if side != "client" else {})) as made:
        options = made.client_options(**(small if side != "server" else {}))
        options.encryption_algs = [cipher.encode()]
        conn = await wire.connect("127.0.0.1", made.port, asyncssh.SSHClient, options, timeout=5, limits=limits)
        first = bytes(conn._client_kexinit)
        out, _ = await through(made, conn, data)
        assert out == data
        assert bytes(conn._client_kexinit) != first, "no rekey took place"
        conn.abort()
    assert not made.events


async def test_four_channels_at_once_keep_their_bytes_apart() -> None:
    async with house() as made:
        conn = await dial(made)
        payloads = [os.urandom(500_000) for _ in range(4)]
        results = await asyncio.gather(*(through(made, conn, payload) for payload in payloads))
        assert [out for out, _ in results] == payloads
        conn.abort()


async def test_stdout_stderr_and_the_exit_status_arrive_in_order_and_told_apart() -> None:
    async with house() as made:
        conn = await dial(made)
        order: list[object] = []

        class Ordered(Collect):
            def output_received(self, data: bytes, stderr: bool) -> None:
                order.append((data, stderr))

            def exited(self, result: wire.Exit) -> None:
                order.append(result)

            def closed(self, exc: Exception | None) -> None:
                order.append("closed")
                super().closed(exc)

        _, session = await conn.start_session(Ordered, command="both")
        await session.done
        conn.abort()
    assert order == [(b"out1\n", False), (b"err\n", True), (b"out2\n", False), wire.Exit(status=3), "closed"]


async def test_paused_input_comes_complete_and_before_the_exit() -> None:
    async with house() as made:
        conn = await dial(made)
        told: list[str] = []

        class Slow(Collect):
            def output_received(self, data: bytes, stderr: bool) -> None:
                super().output_received(data, stderr)
                told.append("data")
                self.pause_input()
                asyncio.get_running_loop().call_later(0.001, self.resume_input)

            def exited(self, result: wire.Exit) -> None:
                told.append("exit")

        _, session = await conn.start_session(Slow, command="pour 3000000")
        await session.done
        assert len(session.out) == 3_000_000
        assert session.exit == wire.Exit(status=0)
        assert told[-1] == "exit"
        assert told.count("data") > 3
        conn.abort()


async def test_a_paused_reader_stops_the_writer_within_its_window() -> None:
    async with house() as made:
        conn = await dial(made)

        class Stopped(Collect):
            def output_received(self, data: bytes, stderr: bool) -> None:
                super().output_received(data, stderr)
                self.pause_input()

        _, _ = await conn.start_session(Stopped, command="flood")
        async with asyncio.timeout(5):
            while made.sessions[0].writable:
                await asyncio.sleep(0)
        sent = (1 << 60) - made.sessions[0].left
        assert sent < 4 * 1024 * 1024
        conn.abort()


async def test_a_wrong_byte_on_the_wire_ends_the_connection() -> None:
    async with house() as made:
        conn = await dial(made)
        send = conn._send

        def tampered(data: bytes) -> None:
            send(data[:-1] + bytes((data[-1] ^ 1,)))

        await conn.start_session(Collect, command="cat")
        conn._send = tampered  # type: ignore[method-assign]
        conn.send_packet(2, b"\0\0\0\0")
        await conn.wait_closed()
        assert not made.sessions[0].got


async def test_the_window_grows_while_a_session_is_alone() -> None:
    async with house() as made:
        conn = await dial(made)
        channel, session = await conn.start_session(Collect, command="flood")
        assert channel.get_recv_window() == wire.DEFAULT_LIMITS.receive_window
        async with asyncio.timeout(10):
            while channel.get_recv_window() != wire.DEFAULT_LIMITS.receive_window_alone:
                session.out.clear()
                await asyncio.sleep(0.01)
        _, noisy = await conn.start_session(Collect, command="flood")
        async with asyncio.timeout(10):
            while channel.get_recv_window() != wire.DEFAULT_LIMITS.receive_window:
                session.out.clear()
                noisy.out.clear()
                await asyncio.sleep(0.01)
        conn.abort()


@settings(max_examples=15 * FUZZ, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sizes=st.lists(st.integers(0, 70_000), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 5_000), min_size=1, max_size=20),
    cipher=st.sampled_from(CIPHERS),
)
async def test_however_the_stream_is_cut_the_bytes_are_the_same(sizes: list[int], cuts: list[int], cipher: str) -> None:
    """The receiving side gets its TCP stream in arbitrary pieces."""
    async with house() as made:
        options = made.client_options()
        options.encryption_algs = [cipher.encode()]
        conn = await wire.connect("127.0.0.1", made.port, asyncssh.SSHClient, options, timeout=5)
        whole = conn.data_received
        turn = 0

        def in_pieces(data: bytes, datatype: Any = None) -> None:
            nonlocal turn
            at = 0
            while at < len(data):
                size = cuts[turn % len(cuts)]
                turn += 1
                whole(data[at : at + size])
                at += size

        transport: Any = conn._transport
        conn.data_received = in_pieces  # type: ignore[method-assign]
        transport.set_protocol(conn)
        data = b"".join(bytes([n % 256]) * size for n, size in enumerate(sizes))
        out, _ = await through(made, conn, data)
        assert out == data
        conn.abort()


def test_the_self_check_passes_on_the_pinned_asyncssh_with_the_fast_path_on() -> None:
    selfcheck.check()
    assert selfcheck.fast_path()


def test_a_missing_guard_hook_refuses_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(asyncssh.connection.SSHConnection, "_process_channel_open")
    with pytest.raises(wire.WireMismatch, match=r"SSHConnection._process_channel_open: expected .* found \(nothing\)"):
        selfcheck.check()


def test_a_hook_with_other_parameters_refuses_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncssh.connection.SSHConnection, "_force_close", lambda self: None)
    with pytest.raises(wire.WireMismatch, match=r"_force_close: expected \(self exc\), found \(self\)"):
        selfcheck.check()


@pytest.mark.parametrize("version", ["2.24.0", "2.25.0", "3.0"])
def test_an_asyncssh_that_was_not_tested_refuses_the_start(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncssh, "__version__", version)
    with pytest.raises(wire.WireMismatch, match=f"version {version}"):
        selfcheck.check()


def test_a_missing_part_of_the_fast_path_turns_it_off_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(asyncssh.connection.SSHConnection, "send_newkeys", lambda self, other: None)
    with caplog.at_level(logging.WARNING):
        selfcheck.check()
    assert not selfcheck.fast_path()
    assert "fast path is off" in caplog.text
    monkeypatch.undo()
    selfcheck.check()
