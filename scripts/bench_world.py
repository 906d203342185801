"""What is measured: a real bastion, an sshd as its endpoint, an sshd as ProxyJump's jump, all on 127.0.0.1.

Never measures anything itself, and lives in a temporary folder that is gone afterwards.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_wire import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

ROOT = Path(__file__).resolve().parent.parent
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")

SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
UsePAM no
StrictModes no
UseDNS no
PermitRootLogin yes
PasswordAuthentication no
PrintMotd no
Subsystem sftp internal-sftp
PrintLastLog no
MaxStartups 1000
MaxSessions 1000
"""

POLICY = """
rules:
  - name: bench
    description: everything, for measuring
    effect: allow
    roles: [engineer, admin]
    actions: [connect, exec, sftp, scp, list, join, end, "admin.*"]
    endpoints: ["*"]
    terms:
      participants: 100
"""


class World:
    """The three ways to one endpoint: `ways` are command lines of ssh, `pids` the processes in between."""

    def __init__(self, folder: Path, stack: ExitStack, policy: str = POLICY) -> None:
        self.folder = folder
        self.stack = stack
        self.policy = policy
        self.login = getpass.getuser()
        for name in ("host", "user", "endpoint", "admin"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "authorized").write_text((folder / "user.pub").read_text() + (folder / "endpoint.pub").read_text())
        self.endpoint_port = self._sshd()
        jump_port = self._sshd()
        self._bastion()
        common = [
            "ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known",
            "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-i", str(folder / "user"),
        ]  # fmt: skip
        hop = " ".join([*common, "-p", str(jump_port), "-W", "%h:%p", f"{self.login}@127.0.0.1"])
        far = ["-p", str(self.endpoint_port), f"{self.login}@127.0.0.1"]
        self.bastion = [*common, "-p", str(self.port)]
        # What `ssh -J` itself starts, spelt out so that it takes our key and no configuration.
        self.ways: dict[str, list[str]] = {
            "direct": [*common, *far],
            "proxyjump": [*common, "-o", f"ProxyCommand={hop}", *far],
            "bastion": [*self.bastion, "alice%web01@127.0.0.1"],
        }
        self.pids: dict[str, int] = {"proxyjump": self.sshds[1].pid, "bastion": self.process.pid}

    def _sshd(self) -> int:
        """Start a real sshd for this user only; return its port."""
        port = free_port()
        config = self.folder / f"sshd_{port}"
        config.write_text(SSHD.format(port=port, folder=self.folder))
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "/usr/sbin/sshd"
        process = subprocess.Popen([program, "-D", "-e", "-f", config], stderr=subprocess.DEVNULL)
        self._ends(process)
        self.sshds = [*getattr(self, "sshds", []), process]
        wait_for(lambda: _listens(port), "sshd did not start")
        return port

    def _ends(self, process: subprocess.Popen[Any]) -> None:
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)

    def _bastion(self) -> None:
        """Make a home with one person and one endpoint, and serve it."""
        self.home = self.folder / "home"
        self.host("init", "--admin", "root1", "--key", str(self.folder / "admin.pub"))
        shutil.rmtree(self.home / "policies")
        (self.home / "policies").mkdir()
        (self.home / "policies" / "bench.yaml").write_text(
            self.policy + "roles:\n  engineer: {members: [alice]}\n  admin: {members: [root1]}\n"
        )
        (self.home / "bastion.toml").write_text(
            "[limits]\nexempt_networks = ['127.0.0.1/32']\nunauthenticated = 1000\nearly_drop_from = 1000\n"
            "[sessions]\nper_user = 1000\nper_node = 1000\nparticipants = 100\n[recording]\nfree_share = 0.0\nfree_bytes = 0\n"
        )
        self.host("user", "add", "alice", "--key", str(self.folder / "user.pub"))
        self.host("endpoint", "add", "web01", f"127.0.0.1:{self.endpoint_port}", "--login", self.login, "--key",
                  str(self.folder / "endpoint"), "--host-key", str(self.folder / "host.pub"))  # fmt: skip
        log = self.stack.enter_context((self.folder / "bastion.log").open("wb"))
        self.process = subprocess.Popen(
            [sys.executable, *os.environ.get("BENCH_PYTHON_OPTIONS", "").split(), "-m", "bastion", "--home", self.home, "serve", "--ssh-port", "0"],
            cwd=ROOT, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        self._ends(self.process)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith("ready ssh="):
            raise SystemExit(f"the bastion did not start: {line!r}\n{(self.folder / 'bastion.log').read_text()}")
        self.port = int(line.split()[1].rpartition(":")[2])

    def host(self, *words: str) -> None:
        """Run one command of the host's program."""
        done = subprocess.run(
            [sys.executable, "-m", "bastion", "--home", self.home, *words],
            cwd=ROOT, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"bastion {' '.join(words)}: {done.stdout}{done.stderr}")

    @contextmanager
    def client(self, way: str, *more: str) -> Iterator[tuple[int, int]]:
        """An ssh process along one way: where to write to it and where to read from it."""
        process = subprocess.Popen([*self.ways[way], *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdin.fileno(), process.stdout.fileno()
        finally:
            process.stdin.close()
            process.stdout.close()
            process.terminate()
            process.wait()


def _environment() -> dict[str, str]:
    wanted = {name: value for name, value in os.environ.items() if not name.startswith("BASTION_")}
    return {**wanted, "PYTHONPATH": str(ROOT)}


def _listens(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def wait_for(done: Any, complaint: str, seconds: float = 20.0) -> None:
    """Ask until the answer is yes."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise SystemExit(complaint)
        time.sleep(0.02)


def cpu(pid: int) -> float:
    """CPU seconds of a process, of those below it, and of those it has waited for."""
    total = sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15])) / _TICK
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                total += cpu(int(child))
            except OSError:
                continue
    return total


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
