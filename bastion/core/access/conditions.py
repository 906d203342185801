"""The conditions a rule may have, each able to say what it wanted and what it got. Never asks a clock.

A check answers True, False, or None when the facts do not tell. A rule that allows needs True; for a rule that
denies None is enough: what cannot be known never opens a door.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from bastion.core.access.decision import NO_SESSION, SessionFacts
from bastion.core.access.destinations import Destination
from bastion.core.access.durations import show_duration
from bastion.core.access.endpoint import Endpoint
from bastion.core.access.glob import Form
from bastion.core.access.hours import Dates, Weekly, covering, following, show_instant
from bastion.core.access.networks import Network, read_address
from bastion.core.access.paths import PathGlob
from bastion.core.access.source import shown
from bastion.core.identity import Identity

FACTOR_KINDS: Final = ("publickey", "certificate", "password", "totp", "browser")
"""What a login can have proven (`Factor.kind`)."""

_LONG_AGO: Final = 1e9  # seconds; an age beyond this is a mistake, not an age
_SKEW: Final = 5.0  # seconds; a factor proven "later than now" by more means that the clock was turned back


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision looks at. `at`: seconds since the epoch. `login` None: no login is concerned.

    `logged_in_at`: a question about a later time takes it that they log in again then as they did now, so proofs
    are as old as they were at this instant. `memo` keeps what several rules ask within one decision (which windows are open).
    """

    identity: Identity
    roles: frozenset[str]
    endpoint: Endpoint | None
    action: str
    at: float
    login: str | None = None
    session: SessionFacts = NO_SESSION
    logged_in_at: float | None = None
    memo: dict[tuple[str, ...], float | None] = field(default_factory=dict, compare=False, repr=False)


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
class Times:
    """The instant lies in one of the windows. `name` is the rule's key: hours or dates."""

    name: str
    windows: tuple[Weekly | Dates, ...]
    key: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", tuple(window.text for window in self.windows))

    @property
    def wanted(self) -> str:
        """Return the windows as the rule spells them."""
        return " or ".join(self.key)

    def holds(self, facts: Facts) -> bool | None:
        """Return whether one of the windows is open."""
        return self.closes_at(facts) is not None

    def got(self, facts: Facts) -> str:
        """Return the time on the first window's clocks, and when one of the windows next begins."""
        zone, start = self.windows[0].zone, following(self.windows, facts.at)
        return f"{show_instant(facts.at, zone)} ({'over' if start is None else f'next from {show_instant(start, zone)}'})"

    def closes_at(self, facts: Facts) -> float | None:
        """Return when the open windows close, None when none is open."""
        if self.key not in facts.memo:
            facts.memo[self.key] = covering(self.windows, facts.at)
        return facts.memo[self.key]

    def opens_at(self, facts: Facts) -> float | None:
        """Return when a window next opens, None for never."""
        return following(self.windows, facts.at)


@dataclass(frozen=True, slots=True)
class From:
    """The person comes from one of these networks."""

    networks: tuple[Network, ...]
    name: ClassVar[str] = "sources"

    @property
    def wanted(self) -> str:
        """Return the networks."""
        return " or ".join(str(network) for network in self.networks)

    def holds(self, facts: Facts) -> bool | None:
        """Return whether the source lies in one of them; None when it is no address."""
        address = read_address(facts.identity.source)
        return None if address is None else any(address in network for network in self.networks)

    def got(self, facts: Facts) -> str:
        """Return the source."""
        return shown(facts.identity.source) or "no address"


