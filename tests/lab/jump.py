"""`ssh -J bastion NAME` as people do it: an ssh_config, a known_hosts with the bastion's authority, stock programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab.bastion import Bastion


class Jumper:
    """One person's machine: ssh, scp, sftp and rsync know only the names in this ssh_config."""

    def __init__(self, bastion: Bastion, user: str, folder: Path, *, config: str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.bastion = bastion
        self.config = folder / "ssh_config"
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_bytes(self._said(user, "known-hosts"))
        common = (
            f"Host *\n  IdentityFile {bastion.key_of(user)}\n  IdentitiesOnly yes\n  BatchMode yes\n"
            f"  UserKnownHostsFile {self.known_hosts}\n  StrictHostKeyChecking yes\n  LogLevel INFO\n"
        )
        self.config.write_text((self._said(user, "ssh-config").decode() if config is None else config) + common)

    def _said(self, user: str, verb: str) -> bytes:
        done = self.bastion.ssh(user, f"{verb} --bastion 127.0.0.1:{self.bastion.port}")
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def argv(self, program: str, *args: str) -> list[str]:
        """Return the command line of a stock program under this configuration."""
        if program == "rsync":
            return ["rsync", "-e", f"ssh -F {self.config}", *args]
        return [program, "-F", str(self.config), *args]

    def run(self, program: str, *args: str, input: bytes = b"", timeout: float = 60) -> subprocess.CompletedProcess[bytes]:
        """Run it; return what came."""
        return subprocess.run(self.argv(program, *args), input=input, capture_output=True, timeout=timeout, check=False)
