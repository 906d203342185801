"""Machines behind the bastion, as values. Secrets are never in them, only names of credentials."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

AUTHORITY: Final = "@cert-authority"
"""Marks a host CA among pinned keys, as known_hosts does: its certificates are trusted instead of single keys."""


class HostKeyVerdict(Enum):
    """What a presented host key is, against the pinned ones."""

    TRUSTED = "trusted"
    CHANGED = "changed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HostKey:
    """A pinned host key. `public` is `algorithm base64`; `fingerprint` is OpenSSH's `SHA256:...`.

    A host CA has `algorithm` AUTHORITY.
    """

    algorithm: str
    public: str
    fingerprint: str
    added_at: float = 0.0
    added_by: str = ""

    @property
    def is_authority(self) -> bool:
        """Return whether it is a host CA."""
        return self.algorithm == AUTHORITY


@dataclass(frozen=True, slots=True)
class Login:
    """An account on an endpoint and what unlocks it.

    `method`: "key", "password", "ca" (a certificate made per session), "ask" (the person types it), "none"
    (kind local). `credential_id` names the stored secret where there is one.
    """

    name: str
    method: str
    credential_id: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A machine behind the bastion. `kind`: "ssh", "telnet", or "local" (a command in a PTY on this host).

    `command`: of a local one what it runs; of a telnet one the prompts of its login and password, where they are unusual.
    """

    id: str
    name: str
    kind: str = "ssh"
    host: str = ""
    port: int = 22
    command: tuple[str, ...] = ()
    logins: tuple[Login, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    description: str = ""
    host_keys: tuple[HostKey, ...] = field(default=())
    legacy: bool = False
    created_at: float = 0.0

    @property
    def address(self) -> str:
        """Return what people see as its address."""
        if self.kind == "local":
            return "local: " + " ".join(self.command)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def pinned(self) -> tuple[HostKey, ...]:
        """Return the single host keys that are trusted."""
        return tuple(key for key in self.host_keys if not key.is_authority)

    @property
    def authorities(self) -> tuple[HostKey, ...]:
        """Return the host CAs whose certificates are trusted."""
        return tuple(key for key in self.host_keys if key.is_authority)

    @property
    def certified_name(self) -> str:
        """Return the name that a host certificate must have: the host's as it is dialled, or ours where that is an address."""
        return self.name if _ADDRESS.fullmatch(self.host) else self.host

    def login(self, name: str | None = None) -> Login | None:
        """Return the login called `name`, or the first one when no name is given."""
        for login in self.logins:
            if name is None or login.name == name:
                return login
        return None


_ADDRESS: Final = re.compile(r"[0-9.]+|.*:.*")


def judge_host_key(pinned: tuple[HostKey, ...], algorithm: str, public: str) -> HostKeyVerdict:
    """Compare a presented key with the pinned ones. Nothing is ever trusted at first sight."""
    pinned = tuple(key for key in pinned if not key.is_authority)
    if any(key.public == public for key in pinned):
        return HostKeyVerdict.TRUSTED
    if any(key.algorithm == algorithm for key in pinned):
        return HostKeyVerdict.CHANGED
    return HostKeyVerdict.CHANGED if pinned else HostKeyVerdict.UNKNOWN
