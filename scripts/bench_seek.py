#!/usr/bin/env python3
"""Seek in a recording of 24 hours and 1 GB: time, memory, exactness against tmux, ratio to asciinema's own `cat`.

Makes the recording first (some minutes, mostly for its keyframes; `--keep DIR` keeps it for the next time). Figures
compare within one run only. Never measures over a network.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import pty
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bastion.backends.recordings import RecordingFolder
from bastion.core.recording.asciicast import header
from bastion.core.recording.convert import to_v2
from bastion.core.recording.reader import read
from bastion.core.values import Size
from bastion.services.indexing import Index, build
from bastion.services.stage import Stage
from bastion.services.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400
SIZE = Size(120, 40)
NAME = "seek"
SEEKS = 60


def content(chance: random.Random) -> Iterator[bytes]:
    """Yield what terminals show: coloured logs of this machine's own files, listings, an editor, a full-screen monitor, typing."""
    sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    number = 0
    while True:
        lines = chance.choice(sources).read_text(errors="replace").splitlines()
        yield f"\x1b[1;32mroot@web01\x1b[m:\x1b[34m~\x1b[m# grep -n x part{number}\r\n".encode()
        log = [f"\x1b[35m{number}.py\x1b[m\x1b[36m:\x1b[32m{at}\x1b[m: {line}\r\n" for at, line in enumerate(lines)]
        for at in range(0, len(log), 30):
            yield "".join(log[at : at + 30]).encode()
        yield b"\x1b[?1049h\x1b[H\x1b[2J"
        for top in range(0, min(len(lines), 400), 19):
            page = "".join(f"\x1b[{y + 1}H\x1b[33m{top + y:4}\x1b[m {line[:110]}\x1b[K" for y, line in enumerate(lines[top : top + 38]))
            yield (page + f"\x1b[40H\x1b[7m part{number} {top} \x1b[m").encode()
        for _ in range(20):
            loads = "".join(f"\x1b[{y};3H\x1b[32m{'|' * chance.randrange(40):40}\x1b[m {chance.random() * 100:5.1f}%" for y in range(1, 20))
            yield loads.encode()
        yield b"\x1b[?1049l"
        number += 1


def make(folder: Path, megabytes: int) -> None:
    """Record it, as a session would, and make its keyframes."""
    recordings = RecordingFolder(str(folder))
    chance = random.Random(6)
    label = header(size=SIZE, term="xterm-256color", started_at=1.7e9, session=NAME, user="alice", endpoint="web01", login="root")
    writer = recordings.create(NAME, label, 1.7e9, 0.0)
    wanted, pieces = megabytes << 20, content(chance)
    began = time.perf_counter()
    while writer.length < wanted:
        for piece in islice(pieces, 100):
            writer.output(piece, writer.length / wanted * DAY)
    writer.end(0, float(DAY))
    writer.close()
    print(f"recorded {writer.length / 1e6:.0f} MB in {time.perf_counter() - began:.0f} s", flush=True)
    began = time.perf_counter()
    count = build(recordings, NAME)
    spent = time.perf_counter() - began
    print(f"{count} keyframes in {spent:.0f} s ({writer.length / 1e6 / spent:.1f} MB/s)", flush=True)


