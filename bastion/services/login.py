"""Turning a proven key into an Identity. Never decides what it may do; an offered key proves nothing."""

from __future__ import annotations

from dataclasses import dataclass

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Invalid
from bastion.core.identity import Factor, Identity, User, UserKey
from bastion.core.values import Target, parse_target
from bastion.services.guests import Guests, is_guest_name
from bastion.services.live.rights import GUEST
from bastion.services.ports import Auditing, Clock, Users
from bastion.services.tasks import spawn


@dataclass(frozen=True, slots=True)
class Candidate:
    """A key that belongs to an account (or would redeem a guest's code), before anything is proven."""

    user: User
    key: UserKey


class Login:
    """Logins by public key. Without `guests` there are no codes."""

    def __init__(self, users: Users, auditor: Auditing, clock: Clock, guests: Guests | None = None) -> None:
        self._users = users
        self._guests = guests
        self._auditor = auditor
        self._clock = clock

    @staticmethod
    def target(user_name: str) -> Target | None:
        """Read the SSH user name; None when it is none, so that it is refused like any unknown one."""
        if is_guest_name(user_name):
            return Target(user_name)  # codes are forgiving: capitals, O for 0
        try:
            return parse_target(user_name)
        except Invalid:
            return None

    async def candidate(self, user_name: str, fingerprint: str, source: str = "") -> Candidate | None:
        """Return whose key this would be. Unknown, disabled and malformed names take the same one query."""
        target = self.target(user_name)
        found = await self._users.with_key(target.user if target else "", fingerprint)
        if found is not None:
            return None if found[0].disabled else Candidate(*found)
        ticket = self._guests.candidate(user_name, source) if self._guests is not None and is_guest_name(user_name) else None
        if ticket is None:
            return None
        return Candidate(User(ticket.user_id, user_name), UserKey(ticket.user_id, fingerprint, ""))

    def accept(self, candidate: Candidate, source: str, client: str) -> Identity:
        """Build the Identity of a login whose proof was just accepted. `PermissionError`: a guest's code opens nothing any more."""
        now = self._clock.now()
        user, key = candidate.user, candidate.key
        if self._guests is not None and user.id.startswith(GUEST):
            guest = self._guests.redeem(user.name, key.fingerprint, source, client)
            if guest is None:
                raise PermissionError("the guest code was used or ran out meanwhile")
            self._auditor.record(AuditEvent("login.accepted", now, guest.name, source, key.fingerprint, data={"client": client}))
            return guest
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

    def line(self, identity: Identity) -> bytes | None:
        """Return the only command line that this person may run, None for those with an account. Raises `Missing`."""
        if self._guests is None or not identity.user_id.startswith(GUEST):
            return None
        return self._guests.line(identity).encode()

    def refused(self, user_name: str, source: str, reason: str) -> None:
        """Write down that a login failed. `user_name` is what was claimed: shown escaped wherever it is shown."""
        if self._guests is not None and is_guest_name(user_name):
            reason = self._guests.refused(user_name, source)
            user_name = "guest-(code)"  # a mistyped key is no reason to write a code down
        self._auditor.record(AuditEvent("login.refused", self._clock.now(), "", source, user_name[:256], result="denied", reason=reason))
