"""Outside experts without an account: one-use codes that open one session, once, for a while. Never keeps a code.

Theory of operation. `issue` makes a code of 80 random bits and keeps only its SHA-256. The guest logs in as
`guest-CODE` with whatever key they have: an offered key is told whether it would do, and only when the client has
proven it is the ticket used up, in one step of the loop, and bound to that key. The login becomes an identity without
roles whose user id begins with `guest:`; their invitation lives in the session and dies with it. To the network
a wrong, used or expired code looks like any unknown user; the audit log has the reason.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bastion.core.access.durations import show_duration
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Conflict, Denied, Invalid, Missing
from bastion.core.identity import Factor, Identity
from bastion.core.session import events as e
from bastion.core.session.participants import Role
from bastion.core.text import safe_text
from bastion.services import ids
from bastion.services.invitations import DEFAULT_SECONDS
from bastion.services.live.rights import GUEST, verdict
from bastion.services.live.views import Invitation

if TYPE_CHECKING:
    from bastion.services.control import Control
    from bastion.services.invitations import Invitations
    from bastion.services.live.actor import SessionActor
    from bastion.services.live.rights import Policies
    from bastion.services.ports import Auditing, Clock

PREFIX: Final = "guest-"
MOST: Final = 1000  # tickets of the whole node
WRONG_PER_MINUTE: Final = 20  # failed guest logins of one source; then none is looked at for the rest of the minute
_SOURCES: Final = 4096
_SPENT: Final = 4096
_LONGEST: Final = 64


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a code opens: one session, as one role, until then (seconds since the epoch)."""

    digest: bytes
    user_id: str
    name: str
    actor: SessionActor
    role: Role
    until: float
    by: str


