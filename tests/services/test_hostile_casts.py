"""Recordings that were damaged, or made to hurt: read to their end in bounded time and memory, and nothing active gets out."""

from __future__ import annotations

import asyncio
import os
import random
import re
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk import Desk, RealClock

from bastion.backends.recordings import RecordingFolder
from bastion.backends.recordings.check import check_file
from bastion.core.errors import BastionError, Corrupt
from bastion.core.recording.convert import to_v2, to_v3
from bastion.core.recording.reader import MAX_TIME, read
from bastion.core.recording.transcript import transcript
from bastion.core.values import Size
from bastion.services.replay import Replay

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
V3 = b'{"version":3,"term":{"cols":40,"rows":5}}\n'
V2 = b'{"version":2,"width":40,"height":5}\n'
SHOWN = b'[0.1,"o","still readable\\r\\n"]\n'
MEGABYTE = 1 << 20
SECONDS = 20.0  # of processor time, on a busy machine; most take milliseconds
MEMORY = 48 * MEGABYTE

HARMLESS = re.compile(
    rb"\x1b\[[0-9;:]*[HfABCDGdmJKXrSTbLMPE@]|\x1b\[\?(25|2026|1049|7|1)[hl]|\x1b\[[0-6]? q|\x1b>|\x1b\[4l|\x1b\[\?6l|\x1b\(B|\x0f"
    rb"|\x1b\[\?(1000|1002|1003|1006|1004|2004)l|[\x20-\x7e\x80-\xff\r\n]"
)


