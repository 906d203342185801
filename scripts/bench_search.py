"""Print what search costs: a query over an index of many recordings, and what indexing adds to a session's CPU.

    scripts/bench search [--lines 10000000] [--keep FILE] [--skip-session]

Never asserts. The index is made of made-up sessions through the code that the server uses; `--keep` makes it at FILE, or
uses the one that is there. The session is typed through stock ssh on a real bastion, with and without `recording.search`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bastion.backends.search import SqliteIndex
from bastion.core.recording.lines import Line
from bastion.core.recording.search import Portion, Wanted

RECORDINGS = 10_000
ENDPOINTS = [f"web{n:02}" for n in range(40)]
USERS = [f"user{n:02}" for n in range(60)]
START = 1_760_000_000.0
YEAR = 365 * 86400.0
POOL = 200_000
BATCH = 40  # recordings written at once
AIM_MS = 300.0


class Words:
    """Made-up words, some frequent and most rare, as in a language."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgkjqxz"
        self._words = [
            "".join(self._dice.choice(letters[: self._dice.randint(8, 26)]) for _ in range(self._dice.randint(2, 9))) for _ in range(20_000)
        ]
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(20_000)))

    def some(self, count: int) -> list[str]:
        """Return words as they come."""
        return self._dice.choices(self._words, cum_weights=self._weights, k=count)

    def line(self) -> str:
        """Return a line as a terminal shows it: a prompt, a listing, a log, prose."""
        dice, one = self._dice, self.some(6)
        kind = dice.randrange(5)
        if kind == 0:
            return f"{dice.choice(USERS)}@{dice.choice(ENDPOINTS)}:~/{one[0]}$ {one[1]} -{dice.choice('abcdefl')}{dice.choice('rtvx')} {one[2]}/{one[3]}"
        if kind == 1:
            return f"-rw-r--r-- 1 root root {dice.randint(100, 99999):6} Nov {dice.randint(1, 30):2} {dice.randint(0, 23):02}:{dice.randint(0, 59):02} {one[0]}.{one[1]}"
        if kind == 2:
            clock = f"2026-11-{dice.randint(1, 30):02} {dice.randint(0, 23):02}:{dice.randint(0, 59):02}"
            return f"{clock} {one[0]}[{dice.randint(1, 9999)}]: {one[1]} {one[2]} id={dice.getrandbits(32):08x}"
        return " ".join(self.some(dice.randint(2, 10)))


