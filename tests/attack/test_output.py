"""Terminal output from a hostile endpoint: with a viewer looking on, who gets a screen and nothing active."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from bastion.core.terminal import Terminal
from tests.attack.arena import FUZZ, Arena

BIG = 2_000_000 * FUZZ
ESC = b"\x1b"

OUTPUTS: dict[str, bytes] = {
    "78 one long line": b"x" * BIG * 2,
    "79 newlines": b"\n" * 1_000_000,
    "80 CSI 99 J": b"\x1b[99J\x1b[99K\x1b[9999999999X\x1b[99999999999P\x1b[9999999L\x1b[999999999M\x1b[99999999@\x1b[0J",
    "80 5,000 digits": (b"\x1b[" + b"9" * 5000 + b"C") * 200,
    "80 many parameters": b"\x1b[" + b"1;" * 500_000 + b"m",
    "80 huge counts": b"\x1b[999999999b" * 2000 + b"\x1b[2147483648d\x1b[99999999999999999999T\x1b[99999999S" * 2000,
    "81 OSC never ended": b"\x1b]0;" + b"o" * BIG,
    "81 DCS never ended": b"\x1bP" + b"d" * BIG,
    "81 APC PM SOS never ended": b"\x1b_" + b"a" * (BIG // 2) + b"\x1b^" + b"p" * (BIG // 2),
    "82 queries": b"\x1b[c\x1b[>c\x1b[=c\x1b[5n\x1b[6n\x1b[?6n\x1b[x\x1b[21t\x1b[20t\x1b[18t\x1b[>q\x1bP$qm\x1b\\\x1b]10;?\x07\x1b]11;?\x07\x1b]4;1;?\x07\x05\x1b[?1$p\x1bP+q544e\x1b\\" * 50,
    "82 title": b"\x1b]0;`id`\x07\x1b]2;\xe2\x80\xaeevil\x07\x1b[21t\x1b]l\x1b\\",
    "83 clipboard": b"\x1b]52;c;cm0gLXJmIC8=\x07\x1b]52;c;?\x07\x1b]52;p;!\x1b\\",
    "84 links": b"\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\\x1b]8;;file:///etc/passwd\x07x\x1b]8;;\x07",
    "85 file": b"\x1b]1337;File=name=eA==;inline=1:" + b"QUFB" * 1000 + b"\x07\x1b]1337;RunCommand=id\x07\x1b]7;file://x/\x07\x1b]777;notify;a;b\x07\x1b]9;x\x07",
    "86 sixel": b"\x1bPq" + b"#0;2;0;0;0#0!9999~-" * (BIG // 20) + b"\x1b\\",
    "86 kitty": b"\x1b_Gf=24,s=9999,v=9999,t=f;L2V0Yy9wYXNzd2Q=\x1b\\" * 1000,
    "87 combining marks": b"a" + "\u0301".encode() * 20_000,
    "88 C1 as 8-bit": b"\x9b2J\x9d0;t\x07\x90q\x9c\x85\x84\x8d\xc2\x9b31m" * 2000,
    "88 broken UTF-8": b"\xc3\x28\xe2\x82\xf0\x9f\x92\xff\xfe\xc0\xaf\xed\xa0\x80" * 20_000,
    "89 alternate screen": b"\x1b[?1049h\x1b[?1049l" * 100_000,
    "89 resets": b"\x1bc\x1b#8\x1b[?3h\x1b[?3l\x1b[!p" * 5_000,
    "89 scrolling region": b"\x1b[2;3r\x1b[99T\x1bM\x1bD\x1b[L\x1b[M\x1b[?6h\x1b[999;999H" * 5_000,
    "89 tabs and margins": b"\x1bH\t\x1b[3g\x1b[99I\x1b[99Z\x1b[?69h\x1b[1;1s" * 10_000,
    "90 bracketed paste end": b"\x1b[201~\nrm -rf /\n\x1b[200~",
    "91 fake prompt": b"\x1b[2J\x1b[Hbastion: your login expired. Password: ",
    "92 mouse and keys": b"\x1b[?1000h\x1b[?1003h\x1b[?1006h\x1b[?2004h\x1b[?1004h\x1b[>4;2m\x1b[=1;1u\x1b=\x1b[?1h\x1b[?9h",
    "92 colours": b"".join(b"\x1b[38;2;%d;%d;%dm\x1b[48;5;%dm\xe2\x96\x88" % (n % 256, n // 256 % 256, 7, n % 256) for n in range(40_000)),
    "92 wide characters": ("漢" * 79 + "\r" + "\x1b[2C" + "x").encode() * 1000,
}

# What a viewer's terminal may be sent: text, moves, erasures, colours, the alternate screen, cursor and its looks. No query, no string
# but a title or a link that is http(s), nothing else.
_TEXT = rb"[\x20-\x7e\r\n\x08]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
_CSI = rb"\x1b\[[0-9;:]*[ABCDEFGHJKLMPSTXdfmr@]|\x1b\[\?[0-9;]+[hl]|\x1b\[[0-6]? q|\x1b\[!p|\x1b\[[su]|\x1b\[[0-9;]*[gbhl]|\x1b\[2[23];2t|\x1b\[>4m|\x1b\[=0u"
_SHORT = rb"\x1b[78=>cMDE]|\x1b[()][0B]|\x0f|\x18"  # CAN: an unfinished sequence is cancelled
_STRING = rb"\x1b\]8;[^;\x1b\x07]*;(https?://[\x21-\x7e]*)?(\x1b\\|\x07)|\x1b\]2;(?:" + _TEXT.replace(rb"\r\n\x08", b"") + rb")*\x1b\\"
ALLOWED = re.compile(rb"(?:" + _TEXT + rb"|" + _CSI + rb"|" + _SHORT + rb"|" + _STRING + rb")*+")
PRIVATE = re.compile(rb"\x1b\[\?([0-9;]+)h")
HARMLESS_MODES = {1, 5, 7, 12, 25, 1049, 2004, 2026, 47}


async def looked_on(arena: Arena, printed: bytes, folder: Path) -> tuple[bytes, Terminal]:
    """Have an endpoint print that while somebody looks on; what came to the viewer, and his screen when `THE END` stood on it."""
    file = folder / "hostile"
    file.write_bytes(printed)
    owner = await arena.client("alice")
    viewer_conn = await arena.client("sup")
    line = f"connect web01 -- read go; cat {file}; printf '\\030\\033\\\\\\033c\\033[2J\\033[HTHE END\\n'; read stop"
    process: asyncssh.SSHClientProcess[bytes] = await owner.create_process(line, term_type="xterm", term_size=(80, 24), encoding=None)
    drained = asyncio.ensure_future(_drain(process))
    try:
        session = await _session(arena)
        viewer: asyncssh.SSHClientProcess[bytes] = await viewer_conn.create_process(
            f"join {session}", term_type="xterm-256color", term_size=(80, 25), env={"LANG": "C.UTF-8"}, encoding=None
        )
        glass, seen = Terminal(80, 25), bytearray()
        started = False
        async with asyncio.timeout(40):
            while True:
                data = await viewer.stdout.read(65536)
                assert data, "the viewer was thrown out"
                seen += data
                glass.push(data)
                glass.catch_up()
                if not started:
                    started = True
                    process.stdin.write(b"go\r")
                if "THE END" in _screen(glass):
                    break
        process.stdin.write(b"stop\r")
    finally:
        drained.cancel()
        owner.abort()
        viewer_conn.abort()
    return bytes(seen), glass


def _screen(glass: Terminal) -> str:
    return "\n".join("".join(row.chars) for row in glass.snapshot().rows)


async def _drain(process: asyncssh.SSHClientProcess[bytes]) -> None:
    while await process.stdout.read(1 << 20):
        pass


async def _session(arena: Arena) -> str:
    async with asyncio.timeout(20):
        while True:
            live: list[dict[str, Any]] = json.loads(await arena.says("sup", "sessions --json"))
            mine = [one for one in live if one["owner"] == "alice" and one["state"] == "running" and not one["detached"]]
            if mine:
                return str(max(mine, key=lambda one: one["started_at"])["id"])


def inactive(seen: bytes) -> None:
    """Nothing in these bytes asks, writes or changes anything but the screen."""
    found = ALLOWED.match(seen)
    assert found is not None
    assert found.end() == len(seen), f"at {found.end()}: {seen[max(0, found.end() - 20) : found.end() + 60]!r}"
    for modes in PRIVATE.findall(seen):
        assert {int(mode) for mode in modes.split(b";")} <= HARMLESS_MODES, modes


@pytest.mark.parametrize("name", OUTPUTS)
async def test_a_viewer_gets_the_screen_and_nothing_active(name: str, arena: Arena, tmp_path: Path) -> None:
    async with arena.unshaken(f"output {name}", growth=80 * 2**20):
        seen, _ = await looked_on(arena, OUTPUTS[name], tmp_path)
    inactive(seen)
    assert len(seen) < 4_000_000 * FUZZ


async def test_random_output_never_activates_anything(arena: Arena, tmp_path: Path) -> None:
    import random

    pieces = [b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b_", b"\x1b\\", b"\x07", b"\x9b", b"\x9c", b"52;c;", b"?", b";", b"0", b"9999", b"h", b"l", b"n", b"c", b"q", b"\n", b"a", "漢".encode(), b"\x18"]
    for seed in range(2 * FUZZ):
        lots = random.Random(seed)
        printed = b"".join(lots.choice(pieces) if lots.random() < 0.9 else lots.randbytes(3) for _ in range(100_000))
        async with arena.unshaken(f"output random {seed}"):
            seen, _ = await looked_on(arena, printed, tmp_path)
        inactive(seen)