def endless(piece: bytes, size: int) -> Iterator[bytes]:
    """Yield that much of one piece again and again, a chunk at a time."""
    chunk = piece * max(1, 65_536 // len(piece))
    for _ in range(0, size, len(chunk)):
        yield chunk


def cast(*parts: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter(parts)


CASTS: dict[str, Callable[[], Iterator[bytes]]] = {
    "empty": cast(b""),
    "one newline": cast(b"\n"),
    "header alone": cast(V3),
    "no header": cast(SHOWN),
    "header is no JSON": cast(b"{version: 3}\n", SHOWN),
    "header is a list": cast(b"[3]\n", SHOWN),
    "header cut": cast(V3[:20]),
    "version 0": cast(b'{"version":0}\n'),
    "version 99": cast(b'{"version":99,"term":{"cols":40,"rows":5}}\n', SHOWN),
    "version true": cast(b'{"version":true}\n'),
    "a thousand million columns": cast(b'{"version":3,"term":{"cols":1000000000,"rows":1000000000}}\n', SHOWN),
    "negative columns": cast(b'{"version":3,"term":{"cols":-1,"rows":5}}\n', SHOWN),
    "no columns": cast(b'{"version":3,"term":{"cols":0,"rows":0}}\n', SHOWN),
    "columns as text": cast(b'{"version":2,"width":"80","height":24}\n', SHOWN),
    "no size": cast(b'{"version":3}\n', SHOWN),
    "binary": lambda: iter([bytes(range(256)) * 100]),
    "nuls": lambda: iter([V3, b"\0" * MEGABYTE, b"\n", SHOWN]),
    "nuls within": cast(V3, b'[0.1,"o","a\0b"]\n', SHOWN),
    "compressed": cast(b"\x1f\x8b\x08\x00" + b"\0" * 100),
    "zip": cast(b"PK\x05\x06" + b"\0" * 18),
    "negative time": cast(V3, b'[-5,"o","x"]\n', SHOWN),
    "time that is no number": cast(V3, b'[NaN,"o","x"]\n[Infinity,"o","x"]\n["1","o","x"]\n[null,"o","x"]\n', SHOWN),
    "huge times": cast(V3, b'[1e308,"o","x"]\n[1e300,"o","x"]\n[99999999999999999999,"o","x"]\n', SHOWN),
    "ten years again and again": lambda: iter([V3, b'[300000000,"o","x"]\n' * 1000, SHOWN]),
    "times backwards": cast(V2, b'[9,"o","x"]\n[3,"o","y"]\n[-1e18,"o","z"]\n', SHOWN),
    "deep nesting": lambda: iter([V3, b"[" * MEGABYTE, b"\n", SHOWN]),
    "deep header": lambda: iter([b'{"a":' * 100_000, b"\n", SHOWN]),
    "wide line": lambda: iter([V3, b'[0,"o","x"' + b",[]" * 300_000, b"]\n", SHOWN]),
    "events that are none": cast(V3, b'{}\n[]\n[1]\n[1,2]\n[1,2,3]\n[1,"o",3]\n[1,null,"x"]\n[1,"","x"]\n"o"\n17\nnull\n', SHOWN),
    "unknown codes": cast(V3, b'[0,"z","x"]\n[0,"oo","x"]\n[0,"\\u001b[2J","x"]\n', SHOWN),
    "resizes": lambda: iter([V3, b'[0,"r","999999999x999999999"]\n[0,"r","0x0"]\n[0,"r","-5x2"]\n[0,"r","x"]\n' * 500, b'[0,"r","40x5"]\n', SHOWN]),
    "a line without end": lambda: endless(b"a", 12 * MEGABYTE),
    "an event of 12 MB": lambda: (part for parts in ([V3, b'[0,"o","'], endless(b"a", 12 * MEGABYTE), [b'"]\n', SHOWN]) for part in parts),
    "surrogates": cast(V3, b'[0,"o","\\ud800x"]\n[0,"o","\\udc00"]\n', SHOWN),
    "bad UTF-8": cast(V3, b'[0,"o","\xff\xfe\xc3"]\n', SHOWN),
    "cut in a character": cast(V3, SHOWN, '[0.1,"o","caf€"]'.encode()[:-4]),
    "three thousand markers": lambda: iter([V3, b'[0.001,"m","mark \\u001b]0;x\\u0007"]\n' * 3_000, SHOWN]),
    "empty events": lambda: (part for parts in ([V3], endless(b'[0,"o",""]\n', MEGABYTE // 16), [SHOWN]) for part in parts),
    "comments of ours": cast(V3, b"# bastion tail zz\n# bastion tail " + b"ff" * 50_000 + b"\n# bastion by \x1b[2J\xff\n", b'[0,"i","x\\u001b[2J"]\n', SHOWN),
    "hostile names": cast(
        b'{"version":3,"term":{"cols":40,"rows":5,"type":"\\u001b[2J"},"title":"\\u001b]0;pwn\\u0007","timestamp":1e300,'
        b'"bastion":{"user":"\\u001b[31m","started_at":-1e308}}\n',
        SHOWN,
    ),
    "version 1": cast(b'{"version":1,"width":40,"height":5,"stdout":[[0.1,"still readable"],[1e308,"x"],[],["a","b"]]}'),
    "version 1 without end": lambda: iter([b'{"version":1,"width":40,"height":5,"stdout":[', *endless(b'[0.1,"x"],\n', 8 * MEGABYTE)]),
    "version 1 of lists": lambda: iter([b'{"version":1,"width":40,"height":5,"stdout":[', b"[],\n" * 200_000, b"[]]}"]),
}


LARGE = ("nuls", "deep nesting", "deep header", "wide line", "a line without end", "an event of 12 MB", "version 1 without end", "version 1 of lists")


@pytest.mark.parametrize("name", LARGE)
def test_no_cast_takes_more_memory_than_a_bounded_window_of_it(name: str) -> None:
    tracemalloc.start()
    try:
        for _ in read(CASTS[name]())[1]:
            pass
    except Corrupt as error:
        assert error.public.isprintable()
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MEMORY, f"{peak / MEGABYTE:.0f} MB"


@pytest.mark.parametrize("name", CASTS)
def test_any_cast_is_read_or_refused_in_bounded_time(name: str) -> None:
    began = time.process_time()
    read_in_every_way(name)
    assert time.process_time() - began < SECONDS


def read_in_every_way(name: str) -> None:
    try:
        _, events, reader = read(CASTS[name]())
        last = 0
        for event in events:
            assert 0 <= last <= event.time <= MAX_TIME
            last = event.time
        assert len(reader.notes) <= 20
        assert all(note.isprintable() for note in reader.notes)
    except Corrupt as error:
        assert error.public.isprintable()
        return
    for line in transcript(read(CASTS[name]())[1]):
        assert line.isprintable()
    for convert in (to_v2, to_v3):
        for line in convert(CASTS[name]()):
            assert line.endswith(b"\n")


def put(folder: RecordingFolder, chunks: Iterator[bytes]) -> Path:
    """Make a recording S1 whose cast holds these bytes."""
    writer = folder.create("S1", {"version": 3, "term": {"cols": 40, "rows": 5}}, 1.7e9, 0.0)
    writer.end(0, 0.0)
    writer.close()
    path = Path(str(folder.path("S1")))
    with path.open("wb") as file:
        file.writelines(chunks)
    return path


@pytest.mark.parametrize("name", CASTS)
def test_verify_of_a_file_says_one_sentence_about_any_cast(name: str, tmp_path: Path) -> None:
    path = tmp_path / "some.cast"
    with path.open("wb") as file:
        file.writelines(CASTS[name]())
    began = time.process_time()
    try:
        said = check_file(path)
    except BastionError as error:
        assert error.exit_code in (65, 66)
        said = error.public
    assert said.isprintable()
    assert said.count("\n") == 0
    assert time.process_time() - began < SECONDS


async def played(folder: RecordingFolder, keys: str = "") -> str:
    """Play S1 to its end, press keys, quit; return what stood on the screen last. Nothing active may have been sent."""
    last = ""
    desk = Desk(size=Size(100, 12))
    task = asyncio.get_running_loop().create_task(Replay(folder, RealClock()).play("S1", desk, speed=64.0))
    task.add_done_callback(lambda _: desk.write(b""))  # who waits for the screen looks again
    await desk.until(lambda: desk.listener or task.done(), 20)
    if desk.listener is not None:
        for key in (*keys, "\x1b[F"):
            if desk.listener is not None:
                desk.type(key)
            await asyncio.sleep(0)
        await desk.until(lambda: " end" in desk.text() or "paused" in desk.text() or task.done(), 30)
        last = desk.text()
        if desk.listener is not None:
            desk.type("q")
    await asyncio.wait_for(task, 30)
    assert HARMLESS.sub(b"", desk.sent) == b"", desk.sent
    return last


@pytest.mark.parametrize("name", [name for name in CASTS if name not in LARGE])
async def test_the_player_shows_what_can_be_read_of_any_cast_and_sends_nothing_active(name: str, tmp_path: Path) -> None:
    folder = RecordingFolder(str(tmp_path))
    put(folder, CASTS[name]())
    try:
        await played(folder)
    except Corrupt as error:
        assert error.public.isprintable()


@pytest.mark.parametrize("seed", range(6 * FUZZ))
async def test_no_output_of_an_endpoint_reaches_the_auditor_as_anything_that_acts(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    pieces = [b"\x1b", b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b_", b"\x9b", b"\x9d", b"\x07", b"\x1b\\", b"6n", b"c", b">q", b"?1000h", b"52;c;eA==",
              b"10;?", b"8;;javascript:x", b"\x1b[2J", b"\x1bc", b"\x1b#8", b"\x0e", b"\x05", b"text ", "漢é".encode(), b"\r\n", b"9" * 400, b";", b"$qm", b"21t"]  # fmt: skip
    folder = RecordingFolder(str(tmp_path))
    writer = folder.create("S1", {"version": 3, "term": {"cols": 40, "rows": 5}}, 1.7e9, 0.0)
    for n in range(200):
        writer.output(b"".join(chance.choices(pieces, k=chance.randint(1, 12))), n * 0.01)
        if chance.random() < 0.1:
            writer.input(b"".join(chance.choices(pieces, k=3)), n * 0.01, "bob\x1b[2J")
            writer.marker(b"".join(chance.choices(pieces, k=3)).decode("utf-8", "replace"), n * 0.01)
    writer.end(0, 2.0)
    writer.close()
    await played(folder, "i/x\r?qw0[].,y]")
    desk = Desk(term="")
    await Replay(folder, RealClock()).transcript("S1", desk)
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", desk.sent)
    assert not re.search("[\x80-\x9f]", desk.sent.decode())


async def test_a_cast_that_is_cut_and_overwritten_while_it_plays_ends_no_player(tmp_path: Path) -> None:
    folder = RecordingFolder(str(tmp_path))
    lines = b"".join(b'[0.01,"o","line %d of it\\r\\n"]\n' % n for n in range(20_000))
    path = put(folder, iter([V3, lines]))
    desk = Desk(size=Size(100, 12))
    task = asyncio.get_running_loop().create_task(Replay(folder, RealClock()).play("S1", desk, speed=1.0))
    await desk.shows(" of it")
    with path.open("r+b") as file:
        file.truncate(len(V3) + 100_000)
        file.seek(50_000)
        file.write(os.urandom(40_000))
    for key in ("9", "5", "\x1b[F", "1", "\x1b[5~", "\x1b[5~", "N", "/nothing\r"):
        desk.type(key)
        await asyncio.sleep(0.02)
    desk.type("q")
    await asyncio.wait_for(task, 20)
    assert HARMLESS.sub(b"", desk.sent) == b""


@pytest.mark.parametrize("damage", ["garbage", "cut", "other bytes", "claims gigabytes"])
async def test_damaged_side_files_cost_the_player_nothing_but_time(damage: str, tmp_path: Path) -> None:
    folder = RecordingFolder(str(tmp_path))
    lines = b"".join(b'[0.01,"o","line %d of it\\r\\n"]\n' % n for n in range(9_000))
    path = put(folder, iter([V3, lines]))
    await played(folder)
    side = path.with_name("keyframes")
    good = side.read_bytes()
    chance = random.Random(4)
    if damage == "garbage":
        side.write_bytes(chance.randbytes(5000))
        path.with_name("track.jsonl").write_bytes(b"[" * 100_000 + b'\n{"t":-1}\n{"t":1,"kind":1}\n\xff\n')
    elif damage == "cut":
        side.write_bytes(good[: len(good) - 7])
    elif damage == "claims gigabytes":
        side.write_bytes(good[:20] + b"\xff\xff\xff\xff" + good[24:])
    else:
        changed = bytearray(good)
        for _ in range(50):
            changed[chance.randrange(len(good))] ^= 1 << chance.randrange(8)
        side.write_bytes(changed)
    assert "line 8999 of it" in await played(folder)