def memory(field: str) -> float:
    """Return MB of this process's memory: VmRSS now, VmHWM at most so far."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


async def opened(folder: Path) -> Stage:
    """Open it as the player does, and show its first screen."""
    recordings = RecordingFolder(str(folder))
    tape = await Tape.open(recordings, NAME)
    stage = Stage(tape, await asyncio.to_thread(Index, recordings, NAME, tape.header))
    await stage.go(0, lambda: False)
    return stage


async def measure(folder: Path) -> dict[str, Any]:
    """Return milliseconds and megabytes of opening and of seeks anywhere."""
    chance = random.Random()
    before = memory("VmRSS")
    began = time.perf_counter()
    stage = await opened(folder)
    opening = (time.perf_counter() - began) * 1000
    times = []
    for _ in range(SEEKS):
        began = time.perf_counter()
        await stage.go(chance.randrange(DAY * 1_000_000), lambda: False)
        stage.screen.snapshot()
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    stage.index.close()
    return {"open": opening, "p50": times[SEEKS // 2], "p95": times[SEEKS * 95 // 100], "max": times[-1], "mb": memory("VmHWM") - before}


def asciinema(folder: Path, scratch: Path, share: float) -> float:
    """Return the seconds that stock asciinema needs to `cat` up to that share of the recording."""
    recordings = RecordingFolder(str(folder))
    file = scratch / "prefix.cast"
    wanted = int(sum(len(chunk) for chunk in recordings.chunks(NAME)) * share)
    with file.open("wb") as out:
        for line in to_v2(recordings.chunks(NAME)):
            out.write(line)
            if out.tell() >= wanted:
                break
    began = time.perf_counter()
    child, terminal = pty.fork()  # it wants a terminal of its own, if only to look at
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execvp("asciinema", ["asciinema", "cat", str(file)])
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise RuntimeError(os.read(terminal, 1000).decode(errors="replace"))
    os.close(terminal)
    return time.perf_counter() - began


async def against_tmux(folder: Path, scratch: Path, points: int) -> int:
    """Return at how many of `points` moments our screen is the one that tmux drew of all bytes before."""
    recordings = RecordingFolder(str(folder))
    stage = await opened(folder)
    socket, pipe = str(scratch / "tmux"), scratch / "pipe"
    os.mkfifo(pipe)
    env = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}
    env.pop("TMUX", None)

    def tmux(*args: str) -> str:
        return subprocess.run(["tmux", "-u", "-S", socket, *args], env=env, capture_output=True, text=True, check=True).stdout

    command = f"stty raw -echo; cat {pipe}; sleep 1000"
    (scratch / "tmux.conf").write_text("set -g status off\n")
    tmux("-f", str(scratch / "tmux.conf"), "new-session", "-d", "-x", str(SIZE.columns), "-y", str(SIZE.lines), command)
    same = 0
    try:
        with pipe.open("wb", buffering=0) as out:
            _, events, _ = read(recordings.chunks(NAME))
            at = sorted(random.Random(1).randrange(DAY * 10_000) for _ in range(points))  # within the first hundredth: tmux reads it all
            for event in events:
                while at and event.time > at[0]:
                    await stage.go(at.pop(0), lambda: False)
                    ours = ["".join(row.chars).rstrip() for row in stage.screen.snapshot().rows]
                    until = time.monotonic() + 10
                    while time.monotonic() < until:
                        theirs = [line.rstrip() for line in tmux("capture-pane", "-p").split("\n")][: len(ours)]
                        if theirs == ours:
                            same += 1
                            break
                        time.sleep(0.1)
                if not at:
                    break
                if event.code == "o":
                    out.write(event.data.encode())
    finally:
        subprocess.run(["tmux", "-S", socket, "kill-server"], env=env, check=False)
        stage.index.close()
    return same


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--keep", type=Path, help="Make the recording there, or use the one that is there.")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(asyncio.run(measure(options.measure))))
        return
    scratch = Path(tempfile.mkdtemp(prefix="bastion-bench-"))
    try:
        folder = options.keep or scratch / "recordings"
        if RecordingFolder(str(folder)).path(NAME) is None:
            make(folder, options.megabytes)
        done = subprocess.run([sys.executable, __file__, "--measure", str(folder)], capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        print(f"open                    {found['open']:8.0f} ms   (aim 200)")
        print(f"seek p50 / p95 / max    {found['p50']:.0f} / {found['p95']:.0f} / {found['max']:.0f} ms   (aim 100)")
        print(f"memory for all of it    {found['mb']:8.1f} MB   (aim 50)")
        if shutil.which("tmux"):
            points = 8
            print(f"as tmux draws it        {asyncio.run(against_tmux(folder, scratch, points)):8} of {points} moments")
        if shutil.which("asciinema"):
            seconds = asciinema(folder, scratch, 0.5)
            print(f"asciinema cat to half   {seconds:8.1f} s    {seconds * 1000 / found['p50']:.0f} times a seek")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
