"""Turning a proven key into an Identity. Never decides what it may do; an offered key proves nothing."""

from __future__ import annotations

from dataclasses import dataclass

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Invalid
from bastion.core.identity import Factor, Identity, User, UserKey
from bastion.core.values import Target, parse_target
from bastion.services.ports import Auditing, Clock, Users
from bastion.services.tasks import spawn


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key that belongs to an account, before anything is proven."""

    user: User
    key: UserKey


class Login:
    """Logins by public key."""

    def __init__(self, users: Users, auditor: Auditing, clock: Clock) -> None:
        self._users = users
        self._auditor = auditor
        self._clock = clock

    @staticmethod
    def target(user_name: str) -> Target | None:
        """Read the SSH user name; None when it is none, so that it is refused like any unknown one."""
        try:
            return parse_target(user_name)
        except Invalid:
            return None

    async def candidate(self, user_name: str, fingerprint: str) -> Candidate | None:
        """Return whose key this would be. Unknown, disabled and malformed names take the same one query."""
        target = self.target(user_name)
        found = await self._users.with_key(target.user if target else "", fingerprint)
        if found is None or found[0].disabled:
            return None
        return Candidate(*found)

    def accept(self, candidate: Candidate, source: str, client: str) -> Identity:
        """Build the Identity of a login whose proof was just accepted."""
        now = self._clock.now()
        user, key = candidate.user, candidate.key
        self._auditor.record(AuditEvent("login.accepted", now, user.name, source, key.fingerprint, data={"client": client}))
        spawn("key-used", self._users.key_used(user.id, key.fingerprint, now))
        return Identity(
            user_id=user.id,
            name=user.name,
            roles=user.roles,
            source=source,
            factors=(Factor("publickey", now, key.fingerprint),),
            full_name=user.full_name,
            client=client,
        )

    def refused(self, user_name: str, source: str, reason: str) -> None:
        """Write down that a login failed. `user_name` is what was claimed: shown escaped wherever it is shown."""
        self._auditor.record(AuditEvent("login.refused", self._clock.now(), "", source, user_name[:256], result="denied", reason=reason))
