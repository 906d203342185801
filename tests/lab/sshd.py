"""A throw-away OpenSSH server on a free port of loopback."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import socket
import subprocess
import time
from pathlib import Path

CONFIG = """
{more}
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_ed25519
PidFile {folder}/pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
PrintLastLog no
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
MaxStartups 300:30:400
MaxSessions 100
AllowTcpForwarding yes
SetEnv HOME={folder}/home
"""
# Whatever the machine's own start-up files do (look for updates, wait for locks) is not what is tested.
PROFILE = """
case $- in *i*) cd; PS1='\\u@\\h:\\w\\$ ' ;; esac
"""


def keygen(path: Path, kind: str = "ed25519", *more: str) -> Path:
    """Make a key pair; return the private key's path."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", path.name, "-f", str(path), *more], check=True, stdin=subprocess.DEVNULL
    )
    return path


def free_port() -> int:
    """Return a port nobody listens on now, below those that the kernel gives to connections: it stays free."""
    while True:
        port = random.SystemRandom().randrange(10_240, 32_000)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


class Sshd:
    """A real sshd that lets one key in as the account that runs the tests."""

    def __init__(self, folder: Path, more: str = "") -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.port = free_port()
        self.user = pwd.getpwuid(os.getuid()).pw_name
        (folder / "home").mkdir()
        for name in (".bashrc", ".profile"):
            (folder / "home" / name).write_text(PROFILE)
        self.host_key = keygen(folder / "host_ed25519")
        self.key = keygen(folder / "login_ed25519")
        shutil.copy(folder / "login_ed25519.pub", folder / "authorized_keys")
        (folder / "sshd_config").write_text(CONFIG.format(port=self.port, folder=folder, more=more))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Sshd:
        """Start it and wait until it listens."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin") or "sshd"
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [program, "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        wait_for_port(self.port, self.process)
        return self

    def stop(self) -> None:
        """Stop it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)

    @property
    def host_key_public(self) -> Path:
        """Return the file with its public host key."""
        return self.host_key.with_suffix(".pub")


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    """Return once somebody listens there; raise when the process died or time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
    raise TimeoutError(port)
