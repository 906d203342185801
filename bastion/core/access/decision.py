"""What a policy answers, and the proof that opens a session. Never asks a clock or a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

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
class WatchNeed:
    """`count` people out of `roles` or `users`, not the owner, who must look on, or the session waits.

    `on_leave`: what happens when one of them leaves, "pause" or "end"; paused, it ends after `grace_seconds`.
    """

    count: int
    roles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    on_leave: str = "pause"
    grace_seconds: float = 300.0

    def admits(self, name: str, roles: frozenset[str]) -> bool:
        """Return whether that person counts (whether they own the session is not known here: never count them then)."""
        return name in self.users or not roles.isdisjoint(self.roles)

    def __str__(self) -> str:
        people = [f"role {name}" for name in self.roles] + [f"user {name}" for name in self.users]
        return f"{self.count} of {', '.join(people)}"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session is bound to. Seconds; None is no limit. Grows with the policy's language.

    `recording`: "strict" (no record, no session) or "best-effort". `viewers`, loosest first: "invited" (whom
    the owner invites, and whom a rule lets join), "permitted" (only whom a rule lets join), "none" (then
    `joinable` is False). `lock_seconds` hides an idle screen until its owner proves who they are again;
    `reauth_seconds` asks for that proof in place, again and again. `handover`: the keyboard may be given away.
    `typing`: "one" (who has the keyboard) or "shared" (controllers type beside the holder). `handback_seconds`:
    a keyboard that rests with somebody else for so long goes back to the owner.
    `watchers`: who must look on, all of them.
    """

    recording: str = "strict"
    record_input: bool = False
    max_seconds: float | None = 12 * 3600.0
    idle_seconds: float | None = 60 * 60.0
    detach_seconds: float = 600.0
    max_participants: int = 10
    joinable: bool = True
    viewers: str = "invited"
    lock_seconds: float | None = None
    reauth_seconds: float | None = None
    handover: bool = True
    typing: str = "one"
    handback_seconds: float | None = None
    sessions_per_user: int | None = None
    sessions_per_endpoint: int | None = None
    watchers: tuple[WatchNeed, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalLevel:
    """`count` different people out of `roles` or `users` have to say yes."""

    count: int
    roles: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    def admits(self, name: str, roles: frozenset[str]) -> bool:
        """Return whether that person may approve at this level (who asks is not known here: never let them)."""
        return name in self.users or not roles.isdisjoint(self.roles)

    def __str__(self) -> str:
        people = [f"role {name}" for name in self.roles] + [f"user {name}" for name in self.users]
        return f"{self.count} of {', '.join(people)}"


@dataclass(frozen=True, slots=True)
class ApprovalNeed:
    """What a granting rule asks for first: its levels, one after the other.

    An approval lasts `valid_seconds` from its first use. `watched`: only while an approver looks on.
    """

    rule: str
    levels: tuple[ApprovalLevel, ...]
    valid_seconds: float
    watched: bool = False


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file that is to be moved or changed. `direction`: "upload" or "download", as the person sees it.

    `spellings`: the path from the root (`/...`) and below the login's home (`~/...`), as far as known; `complete`: there
    are no others. `size` in bytes; None while it is not known.
    """

    direction: str
    path: str
    spellings: tuple[str, ...]
    complete: bool = True
    size: int | None = None


@dataclass(frozen=True, slots=True)
class TunnelFacts:
    """Where a tunnel is to go: the host as it was typed, the address that is tried ("" where the far side resolves it), the port."""

    host: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What is known of the session that is asked about; a question without one leaves the defaults.

    `owner_id` is who started it. `invited`: the owner asked this person in. `ticket` is what the person gave as
    its number. `approved` names the rules whose approvals were given (checked by the request's own state machine).
    `file`: the one that is asked about; without it the question is whether files may be moved at all.
    `to`: where a tunnel is to go; without it the question is whether there may be any.
    `running`: a live session is being checked again, so what is asked at entry only (a fresh factor, a ticket) is not.
    """

    owner_id: str = ""
    owner: str = ""
    owner_roles: tuple[str, ...] = ()
    invited: bool = False
    ticket: str = ""
    approved: frozenset[str] = frozenset()
    running: bool = False
    file: FileFacts | None = None
    to: TunnelFacts | None = None


NO_SESSION: Final = SessionFacts()


@dataclass(frozen=True, slots=True)
class Decision:
    """A policy's answer. `rule` is the rule that decided ("" for the default deny); `reason` is for people.

    `granted_by` are all rules that grant it, `approvals` what they ask for first. `omitted` counts rules that
    were looked at but are not explained in `considered`. `opens_at`: when a refusal ends if only time is the
    cause. `most_bytes`: how large the file that was asked about may be (None: no limit).
    `valid_until`: when time alone ends what is allowed (None: it does not). Seconds since the epoch.
    """

    verdict: Verdict
    rule: str
    reason: str
    considered: tuple[Considered, ...] = ()
    terms: Terms = field(default_factory=Terms)
    granted_by: tuple[str, ...] = ()
    approvals: tuple[ApprovalNeed, ...] = ()
    omitted: int = 0
    opens_at: float | None = None
    valid_until: float | None = None
    most_bytes: int | None = None

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
    session: str = ""
    """The session's id, for what tells the endpoint who comes."""
