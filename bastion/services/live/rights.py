"""What policy lets a person do in one live session. Never remembers an answer.

A guest has no account, so no rule allows them anything: what they may do is what their invitation says (policy was
asked when it was made), unless a rule denies it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from bastion.core.access.decision import NO_SESSION, Decision, SessionFacts, Verdict
from bastion.core.session.participants import Role

if TYPE_CHECKING:
    from bastion.core.access.endpoint import Endpoint
    from bastion.core.identity import Identity
    from bastion.services.live.actor import SessionActor

GUEST: Final = "guest:"
"""How the user id of somebody without an account begins."""

RIGHTS: Final = ("control", "moderate", "pause", "end")
_NEEDED: Final = {Role.CONTROLLER: "control", Role.MODERATOR: "moderate"}


class Policies(Protocol):
    """The one decision point."""

    def decide(
        self,
        identity: Identity,
        action: str,
        endpoint: Endpoint | None = None,
        *,
        login: str | None = None,
        session: SessionFacts = NO_SESSION,
    ) -> Decision:
        """Return what the policy says now."""


def is_guest(identity: Identity) -> bool:
    """Return whether this is somebody without an account."""
    return identity.user_id.startswith(GUEST)


def verdict(policies: Policies, identity: Identity, action: str, actor: SessionActor, *, running: bool = False) -> Decision:
    """Return whether they may do this in that session. `running`: they are in it, and are asked again."""
    facts = actor.facts(identity, action)
    decision = policies.decide(identity, action, actor.grant.endpoint, session=replace(facts, running=running))
    if is_guest(identity) and facts.invited and decision.verdict is Verdict.DENY and not decision.rule:
        return Decision(Verdict.ALLOW, "invite-guest", "invited as a guest")
    return decision


def rights(policies: Policies, identity: Identity, actor: SessionActor, *, running: bool = False) -> frozenset[str]:
    """Return what they may do in that session beyond looking on."""
    return frozenset(action for action in RIGHTS if verdict(policies, identity, action, actor, running=running).allowed)


def fitting(role: Role, held: frozenset[str]) -> Role:
    """Return the role, or viewer where the right that it needs is not there."""
    return role if _NEEDED.get(role, "control") in held else Role.VIEWER
