"""What fifty who look on cost the one who types, while the endpoint writes 1 MB/s: echo, memory, and viewers that stop.

Never counts a viewer that is gone: each figure says how many were there.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pyte
from bench_wire import CHUNK, percentiles, read_until
from bench_world import World, cpu, rss

if TYPE_CHECKING:
    from pathlib import Path

Result = dict[str, Any]

VIEWERS = 50
STOPPED = 10
PROGRAM = """
import os,select,sys,time
line=b'%06d \\x1b[3%dm%s\\x1b[m\\r\\n'; number=0; at=time.monotonic()
os.write(1,b'R')
while True:
    ready,_,_=select.select([0],[],[],max(0,at-time.monotonic()))
    if ready:
        got=os.read(0,64)
        if b'Q' in got:
            os.write(1,b'\\x1b[m\\x1b[2J\\x1b[H'+b''.join(b'final line %d\\r\\n'%n for n in range(20))+b'the end\\r\\n')
            time.sleep(3600)
        os.write(1,b''.join(b'<%c>'%key for key in got))
    if time.monotonic()>=at:
        at+=0.02
        os.write(1,b''.join(line%(number+n,n%8,b'x'*66) for n in range(238)))
        number+=238
"""
"""Lines that scroll by, 20 KB every 20 ms; each key is answered at once, between them. `Q`: a last screen, and no more."""


def onlookers(world: World, full: bool) -> Result:
    """1 MB/s on one session: its owner's echo with nobody looking on and with 50, their memory, and 10 of them stopped."""
    script = world.folder / "scroll.py"
    script.write_text(PROGRAM)
    seconds = 30.0 if full else 12.0
    with ExitStack() as stack:
        there, back = stack.enter_context(world.client("bastion", "-tt", f"stty raw -echo rows 24 cols 80; exec python3 {script}"))
        read_until(back, b"R")
        listed = subprocess.run([*world.bastion, "alice@127.0.0.1", "sessions", "--json"], capture_output=True, text=True, check=True)
        number = next(one["id"] for one in json.loads(listed.stdout) if one.get("state", "running") == "running")
        pid = world.process.pid
        _echoes(there, back, 3.0)
        out: Result = {"alone": _figures(pid, there, back, seconds)}
        before = rss(pid)
        viewers = []
        for count in range(VIEWERS):
            viewers.append(_viewer(world, stack, number, world.folder / f"viewer-{count}"))
            _echoes(there, back, 0.1)
        _echoes(there, back, 5.0)
        out["watched"] = _figures(pid, there, back, seconds)
        out["kb_a_viewer"] = round((rss(pid) - before) / 1024 / VIEWERS)
        for one in viewers[:STOPPED]:
            one.send_signal(signal.SIGSTOP)
        _echoes(there, back, 3.0)
        out["ten stopped"] = _figures(pid, there, back, seconds)
        out["kb_a_viewer_stopped"] = round((rss(pid) - before) / 1024 / VIEWERS)
        os.write(there, b"Q")
        read_until(back, b"the end")
        time.sleep(1.0)
        began = time.monotonic()
        for one in viewers[:STOPPED]:
            one.send_signal(signal.SIGCONT)
        late = []
        for count in range(STOPPED):
            while b"the end" not in _tail(world.folder / f"viewer-{count}"):
                if time.monotonic() - began > 30:
                    break
                time.sleep(0.01)
            late.append(time.monotonic() - began)
        out["caught_up_s"] = round(max(late), 2)
        time.sleep(0.5)
        wanted = _picture(world.folder / f"viewer-{VIEWERS - 1}")
        out["same_picture"] = sum(_picture(world.folder / f"viewer-{count}") == wanted for count in range(STOPPED))
        out["viewers"] = sum(one.poll() is None for one in viewers)
    return out


def _viewer(world: World, stack: ExitStack, number: str, to: Path) -> subprocess.Popen[bytes]:
    out = stack.enter_context(to.open("wb"))
    command = [*world.bastion, "-tt", "alice@127.0.0.1", "join", number]
    # Nobody answers for its size: without a terminal of its own, ssh asks for one of 80 by 24.
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm-256color"}
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _figures(pid: int, there: int, back: int, seconds: float) -> Result:
    used, start = cpu(pid), time.perf_counter()
    times = _echoes(there, back, seconds)
    cores = (cpu(pid) - used) / (time.perf_counter() - start)
    return {**percentiles(times), "keys": len(times), "cores": round(cores, 2)}


def _echoes(there: int, back: int, seconds: float) -> list[float]:
    """Seconds from a key to its answer, a key every 20 to 40 ms; all that comes meanwhile is read."""
    end = time.monotonic() + seconds
    found: list[float] = []
    waiting, sent, at = b"", 0.0, time.monotonic()
    rest = b""
    number = 0
    while time.monotonic() < end or waiting:
        if not waiting and time.monotonic() >= at:
            number = (number + 1) % 20
            waiting, sent = b"<%c>" % (97 + number), time.perf_counter()
            os.write(there, waiting[1:2])
        if not select.select([back], [], [], 0.001 if not waiting else 5.0)[0]:
            if waiting:
                raise EOFError("no echo for 5 s")
            continue
        data = os.read(back, CHUNK)
        if not data:
            raise EOFError("the session ended")
        rest = rest[-2:] + data
        if waiting and waiting in rest:
            found.append(time.perf_counter() - sent)
            waiting, at = b"", time.monotonic() + random.uniform(0.02, 0.04)
    return found


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8192))
        return file.read()


def _picture(path: Path) -> list[str]:
    """What stands on a viewer's terminal, without the line that says whose session it is."""
    screen = pyte.Screen(80, 24)
    pyte.ByteStream(screen).feed(path.read_bytes()[-400_000:])
    return [line.rstrip() for line in screen.display[:23]]
