"""One machine as a file lists it, before anything about it is checked. What a file does not say is None or empty."""

from __future__ import annotations

from dataclasses import dataclass, field

from bastion.core.access.source import Place

GROUP = "group/"
"""A group is a label `group/NAME=yes`, so that rules and filters can name it, and an endpoint can be in several."""
OWNER = "owner"
METHODS = ("ca", "ask", "key", "password")


@dataclass(frozen=True, slots=True)
class EntryLogin:
    """An account there. `method` "" where the file does not say."""

    name: str
    method: str = ""


@dataclass(slots=True)
class Entry:
    """What a file says of one endpoint."""

    name: str
    place: Place
    host: str = ""
    port: object = None
    kind: str = ""
    command: tuple[str, ...] = ()
    logins: tuple[EntryLogin, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    description: str | None = None
    host_keys: tuple[str, ...] = ()
    host_cas: tuple[str, ...] = ()
    legacy: bool | None = None

    def in_group(self, group: str) -> None:
        """Put it into a group."""
        self.labels[f"{GROUP}{group.lower()}"] = "yes"
