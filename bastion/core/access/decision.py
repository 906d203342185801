"""What a policy answers, and the proof that opens a session. Never asks a clock or a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from bastion.core.access.endpoint import Endpoint, Login
from bastion.core.identity import Identity


class Verdict(Enum):
    """The three answers."""

    ALLOW = "allow"
    DENY = "deny"
    NEEDS_APPROVAL = "needs-approval"


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a rule as it was found: `wanted` against `got`."""

    name: str
    wanted: str
    got: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Considered:
    """One rule that was looked at, and why it did or did not apply."""

    rule: str
    effect: str
    applies: bool
    conditions: tuple[Condition, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session is bound to. Seconds; None is no limit. Grows with the policy's language."""

    recording: str = "strict"
    record_input: bool = False
    max_seconds: float | None = 12 * 3600.0
    idle_seconds: float | None = 60 * 60.0
    detach_seconds: float = 600.0
    max_participants: int = 10
    joinable: bool = True
    viewers: str = "invited"


@dataclass(frozen=True, slots=True)
class Decision:
    """A policy's answer. `rule` is the rule that decided ("" for the default deny); `reason` is for people."""

    verdict: Verdict
    rule: str
    reason: str
    considered: tuple[Considered, ...] = ()
    terms: Terms = field(default_factory=Terms)

    @property
    def allowed(self) -> bool:
        """Return whether it may be done now."""
        return self.verdict is Verdict.ALLOW


@dataclass(frozen=True, slots=True)
class Grant:
    """The proof that lets a session start. It carries the endpoint itself, so no other can be dialled with it."""

    identity: Identity
    endpoint: Endpoint
    login: Login
    capabilities: frozenset[str]
    rule: str
    terms: Terms
    expires_at: float | None = None
