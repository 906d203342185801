"""A real bastion process with a home of its own, and stock clients that talk to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import paramiko

from tests.lab.sshd import Sshd, keygen
from tests.lab.tmux import Tmux

ROOT = Path(__file__).resolve().parents[2]


class Bastion:
    """`bastion serve` on a free port, with people and endpoints added through the real program."""

    def __init__(self, folder: Path, *, env: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.home = folder / "home"
        # Tests read casts on disk; those about packed ones say so.
        self.env = {**os.environ, "PYTHONPATH": str(ROOT), "BASTION_RECORDING_COMPRESS_AFTER": "3600", **(env or {})}
        self.env.pop("BASTION_HOME", None)
        self.process: subprocess.Popen[str] | None = None
        self.port = 0
        self.keys: dict[str, Path] = {}

    # ------------------------------------------------------------ the program

    def program(self, *args: str, input: bytes | None = None, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        """Run `bastion --home HOME ARGS` on the host."""
        done = subprocess.run(
            [sys.executable, "-m", "bastion", "--home", str(self.home), *args],
            env=self.env, input=input, capture_output=True, timeout=60, check=False,
            **({} if input is not None else {"stdin": subprocess.DEVNULL}),
        )  # fmt: skip
        if check and done.returncode:
            raise AssertionError(f"bastion {' '.join(args)} -> {done.returncode}\n{done.stdout.decode()}\n{done.stderr.decode()}")
        return done

    def copy(self, folder: Path, *, env: dict[str, str] | None = None) -> Bastion:
        """Return another bastion with a copy of this home and the same people; this one must not run."""
        made = Bastion(folder, env=env)
        shutil.copytree(self.home, made.home)
        made.keys = self.keys
        return made

    def init(self, admin: str = "root1") -> Bastion:
        """Make the home with an admin."""
        self.program("init", "--admin", admin, "--key", str(self.key_of(admin).with_suffix(".pub")))
        return self

    def start(self, *more: str) -> Bastion:
        """Serve, and wait for the `ready` line."""
        self.log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bastion", "--home", str(self.home), "serve", "--ssh-port", str(self.port), "--web-port", "0", *more],
            env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"ready ssh=\S+:(\d+)", line)
        if not found:
            raise AssertionError(f"not ready: {line!r}\n{(self.folder / 'log').read_text()}")
        self.port = int(found[1])
        return self

    def stop(self, *, kill: bool = False) -> int:
        """End it, and return its exit code."""
        if self.process is None:
            return 0
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        code = self.process.wait(40)
        if self.process.stdout:
            self.process.stdout.close()
        self.log.close()
        self.process = None
        return code

    # ------------------------------------------------------------ people and endpoints

    def key_of(self, user: str) -> Path:
        """Return the private key of a person, made at first use."""
        if user not in self.keys:
            (self.folder / "keys").mkdir(exist_ok=True)
            self.keys[user] = keygen(self.folder / "keys" / user)
        return self.keys[user]

    def add_user(self, name: str, *roles: str) -> None:
        """Add a person with a key and roles."""
        wanted = [part for role in roles for part in ("--role", role)]
        self.program("user", "add", name, "--key", str(self.key_of(name).with_suffix(".pub")), *wanted)

    def add_endpoint(self, name: str, sshd: Sshd, *more: str) -> None:
        """Add a real sshd as an endpoint, its host key pinned from its file."""
        self.program(
            "endpoint", "add", name, f"127.0.0.1:{sshd.port}", "--login", sshd.user, "--key", str(sshd.key),
            "--host-key", str(sshd.host_key_public), *more,
        )  # fmt: skip

    def admit_user(self, name: str, role: str) -> None:
        """Add a person to the running bastion, over ssh as an admin would; quicker than a start of the host's program."""
        done = self.ssh("root1", f"user add {name} --key - --role {role}", input=self.key_of(name).with_suffix(".pub").read_bytes())
        assert done.returncode == 0, done.stderr.decode()

    def admit_endpoint(self, name: str, port: int, login: str, key: Path, host_key: Path, more: str = "") -> None:
        """Add an endpoint on this machine to the running bastion, over ssh as an admin would."""
        public = host_key.read_text().strip()
        line = f"endpoint add {name} 127.0.0.1:{port} --login {login} --key - --host-key '{public}' {more}"
        done = self.ssh("root1", line, input=key.read_bytes())
        assert done.returncode == 0, done.stderr.decode()

    # ------------------------------------------------------------ stock clients

    def ssh_argv(self, user: str, *args: str, options: tuple[str, ...] = ()) -> list[str]:
        """Return the stock ssh command line for that person."""
        name = user.partition("%")[0]
        return [
            "ssh", "-F", "none", "-p", str(self.port), "-i", str(self.key_of(name)), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-o", f"UserKnownHostsFile={self.folder}/known_hosts", "-o", "StrictHostKeyChecking=accept-new", "-o", "LogLevel=ERROR",
            *options, f"{user}@127.0.0.1", *args,
        ]  # fmt: skip

    def ssh(
        self, user: str, *args: str, input: bytes = b"", options: tuple[str, ...] = (), timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command over stock ssh; return what came."""
        return subprocess.run(self.ssh_argv(user, *args, options=options), input=input, capture_output=True, timeout=timeout, check=False)

    def json(self, user: str, *args: str) -> Any:
        """Run a command with --json over stock ssh; return what it said."""
        done = self.ssh(user, *args, "--json")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def tmux(self, user: str, *args: str, columns: int = 80, lines: int = 24, options: tuple[str, ...] = ("-t",)) -> Tmux:
        """Open stock ssh in a real terminal."""
        return Tmux(self.folder, self.ssh_argv(user, *args, options=options), columns=columns, lines=lines)

    def paramiko(self, user: str) -> paramiko.SSHClient:
        """Log in with paramiko; close it yourself."""
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            "127.0.0.1",
            self.port,
            user,
            key_filename=str(self.key_of(user.partition("%")[0])),
            allow_agent=False,
            look_for_keys=False,
            timeout=20,
        )
        return client

    # ------------------------------------------------------------ what happened

    def audit(self, code: str = "", *, since: int = 0) -> list[dict[str, Any]]:
        """Return the audit log's facts after `since`, of one code, oldest first, as an auditor reads them."""
        done = self.ssh("aud", f"audit export --since {since}")
        assert done.returncode == 0, done.stderr.decode()
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return [row for row in rows if not code or row["code"] == code]

    def log_text(self) -> str:
        """Return what the server wrote to its standard error."""
        return (self.folder / "log").read_text()

    def live(self, user: str = "sup", **fields: Any) -> list[dict[str, Any]]:
        """Return the live sessions this person sees that have all these fields."""
        return [row for row in self.json(user, "sessions") if all(row[name] == value for name, value in fields.items())]

    def casts(self) -> list[Path]:
        """Return the recordings on disk."""
        return sorted(self.home.glob("recordings/**/session.cast"))
