"""Who takes part in a session, and who may type. Values only; the session decides."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from bastion.core.values import Size


class Role(Enum):
    """What a participant may be in a session (Teleport's observer, peer and moderator)."""

    VIEWER = "viewer"
    CONTROLLER = "controller"
    MODERATOR = "moderator"


@dataclass(frozen=True, slots=True)
class Participant:
    """One stay of one person. `id` is unique in the session; the same person may be there twice."""

    id: str
    user_id: str
    name: str
    role: Role
    source: str
    joined_at: float
    size: Size
    rights: frozenset[str] = frozenset()
    """What policy lets them do here beyond looking on: "control", "moderate", "pause", "end"."""
    attached: bool = True


@dataclass(frozen=True, slots=True)
class ControlLease:
    """Who may type, since when. There is at most one."""

    holder: str
    since: float
