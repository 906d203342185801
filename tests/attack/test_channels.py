"""Channels: what a logged-in user can do to the connection itself. Others are served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from asyncssh.constants import (
    MSG_CHANNEL_CLOSE,
    MSG_CHANNEL_DATA,
    MSG_CHANNEL_EOF,
    MSG_CHANNEL_FAILURE,
    MSG_CHANNEL_OPEN_CONFIRMATION,
    MSG_CHANNEL_OPEN_FAILURE,
    MSG_CHANNEL_SUCCESS,
    MSG_CHANNEL_WINDOW_ADJUST,
    MSG_GLOBAL_REQUEST,
    MSG_IGNORE,
    MSG_KEXINIT,
)
from asyncssh.packet import Boolean, String, UInt32

from tests.attack.arena import FUZZ, MIB, Arena
from tests.attack.test_pty import output, pty
from tests.wire.attacker import Attacker

Attack = Callable[[Arena, Attacker], Awaitable[None]]


async def flood(attacker: Attacker, count: int, send: Callable[[int], None]) -> None:
    """Send so many, unless the server hangs up before."""
    for n in range(count):
        if attacker.lost.done():
            return
        send(n)
        if not n % 200:
            await attacker.flushed()
            await asyncio.sleep(0)


async def c53_five_thousand_sessions(arena: Arena, attacker: Attacker) -> None:
    await flood(attacker, 5000, attacker.open)
    await attacker.ended()
    assert len(attacker.all(MSG_CHANNEL_OPEN_CONFIRMATION)) <= 10


async def c54_tiny_packets(arena: Arena, attacker: Attacker) -> None:
    for size in (0, 1, 1023):
        attacker.open(packet=size)
    assert all(b"Maximum packet" in failure for failure in await attacker.until(MSG_CHANNEL_OPEN_FAILURE, 3))
    channel = await attacker.opened(packet=2**32 - 1)
    attacker.exec(channel, b"whoami")
    assert b"alice" in await output(attacker)


async def c55_window_zero(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened(window=0)
    attacker.exec(channel, b"connect web01 -- seq 1 100000")
    await attacker.until(MSG_CHANNEL_SUCCESS)
    await asyncio.sleep(0.5)
    assert not attacker.all(MSG_CHANNEL_DATA)


async def c56_window_never_read(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened(window=2**32 - 1)
    attacker.conn._transport.pause_reading()
    attacker.exec(channel, b"connect web01 -- cat /dev/zero")
    await asyncio.sleep(3 * FUZZ)


async def c56_viewer_stopped(arena: Arena, attacker: Attacker) -> None:
    """One's own terminal is full while the endpoint floods it."""
    channel = await attacker.opened(window=100)
    attacker.request(channel, b"pty-req", pty(b"xterm", 80, 24))
    attacker.exec(channel, b"connect web01 -- yes 'abcdefghij'")
    await asyncio.sleep(2 * FUZZ)


async def c57_window_overflow(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened(window=2**32 - 1)
    attacker.conn.send_packet(MSG_CHANNEL_WINDOW_ADJUST, UInt32(channel), UInt32(2**32 - 1))
    assert "Window" in await attacker.ended()


async def c58_beyond_the_window(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened()
    attacker.exec(channel, b"connect web01 -- sleep 60")  # reads nothing
    await attacker.until(MSG_CHANNEL_SUCCESS)
    await flood(attacker, 2000, lambda _: attacker.conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel), String(bytes(32000))))
    await attacker.ended()  # what it said may be lost: the kernel resets a connection with unread input
    assert await arena.audit("wire.peer.protocol", "Window exceeded")


async def c59_unknown_channels(arena: Arena, attacker: Attacker) -> None:
    for kind, more in ((MSG_CHANNEL_DATA, String("x")), (MSG_CHANNEL_EOF, b""), (MSG_CHANNEL_CLOSE, b""), (MSG_CHANNEL_SUCCESS, b"")):
        for number in (7, 2**32 - 1):
            other = await arena.attacker()
            other.conn.send_packet(kind, UInt32(number), more)
            await other.ended()


