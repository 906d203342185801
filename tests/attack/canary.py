"""Another user, in a process of his own: logs in and runs `whoami` over and over, and says how long it took.

`python -m tests.attack.canary PORT PID FOLDER`: one JSON line on standard output for each line on standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import asyncssh
import psutil

SOURCE = "127.0.9.9"
PAUSE = 0.1


class Canary:
    """Watches the server with this process id."""

    def __init__(self, port: int, pid: int, keys: Path) -> None:
        self.port = port
        self.server = psutil.Process(pid)
        self.keys = keys

    async def run(self, user: str, command: str) -> str:
        """Log in, run a command, return what it said."""
        async with asyncio.timeout(20):
            conn = await asyncssh.connect(
                "127.0.0.1", self.port, local_addr=(SOURCE if user == "bob" else "127.0.0.1", 0), username=user,
                client_keys=[str(self.keys / user)], known_hosts=None, config=None, agent_path=None,
            )  # fmt: skip
            async with conn:
                done = await conn.run(command)
        if done.exit_status:
            raise RuntimeError(f"{command}: {done.exit_status} {done.stderr!r}")
        return str(done.stdout)

    async def visit(self) -> float:
        """Return the seconds that another user's login and first command took."""
        start = time.perf_counter()
        said = await self.run("bob", "whoami")
        if "bob" not in said:
            raise RuntimeError(said)
        return time.perf_counter() - start

    async def watch(self, seen: dict[str, Any]) -> None:
        """Visit until cancelled; keep the worst."""
        while True:
            seen["peak"] = max(seen["peak"], self.server.memory_info().rss)
            seen["now"] = time.perf_counter()
            seen["during"] = max(seen["during"], await self.visit())
            seen["now"] = None
            seen["visits"] += 1
            await asyncio.sleep(PAUSE)


async def main(port: int, pid: int, keys: Path) -> None:
    """Take orders until standard input ends."""
    canary = Canary(port, pid, keys)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    task: asyncio.Task[None] | None = None
    seen: dict[str, Any] = {}
    while line := await reader.readline():
        if line.strip() == b"watch":
            rss = canary.server.memory_info().rss
            seen = {"began": time.time(), "before": rss, "peak": rss, "during": 0.0, "visits": 0, "now": None, "problem": ""}
            task = loop.create_task(canary.watch(seen))
            print("{}", flush=True)
            continue
        assert task is not None
        try:
            if task.done():
                await task  # its exception
            if seen["now"] is not None:  # in mid-visit: that one counts, too
                seen["visits"], most = seen["visits"], time.perf_counter() + 20
                while seen["now"] is not None and not task.done() and time.perf_counter() < most:
                    await asyncio.sleep(0.005)
            seen["after"] = await canary.visit()
            seen["status"] = json.loads(await canary.run("root1", "status --json"))
            seen["peak"] = max(seen["peak"], canary.server.memory_info().rss)
        except Exception as error:
            seen["problem"] = f"{type(error).__name__}: {error}"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
