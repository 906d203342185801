"""What `scripts/ways` runs: Ansible, and hundreds of connects at once. Never over a network."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import furnished
from tests.lab.bastion import Bastion
from tests.lab.jump import Jumper
from tests.lab.sshd import Sshd

LIMITS = """
[limits]
exempt_networks = ['127.0.0.1/32']
unauthenticated = 1000
early_drop_from = 1000
[sessions]
per_user = 1000
login_timeout = 60
connect_timeout = 30
"""
ROUNDS = 15


def main() -> int:
    """Make a world, run what was asked for, and say what came of it."""
    what, *more = sys.argv[1:]
    folder = Path(tempfile.mkdtemp(prefix="ways-"))
    sshd = Sshd(folder / "sshd").start()
    bastion = furnished(folder / "b", sshd)
    try:
        if what == "ansible":
            return ansible(bastion, folder)
        if what == "many":
            return many(bastion, sshd, int(more[0]) if more else 200)
        sys.stderr.write("scripts/ways ansible | many [N]\n")
        return 64
    finally:
        bastion.stop()
        sshd.stop()


def ansible(bastion: Bastion, folder: Path) -> int:
    """Run three modules each way; every one must change or find what it says, and leave sessions behind."""
    failed = 0
    for direct in (False, True):
        machine = folder / ("direct" if direct else "jump")
        config = bastion.ssh("alice", f"ssh-config --bastion 127.0.0.1:{bastion.port}{' --direct' if direct else ''}").stdout.decode()
        alice = Jumper(bastion, "alice", machine, config=config)
        inventory = machine / "inventory.ini"
        inventory.write_text(f"web01 ansible_python_interpreter={sys.executable}\n")
        source = machine / "source"
        source.write_bytes(os.urandom(100_000))
        environment = {
            **os.environ,
            "HOME": str(machine),
            "ANSIBLE_SSH_ARGS": f"-F {alice.config} -o ControlMaster=auto -o ControlPersist=20s -o ControlPath=/tmp/w{os.getpid()}-%C",
            "ANSIBLE_NOCOLOR": "1",
        }
        before = len(bastion.audit("session.started"))
        for module, arguments in (("ping", ""), ("command", "uname -s"), ("copy", f"src={source} dest={machine}/copied")):
            argv = [os.environ["ANSIBLE"], "-i", str(inventory), "web01", "-m", module, *(["-a", arguments] if arguments else [])]
            done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
            good = done.returncode == 0 and ("SUCCESS" in done.stdout or "CHANGED" in done.stdout)
            failed += not good
            print(f"{'--direct' if direct else 'ProxyJump':<10} {module:<8} {'ok' if good else 'FAILED'}")
            if not good:
                print(done.stdout + done.stderr)
        same = (machine / "copied").is_file() and (machine / "copied").read_bytes() == source.read_bytes()
        failed += not same
        sessions = len(bastion.audit("session.started")) - before
        print(f"{'--direct' if direct else 'ProxyJump':<10} copied file {'equal' if same else 'DIFFERS'}, {sessions} sessions in the audit")
        failed += not sessions
    return int(bool(failed))


def many(bastion: Bastion, sshd: Sshd, count: int) -> int:
    """Connect so many at once, then compare one connect with one through ProxyJump, in turns."""
    bastion.stop()
    (bastion.home / "bastion.toml").write_text(LIMITS)
    bastion.start()
    users = ("alice", "bob", "sup")
    start = time.monotonic()
    running = [
        subprocess.Popen(
            bastion.ssh_argv(users[number % 3], "connect web01 -- true"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        for number in range(count)
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[1] for process in running]
    failed = [(process.returncode, text.decode()[-200:]) for process, text in zip(running, said, strict=True) if process.returncode]
    print(f"{count - len(failed)} of {count} at once succeeded, in {time.monotonic() - start:.1f} s")
    for code, text in failed[:5]:
        print(f"  {code}: {text.strip()}")
    common = [
        "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
        "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-i", str(sshd.key), "-p", str(sshd.port),
    ]  # fmt: skip
    here = f"{sshd.user}@127.0.0.1"
    proxy = f"ProxyCommand={' '.join(common)} -W %h:%p {here}"
    ways = {"ProxyJump": [*common, "-o", proxy, here, "true"], "bastion": bastion.ssh_argv("alice", "connect web01 -- true")}
    took: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, argv in ways.items():
            began = time.monotonic()
            subprocess.run(argv, stdin=subprocess.DEVNULL, check=True, capture_output=True, timeout=60)
            took[way].append(time.monotonic() - began)
    middle = {way: statistics.median(times) for way, times in took.items()}
    ratio = middle["bastion"] / middle["ProxyJump"]
    print(
        f"one connect, p50: ProxyJump {middle['ProxyJump'] * 1000:.0f} ms, bastion {middle['bastion'] * 1000:.0f} ms: {ratio:.2f}x (aim 2x)"
    )
    return int(bool(failed) or ratio > 2)


if __name__ == "__main__":
    sys.exit(main())
