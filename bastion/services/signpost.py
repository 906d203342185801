"""How people's machines find this bastion and know it: its address, its host key, the authority for names behind it.

Never holds a private key.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

ANYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - not to listen on: to be told as the host's own name


@dataclass(slots=True)
class Signpost:
    """`host` and `port` are where ssh reaches it; the keys are public lines."""

    host: str
    port: int
    host_key: str
    host_ca: str

    @classmethod
    def read(cls, name: str, listens: str, port: int, host_key: Path, host_ca: Path) -> Signpost:
        """Read the public keys. `name`: what the operator says people call it (HOST or HOST:PORT), or "" for where it listens."""
        host, its_port = split(name, port) if name else (socket.gethostname() if listens in ANYWHERE else listens, port)
        return cls(host, its_port, _public(host_key), _public(host_ca))


def split(text: str, port: int) -> tuple[str, int]:
    """Read `HOST`, `HOST:PORT` or `[IPV6]:PORT`; `port` where none is named. ValueError for a port that is none."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, int(rest.removeprefix(":") or port)
    if text.count(":") == 1:
        host, _, said = text.partition(":")
        return host, int(said)
    return text, port


def in_known_hosts(host: str, port: int) -> str:
    """Return how known_hosts spells an address."""
    return host if port == 22 else f"[{host}]:{port}"  # noqa: PLR2004 - SSH's port


def _public(path: Path) -> str:
    return " ".join(path.read_text().split()[:2])
