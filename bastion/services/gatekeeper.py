"""The one decision point: the policy in force, asked with the clock's time. Every door and service asks here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bastion.core.access.decide import EXPLAINED, decide
from bastion.core.access.decision import NO_SESSION, Decision, SessionFacts
from bastion.core.access.endpoint import Endpoint
from bastion.core.identity import Identity
from bastion.services.policies import Policies, PolicySource, Reload
from bastion.services.ports import Clock


class Gatekeeper:
    """Decides by the policy in force, and lets admins look at it."""

    def __init__(self, policies: Policies, source: PolicySource, clock: Clock) -> None:
        self._policies = policies
        self._source = source
        self._clock = clock

    def decide(
        self,
        identity: Identity,
        action: str,
        endpoint: Endpoint | None = None,
        *,
        login: str | None = None,
        session: SessionFacts = NO_SESSION,
        at: float | None = None,
        explain: int = EXPLAINED,
    ) -> Decision:
        """Return what the policy says now, or at another time."""
        return decide(
            self._policies.current,
            identity,
            endpoint,
            action,
            self._clock.now() if at is None else at,
            login=login,
            session=session,
            explain=explain,
        )

    async def check(self) -> Sequence[object]:
        """Read the files without using them; return warnings, raise `Misconfigured`."""
        _, warnings = await asyncio.to_thread(self._source.load)
        return warnings

    async def reload(self) -> Reload:
        """Use the files as they are now; a bad one is refused, and the last good policy stays."""
        return await self._policies.reload()

    def describe(self) -> Sequence[dict[str, object]]:
        """Return the rules in force, as plain objects."""
        return [
            {
                "name": rule.name,
                "effect": rule.effect,
                "who": rule.wanted_who,
                "actions": sorted(rule.actions),
                "endpoints": rule.wanted_endpoints,
                "where": rule.where,
            }
            for rule in self._policies.current.rules
        ]

    def roles(self) -> frozenset[str]:
        """Return the roles that the policy knows."""
        return frozenset(self._policies.current.roles)
