"""What every live session needs of the world. Never a rule, and nothing of one session."""

from __future__ import annotations

from dataclasses import dataclass

from bastion.services.harvest import Harvest
from bastion.services.ports import Auditing, Clock, Dialer, Sessions


@dataclass(frozen=True, slots=True)
class World:
    """The ports behind which the world is, and what was set for all sessions."""

    clock: Clock
    dialer: Dialer
    auditor: Auditing
    sessions: Sessions
    links: bool = False
    """Whether those who look on get the links that programs mark."""
    largest: int = 0
    """Bytes of one cast at which its session ends; 0 is no limit."""
    harvest: Harvest | None = None
    """Who brings lines to the search index; None where nothing is searched."""
