"""The conditions a rule may have, each able to say what it wanted and what it got. Never asks a clock.

A check answers True, False, or None when the facts do not tell. A rule that allows needs True; for a rule that
denies None is enough: what cannot be known never opens a door.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from bastion.core.access.decision import NO_SESSION, SessionFacts
from bastion.core.access.endpoint import Endpoint
from bastion.core.identity import Identity


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision looks at. `at`: seconds since the epoch. `login` None: no login is concerned."""

    identity: Identity
    roles: frozenset[str]
    endpoint: Endpoint | None
    action: str
    at: float
    login: str | None = None
    session: SessionFacts = NO_SESSION


class Check(Protocol):
    """One condition. Equal checks are equal values."""

    @property
    def name(self) -> str:
        """Return the key that rules use for it."""

    @property
    def wanted(self) -> str:
        """Return what would hold, for people."""

    def holds(self, facts: Facts) -> bool | None:
        """Return whether it holds, None when the facts do not tell."""

    def got(self, facts: Facts) -> str:
        """Return what was found, for people."""


@dataclass(frozen=True, slots=True)
class Invited:
    """The owner of the session asked this person in (or, `yes` False, did not)."""

    yes: bool
    name: ClassVar[str] = "invited"

    @property
    def wanted(self) -> str:
        """Return what would hold."""
        return "an invitation to the session" if self.yes else "no invitation to the session"

    def holds(self, facts: Facts) -> bool | None:
        """Return whether it is as wanted."""
        return facts.session.invited is self.yes

    def got(self, facts: Facts) -> str:
        """Return what was found."""
        return "invited" if facts.session.invited else "not invited"


@dataclass(frozen=True, slots=True)
class Own:
    """The session or recording is the person's own (or, `yes` False, somebody else's). By id: names may change."""

    yes: bool
    name: ClassVar[str] = "own"

    @property
    def wanted(self) -> str:
        """Return what would hold."""
        return "their own session" if self.yes else "a session of somebody else"

    def holds(self, facts: Facts) -> bool | None:
        """Return whether it is as wanted; None when no session is concerned."""
        if not facts.session.owner_id:
            return None
        return (facts.session.owner_id == facts.identity.user_id) is self.yes

    def got(self, facts: Facts) -> str:
        """Return whose it is."""
        if not facts.session.owner_id:
            return "no session"
        return f"{facts.session.owner}'s" if facts.session.owner else "a session"