async def c60_double_close(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened()
    for _ in range(3):
        attacker.conn.send_packet(MSG_CHANNEL_CLOSE, UInt32(channel))
    await attacker.ended()


async def c61_three_programs_on_one_channel(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened()
    attacker.exec(channel, b"connect web01 -- sleep 0.3; echo first")
    attacker.exec(channel, b"connect web01 -- echo second")
    attacker.request(channel, b"shell")
    attacker.request(channel, b"subsystem", String("sftp"))
    said = await output(attacker)
    assert b"first" in said
    assert b"second" not in said
    assert len(attacker.all(MSG_CHANNEL_FAILURE)) == 3


async def c62_commands(arena: Arena, attacker: Attacker) -> None:
    for command in (b"x" * MIB, b"whoami\0", b"\xff\xfe\xfd", b"whoami\nid", b"\x1b]0;pwn\x07", b"x" * 65536, b"'" * 20_000, b"-- " * 20_000, b""):
        other = await arena.attacker()
        other.exec(await other.opened(), command)
        said = await output(other) if len(command) <= 65536 and b"\0" not in command and b"\xff" not in command else b""
        assert b"\x1b" not in said
        other.close()


async def c63_subsystems(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened()
    for name in (b"no such", b"sftp\0", b"sftp ", b"../sftp", b"\xff", b"x" * 10_000, b""):
        attacker.request(channel, b"subsystem", String(name))
    await attacker.until(MSG_CHANNEL_FAILURE, 7)


async def c64_environment(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened()
    names = [b"LD_PRELOAD", b"LD_LIBRARY_PATH", b"BASH_ENV", b"PATH", b"PYTHONPATH", b"SSH_AUTH_SOCK", b"", b"A=B", b"LC_ALL=x", b"LANG\0", b"IFS", b"PS4"]
    for name in names:
        attacker.request(channel, b"env", String(name) + String("/tmp/x.so"))
    for value in (b"\x1b[2J", b"() { :;}; id", b"x" * 60_000, b"a\0b"):
        attacker.request(channel, b"env", String("LC_MESSAGES") + String(value))
    attacker.request(channel, b"env", String("LC_TIME") + String("C"))
    await attacker.until(MSG_CHANNEL_FAILURE, len(names) + 4)
    attacker.exec(channel, b"connect web01 -- env")
    said = await output(attacker)
    assert b"LC_TIME=C" in said
    for word in (b"LD_PRELOAD", b"/tmp/x.so", b"BASH_ENV", b"() {", b"BASTION"):
        assert word not in said, word


async def c64_environment_flood(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened()
    await flood(attacker, 10_000 * FUZZ, lambda n: attacker.request(channel, b"env", String(f"LC_{n}") + String("x" * 1000), reply=False))
    await attacker.ended()


async def c66_c69_channels_not_offered(arena: Arena, attacker: Attacker) -> None:
    kinds = [b"direct-streamlocal@openssh.com", b"tun@openssh.com", b"x11", b"forwarded-tcpip", b"auth-agent@openssh.com", b"\xff", b""]
    for kind in kinds:
        attacker.open(kind=kind, more=String("/run/x") + String("") + UInt32(0))
    for failure in await attacker.until(MSG_CHANNEL_OPEN_FAILURE, len(kinds)):
        assert b"not offered" in failure
    assert await arena.audit("wire.peer.channel_type", "tun@openssh.com", "direct-streamlocal")


async def c65_direct_tcpip(arena: Arena, attacker: Attacker) -> None:
    for host, port in (("127.0.0.1", 22), ("169.254.169.254", 80), ("localhost", 0), ("::1", 65536), ("x" * 10_000, 2**32 - 1), ("\x1b]0;x\x07", 1), ("web01", 23), ("web99", 22)):
        other = await arena.attacker()
        other.open(kind=b"direct-tcpip", more=String(host) + UInt32(port) + String("127.0.0.1") + UInt32(9))
        (failure,) = await other.until(MSG_CHANNEL_OPEN_FAILURE)
        assert b"bastion" in failure.lower(), failure
        other.close()


async def c67_listeners(arena: Arena, attacker: Attacker) -> None:
    from asyncssh.constants import MSG_REQUEST_FAILURE

    for n, (name, port) in enumerate((("tcpip-forward", 22), ("tcpip-forward", 0), ("cancel-tcpip-forward", 1), ("streamlocal-forward@openssh.com", 2**32 - 1))):
        attacker.conn.send_packet(MSG_GLOBAL_REQUEST, String(name), Boolean(True), String("0.0.0.0"), UInt32(port))
        await attacker.until(MSG_REQUEST_FAILURE, n + 1)


async def c68_agent_and_x11(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened()
    attacker.request(channel, b"auth-agent-req@openssh.com")
    attacker.request(channel, b"x11-req", Boolean(False) + String("MIT-MAGIC-COOKIE-1") + String("not hex\x1b[2J") + UInt32(2**32 - 1))
    await attacker.until(MSG_CHANNEL_FAILURE, 2)


async def c70_global_requests(arena: Arena, attacker: Attacker) -> None:
    await flood(attacker, 5000, lambda n: attacker.conn.send_packet(MSG_GLOBAL_REQUEST, String(f"x{n}@example"), Boolean(True)))
    await attacker.ended()


async def c71_rekeys(arena: Arena, attacker: Attacker) -> None:
    for _ in range(60):
        if attacker.lost.done():
            break
        attacker.conn._send_kexinit()
        attacker.conn._kexinit_sent = True
        async with asyncio.timeout(10):
            while not attacker.conn._kex_complete and not attacker.lost.done():
                await asyncio.sleep(0)
    assert "too many key exchanges" in await attacker.ended()


async def c71_rekey_never_finished(arena: Arena, attacker: Attacker) -> None:
    """A KEXINIT and then only data: the session's output must not pile up behind the missing key exchange."""
    channel = await attacker.opened(window=2**32 - 1)
    attacker.exec(channel, b"connect web01 -- cat /dev/zero")
    await attacker.until(MSG_CHANNEL_DATA)
    attacker.conn.process_packet = lambda *_: True  # answers nothing any more
    attacker.conn._transport.write(b"")
    attacker.conn._send_kexinit()
    await asyncio.sleep(2)


async def c72_ignore_flood(arena: Arena, attacker: Attacker) -> None:
    await flood(attacker, 3000, lambda _: attacker.conn.send_packet(MSG_IGNORE, String(bytes(30_000))))
    await attacker.ended()


async def c72_unknown_packets(arena: Arena, attacker: Attacker) -> None:
    await flood(attacker, 20_000, lambda _: attacker.conn.send_packet(200, b"x"))
    await attacker.ended()


async def c73_data_after_eof(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened()
    attacker.exec(channel, b"connect web01 -- cat")
    attacker.conn.send_packet(MSG_CHANNEL_EOF, UInt32(channel))
    attacker.conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel), String("late"))
    await attacker.ended()


async def c74_half_close(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened()
    attacker.exec(channel, b"connect web01 -- wc -c; echo done")
    attacker.conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel), String("12345"))
    attacker.conn.send_packet(MSG_CHANNEL_EOF, UInt32(channel))
    said = await output(attacker)
    assert b"5\n" in said
    assert b"done" in said


async def c75_reset_in_mid_output(arena: Arena, attacker: Attacker) -> None:
    import socket
    import struct

    for _ in range(5):
        other = await arena.attacker()
        channel = await other.opened(window=2**30)
        other.exec(channel, b"connect web01 -- cat /dev/urandom")
        await other.until(MSG_CHANNEL_DATA)
        other.conn._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        other.conn.abort()


async def c78_paste(arena: Arena, attacker: Attacker) -> None:
    """A hundred thousand newlines and odd bytes typed into the menu."""
    channel = await attacker.opened()
    attacker.request(channel, b"pty-req", pty(b"xterm", 80, 24))
    attacker.request(channel, b"shell")
    await attacker.until(MSG_CHANNEL_SUCCESS, 2)
    for part in (b"zzz", b"\x1b[" + b"9" * 20_000, b"\x1b[200~" + b"q" * 20_000, b"\x1b]0;" + b"x" * 20_000, b"\xff\xfe\xc3" * 3000):
        attacker.conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel), String(part))
    await asyncio.sleep(0.5)


async def c79_small_data(arena: Arena, attacker: Attacker) -> None:
    channel = await attacker.opened()
    attacker.exec(channel, b"connect web01 -- cat > /dev/null")
    await attacker.until(MSG_CHANNEL_SUCCESS)
    await flood(attacker, 20_000 * FUZZ, lambda _: attacker.conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel), String("k")))


