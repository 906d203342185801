"""`bastion init`: makes a home folder that serve can start from, and a demo. Idempotent; never overwrites.

Never listens and never dials. Keys are made through the `KeyMaker` port.
"""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from bastion.core.errors import Invalid, Misconfigured
from bastion.core.values import NAME
from bastion.services.inventory import Inventory, NewEndpoint
from bastion.services.people import People, read_public_key
from bastion.services.ports import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST_KEY: Final = "host_ed25519"
HOST_CA: Final = "host_ca_ed25519"
USER_CA: Final = "user_ca_ed25519"
VAULT_KEY: Final = "vault.key"
OPERATOR_KEY: Final = "operator.key"
DEMO_KEY: Final = "demo_ed25519"
DEMO_ENDPOINT: Final = "demo"
OPERATOR: Final = "operator"
"""The account that the `bastion` program on the host logs in as, with `operator.key`."""

_KEYS: Final = {
    HOST_KEY: "the key by which ssh recognises the bastion",
    HOST_CA: "the authority that certifies names for ssh -J",
    USER_CA: "the authority that endpoints may trust",
    OPERATOR_KEY: "the key of the `bastion` program on this host",
}
_VAULT_BYTES: Final = 32  # AES-256
_PRIVATE: Final = 0o600
_LOOSE: Final = 0o077
_DEMO_ROLES: Final = ("admin", "engineer", "supervisor", "auditor")  # all hats, so that everything can be tried
_OPERATOR_ROLES: Final = ("admin",)


class KeyMaker(Protocol):
    """Makes Ed25519 key pairs, which needs a library."""

    def make(self, comment: str) -> tuple[Secret, str]:
        """Return (private key in OpenSSH's format, public line)."""

    def public_of(self, private: Secret) -> str:
        """Return the public line of a private key; `Invalid` when it cannot be read or has a passphrase."""