class Guests:
    """Issues tickets and redeems them."""

    def __init__(
        self,
        control: Control,
        invitations: Invitations,
        policies: Policies,
        auditor: Auditing,
        clock: Clock,
        new_code: Callable[[], str],
    ) -> None:
        self._control = control
        self._invitations = invitations
        self._policies = policies
        self._auditor = auditor
        self._clock = clock
        self._new_code = new_code
        self._tickets: dict[str, Ticket] = {}
        self._inside: dict[str, Ticket] = {}
        self._spent: OrderedDict[bytes, str] = OrderedDict()
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    # ------------------------------------------------------------ issuing

    async def issue(
        self, identity: Identity, prefix: str, name: str, company: str, purpose: str, role: str = "viewer", seconds: float = DEFAULT_SECONDS
    ) -> str:
        """Return a new code; it is shown this once and kept nowhere. Raises the one reason why not, audited."""
        actor = self._control.find(identity, prefix, "guest.invited")
        shown = f"{safe_text(name, _LONGEST)} (guest, {safe_text(company, _LONGEST)})"
        try:
            as_role = self._invitations.check(identity, actor, role, seconds)
            for what, said in (("name", name), ("company", company), ("purpose", purpose)):
                if not said.strip() or len(said) > _LONGEST * 3:
                    raise Invalid("guest.incomplete", f"A guest needs a {what}: --guest NAME --company C --purpose P.")
            decision = verdict(self._policies, identity, "invite-guest", actor)
            if not decision.allowed:
                raise Denied("guest.denied", f"invite-guest: {decision.reason}", decision.rule)
            if len(self._tickets) >= MOST:
                raise Conflict("guest.too_many", f"{MOST} guest codes are open, which is the most.")
        except BastionError as error:
            self._invitations.audit("guest.invited", identity, actor, shown, "denied", error.public)
            raise
        code = self._new_code()
        ticket = Ticket(_digest(code), GUEST + self._new_code(), shown, actor, as_role, self._clock.now() + seconds, identity.name)
        self._tickets[ticket.user_id] = ticket
        timer = asyncio.get_running_loop().call_later(seconds, self._expire, ticket)
        actor.done.add_done_callback(lambda _: timer.cancel())
        actor.done.add_done_callback(lambda _: self._spend(ticket, "guest code of a session that ended"))
        why = f"as {role} for {show_duration(seconds)}: {safe_text(purpose, _LONGEST * 3)}"
        self._invitations.audit("guest.invited", identity, actor, shown, "ok", why)
        actor.post(e.Told(self._clock.monotonic(), f"{identity.name} invited {shown} {why}."))
        return code

    async def withdraw(self, identity: Identity, prefix: str, name: str) -> str:
        """Take back tickets of that name, used or not. Returns the guest's whole name."""
        actor = self._control.find(identity, prefix, "guest.withdrawn")
        found = [ticket for ticket in self._tickets.values() if ticket.actor is actor and ticket.name.startswith(f"{name} (guest")]
        if not found:
            return await self._invitations.withdraw(identity, prefix, name)
        if not self._control.presides(identity, actor):
            self._invitations.audit("guest.withdrawn", identity, actor, name[:64], "denied", "neither owner nor moderator")
            raise Denied("invite.denied", "Only the owner or a moderator does that.")
        for ticket in found:
            self._spend(ticket, "withdrawn guest code")
            self._invitations.audit("guest.withdrawn", identity, actor, ticket.name, "ok", "")
        return found[0].name

    # ------------------------------------------------------------ redeeming

    def candidate(self, user_name: str, source: str) -> Ticket | None:
        """Return what this code would open. Uses nothing up: an offered key proves nothing."""
        if self._too_many(source):
            return None
        return self._look_up(user_name)

    def redeem(self, user_name: str, fingerprint: str, source: str, client: str) -> Identity | None:
        """Use the code up for the key that was just proven; None when it opens nothing any more."""
        ticket = self._look_up(user_name)
        if ticket is None:
            return None
        now = self._clock.now()
        self._spend(ticket, "guest code used before")
        left = max(1.0, ticket.until - now)
        self._invitations.keep(ticket.actor, Invitation(ticket.user_id, ticket.name, ticket.role, ticket.until, ticket.by), left)
        self._inside[ticket.user_id] = ticket
        ticket.actor.done.add_done_callback(lambda _: self._inside.pop(ticket.user_id, None))
        self._auditor.record(
            AuditEvent(
                "guest.redeemed",
                now,
                ticket.name,
                source,
                ticket.actor.record.endpoint,
                ticket.actor.id,
                data={"key": fingerprint, "client": client},
            )
        )
        return Identity(ticket.user_id, ticket.name, (), source, (Factor("publickey", now, fingerprint),), client=client)

    def line(self, identity: Identity) -> str:
        """Return the one command that this guest may run. Raises `Missing` when their session is over."""
        ticket = self._inside.get(identity.user_id)
        if ticket is None:
            raise Missing("session.ended", "The session you were invited to has ended.")
        return f"join {ticket.actor.id} --as {ticket.role.value}"

    def refused(self, user_name: str, source: str) -> str:
        """Count a guest's failed login; return why it failed, for the audit log only."""
        if self._too_many(source):
            return "too many wrong guest codes from that source"
        times = self._wrong.setdefault(source, deque(maxlen=WRONG_PER_MINUTE))
        times.append(self._clock.monotonic())
        self._wrong.move_to_end(source)
        while len(self._wrong) > _SOURCES:
            self._wrong.popitem(last=False)
        if self._look_up(user_name) is not None:
            return "no key was proven for a guest code"
        return self._spent.get(_digest(_code(user_name)), "unknown guest code")

    def _too_many(self, source: str) -> bool:
        times = self._wrong.get(source)
        return times is not None and len(times) == WRONG_PER_MINUTE and self._clock.monotonic() - times[0] < 60  # noqa: PLR2004 - a minute

    def _look_up(self, user_name: str) -> Ticket | None:
        wanted = _digest(_code(user_name))
        found = None
        for ticket in self._tickets.values():  # all of them: how long it takes tells nothing
            if hmac.compare_digest(ticket.digest, wanted):
                found = ticket
        return found if found is not None and self._clock.now() < found.until else None

    def _expire(self, ticket: Ticket) -> None:
        if ticket.user_id in self._tickets:
            self._spend(ticket, "expired guest code")
            self._auditor.record(AuditEvent("guest.expired", self._clock.now(), "system", "", ticket.name, ticket.actor.id))

    def _spend(self, ticket: Ticket, reason: str) -> None:
        if self._tickets.pop(ticket.user_id, None) is not None:
            self._spent[ticket.digest] = reason
            while len(self._spent) > _SPENT:
                self._spent.popitem(last=False)


def is_guest_name(user_name: str) -> bool:
    """Return whether this SSH user name is meant as a guest's code."""
    return user_name[: len(PREFIX)].lower() == PREFIX


def _code(user_name: str) -> str:
    return ids.read(user_name[len(PREFIX) : 200])


def _digest(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
