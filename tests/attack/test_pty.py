"""PTY: terminals of every impossible kind. The session sees a clamped one, others see nothing."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from asyncssh.constants import MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_FAILURE, MSG_CHANNEL_REQUEST, MSG_CHANNEL_SUCCESS
from asyncssh.packet import String, UInt32

from tests.attack.arena import FUZZ, MIB, Arena
from tests.wire.attacker import Attacker


def pty(term: bytes, columns: int, lines: int, modes: bytes = b"\0") -> bytes:
    return String(term) + UInt32(columns) + UInt32(lines) + UInt32(0) + UInt32(0) + String(modes)


async def output(attacker: Attacker, seconds: float = 15) -> bytes:
    """Return what came until the channel was closed."""
    async with asyncio.timeout(seconds):
        while not attacker.all(MSG_CHANNEL_CLOSE) and not attacker.lost.done():
            attacker.news.clear()
            waits = [asyncio.ensure_future(attacker.news.wait()), attacker.lost]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            waits[0].cancel()
    return b"".join(data[8:] for data in attacker.all(MSG_CHANNEL_DATA))


TERMINALS = {
    "40 0x0": (pty(b"xterm", 0, 0), "24 80 xterm"),
    "41 1x1": (pty(b"xterm", 1, 1), "1 1 xterm"),
    "42 65535": (pty(b"xterm", 65535, 65535), "200 1000 xterm"),
    "43 2^31": (pty(b"xterm", 2**31, 2**31), "200 1000 xterm"),
    "44 2^32-1": (pty(b"xterm", 2**32 - 1, 2**32 - 1), "200 1000 xterm"),
    "45 TERM empty": (pty(b"", 80, 24), "24 80 xterm"),
    "45 TERM 100 KB": (pty(b"A" * 100_000, 80, 24), "24 80 xterm"),
    "45 TERM ESC": (pty(b"\x1b]0;pwn\x07", 80, 24), "24 80 xterm"),
    "45 TERM path": (pty(b"../../etc/passwd", 80, 24), "24 80 xterm"),
    "45 TERM option": (pty(b"-oProxy=x;$(id)", 80, 24), "24 80 xterm"),
    "45 TERM not ASCII": (pty("tërm".encode(), 80, 24), "24 80 xterm"),
    "46 modes cut off": (pty(b"xterm", 80, 24, b"\x01\0\0"), "24 80 xterm"),
    "46 modes unknown": (pty(b"xterm", 80, 24, b"\x9f\0\0\0\1" * 20 + b"\xff\0\0\0\1\0"), "24 80 xterm"),
    "46 modes 200 KB": (pty(b"xterm", 80, 24, b"\x01\0\0\0\3" * 40_000), "24 80 xterm"),
}


@pytest.mark.parametrize("name", TERMINALS)
async def test_the_endpoint_gets_a_clamped_terminal(name: str, arena: Arena) -> None:
    request, meant = TERMINALS[name]
    async with arena.unshaken(f"pty {name}"):
        attacker = await arena.attacker()
        channel = await attacker.opened()
        attacker.request(channel, b"pty-req", request)
        attacker.exec(channel, b"connect web01 -- echo $(stty size) $TERM")
        assert meant in (await output(attacker)).decode(errors="replace")
        attacker.close()


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (2, 500), (1000, 1), (2**32 - 1, 2**32 - 1), (3, 2)])
async def test_the_menu_survives_any_size_and_any_resize(size: tuple[int, int], arena: Arena) -> None:
    async with arena.unshaken(f"pty menu {size}"):
        attacker = await arena.attacker()
        channel = await attacker.opened()
        attacker.request(channel, b"pty-req", pty(b"xterm-256color", *size))
        attacker.request(channel, b"shell")
        await attacker.until(MSG_CHANNEL_SUCCESS, 2)
        for columns, lines in ((1, 1), (1000, 500), (0, 0), size, (2**31, 3), (80, 24)):
            attacker.request(channel, b"window-change", UInt32(columns) + UInt32(lines) + bytes(8), reply=False)
            attacker.conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel), String(b"\x1b[B\x1b[Aw"))
        attacker.conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel), String(b"\x03"))
        await output(attacker)
        attacker.close()


async def test_47_48_a_second_terminal_is_refused_and_the_first_one_stays(arena: Arena) -> None:
    async with arena.unshaken("pty 47 48 twice"):
        attacker = await arena.attacker()
        channel = await attacker.opened()
        attacker.request(channel, b"pty-req", pty(b"vt220", 100, 30))
        attacker.request(channel, b"pty-req", pty(b"xterm", 10, 10))
        attacker.exec(channel, b"connect web01 -- sleep 0.3; echo $(stty size) $TERM")
        attacker.request(channel, b"pty-req", pty(b"xterm", 10, 10))
        said = await output(attacker)
        assert len(attacker.all(MSG_CHANNEL_FAILURE)) == 2
        assert b"30 100 vt220" in said
        attacker.close()


async def test_49_a_flood_of_window_changes_is_coalesced_and_then_ended(arena: Arena) -> None:
    async with arena.unshaken("pty 49 window changes"):
        attacker = await arena.attacker()
        channel = await attacker.opened()
        attacker.request(channel, b"pty-req", pty(b"xterm", 80, 24))
        attacker.exec(channel, b"connect web01 -- sleep 30")
        await attacker.until(MSG_CHANNEL_SUCCESS, 2)
        for n in range(50_000):
            if attacker.lost.done():
                break
            attacker.request(channel, b"window-change", UInt32(80 + n % 900) + UInt32(24 + n % 100) + bytes(8), reply=False)
            if not n % 500:
                await attacker.flushed()
                await asyncio.sleep(0)
        await attacker.ended()
    assert await arena.audit("wire.peer.idle_messages", "flood of window changes")


async def test_49_window_changes_below_the_limit_do_not_stop_the_loop_with_a_viewer_looking_on(arena: Arena) -> None:
    """Each resize costs a reflow of the screen model; a filled history makes it dear."""
    async with arena.unshaken("pty 49 resizes of a full screen"):
        attacker = await arena.attacker()
        channel = await attacker.opened()
        attacker.request(channel, b"pty-req", pty(b"xterm", 200, 100))
        attacker.exec(channel, b"connect web01 -- seq 1 30000; sleep 20")
        await attacker.until(MSG_CHANNEL_SUCCESS, 2)
        async with await arena.client("sup") as looker:
            live = json.loads(await arena.says("sup", "sessions --json"))  # an earlier attack's may still be there, detached
            session = max((one for one in live if one["owner"] == "alice" and not one["detached"]), key=lambda one: one["started_at"])
            viewer = await looker.create_process(f"join {session['id']}", term_type="xterm", term_size=(80, 24), encoding=None)
            await viewer.stdout.read(100)
            for n in range(900):
                if attacker.lost.done():
                    break
                attacker.request(channel, b"window-change", UInt32(20 + n * 37 % 900) + UInt32(5 + n * 7 % 190) + bytes(8), reply=False)
                await asyncio.sleep(0.002)
        attacker.close()


async def test_50_51_52_requests_out_of_place_change_nothing(arena: Arena) -> None:
    async with arena.unshaken("pty 50-52 out of place"):
        attacker = await arena.attacker()
        channel = await attacker.opened()
        attacker.request(channel, b"signal", String("KILL"))
        attacker.request(channel, b"break", UInt32(2**32 - 1))
        attacker.request(channel, b"window-change", UInt32(80) + UInt32(24) + bytes(8))
        attacker.request(channel, b"pty-req", pty(b"xterm", 80, 24))
        attacker.exec(channel, b"connect web01 -- sleep 0.5; echo survived")
        for name in (b";rm -rf /", b"K" * 1024, b"", b"\xff", b"USR1\0", b"NOSUCH"):
            attacker.request(channel, b"signal", String(name))
        attacker.request(channel, b"break", UInt32(2**32 - 1))
        said = await output(attacker)
        assert b"survived" in said, said
        attacker.close()
        other = await arena.attacker()
        channel = await other.opened()
        other.exec(channel, b"whoami")
        await output(other)
        for name, more in ((b"window-change", UInt32(1) * 4), (b"signal", String("KILL")), (b"break", UInt32(1)), (b"shell", b"")):
            other.request(channel, name, more)  # the channel is closed on the server's side, not yet on ours
        other.conn.send_packet(MSG_CHANNEL_CLOSE, UInt32(channel))
        other.close()


@pytest.mark.parametrize("cut", range(0, 40, 4))
async def test_a_terminal_request_that_is_cut_off_ends_nothing_but_its_connection(cut: int, arena: Arena) -> None:
    async with arena.unshaken(f"pty cut at {cut}", growth=10 * MIB):
        attacker = await arena.attacker()
        channel = await attacker.opened()
        attacker.conn.send_packet(MSG_CHANNEL_REQUEST, (UInt32(channel) + String("pty-req") + b"\1" + pty(b"xterm", 80, 24))[: 4 + cut])
        attacker.exec(channel, b"whoami")
        await output(attacker)
        attacker.close()


async def test_random_requests_on_a_channel_are_survived(arena: Arena) -> None:
    """Names that exist with bodies that do not fit, in any order; the seed is in the name of what failed."""
    import random

    names = [b"pty-req", b"env", b"shell", b"exec", b"subsystem", b"window-change", b"signal", b"break", b"xon-xoff", b"exit-status", b"x11-req",
             b"auth-agent-req@openssh.com", b"eow@openssh.com", b"keepalive@openssh.com", b"\xff\xfe", b""]  # fmt: skip
    async with arena.unshaken("pty random requests"):
        for seed in range(30 * FUZZ):
            lots = random.Random(seed)
            attacker = await arena.attacker()
            channel = await attacker.opened()
            for _ in range(12):
                body = lots.choice([b"", pty(b"xterm", lots.randrange(2**32), 9), String(lots.randbytes(lots.randrange(40))), lots.randbytes(30), UInt32(2**32 - 1)])
                attacker.request(channel, lots.choice(names), body, reply=lots.random() < 0.8)
            await attacker.flushed()
            attacker.close()
    new = arena.log()
    assert b"Traceback" not in new, re.findall(rb"(?s)Traceback.{0,3000}", new)[-1].decode(errors="replace")
