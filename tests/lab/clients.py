"""The stock clients besides OpenSSH, each as a command line for the same person."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab.bastion import Bastion


def openssh(bastion: Bastion, user: str, command: str, *, terminal: bool = False) -> list[str]:
    """OpenSSH's ssh."""
    return bastion.ssh_argv(user, command, options=("-tt",) if terminal else ())


def plink(bastion: Bastion, user: str, command: str, *, terminal: bool = False) -> list[str]:
    """PuTTY's plink; its key is in PuTTY's own format."""
    key = _converted(bastion, user, "ppk", lambda source, target: ["puttygen", str(source), "-O", "private", "-o", str(target)])
    argv = ["plink", "-ssh", "-batch", "-no-antispoof", "-P", str(bastion.port), "-i", str(key), "-hostkey", _host_key(bastion)]
    return [*argv, "-t" if terminal else "-T", f"{user}@127.0.0.1", command]


def dbclient(bastion: Bastion, user: str, command: str, *, terminal: bool = False) -> list[str]:
    """Dropbear's dbclient; its key is in dropbear's own format."""
    key = _converted(bastion, user, "dropbear", lambda source, target: ["dropbearconvert", "openssh", "dropbear", str(source), str(target)])
    argv = ["dbclient", "-y", "-y", "-i", str(key), "-p", str(bastion.port)]
    return [*argv, "-t" if terminal else "-T", f"{user}@127.0.0.1", command]


CLIENTS = {"openssh": openssh, "plink": plink, "dbclient": dbclient}


def _converted(bastion: Bastion, user: str, ending: str, argv) -> Path:
    source = bastion.key_of(user.partition("%")[0])
    target = source.with_suffix(f".{ending}")
    if not target.exists():
        subprocess.run(argv(source, target), check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return target


def _host_key(bastion: Bastion) -> str:
    public = bastion.home / "host_ed25519.pub"
    found = subprocess.run(["ssh-keygen", "-l", "-f", str(public)], check=True, capture_output=True, text=True)
    return found.stdout.split()[1]
