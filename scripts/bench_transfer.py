"""Files through a bastion that writes each down with its SHA-256, against the same through ProxyJump. Never over a network."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from typing import TYPE_CHECKING, Any

from bench_world import cpu, rss

if TYPE_CHECKING:
    from pathlib import Path

    from bench_world import World

MB = 100


def transfer(world: World, full: bool) -> dict[str, Any]:
    """One file of 100 MB by sftp, by scp and by the old scp, up and down: best MB/s of the rounds, CPU seconds a GB in between."""
    here, there, back = (world.folder / name for name in ("here", "there", "back"))
    with here.open("wb") as file:
        for _ in range(MB):
            file.write(os.urandom(1 << 20))
    result: dict[str, Any] = {}
    before = rss(world.pids["bastion"])
    for _ in range(5 if full else 3):
        for program in ("sftp", "scp", "scp-O"):
            for direction in ("up", "down"):
                for way in world.ways:
                    kept = result.setdefault(f"{program} {direction}", {}).setdefault(way, {"mb_s": 0.0, "cpu_s_gb": 1e9})
                    spent = cpu(world.pids[way]) if way in world.pids else 0.0
                    took = _one(_argv(world, way, program, direction, here, there, back))
                    if way in world.pids:
                        kept["cpu_s_gb"] = min(kept["cpu_s_gb"], round((cpu(world.pids[way]) - spent) * 1000 / MB, 2))
                    kept["mb_s"] = max(kept["mb_s"], round(MB / took, 1))
                    if (back if direction == "down" else there).stat().st_size != MB << 20:
                        raise SystemExit(f"{program} {direction} by {way}: the file is not whole")
    result["grown_mb"] = round((rss(world.pids["bastion"]) - before) / 1e6, 1)
    return result


def _argv(world: World, way: str, program: str, direction: str, here: Path, there: Path, back: Path) -> list[str]:
    *words, target = world.ways[way][1:]
    options = ["-P" if word == "-p" else word for word in words]
    if program == "sftp":
        line = f"put {here} {there}" if direction == "up" else f"get {there} {back}"
        return ["sh", "-c", f"echo {shlex.quote(line)} | {shlex.join(['sftp', *options, '-b', '-', target])}"]
    ends = [str(here), f"{target}:{there}"] if direction == "up" else [f"{target}:{there}", str(back)]
    return ["scp", *(["-O"] if program == "scp-O" else []), *options, *ends]


def _one(argv: list[str]) -> float:
    start = time.monotonic()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, timeout=300)
    if done.returncode:
        raise SystemExit(f"{argv[0]}: {done.stderr.decode()}")
    return time.monotonic() - start