@dataclass(slots=True)
class Report:
    """What init did, in lines for people. `login` and `identity` say how the demo user gets in."""

    lines: list[str] = field(default_factory=list)
    login: str = ""
    identity: Path | None = None

    def say(self, text: str) -> None:
        """Add a line."""
        self.lines.append(text)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who runs init: their login name, shell, and the public keys in their own `~/.ssh`."""

    name: str
    shell: str
    home: Path
    public_keys: tuple[str, ...]


def make_home(home: Path, config: str, keys: KeyMaker, policies: Path | None, report: Report) -> None:
    """Make the folder, its settings file, keys and policies. Raises `Misconfigured` for a home that others can read."""
    if home.exists():
        _refuse_loose(home)
    else:
        home.mkdir(parents=True, mode=0o700)
        home.chmod(0o700)
        report.say(f"made   {home}")
    if write_new(home / "bastion.toml", config.encode()):
        report.say("made   bastion.toml   every setting with its reason")
    for name, purpose in _KEYS.items():
        if _make_pair(home / name, keys, f"bastion {name}"):
            report.say(f"made   {name}   {purpose}")
    if write_new(home / VAULT_KEY, base64.b64encode(secrets.token_bytes(_VAULT_BYTES)) + b"\n"):
        report.say(f"made   {VAULT_KEY}   seals the endpoints' credentials; keep a copy elsewhere")
    _copy_policies(home / "policies", policies, report)


def _copy_policies(folder: Path, shipped: Path | None, report: Report) -> None:
    if folder.exists() and any(folder.glob("*.y*ml")):
        return
    if shipped is None:
        report.say(f"no policy came along: write one in {folder}, or nobody may do anything")
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    for file in sorted(shipped.glob("*.y*ml")):
        if write_new(folder / file.name, file.read_bytes()):
            report.say(f"made   policies/{file.name}   who may do what")


def _make_pair(path: Path, keys: KeyMaker, comment: str) -> bool:
    """Make a key pair where there is none; the private key counts, its .pub follows from it. Return whether it is new."""
    public = path.with_name(path.name + ".pub")
    if path.exists():
        if not public.exists():  # an init that was cut off between the two
            write_new(public, f"{keys.public_of(Secret(path.read_bytes()))}\n".encode(), mode=0o644)
        return False
    private, line = keys.make(comment)
    made = write_new(path, private.reveal())
    if made:
        public.unlink(missing_ok=True)  # of a private key that is gone
        write_new(public, f"{line}\n".encode(), mode=0o644)
    return made


def write_new(path: Path, data: bytes, mode: int = _PRIVATE) -> bool:
    """Write a file that is not there yet, whole or not at all; return False when it is there."""
    if path.exists() or path.is_symlink():
        return False
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)  # fails where somebody else was faster, so nothing is ever overwritten
        except FileExistsError:
            return False
        return True
    finally:
        part.unlink(missing_ok=True)


def check_home(home: Path) -> None:
    """Refuse a home that is missing, or whose secrets others may read. Raises `Misconfigured`."""
    missing = [name for name in ("bastion.toml", *_KEYS, VAULT_KEY) if not (home / name).is_file()]
    if missing:
        raise Misconfigured("home.incomplete", f"{home} has no {missing[0]}: run `bastion init` (it overwrites nothing).")
    _refuse_loose(home)
    for name in (*_KEYS, VAULT_KEY):
        _refuse_loose(home / name)


def _refuse_loose(path: Path) -> None:
    status = path.stat()
    if status.st_uid not in {os.geteuid(), 0}:
        raise Misconfigured("home.owner", f"{path} belongs to another user (uid {status.st_uid}).")
    if status.st_mode & _LOOSE:
        wanted = "700" if path.is_dir() else "600"
        raise Misconfigured("home.readable", f"Others may read {path}: chmod {wanted} '{path}'.")


class Setup:
    """Fills a new database: the operator, the first admin, the demo."""

    def __init__(self, home: Path, people: People, inventory: Inventory, keys: KeyMaker) -> None:
        self._home = home
        self._people = people
        self._inventory = inventory
        self._keys = keys

    async def operator(self, report: Report) -> None:
        """Make the account of the host's own program, where there is none."""
        public = (self._home / f"{OPERATOR_KEY}.pub").read_text().strip()
        await self._ensure(OPERATOR, [public], _OPERATOR_ROLES, "The bastion program on its host", report)

    async def admin(self, name: str, key_lines: Sequence[str], report: Report) -> None:
        """Make the first admin, where there is no account of that name."""
        await self._ensure(name, key_lines, _OPERATOR_ROLES, "", report)

    async def demo(self, caller: Caller, report: Report) -> None:
        """Make a user of the caller's name and an endpoint that needs no sshd: a shell, as the caller, in a folder of its own."""
        name = demo_name(caller.name)
        lines = [line for line in caller.public_keys if _usable(line)]
        demo_key = self._home / DEMO_KEY
        if not lines or demo_key.exists():
            if _make_pair(demo_key, self._keys, f"{name} bastion demo"):
                report.say(f"made   {DEMO_KEY}   you have no usable key in ~/.ssh, so log in with: ssh -i {demo_key}")
            lines.append((self._home / f"{DEMO_KEY}.pub").read_text().strip())
            report.identity = demo_key
        await self._ensure(name, lines, _DEMO_ROLES, "", report)
        report.login = name
        if any(one.name == DEMO_ENDPOINT for one in await self._inventory.all()):
            return
        folder = self._home / "demo"
        folder.mkdir(mode=0o700, exist_ok=True)
        write_new(folder / "README", b"This shell runs on the bastion's own host, as the one who started the bastion.\n")
        shell = caller.shell if Path(caller.shell).is_file() else "/bin/sh"  # noqa: ASYNC240
        command = ("/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "demo", str(folder), shell)
        wanted = NewEndpoint(
            DEMO_ENDPOINT,
            login=name,
            kind="local",
            command=command,
            description="A shell on this very host, to try things out",
            labels=(("env", "demo"),),
        )
        await self._inventory.add(None, wanted)
        report.say(f"made   endpoint {DEMO_ENDPOINT}   a shell on this host, as {caller.name}")

    async def _ensure(self, name: str, lines: Sequence[str], roles: Sequence[str], full_name: str, report: Report) -> None:
        if any(one.name == name for one in await self._people.all()):
            return
        user, keys = await self._people.add(None, name, lines, roles, full_name)
        report.say(f"made   user {user.name} ({', '.join(roles)})   {', '.join(key.fingerprint for key in keys)}")


def demo_name(login: str) -> str:
    """Return the bastion's user name for a login name of this host (they may have letters that ours may not)."""
    name = "".join(letter if (letter.isalnum() and letter.isascii()) or letter in "._-" else "-" for letter in login.lower()).strip("._-")[
        :64
    ]
    return name if NAME.fullmatch(name) else "me"


def _usable(line: str) -> bool:
    try:
        read_public_key(line)
    except Invalid:
        return False
    return True


def find_caller(environ: dict[str, str], login: str, shell: str, home: Path) -> Caller:
    """Return who runs this, with the public keys that lie in their `~/.ssh`."""
    lines: list[str] = []
    for file in sorted((home / ".ssh").glob("*.pub")) if (home / ".ssh").is_dir() else []:
        try:
            text = file.read_text(errors="replace")
        except OSError:
            continue
        lines += [line.strip() for line in text.splitlines() if line.strip() and "-cert-v01@" not in line]
    return Caller(login, environ.get("SHELL") or shell or "/bin/sh", home, tuple(dict.fromkeys(lines)))
