#!/usr/bin/env python3
"""Measure an SSH jump against OpenSSH's own ProxyJump and a direct connection, in one interleaved run.

It never measures over a network: everything listens on 127.0.0.1 and lives in a temporary folder.

    scripts/bench_wire.py                                  the minimal relay in this file
    scripts/bench_wire.py --jump 127.0.0.1:2222 --user alice%web01 --identity KEY --pid PID
                                                           any other jump, for instance a real bastion;
                                                           its endpoint must be the sshd of --endpoint-port,
                                                           started here with the key --endpoint-key
    scripts/bench_wire.py --relay PORT:LOGIN:KEY:HOSTKEY   (what the script starts for itself)

Figures compare within one run only; a shared machine makes all of them worse together.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
import os
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

PACE = 0.003
CHUNK = 256 * 1024


# --- the minimal relay ----------------------------------------------------------------------


def relay(spec: str, key_file: str) -> None:
    """Serve until stdin closes: each session goes to the endpoint, as the one user there is."""
    import gc

    import asyncssh

    from bastion import wire
    from bastion.wire import selfcheck

    port, login, endpoint_key, host_key_file = spec.split(":", 3)
    host_key = asyncssh.read_private_key(host_key_file)
    endpoint_options = wire.client_options(
        login,
        known_hosts=([asyncssh.read_public_key(endpoint_key + ".host.pub")], [], []),
        client_keys=[asyncssh.read_private_key(endpoint_key)],
    )
    user_key = asyncssh.read_public_key(key_file).public_data

    class Up(wire.ClientSession):
        def __init__(self, down: Down) -> None:
            self.down = down

        def output_received(self, data: bytes, stderr: bool) -> None:
            if stderr:
                self.down.write_stderr(data)
            else:
                self.down.write(data)
            if not self.down.writable:
                self.pause_input()

        def writable_changed(self, writable: bool) -> None:
            if writable:
                self.down.resume_input()
            else:
                self.down.pause_input()

        def exited(self, result: wire.Exit) -> None:
            self.down.exit(result.status if result.status is not None else 255)

        def eof(self) -> bool:
            return True

        def closed(self, exc: Exception | None) -> None:
            self.down.exit(255)

    class Down(wire.ServerSession):
        up: Up | None = None
        ended = False

        def __init__(self, owner: Owner) -> None:
            self.owner = owner
            self.early: list[bytes] = []

        def shell(self) -> bool:
            return self.begin(None)

        def exec(self, command: str) -> bool:
            return self.begin(command)

        def begin(self, command: str | None) -> bool:
            self.task = asyncio.ensure_future(self.attach(command))
            return True

        async def attach(self, command: str | None) -> None:
            try:
                upstream = await self.owner.upstream
                _, up = await upstream.start_session(lambda: Up(self), command=command, term=self.term or None, size=self.size)
            except (OSError, asyncssh.Error) as problem:
                self.write_stderr(f"{problem}\r\n".encode())
                self.exit(69)
                return
            self.up = up
            for data in self.early:
                up.write(data)
            self.early.clear()
            if self.ended:
                up.write_eof()

        def input_received(self, data: bytes) -> None:
            if self.up is None:
                self.early.append(data)
                return
            self.up.write(data)

        def writable_changed(self, writable: bool) -> None:
            if writable and self.up is not None:
                self.up.resume_input()

        def resized(self, size: wire.TerminalSize) -> None:
            if self.up is not None:
                self.up.resize(size)

        def eof(self) -> bool:
            self.ended = True
            if self.up is not None:
                self.up.write_eof()
            return True

        def closed(self, exc: Exception | None) -> None:
            if self.up is not None and self.up._channel is not None:
                self.up.channel.close()

    class Owner(asyncssh.SSHServer):
        upstream: asyncio.Future[wire.ClientConnection]

        def begin_auth(self, username: str) -> bool:
            return True

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return key.public_data == user_key

        def auth_completed(self) -> None:
            self.upstream = asyncio.ensure_future(wire.connect("127.0.0.1", int(port), asyncssh.SSHClient, endpoint_options, timeout=20))

        def session_requested(self) -> Any:
            return Down(self)

        def connection_lost(self, exc: Exception | None) -> None:
            upstream = getattr(self, "upstream", None)
            if upstream is not None:
                upstream.add_done_callback(lambda task: task.exception() or task.result().close())

    async def serve() -> None:
        limits = wire.Limits(exempt_networks=("127.0.0.0/8",), unauthenticated=2000, early_drop_from=2000)
        server = await wire.listen("127.0.0.1", 0, Owner, wire.server_options([host_key], limits=limits), limits)
        if os.environ.get("BENCH_STOCK"):
            selfcheck.turn_off_fast_path()
        gc.collect()
        gc.freeze()
        print(server.port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    if os.environ.get("BENCH_PROFILE"):
        import cProfile

        profile = cProfile.Profile()
        profile.runcall(asyncio.run, serve())
        profile.dump_stats(os.environ["BENCH_PROFILE"])
    else:
        asyncio.run(serve())


# --- the surroundings -----------------------------------------------------------------------


def free_port() -> int:
    """A TCP port that was free just now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Paths:
    """A temporary folder with keys, two sshd and the ways to the endpoint."""

    def __init__(self, folder: Path, args: argparse.Namespace, stack: ExitStack) -> None:
        self.folder = folder
        self.login = getpass.getuser()
        self.stack = stack
        for name in ("host", "user", "relay_host"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        shutil.copy(folder / "host.pub", folder / "user.host.pub")
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        if args.endpoint_key:
            with (folder / "authorized").open("a") as keys:
                keys.write(Path(args.endpoint_key).read_text())
        self.endpoint_port = args.endpoint_port or free_port()
        self.endpoint = self.sshd(self.endpoint_port)
        self.jump_port = free_port()
        self.jump = self.sshd(self.jump_port)
        common = [
            "ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known",
            "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR",
        ]  # fmt: skip
        mine = [*common, "-i", str(folder / "user")]
        hop = " ".join([*mine, "-p", str(self.jump_port), "-W", "%h:%p", f"{self.login}@127.0.0.1"])
        # What `ssh -J` itself starts, spelt out so that it takes our key and no configuration.
        self.ways: dict[str, list[str]] = {
            "direct": [*mine, "-p", str(self.endpoint_port), f"{self.login}@127.0.0.1"],
            "proxyjump": [*mine, "-o", f"ProxyCommand={hop}", "-p", str(self.endpoint_port), f"{self.login}@127.0.0.1"],
        }
        self.pids: dict[str, int] = {"proxyjump": self.jump.pid}
        if args.jump:
            host, _, port = args.jump.rpartition(":")
            key = args.identity or str(folder / "user")
            self.target = (host, int(port), args.user, key)
            if args.pid:
                self.pids["jump"] = args.pid
        else:
            spec = f"{self.endpoint_port}:{self.login}:{folder}/user:{folder}/relay_host"
            process = subprocess.Popen(
                [sys.executable, __file__, "--relay", spec, "--identity", f"{folder}/user.pub"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            stack.callback(self.stop_relay, process)
            assert process.stdout is not None
            self.target = ("127.0.0.1", int(process.stdout.readline()), "alice", str(folder / "user"))
            self.pids["jump"] = process.pid
        host, number, user, key = self.target
        self.ways["jump"] = [*common, "-i", key, "-p", str(number), "-l", user, host]

    @staticmethod
    def stop_relay(process: subprocess.Popen[str]) -> None:
        """Let it write its profile, if it keeps one, then make sure that it is gone."""
        try:
            process.communicate("", timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()

    def sshd(self, port: int) -> subprocess.Popen[bytes]:
        """A real sshd for this user only."""
        config = self.folder / f"sshd_{port}"
        config.write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host\nUsePAM no\nStrictModes no\n"
            f"AuthorizedKeysFile {self.folder}/authorized\nPidFile none\nPermitRootLogin yes\nMaxStartups 1000\n"
            "MaxSessions 1000\nPasswordAuthentication no\nPrintMotd no\nPrintLastLog no\nUseDNS no\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "/usr/sbin/sshd"
        process = subprocess.Popen([program, "-D", "-e", "-f", config], stderr=subprocess.DEVNULL)
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return process
        raise SystemExit("sshd did not start")


def cpu(pid: int) -> float:
    """CPU seconds of a process and all children it has waited for."""
    import psutil

    times = psutil.Process(pid).cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in psutil.Process(pid).children(recursive=True):
        try:
            more = child.cpu_times()
        except psutil.Error:
            continue
        total += more.user + more.system + more.children_user + more.children_system
    return float(total)


@contextmanager
def client(argv: list[str], *more: str) -> Iterator[tuple[int, int]]:
    """An ssh process: where to write to it and where to read from it."""
    process = subprocess.Popen([*argv, *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin.fileno(), process.stdout.fileno()
    finally:
        process.stdin.close()
        process.stdout.close()
        process.terminate()
        process.wait()


def percentiles(samples: list[float]) -> dict[str, float]:
    """p50, p95 and p99 in microseconds."""
    ordered = sorted(samples)
    return {f"p{p}": round(ordered[min(len(ordered) - 1, len(ordered) * p // 100)] * 1e6, 1) for p in (50, 95, 99)}


def read_until(fd: int, mark: bytes) -> bytes:
    """Read until `mark` has come; what came behind it. Raises EOFError when the way is shut."""
    seen = b""
    while mark not in seen:
        data = os.read(fd, CHUNK)
        if not data:
            raise EOFError("the session ended before it began")
        seen += data
    return seen.partition(mark)[2]


# --- the measurements -----------------------------------------------------------------------


def echo(paths: Paths, keys: int, rounds: int) -> dict[str, Any]:
    """One byte there and back through a raw PTY, paced and back to back; the ways take turns."""
    out: dict[str, Any] = {way: {"paced": [], "tight": []} for way in paths.ways}
    with ExitStack() as stack:
        ends = {}
        for way, argv in paths.ways.items():
            ends[way] = stack.enter_context(client(argv, "-tt", "stty raw -echo; echo ready; exec cat"))
            read_until(ends[way][1], b"ready")
            os.write(ends[way][0], b"!")
            read_until(ends[way][1], b"!")
        for _ in range(rounds):
            for kind, pause in (("paced", PACE), ("tight", 0.0)):
                for way in random.sample(list(ends), len(ends)):
                    there, back = ends[way]
                    samples = out[way][kind]
                    for _ in range(keys):
                        if pause:
                            time.sleep(pause)
                        start = time.perf_counter()
                        os.write(there, b"x")
                        os.read(back, 16)
                        samples.append(time.perf_counter() - start)
    return {way: {kind: percentiles(samples) for kind, samples in kinds.items()} for way, kinds in out.items()}


def bulk(paths: Paths, megabytes: int, rounds: int) -> dict[str, Any]:
    """Output through a raw PTY as fast as it goes: MB/s, and CPU seconds of the jump per GB."""
    log = paths.folder / "log"
    lines = [
        f"\x1b[32m2026-01-01 12:00:{n % 60:02}\x1b[0m \x1b[1mINFO\x1b[0m worker[{n}] \x1b[34mGET /{n * 7919 % 9973}\x1b[0m 200\n"
        for n in range(10_000)
    ]
    log.write_text("".join(lines))
    size = megabytes * 1_000_000
    repeat = f"while :; do cat {log}; done"
    sources = {"zeros": f"head -c {size} /dev/zero", "seq": f"seq 1 99999999 | head -c {size}", "log": f"({repeat}) | head -c {size}"}
    out: dict[str, Any] = {}
    for name, command in sources.items():
        best: dict[str, Any] = {way: {"mb_s": [], "cpu": []} for way in paths.ways}
        for _ in range(rounds):
            for way in random.sample(list(paths.ways), len(paths.ways)):
                pid = paths.pids.get(way)
                before = cpu(pid) if pid else 0.0
                with client(paths.ways[way], "-tt", f"stty raw -echo; printf R; {command}") as (_, back):
                    got, start = len(read_until(back, b"R")), time.perf_counter()
                    while got < size:
                        data = os.read(back, CHUNK)
                        if not data:
                            raise EOFError(f"{way}: {got} of {size} bytes")
                        got += len(data)
                    best[way]["mb_s"].append(got / 1e6 / (time.perf_counter() - start))
                if pid:
                    time.sleep(0.2)  # the jump's child must have been waited for before its CPU counts
                    best[way]["cpu"].append((cpu(pid) - before) / (size / 1e9))
        out[name] = {
            way: {"mb_s": round(max(v["mb_s"]), 1), **({"cpu_s_gb": round(min(v["cpu"]), 2)} if v["cpu"] else {})}
            for way, v in best.items()
        }
    return out


def connect(paths: Paths, rounds: int) -> dict[str, float]:
    """Milliseconds from starting ssh to the first byte of output, median."""
    times: dict[str, list[float]] = {way: [] for way in paths.ways}
    for _ in range(rounds):
        for way in random.sample(list(times), len(times)):
            start = time.perf_counter()
            with client(paths.ways[way], "echo x") as (_, back):
                read_until(back, b"x")
                times[way].append(time.perf_counter() - start)
    return {way: round(sorted(v)[len(v) // 2] * 1000, 1) for way, v in times.items()}


async def idle(paths: Paths, sessions: int) -> dict[str, float]:
    """Resident memory of the jump for each idle session with a PTY."""
    import asyncssh
    import psutil

    if "jump" not in paths.pids:
        return {}
    host, port, user, key = paths.target
    process = psutil.Process(paths.pids["jump"])

    async def one() -> Any:
        connection = await asyncssh.connect(host, port, username=user, client_keys=[key], known_hosts=None, config=None, agent_path=None)
        session = await connection.create_process("printf ready; exec cat", term_type="xterm", encoding=None)
        await session.stdout.readuntil(b"ready")
        return connection

    warm = [await one() for _ in range(5)]
    before = process.memory_info().rss
    opened = []
    for _ in range(0, sessions, 5):
        opened += await asyncio.gather(*(one() for _ in range(5)))
    after = process.memory_info().rss
    for connection in [*warm, *opened]:
        connection.abort()
    return {"sessions": len(opened), "kb_per_session": round((after - before) / 1024 / len(opened), 1)}


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    rows = []
    base = result["echo"]["proxyjump"]
    rows.append("echo, us               paced p50   p95   p99     tight p50   p95   p99     p50/PJ  tight/PJ  p99/PJ")
    for way, kinds in result["echo"].items():
        a, b = kinds["paced"], kinds["tight"]
        ratios = (a["p50"] / base["paced"]["p50"], b["p50"] / base["tight"]["p50"], a["p99"] / base["paced"]["p99"])
        rows.append(
            f"  {way:20} {a['p50']:9.0f} {a['p95']:5.0f} {a['p99']:5.0f}   {b['p50']:9.0f} {b['p95']:5.0f} {b['p99']:5.0f}"
            f"   {ratios[0]:8.2f} {ratios[1]:8.2f} {ratios[2]:8.2f}"
        )
    rows.append("bulk, MB/s (CPU s/GB)")
    for name, ways in result["bulk"].items():
        cells = [f"{way} {v['mb_s']:.0f}" + (f" ({v['cpu_s_gb']:.1f})" if "cpu_s_gb" in v else "") for way, v in ways.items()]
        rows.append(f"  {name:8} " + " · ".join(cells))
    rows.append("first byte, ms: " + " · ".join(f"{way} {ms}" for way, ms in result["connect_ms"].items()))
    if result["idle"]:
        rows.append(f"idle: {result['idle']['kb_per_session']} KB a session at {result['idle']['sessions']} sessions")
    return "\n".join(rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jump", help="HOST:PORT of the jump to measure in place of the built-in relay")
    parser.add_argument("--user", default="alice", help="user name there, with the target if it belongs there")
    parser.add_argument("--identity", help="private key for the jump")
    parser.add_argument("--pid", type=int, help="the jump's process, for its CPU and memory")
    parser.add_argument("--endpoint-port", type=int, help="where this script starts the endpoint's sshd")
    parser.add_argument("--endpoint-key", help="public key file that the endpoint shall accept from the jump")
    parser.add_argument("--keys", type=int, default=150, help="keystrokes a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=40, help="bulk output a run")
    parser.add_argument("--sessions", type=int, default=50, help="idle sessions")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--relay", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.relay:
        relay(args.relay, args.identity)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard) if soft < hard else (soft, hard))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-wire-")))
        paths = Paths(folder, args, stack)
        result = {
            "echo": echo(paths, args.keys, args.rounds),
            "bulk": bulk(paths, args.megabytes, max(1, args.rounds // 2)),
            "connect_ms": connect(paths, args.rounds * 2),
            "idle": asyncio.run(idle(paths, args.sessions)) if args.sessions else {},
        }
    print(json.dumps(result, indent=2) if args.json else table(result))


if __name__ == "__main__":
    main()
