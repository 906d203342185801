"""Stock programs that move files, each aimed at an endpoint by the user name: sftp, scp in both protocols, rsync, git."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.lab.bastion import Bastion
from tests.lab.waiting import until

Done = subprocess.CompletedProcess[bytes]


def options(bastion: Bastion, user: str) -> list[str]:
    """Return ssh's options for that person, as sftp and scp take them."""
    words = bastion.ssh_argv(user)[1:-1]
    return ["-P" if word == "-p" else word for word in words]


def run(argv: list[str], **more: Any) -> Done:
    """Run a client; it has a minute."""
    return subprocess.run(argv, capture_output=True, timeout=60, check=False, **more)


def sftp(bastion: Bastion, user: str, *lines: str, cwd: Path | None = None) -> Done:
    """Run sftp's own commands as a batch; the first that fails ends it."""
    script = "\n".join(lines) + "\n"
    argv = ["sftp", *options(bastion, user), "-b", "-", f"{user}@127.0.0.1"]
    return run(argv, input=script.encode(), cwd=cwd)


def scp(bastion: Bastion, user: str, *words: str, old: bool = False) -> Done:
    """Run scp; the words ":PATH" are files on the endpoint."""
    places = [f"{user}@127.0.0.1{word}" if word.startswith(":") else word for word in words]
    return run(["scp", *(["-O"] if old else []), *options(bastion, user), *places])


def remote_shell(bastion: Bastion, user: str) -> str:
    """Return the ssh command line of that person for rsync and git, without the host."""
    return shlex.join(bastion.ssh_argv(user)[:-1])


def sha256(path: Path) -> str:
    """Return a file's digest."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def random_file(path: Path, size: int) -> Path:
    """Make a file nobody can compress or guess."""
    with path.open("wb") as file:
        for left in range(size, 0, -(1 << 20)):
            file.write(os.urandom(min(left, 1 << 20)))
    return path


def deeds(bastion: Bastion, since: int, wanted: Callable[[list[dict[str, Any]]], bool] = bool) -> list[dict[str, Any]]:
    """Return what was written down about files after `since`, once it is as wanted."""

    def look() -> list[dict[str, Any]]:
        found = [row for row in bastion.audit(since=since) if row["code"].startswith("file.")]
        return found if wanted(found) else []

    return until(look, "the audit has the deeds")


def last(bastion: Bastion) -> int:
    """Return the number of the newest audited fact."""
    rows: list[dict[str, Any]] = bastion.json("aud", "audit", "tail", "-n", "1")
    return int(rows[-1]["id"]) if rows else 0
