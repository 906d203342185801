"""The one decision point: the policy in force, asked with the clock's time. Every door and service asks here."""

from __future__ import annotations

from bastion.core.access.decide import decide
from bastion.core.access.decision import Decision
from bastion.core.access.endpoint import Endpoint
from bastion.core.identity import Identity
from bastion.services.policies import Policies
from bastion.services.ports import Clock


class Gatekeeper:
    """Decides by the policy in force."""

    def __init__(self, policies: Policies, clock: Clock) -> None:
        self.policies = policies
        self._clock = clock

    def decide(
        self, identity: Identity, action: str, endpoint: Endpoint | None = None, *, login: str | None = None, at: float | None = None
    ) -> Decision:
        """Return what the policy says now, or at another time."""
        return decide(self.policies.current, identity, endpoint, action, self._clock.now() if at is None else at, login=login)
