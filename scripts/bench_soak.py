#!/usr/bin/env python3
"""Let sessions come and go at a real bastion, with viewers, some of them killed, and see whether it ends as it began.

Three times as many people as can be come and then all go. The verdict is on memory, open files and threads at rest,
after the last time against after the first, and on faults in the log. Exit code 1 when something grew.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench_world import World, rss

TIMES = 3
MOST_KB = 40  # for each session since the first rest: a session that is kept costs twice as much at least
COLLECTED = 12.0  # seconds within which an idle bastion has collected its garbage
SPARE_FILES = 4  # the database opens a connection more or less
SPARE_THREADS = 6  # the pool grows to its size with use


class Life:
    """What runs at the moment: sessions with their viewers, as processes of ssh."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sessions: list[subprocess.Popen[bytes]] = []
        self.viewers: list[subprocess.Popen[bytes]] = []
        self.begun = self.killed = self.watched = 0

    def ssh(self, *words: str, user: str = "alice") -> subprocess.Popen[bytes]:
        argv = [*self.world.bastion, "-tt", f"{user}@127.0.0.1", *words]
        return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def live(self) -> list[str]:
        """The ids of the sessions that run."""
        argv = [*self.world.bastion, "alice@127.0.0.1", "sessions", "--json"]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        return [str(one["id"]) for one in json.loads(done.stdout or "[]")]

    def step(self) -> None:
        """One thing that people do."""
        self.sessions = [one for one in self.sessions if one.poll() is None]
        self.viewers = [one for one in self.viewers if one.poll() is None]
        what = random.random()
        if len(self.sessions) < 4 or (what < 0.5 and len(self.sessions) < 12):
            task = random.choice(["ls -lR /etc | head -c 300000; sleep 2", "seq 200000; sleep 1", "cat", "exec cat"])
            self.sessions.append(self.ssh(task, user="alice%web01"))
            self.begun += 1
        elif what < 0.75 and len(self.viewers) < 12:
            if ids := self.live():
                self.viewers.append(self.ssh("join", random.choice(ids)))
                self.watched += 1
        elif what < 0.9:
            end = random.choice([*self.sessions, *self.viewers])
            end.kill()  # the connection is lost, without a word
            self.killed += 1
        else:
            one = random.choice(self.sessions)
            assert one.stdin is not None
            try:
                os.write(one.stdin.fileno(), b"some typing\r\x04")
            except OSError:
                pass  # it has ended meanwhile

    def end(self) -> None:
        """Everybody goes."""
        for one in [*self.viewers, *self.sessions]:
            one.terminate()
        for one in [*self.viewers, *self.sessions]:
            one.wait(20)
        self.sessions, self.viewers = [], []


def state(pid: int) -> tuple[int, int, int]:
    """(resident KB, open files, threads)."""
    return rss(pid) // 1024, len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))


def main() -> int:
    """Soak, then judge."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180.0)
    seconds = parser.parse_args().seconds
    with ExitStack() as stack:
        world = World(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-"))), stack, POLICY)
        life = Life(world)
        stack.callback(life.end)
        pid = world.process.pid
        fresh = state(pid)
        rests: list[tuple[int, int, int]] = []
        begun: list[int] = []
        for _ in range(TIMES):
            begin, next_line = time.monotonic(), 0.0
            while (now := time.monotonic() - begin) < seconds / TIMES:
                if world.process.poll() is not None:
                    print(f"the bastion ended with {world.process.returncode}\n{(world.folder / 'bastion.log').read_text()[-4000:]}")
                    return 1
                life.step()
                time.sleep(0.15)
                if now >= next_line:
                    next_line += 15
                    print(
                        f"{now:5.0f} s  {shown(state(pid))}  {len(life.sessions):2} sessions  {life.begun:4} begun  {life.watched:4} joined  {life.killed:4} killed",
                        flush=True,
                    )
            life.end()
            detached_gone(life)
            rests.append(state(pid))
            begun.append(life.begun)
            print(f"at rest  {shown(rests[-1])}", flush=True)
        grown = (rests[-1][0] - rests[0][0]) / max(1, begun[-1] - begun[0])
        log = (world.folder / "bastion.log").read_text()
        faults = [line for line in log.splitlines() if "Traceback" in line or " ERROR " in line]
        verdicts = {
            f"memory: {grown:.1f} KB for each session since the first rest ({fresh[0] / 1024:.1f} MB before anybody came)": grown
            <= MOST_KB,
            f"open files: {rests[0][1]} at the first rest, {rests[-1][1]} at the last": rests[-1][1] <= rests[0][1] + SPARE_FILES,
            f"threads: {rests[0][2]} at the first rest, {rests[-1][2]} at the last": rests[-1][2] <= rests[0][2] + SPARE_THREADS,
            f"faults in the log: {len(faults)}": not faults,
        }
    for text, good in verdicts.items():
        print(f"{'ok  ' if good else 'BAD '} {text}")
    for line in faults[:10]:
        print(f"     {line}")
    return 0 if all(verdicts.values()) else 1


POLICY = """
rules:
  - name: soak
    effect: allow
    roles: [engineer, admin]
    actions: [connect, exec, list, join, end, "admin.*"]
    endpoints: ["*"]
    terms: {detach: 2s}
"""


def detached_gone(life: Life) -> None:
    """Wait for the sessions whose owners were cut off, for the last sync, and for the collector."""
    end = time.monotonic() + 30
    while life.live() and time.monotonic() < end:
        time.sleep(0.5)
    time.sleep(COLLECTED)


def shown(now: tuple[int, int, int]) -> str:
    """A state for people."""
    return f"{now[0] / 1024:6.1f} MB  {now[1]:4} files  {now[2]:3} threads"


if __name__ == "__main__":
    sys.exit(main())
