"""What a user can try after login, as it was measured to freeze or bloat a server without limits; each with a canary."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncssh
import pytest
from asyncssh.constants import (
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_REQUEST,
    MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_REQUEST_FAILURE,
    MSG_REQUEST_SUCCESS,
)
from asyncssh.packet import Boolean, String, UInt32

from .attacker import Attacker
from .house import MIB, ROOMY, house, unshaken


async def test_m7_a_client_that_never_reads_stops_its_session_and_nobody_else() -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        channel = await attacker.opened(window=2**32 - 1)
        async with unshaken(made):
            attacker.conn._transport.pause_reading()
            attacker.exec(channel, b"flood")
            async with asyncio.timeout(5):
                while not made.pauses:
                    await asyncio.sleep(0)
            paused_at = made.sessions[0].left
            assert await made.canary() < 1.0
            assert made.sessions[0].left == paused_at
        attacker.close()


async def test_m19_a_session_that_ignores_the_pause_is_cut_off_at_8_mib() -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        channel = await attacker.opened(window=2**32 - 1)
        async with unshaken(made):
            attacker.conn._transport.pause_reading()
            attacker.exec(channel, b"rude 1000")
            await made.until("peer.output")
        attacker.close()
    assert len(made.saw("peer.output")) == 1


@pytest.mark.parametrize("size", [0, 1, 1023])
async def test_m9_a_channel_with_tiny_packets_is_refused(size: int) -> None:
    async with house() as made, unshaken(made):
        attacker = await Attacker.login(made)
        attacker.open(packet=size)
        (failure,) = await attacker.until(MSG_CHANNEL_OPEN_FAILURE)
        assert failure[4:8] == UInt32(4)
        assert made.saw("peer.packet_size") == [f"maximum packet {size}"]
        await attacker.opened(packet=1024)
        attacker.close()


async def test_m10_compression_is_not_offered() -> None:
    async with house() as made:
        with pytest.raises(asyncssh.KeyExchangeFailed):
            await made.stock(compression_algs=["zlib@openssh.com"])


async def test_m11_a_hundred_thousand_pasted_newlines_are_just_bytes() -> None:
    async with house() as made:
        conn = await made.stock()
        async with unshaken(made):
            result = await conn.run("count", input=b"\n" * 100_000, encoding=None)
        assert result.stdout == b"100000\n"
        conn.abort()


async def test_m12_a_flood_of_window_changes_is_coalesced_and_then_ended() -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        channel = await attacker.opened()
        attacker.request(channel, b"pty-req", String("xterm") + UInt32(80) + UInt32(24) + bytes(8) + String(b""))
        attacker.exec(channel, b"ready")
        await attacker.until(MSG_CHANNEL_SUCCESS, 2)
        async with unshaken(made, growth=10 * MIB):
            for n in range(20_000):
                attacker.request(channel, b"window-change", UInt32(80 + n % 7) + UInt32(24) + bytes(8), reply=False)
                if not n % 500:
                    await attacker.flushed()
            assert "window changes" in await attacker.ended()
        assert len(made.sessions[0].resizes) < 200
    assert made.saw("peer.idle_messages") == ["flood of window changes"]


async def test_dragging_a_window_for_ten_seconds_is_no_flood() -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        channel = await attacker.opened()
        attacker.request(channel, b"pty-req", String("xterm") + UInt32(80) + UInt32(24) + bytes(8) + String(b""))
        attacker.exec(channel, b"ready")
        for n in range(600):
            attacker.request(channel, b"window-change", UInt32(80 + n) + UInt32(24) + bytes(8), reply=False)
        attacker.request(channel, b"window-change", UInt32(132) + UInt32(43) + bytes(8), reply=False)
        async with asyncio.timeout(5):
            while not made.sessions[0].resizes or made.sessions[0].resizes[-1][:2] != (132, 43):
                made.resized.clear()
                await made.resized.wait()
        assert len(made.sessions[0].resizes) < 100
        attacker.close()
    assert not made.events


async def test_m13_the_eleventh_channel_is_refused() -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        for number in range(11):
            attacker.open(number)
        (failure,) = await attacker.until(MSG_CHANNEL_OPEN_FAILURE)
        assert failure[4:8] == UInt32(4)
        assert b"No more than 10 channels" in failure
        assert len(attacker.all(MSG_CHANNEL_OPEN_CONFIRMATION)) == 10
        attacker.close()


async def test_m13_five_thousand_channel_opens_end_the_connection() -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        async with unshaken(made, growth=10 * MIB):
            for number in range(5000):
                attacker.open(number)
                if not number % 500:
                    await attacker.flushed()
            assert "Limit reached" in await attacker.ended()
    assert made.saw("peer.requests") or made.saw("peer.channels")


async def test_m14_only_harmless_environment_is_kept_and_only_so_much_of_it() -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        channel = await attacker.opened()
        names = [b"LD_PRELOAD", b"BASH_ENV", b"PYTHONPATH", b"", b"LC_ALL=x", b"LC_a", b"\xff", b"LANG\n"]
        for name in names:
            attacker.request(channel, b"env", String(name) + String("x"))
        for value in (b"a b", b"$(id)", b"\x1b[2J", b"x" * 65):
            attacker.request(channel, b"env", String("LANG") + String(value))
        await attacker.until(MSG_CHANNEL_FAILURE, len(names) + 4)
        for n in range(40):
            attacker.request(channel, b"env", String("LC_" + "A" * (n // 26 + 1) + chr(65 + n % 26)) + String("C"))
        await attacker.until(MSG_CHANNEL_FAILURE, len(names) + 4 + 8)
        assert len(attacker.all(MSG_CHANNEL_SUCCESS)) == 32
        attacker.close()


async def test_m14_a_hundred_thousand_variables_end_the_connection() -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        channel = await attacker.opened()
        async with unshaken(made, growth=15 * MIB):
            for n in range(10_000):
                attacker.request(channel, b"env", String(f"LC_{n}") + String("x" * 1000))
                if not n % 100:
                    await attacker.flushed()
            assert "too many channel requests" in await attacker.ended()


@pytest.mark.parametrize(
    ("size", "term", "meant"),
    [
        ((2**31, 2**31), b"xterm", b"xterm TerminalSize(cols=1000, rows=200,"),
        ((2**32 - 1, 2**32 - 1), b"\x1b]0;x\x07", b"xterm TerminalSize(cols=1000, rows=200,"),
        ((0, 0), b"A" * 100_000, b"xterm TerminalSize(cols=80, rows=24,"),
        ((1, 1), b"../../etc/passwd", b"xterm TerminalSize(cols=1, rows=1,"),
        ((132, 43), b"vt220", b"vt220 TerminalSize(cols=132, rows=43,"),
    ],
)
async def test_m15_the_session_sees_only_a_clamped_terminal(size: tuple[int, int], term: bytes, meant: bytes) -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        channel = await attacker.opened()
        body = String(term) + UInt32(size[0]) + UInt32(size[1]) + UInt32(2**32 - 1) + UInt32(0)
        attacker.request(channel, b"pty-req", body + String(b"\x01\x00\x00\x00\x03\x35\x00"))
        attacker.exec(channel, b"tell")
        (data,) = await attacker.until(MSG_CHANNEL_DATA)
        assert data[8:].startswith(meant)
        assert b"width=65535" in data
        attacker.close()


async def test_m16_m17_strange_widths_and_bytes_end_nothing() -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        channel = await attacker.opened()
        attacker.request(channel, b"pty-req", String("weird") + UInt32(1) + UInt32(1) + bytes(8) + String(b""))
        attacker.request(channel, b"shell")
        await attacker.until(MSG_CHANNEL_SUCCESS, 2)
        typed = bytes(range(256)) * 4 + b"\xff\xfe\xc3"
        attacker.conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel), String(typed))
        await attacker.until(MSG_CHANNEL_DATA)
        while sum(len(d) - 8 for d in attacker.all(MSG_CHANNEL_DATA)) < len(typed):
            await asyncio.sleep(0)
        assert b"".join(d[8:] for d in attacker.all(MSG_CHANNEL_DATA)) == typed
        attacker.close()
    assert not made.events


@pytest.mark.parametrize("command", ["boom", "boom-later"])
async def test_m18_a_fault_in_one_session_ends_that_channel_and_no_other(command: str) -> None:
    async with house() as made:
        conn = await made.stock()
        neighbour = await conn.create_process("cat", encoding=None)
        failed = await conn.create_process(command, encoding=None)
        if command == "boom-later":
            failed.stdin.write(b"x")
        await failed.wait_closed()
        assert failed.exit_status == 70
        neighbour.stdin.write(b"still here")
        assert await neighbour.stdout.readexactly(10) == b"still here"
        conn.abort()
    assert made.saw("fault.session") == ["ZeroDivisionError: on purpose"]


async def test_a_fault_while_a_session_is_made_refuses_that_channel_only() -> None:
    def broken(session: object) -> None:
        raise ZeroDivisionError("on purpose")

    async with house() as made:
        conn = await made.stock()
        made.on_opened = broken
        with pytest.raises(asyncssh.Error):
            await conn.run("hello")
        made.on_opened = None
        assert (await conn.run("hello")).stdout == "hello\n"
        conn.abort()
    assert made.saw("fault.session")


@pytest.mark.parametrize(
    "kind",
    [b"x11", b"auth-agent@openssh.com", b"forwarded-tcpip", b"direct-streamlocal@openssh.com", b"tun@openssh.com", b"\xff", b""],
)
async def test_channels_that_are_not_offered_are_refused_and_told_to_the_audit(kind: bytes) -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        attacker.open(kind=kind, more=String("/run/x") + UInt32(0))
        (failure,) = await attacker.until(MSG_CHANNEL_OPEN_FAILURE)
        assert failure[4:8] == UInt32(1)
        assert len(made.saw("peer.channel_type")) == 1
        await attacker.opened()
        attacker.close()


@pytest.mark.parametrize(
    "name",
    ["tcpip-forward", "cancel-tcpip-forward", "streamlocal-forward@openssh.com", "session-ids@example.com", "x" * 1000],
)
async def test_listeners_and_unknown_global_requests_are_refused(name: str) -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        attacker.conn.send_packet(MSG_GLOBAL_REQUEST, String(name), Boolean(True), String("127.0.0.1"), UInt32(22))
        await attacker.until(MSG_REQUEST_FAILURE)
        attacker.conn.send_packet(MSG_GLOBAL_REQUEST, String("keepalive@openssh.com"), Boolean(True))
        await attacker.until(MSG_REQUEST_SUCCESS)
        attacker.close()
    assert len(made.saw("peer.request")) == 1


@pytest.mark.parametrize("name", ["auth-agent-req@openssh.com", "x11-req"])
async def test_agent_and_x11_requests_are_refused(name: str) -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        channel = await attacker.opened()
        attacker.request(channel, name.encode())
        await attacker.until(MSG_CHANNEL_FAILURE)
        attacker.close()
    assert made.saw("peer.request")[0].startswith(name)


@pytest.mark.parametrize("command", [b"x" * 70_000, b"a\0b", b"\xff\xfe"])
async def test_a_command_that_is_too_long_or_not_text_is_refused(command: bytes) -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        channel = await attacker.opened()
        attacker.exec(channel, command)
        await attacker.until(MSG_CHANNEL_FAILURE)
        assert made.sessions[0].command == ""
        attacker.close()


async def test_after_no_more_sessions_there_are_none() -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        attacker.conn.send_packet(MSG_GLOBAL_REQUEST, String("no-more-sessions@openssh.com"), Boolean(False))
        attacker.open()
        (failure,) = await attacker.until(MSG_CHANNEL_OPEN_FAILURE)
        assert failure[4:8] == UInt32(1)
        attacker.close()


@pytest.mark.parametrize(
    ("kind", "payload"), [(MSG_IGNORE, String("")), (4, Boolean(False) + String("x") + String("")), (200, b"x"), (3, UInt32(1))]
)
async def test_a_flood_of_messages_that_carry_nothing_is_ended(kind: int, payload: bytes) -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        async with unshaken(made, growth=10 * MIB):
            for n in range(10_000):
                attacker.conn.send_packet(kind, payload)
                if not n % 500:
                    await attacker.flushed()
            assert "carry nothing" in await attacker.ended()
    assert made.saw("peer.idle_messages")


async def test_a_client_that_sends_an_ignore_with_every_packet_is_welcome() -> None:
    async with house() as made:
        conn = await made.stock()
        process = await conn.create_process("count", encoding=None)
        for _ in range(5000):
            process.stdin.write(b"x" * 10)
        process.stdin.write_eof()
        assert await process.stdout.read() == b"50000\n"
        conn.abort()
    assert not made.events


async def test_m27_a_flood_of_key_exchanges_is_ended() -> None:
    async with house() as made:
        attacker = await Attacker.login(made)
        async with unshaken(made):
            for _ in range(60):
                if attacker.lost.done():
                    break
                attacker.conn._send_kexinit()
                attacker.conn._kexinit_sent = True
                while not attacker.conn._kex_complete and not attacker.lost.done():
                    await asyncio.sleep(0)
            assert "too many key exchanges" in await attacker.ended()


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (MSG_CHANNEL_DATA, UInt32(0) + String(bytes(200_000))),
        (MSG_CHANNEL_DATA, UInt32(99) + String(b"x")),
        (MSG_CHANNEL_WINDOW_ADJUST, UInt32(0) + UInt32(2**32 - 1)),
        (MSG_CHANNEL_REQUEST, UInt32(0) + String(b"\xff") + Boolean(True)),
        (MSG_CHANNEL_DATA, UInt32(0) + UInt32(5) + b"x"),
    ],
    ids=["beyond the window", "unknown channel", "window overflow", "request not ascii", "cut off"],
)
async def test_m25_breaking_the_protocol_ends_the_connection_with_a_reason(kind: int, payload: bytes) -> None:
    async with house() as made, unshaken(made):
        attacker = await Attacker.login(made)
        assert await attacker.opened() == 0
        attacker.conn.send_packet(kind, payload)
        await attacker.ended()
    assert len(made.saw("peer.protocol")) == 1


async def test_a_connection_without_a_channel_does_not_linger() -> None:
    async with house(replace(ROOMY, unused_connection=0.05)) as made:
        attacker = await Attacker.login(made)
        assert "no channel was open" in await attacker.ended()
    assert len(made.saw("peer.unused")) == 1
