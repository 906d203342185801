"""What others see of a live session: values for lists, menus and JSON. Never the session itself."""

from __future__ import annotations

from dataclasses import dataclass

from bastion.core.session.participants import Role
from bastion.core.values import Size


@dataclass(frozen=True, slots=True)
class Invitation:
    """Somebody asked into one session, as viewer or controller, until then (seconds since the epoch)."""

    user_id: str
    name: str
    role: Role
    until: float
    by: str


@dataclass(frozen=True, slots=True)
class ParticipantView:
    """One person in a session, as listed."""

    id: str
    name: str
    role: str
    source: str
    joined_at: float
    size: Size
    controls: bool
    attached: bool


@dataclass(frozen=True, slots=True)
class SessionView:
    """A live session, as listed."""

    id: str
    kind: str
    owner: str
    owner_id: str
    endpoint: str
    login: str
    state: str
    started_at: float
    size: Size
    title: str
    participants: tuple[ParticipantView, ...]
    bytes_out: int
    detached: bool
    labels: tuple[tuple[str, str], ...] = ()
    command: str = ""
    joinable: bool = False
    """Whether the person this was made for may join now."""
    invited: str = ""
    """The role they were invited as, if they were."""