async def c80_kexinit_garbage(arena: Arena, attacker: Attacker) -> None:
    for payload in (b"", bytes(16), bytes(16) + UInt32(2**32 - 1), bytes(16) + String("x,") * 10 + b"\0\0\0\0\0"):
        other = await arena.attacker()
        other.conn.send_packet(MSG_KEXINIT, payload)
        await other.ended()


ATTACKS: list[Attack] = [made for name, made in sorted(globals().items()) if name[:1] == "c" and name[1:3].isdigit()]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda made: made.__name__)
async def test_whatever_a_user_does_to_the_connection_others_are_served(attack: Attack, arena: Arena) -> None:
    before = len(arena.log())
    async with arena.unshaken(f"channels {attack.__name__}"):
        attacker = await arena.attacker()
        await attack(arena, attacker)
        attacker.close()
    new = arena.log()[before:]
    assert b"Traceback" not in new, new.decode(errors="replace")[-4000:]
    assert b"fault.session" not in new
    assert b"\x1b" not in new


async def test_77_ten_of_twelve_sessions_on_one_connection_run_at_once_and_two_are_told_why(arena: Arena) -> None:
    import asyncssh

    async with arena.unshaken("channels 77 multiplexed"):
        async with await arena.client("alice") as conn:
            async def one(number: int) -> str:
                try:
                    done = await conn.run(f"connect web01 -- sleep 1; echo {number}")
                except asyncssh.ChannelOpenError as error:
                    return error.reason
                return str(done.stdout).strip()

            said = await asyncio.gather(*(one(number) for number in range(12)))
    assert sorted(word for word in said if word.isdigit()) == sorted(map(str, range(10)))
    assert [word for word in said if not word.isdigit()] == ["No more than 10 channels"] * 2