@dataclass(frozen=True, slots=True)
class Fresh:
    """One of these factors was proven, and not longer ago than `seconds`. Asked at entry only."""

    kinds: tuple[str, ...]
    seconds: float | None
    name: ClassVar[str] = "factor"

    @property
    def wanted(self) -> str:
        """Return what would hold."""
        what = " or ".join(self.kinds) or "any factor"
        return what if self.seconds is None else f"{what} in the last {show_duration(self.seconds)}"

    def holds(self, facts: Facts) -> bool | None:
        """Return whether a factor is fresh; a session that runs had it when it started."""
        if facts.session.running:
            return True
        now = facts.at if facts.logged_in_at is None else facts.logged_in_at
        longest = float("inf") if self.seconds is None else self.seconds
        kinds = self.kinds or FACTOR_KINDS
        return any(-_SKEW <= now - factor.at <= longest for factor in facts.identity.factors if factor.kind in kinds)

    def got(self, facts: Facts) -> str:
        """Return what was proven, and how long ago."""
        found = [
            f"{shown(factor.kind)} {show_duration(age)} ago"
            if 0 <= (age := facts.at - factor.at) < _LONG_AGO
            else f"{shown(factor.kind)} at another time"
            for factor in facts.identity.factors[:8]
        ]
        return ", ".join(found) or "no factor"


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket number of that form was given. Asked at entry only. It says nothing about whether the ticket exists."""

    form: Form
    name: ClassVar[str] = "ticket"

    @property
    def wanted(self) -> str:
        """Return the form."""
        return f"a ticket number like {self.form.text}"

    def holds(self, facts: Facts) -> bool | None:
        """Return whether the number has the form; a session that runs had it when it started."""
        return facts.session.running or self.form.matches(facts.session.ticket)

    def got(self, facts: Facts) -> str:
        """Return what was given."""
        return f"'{shown(facts.session.ticket)}'" if facts.session.ticket else "none"


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
class Files:
    """The file moves in this direction, has one of these paths, and at most so many bytes. Empty fields want nothing.

    Asked for each file; whether a session may start at all is another question (see `Rule.holds`).
    """

    directions: tuple[str, ...] = ()
    paths: tuple[PathGlob, ...] = ()
    most: int | None = None
    name: ClassVar[str] = "files"

    @property
    def wanted(self) -> str:
        """Return what would hold."""
        parts = [" or ".join(self.directions) or "any direction"]
        if self.paths:
            parts.append(" or ".join(path.text for path in self.paths))
        if self.most is not None:
            parts.append(f"at most {self.most} bytes")
        return ", ".join(parts)

    def holds(self, facts: Facts) -> bool | None:
        """Return whether that file fits; None when none is asked about, or its path is not known well enough."""
        file = facts.session.file
        if file is None:
            return None
        if self.directions and file.direction not in self.directions:
            return False
        if self.most is not None and file.size is not None and file.size > self.most:
            return False
        if not self.paths or any(path.matches(spelling) for path in self.paths for spelling in file.spellings):
            return True
        known = {spelling[0] for spelling in file.spellings}
        unknown = not file.complete and any((path.rooted or "/") not in known for path in self.paths)
        return None if unknown or not file.spellings else False

    def got(self, facts: Facts) -> str:
        """Return which file."""
        file = facts.session.file
        if file is None:
            return "no file"
        size = "" if file.size is None else f", {file.size} bytes"
        return f"{file.direction} of {shown(file.path, 200)}{size}"


@dataclass(frozen=True, slots=True)
class To:
    """The tunnel goes to one of these. Asked for each tunnel; whether there may be any is another question (see `Rule.holds`)."""

    destinations: tuple[Destination, ...]
    name: ClassVar[str] = "to"

    @property
    def wanted(self) -> str:
        """Return what would hold."""
        return " or ".join(one.text for one in self.destinations)

    def holds(self, facts: Facts) -> bool | None:
        """Return whether that tunnel fits; None when none is asked about."""
        to = facts.session.to
        if to is None:
            return None
        address = read_address(to.address or to.host)
        return any(one.matches(to.host, address, to.port) for one in self.destinations)

    def got(self, facts: Facts) -> str:
        """Return where it goes."""
        to = facts.session.to
        return "no destination" if to is None else f"{shown(to.host)}:{to.port}" + (f" ({to.address})" if to.address else "")


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
        return f"{shown(facts.session.owner)}'s" if facts.session.owner else "a session"


@dataclass(frozen=True, slots=True)
class OwnerRoles:
    """The session's owner has one of these roles."""

    roles: frozenset[str]
    name: ClassVar[str] = "owner_roles"

    @property
    def wanted(self) -> str:
        """Return the roles."""
        return "a session of " + " or ".join(sorted(self.roles))

    def holds(self, facts: Facts) -> bool | None:
        """Return whether the owner has one; None when no session is concerned."""
        if not facts.session.owner_id:
            return None
        return not self.roles.isdisjoint(facts.session.owner_roles)

    def got(self, facts: Facts) -> str:
        """Return the owner's roles."""
        return ", ".join(shown(role) for role in facts.session.owner_roles) or "no role"
