#!/usr/bin/env python3
"""Measure a real bastion, recording on, against OpenSSH's ProxyJump and a direct sshd in one interleaved run.

Figures compare within one run only: a busy machine makes all of them worse together. `--full` repeats more.
Never measures over a network.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench_onlookers import VIEWERS, onlookers
from bench_transfer import transfer
from bench_wire import CHUNK, percentiles, read_until
from bench_wire import connect as first_byte
from bench_wire import echo as keystrokes
from bench_world import World, cpu, rss

if TYPE_CHECKING:
    from collections.abc import Callable

Result = dict[str, Any]

FLOOD = "stty raw -echo; printf R; exec cat /dev/zero"
TICKS = """
import os,sys,time
os.write(1,b'R'); line=b'x'*78+b'\\r\\n'; at=time.monotonic()
while True:
    at+=0.02; time.sleep(max(0,at-time.monotonic()))
    os.write(1,b'<%020d>'%time.monotonic_ns()+line*249)
"""


def echo(world: World, full: bool) -> Result:
    """One byte there and back through a raw PTY, paced (3 ms) and back to back."""
    return keystrokes(world, 200, 12 if full else 4)  # type: ignore[arg-type]


def connect(world: World, full: bool) -> Result:
    """Milliseconds from starting ssh to the first byte of a command, median."""
    return first_byte(world, 40 if full else 12)  # type: ignore[arg-type]


def bulk(world: World, full: bool) -> Result:
    """Output as fast as it goes: best MB/s of the rounds, and least CPU seconds a GB of whatever stands in between.

    The CPU is counted while it flows, and for the bastion once more when it has done what it does about a session that is
    over: indexing it for search. Floods are of 40 (60) MB and nobody looks on: beyond 256 MB the screen is followed, too.
    """
    log = world.folder / "log"
    log.write_text(
        "".join(
            f"\x1b[32m2026-01-01 12:00:{n % 60:02}\x1b[0m \x1b[1mINFO\x1b[0m worker[{n}] \x1b[34mGET /{n * 7919 % 9973}\x1b[0m 200\n"
            for n in range(10_000)
        )
    )
    size = 60_000_000 if full else 40_000_000
    copies = " ".join([str(log)] * (size // log.stat().st_size + 1))
    sources = {
        "zeros, PTY": f"head -c {size} /dev/zero",
        "seq, PTY": f"seq 1 99999999 | head -c {size}",
        "log, PTY": f"cat {copies} | head -c {size}",
        "log, exec": f"cat {copies} | head -c {size}",
    }
    out: Result = {}
    for name, command in sources.items():
        seen: dict[str, tuple[list[float], list[float]]] = {way: ([], []) for way in world.ways}
        later: list[float] = []
        for _ in range(6 if full else 2):
            for way in random.sample(list(world.ways), len(world.ways)):
                pid = world.pids.get(way)
                before = cpu(pid) if pid else 0.0
                words = ["-tt", f"stty raw -echo; printf R; {command}"] if name.endswith("PTY") else [f"printf R; {command}"]
                with world.client(way, *words) as (_, back):
                    got, start = len(read_until(back, b"R")), time.perf_counter()
                    while got < size:
                        data = os.read(back, CHUNK)
                        if not data:
                            raise EOFError(f"{way}: {got} of {size} bytes")
                        got += len(data)
                    seen[way][0].append(got / 1e6 / (time.perf_counter() - start))
                    used = cpu(pid) - before if pid else 0.0
                    seen[way][1].append(used / (size / 1e9))
                if pid == world.process.pid:
                    later.append((_settled(pid) - before - used) / (size / 1e9))
                elif pid:
                    time.sleep(0.3)  # the jump's child must have been waited for before its CPU counts
        out[name] = {
            way: {"mb_s": round(max(rates), 1), **({"cpu_s_gb": round(min(costs), 2)} if way in world.pids else {})}
            for way, (rates, costs) in seen.items()
        }
        out[name]["bastion"]["cpu_after_s_gb"] = round(min(later), 2)
    return out


def _settled(pid: int) -> float:
    """CPU seconds of a process once it uses next to none any more (at most 10 s later)."""
    end = time.monotonic() + 10.0
    used = cpu(pid)
    while time.monotonic() < end:
        time.sleep(0.5)
        before, used = used, cpu(pid)
        if used - before <= 0.02:
            break
    return used


def neighbour(world: World, full: bool) -> Result:
    """Keystroke echo of one person while another floods through the same jump (paced, microseconds)."""
    out: Result = {}
    samples: dict[tuple[str, str], list[float]] = {(way, kind): [] for way in ("proxyjump", "bastion") for kind in ("quiet", "flood")}
    for _ in range(6 if full else 2):
        for way in random.sample(["proxyjump", "bastion"], 2):
            with world.client(way, "-tt", "stty raw -echo; echo ready; exec cat") as (there, back):
                read_until(back, b"ready")
                for kind in ("quiet", "flood"):
                    with ExitStack() as stack:
                        if kind == "flood":
                            _, flood = stack.enter_context(world.client(way, "-tt", FLOOD))
                            read_until(flood, b"R")
                            sink = stack.enter_context(subprocess.Popen(["cat"], stdin=flood, stdout=subprocess.DEVNULL))
                            stack.callback(sink.terminate)
                            time.sleep(0.7)
                        for _ in range(400):
                            time.sleep(0.003)
                            start = time.perf_counter()
                            os.write(there, b"x")
                            os.read(back, 16)
                            samples[way, kind].append(time.perf_counter() - start)
    for (way, kind), times in samples.items():
        out.setdefault(way, {})[kind] = percentiles(times)
    return out


def fanout(world: World, full: bool) -> Result:
    """1 MB/s in ticks of 20 ms on one session: how late its owner gets it with 0 and with 99 viewers (ms)."""
    out: Result = {}
    script = world.folder / "ticks.py"
    script.write_text(TICKS)
    with ExitStack() as stack:
        _, back = stack.enter_context(world.client("bastion", "-tt", f"stty raw -echo; exec python3 {script}"))
        read_until(back, b"R")
        listed = subprocess.run([*world.bastion, "alice@127.0.0.1", "sessions", "--json"], capture_output=True, text=True, check=True)
        number = next(one["id"] for one in json.loads(listed.stdout) if one.get("state", "running") == "running")
        viewers: list[subprocess.Popen[bytes]] = []
        for count in (0, 99):
            while len(viewers) < count:
                files = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
                viewers.append(subprocess.Popen([*world.bastion, "-tt", "alice@127.0.0.1", "join", number], **files))  # type: ignore[call-overload]
                stack.callback(viewers[-1].wait)
                stack.callback(viewers[-1].kill)
                _late(back, 0.05)
            _late(back, 3.0)
            before, start = cpu(world.process.pid), time.perf_counter()
            late = _late(back, 10.0 if full else 5.0)
            used = (cpu(world.process.pid) - before) / (time.perf_counter() - start)
            here = sum(one.poll() is None for one in viewers)
            figures = percentiles(late)
            out[f"{count} viewers"] = {
                "viewers": here,
                "cores": round(used, 2),
                **{f"{name}_ms": round(us / 1000, 1) for name, us in figures.items()},
            }
    return out


def _late(back: int, seconds: float) -> list[float]:
    """Seconds from the writing of each tick to its coming out of ssh."""
    end = time.monotonic() + seconds
    found: list[float] = []
    rest = b""
    while time.monotonic() < end:
        data = os.read(back, CHUNK)
        now = time.monotonic_ns()
        if not data:
            raise EOFError("the session ended")
        rest += data
        while (at := rest.find(b"<")) >= 0 and len(rest) >= at + 22:
            found.append((now - int(rest[at + 1 : at + 21])) / 1e9)
            rest = rest[at + 22 :]
        rest = rest[rest.find(b"<") :] if b"<" in rest else b""
    return found


def memory(world: World, full: bool) -> Result:
    """Resident memory of the bastion for each idle session with a PTY, at 200 sessions."""
    return asyncio.run(_idle(world, 200))


async def _idle(world: World, sessions: int) -> Result:
    import asyncssh

    key = str(world.folder / "user")

    async def one() -> Any:
        connection = await asyncssh.connect(
            "127.0.0.1", world.port, username="alice%web01", client_keys=[key], known_hosts=None, config=None, agent_path=None
        )
        session = await connection.create_process("printf ready; exec cat", term_type="xterm", encoding=None)
        await session.stdout.readuntil(b"ready")
        return connection

    pid = world.process.pid
    warm = [await one() for _ in range(20)]
    before = rss(pid)
    opened: list[Any] = []
    while len(opened) < sessions:
        opened += await asyncio.gather(*(one() for _ in range(5)))
    await asyncio.sleep(2.0)
    after = rss(pid)
    for connection in [*warm, *opened]:
        connection.abort()
    await asyncio.sleep(1.0)
    return {
        "sessions": len(opened),
        "kb_per_session": round((after - before) / 1024 / len(opened), 1),
        "process_mb": round(before / 1e6, 1),
    }


# --- showing it -----------------------------------------------------------------------------


def rows(result: Result) -> list[tuple[str, str, str, str, str, str]]:
    """(what, direct, ProxyJump, bastion, ratio, bar) for people."""
    found: list[tuple[str, str, str, str, str, str]] = []

    def add(
        what: str,
        values: list[float | None],
        unit: str,
        ratio: float | None,
        bar: str,
        *,
        most: float | None = None,
        least: float | None = None,
    ) -> None:
        shown = ["-" if value is None else f"{value:.0f}{unit}" if value >= 20 else f"{value:.1f}{unit}" for value in values]
        verdict = ""
        if ratio is not None and (most is not None or least is not None):
            verdict = " ok" if (most is None or ratio <= most) and (least is None or ratio >= least) else " MISSED"
        found.append((what, *shown, "" if ratio is None else f"{ratio:.2f}x", f"{bar}{verdict}" if bar else ""))  # type: ignore[arg-type]

    if "echo" in result:
        e = result["echo"]
        for kind, label, bars in (
            ("paced", "3 ms apart", {"p50": 1.35, "p99": 1.75}),
            ("tight", "back to back", {"p50": 1.1, "p99": 1.75}),
        ):
            for p in ("p50", "p95", "p99"):
                values = [e[way][kind][p] for way in ("direct", "proxyjump", "bastion")]
                bar = bars.get(p)
                add(f"echo {label}, {p}", values, " us", values[2] / values[1], f"<= {bar}x" if bar else "", most=bar)
    for name, ways in result.get("bulk", {}).items():
        values = [ways[way]["mb_s"] for way in ("direct", "proxyjump", "bastion")]
        add(f"bulk {name}", values, " MB/s", values[2] / values[1], ">= 0.9x", least=0.9)
        costs = [None, ways["proxyjump"]["cpu_s_gb"], ways["bastion"]["cpu_s_gb"]]
        add("  CPU in between", costs, " s/GB", costs[2] / max(0.01, costs[1]), "<= 2.5x", most=2.5)
        add("  afterwards, to index it", [None, None, ways["bastion"]["cpu_after_s_gb"]], " s/GB", None, "")
    for name, ways in result.get("transfer", {}).items():
        if name == "grown_mb":
            found.append(("memory grown by all these files", "-", "-", f"{ways:.0f} MB", "", ""))
            continue
        values = [ways[way]["mb_s"] for way in ("direct", "proxyjump", "bastion")]
        add(f"{name}, 100 MB", values, " MB/s", values[2] / values[1], ">= 0.7x", least=0.7)
        costs = [None, ways["proxyjump"]["cpu_s_gb"], ways["bastion"]["cpu_s_gb"]]
        add("  CPU in between", costs, " s/GB", costs[2] / max(0.01, costs[1]), "")
    if "connect" in result:
        values = [result["connect"][way] for way in ("direct", "proxyjump", "bastion")]
        add("ssh start to first byte", values, " ms", values[2] / values[1], "<= 0.5x", most=0.5)
    if "neighbour" in result:
        n = result["neighbour"]
        for p, most in (("p50", None), ("p99", 2.0)):
            values = [None, n["proxyjump"]["flood"][p], n["bastion"]["flood"][p]]
            add(f"echo beside another's flood, {p}", values, " us", values[2] / values[1], "<= 2x" if most else "", most=most)
        quiet = [None, n["proxyjump"]["quiet"]["p99"], n["bastion"]["quiet"]["p99"]]
        add("  the same without a flood, p99", quiet, " us", quiet[2] / quiet[1], "")
    if "memory" in result:
        m = result["memory"]
        bar = " ok" if m["kb_per_session"] <= 120 else " MISSED"
        found.append((f"memory, one of {m['sessions']} idle sessions", "-", "-", f"{m['kb_per_session']:.0f} KB", "", f"<= 120 KB{bar}"))
    if "onlookers" in result:
        o = result["onlookers"]
        for name, label in (("watched", f"{VIEWERS} look on"), ("ten stopped", "ten of them stopped")):
            values = [None, o["alone"]["p99"], o[name]["p99"]]
            add(f"echo at 1 MB/s, {label}, p99", values, " us", values[2] / values[1], "<= 1.5x alone", most=1.5)
        for key, label in (("kb_a_viewer", "memory, one of those"), ("kb_a_viewer_stopped", "  ten of them stopped")):
            found.append((label, "-", "-", f"{o[key]} KB", "", f"<= 1024 KB{' ok' if o[key] <= 1024 else ' MISSED'}"))
        right = o["caught_up_s"] <= 1 and o["same_picture"] == 10
        found.append(
            (
                "the stopped ones' screens are right after",
                "-",
                "-",
                f"{o['caught_up_s']} s",
                f"{o['same_picture']}/10",
                f"<= 1 s{' ok' if right else ' MISSED'}",
            )
        )
    for name, f in result.get("fanout", {}).items():
        bar = f"<= 100 ms{' ok' if f['p99_ms'] <= 100 else ' MISSED'}" if f["viewers"] else ""
        found.append((f"1 MB/s, {f['viewers']} viewers: owner's p99", "-", "-", f"{f['p99_ms']:.1f} ms", f"{f['cores']:.2f} cores", bar))
    return found


def table(result: Result, *, markdown: bool) -> str:
    """The result as text, or as a table for a README."""
    heads = ("", "direct", "ProxyJump", "bastion", "ratio", "bar")
    lines = [heads, *rows(result)]
    widths = [max(len(line[at]) for line in lines) for at in range(6)]
    if markdown:
        shown = ["| " + " | ".join(line) + " |" for line in lines]
        return "\n".join([shown[0], "|---|" + "---:|" * 4 + "---|", *shown[1:]])
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at in (0, 5) else cell.rjust(width) for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


PARTS: dict[str, Callable[[World, bool], Result]] = {
    "echo": echo, "bulk": bulk, "connect": connect, "neighbour": neighbour, "memory": memory, "fanout": fanout,
    "onlookers": onlookers, "transfer": transfer,
}  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", metavar="PART", help=f"all (the default), terminal, grid, or some of: {', '.join(PARTS)}")
    parser.add_argument("--full", action="store_true", help="three times the repeats")
    parser.add_argument("--json", metavar="FILE", help="write the figures there as well")
    parser.add_argument("--markdown", action="store_true", help="print a table for a README")
    args = parser.parse_args()
    wanted = [part for part in args.part if part != "all"] or list(PARTS)
    if unknown := [part for part in wanted if part not in PARTS]:
        parser.error(f"no such part: {unknown[0]}; there are {', '.join(PARTS)}, terminal, grid and all")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    result: Result = {}
    with ExitStack() as stack:
        world = World(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))), stack)
        for part in wanted:
            print(f"{part}: {(PARTS[part].__doc__ or '').strip()}", file=sys.stderr, flush=True)
            result[part] = PARTS[part](world, args.full)
            if args.json:
                Path(args.json).write_text(json.dumps(result, indent=2) + "\n")
    print(table(result, markdown=args.markdown))


if __name__ == "__main__":
    main()