async def fill(index: SqliteIndex, lines: int) -> float:
    """Write that many lines; return the CPU seconds that writing them took."""
    words, dice = Words(5), random.Random(6)
    pool = [words.line() for _ in range(min(POOL, lines))]
    each = max(1, lines // RECORDINGS)
    cost = 0.0
    for first in range(0, RECORDINGS, BATCH):
        portions = []
        for number in range(first, min(first + BATCH, RECORDINGS)):
            texts = [
                dice.choice(pool) if dice.random() < 0.7 else f"{dice.choice(pool)[:40]} {dice.getrandbits(40):x}" for _ in range(each)
            ]
            at, who = 0, dice.choice(USERS)
            told = []
            for text in texts:
                at += dice.randrange(0, 3_000_000)
                told.append(Line(at, dice.randrange(24), who, text))
            if number % 1000 == 7:
                told.append(Line(at, 3, who, f"root@needle:~# rm -rf /srv/needle{number}"))
            started = START + YEAR * number / RECORDINGS
            portions.append(Portion(f"bench{number:06}", who, dice.choice(ENDPOINTS), started, told, done=True))
        before = time.process_time()
        await index.add(portions)
        cost += time.process_time() - before
    return cost


QUERIES: list[tuple[str, str, dict[str, object]]] = [
    ("rare, spread over the year", "rm -rf /srv/needle", {}),
    ("rare, its beginning common", "root@needle", {}),
    ("common", "root root", {}),
    ("common, one user", "root root", {"user": "user07"}),
    ("common, one endpoint, a week", "root root", {"endpoints": frozenset(["web07"]), "since": START + YEAR / 2, "until": START + YEAR / 2 + 7 * 86400}),
    ("nowhere", "nosuchthingatall", {}),
    ("nowhere, of common threes", "nov 31 ", {}),
    ("nowhere, of common threes", "id=deadbeef", {}),
    ("nowhere, typed", "rm -rf", {"typed": True}),
    ("three letters", "-rf", {}),
    ("two letters", "ee", {}),
    ("two letters, nowhere, a week", "~~", {"since": START + YEAR / 2, "until": START + YEAR / 2 + 7 * 86400}),
    ("a whole line's beginning", "-rw-r--r-- 1 root root", {}),
]  # fmt: skip


async def ask(index: SqliteIndex) -> None:
    """Print how long each query takes, cold once and then the median of seven, and its CPU time, which a busy machine does not change."""
    every = await index.endpoints()
    print(f"{'query':<34}{'hits':>6}{'first':>10}{'median':>10}{'CPU':>10}   (aim: under {AIM_MS:.0f} ms)")
    for name, text, more in QUERIES:
        wanted = Wanted(text, **{"endpoints": every, **more})  # type: ignore[arg-type]
        times = []
        cpu = time.process_time()
        for _ in range(8):
            start = time.perf_counter()
            found = await index.find(wanted)
            times.append((time.perf_counter() - start) * 1000)
        median, cpu = sorted(times[1:])[3], (time.process_time() - cpu) / 8 * 1000
        missed = "  MISSED" if max(times[0], median) > AIM_MS else ""
        cut = "  (time was up)" if found.back_to is not None else ""
        print(
            f"{name + ': ' + repr(text):<34.34}{len(found.hits):>6}{times[0]:>8.1f}ms{median:>8.1f}ms{cpu:>8.1f}ms{missed}{cut}", flush=True
        )


# ---------------------------------------------------------------- what it adds to a session


def session_cpu(folder: Path, *, search: bool, script: str) -> float:
    """Type a session through a real bastion; return the CPU seconds its process took for it."""
    from tests.conftest import furnished
    from tests.lab.sshd import Sshd

    os.environ["BASTION_RECORDING_SEARCH"] = "true" if search else "false"
    server = Sshd(folder / "sshd").start()
    bastion = furnished(folder / "b", server)
    try:
        assert bastion.process is not None
        stat = Path(f"/proc/{bastion.process.pid}/stat")
        tick = os.sysconf("SC_CLK_TCK")

        def used() -> float:
            fields = stat.read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / tick

        time.sleep(3)
        before = used()
        for _ in range(2):
            person = Person(bastion.ssh_argv("alice", "connect web01 -- env PS1='ready$ ' HISTFILE= sh", options=("-tt",)))
            person.play(script)
            person.close()
        time.sleep(62)  # what waits is written after a minute
        return used() - before
    finally:
        bastion.stop()
        server.stop()


class Person:
    """Somebody at stock ssh in a real terminal, who types letter by letter and reads what comes."""

    def __init__(self, argv: list[str]) -> None:
        import pty
        import subprocess

        own, theirs = pty.openpty()
        self._terminal = own
        self._process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        self._until("ready$ ")

    def _until(self, text: str) -> None:
        import select

        seen = b""
        while text.encode() not in seen:
            if not select.select([self._terminal], [], [], 20)[0]:
                raise TimeoutError(text)
            seen = (seen + os.read(self._terminal, 65536))[-100_000:]

    def play(self, script: str) -> None:
        """Type the script's lines; `~N key` presses a key so often, a picture each."""
        for line in script.splitlines():
            if line.startswith("~"):
                count, key = line[1:].split()
                for _ in range(int(count)):
                    os.write(self._terminal, b" " if key == "space" else key.encode())
                    self._quiet(0.15)
                continue
            for letter in line:
                os.write(self._terminal, letter.encode())
                self._quiet(0.02)
            os.write(self._terminal, b"\r")
            self._quiet(0.2)

    def _quiet(self, seconds: float) -> None:
        import select

        while select.select([self._terminal], [], [], seconds)[0]:
            os.read(self._terminal, 65536)

    def close(self) -> None:
        """Hang up."""
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


SCRIPTS = {
    "a shell: commands typed, some lines of output each": "\n".join(
        ["ls -la /etc | head -15", "cat /etc/hostname", "echo some words that are typed", "df -h", "id; date; uptime", "ls /usr/bin | head -40 | tail -12"] * 5
    ),
    "less: page after page, a key each": "LESS= less /etc/services\n~40 space\nq",
    "a flood: 20 MB that scroll by": "seq 1 2500000",
}  # fmt: skip


def sessions() -> None:
    """Print what indexing adds to a session's CPU, for three kinds of sessions."""
    print(f"\n{'session':<54}{'without':>9}{'with':>9}{'adds':>8}   (aim: under 5 %)")
    for name, script in SCRIPTS.items():
        used: dict[bool, float] = {}
        for search in (False, True):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                used[search] = session_cpu(Path(folder), search=search, script=script)
        print(f"{name:<54}{used[False]:>8.2f}s{used[True]:>8.2f}s{used[True] / used[False] - 1:>8.1%}", flush=True)


async def index_part(path: Path, lines: int) -> None:
    """Make the index where there is none, and ask it."""
    fresh = not path.exists()
    index = SqliteIndex(path)
    if fresh:
        start = time.perf_counter()
        cost = await fill(index, lines)
        print(f"wrote {lines:,} lines in {time.perf_counter() - start:.0f} s, {cost / lines * 1e6:.1f} us of CPU a line")
    state = await index.state()
    print(f"{state.recordings:,} recordings, {state.lines:,} lines, {state.bytes / 1e6:,.0f} MB\n")
    await ask(index)
    await index.close()


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--skip-session", action="store_true")
    parser.add_argument("--skip-index", action="store_true")
    asked = parser.parse_args()
    if not asked.skip_index:
        if asked.keep:
            asyncio.run(index_part(asked.keep, asked.lines))
        else:
            with tempfile.TemporaryDirectory() as folder:
                asyncio.run(index_part(Path(folder) / "search.sqlite3", asked.lines))
    if not asked.skip_session:
        sessions()


if __name__ == "__main__":
    main()
