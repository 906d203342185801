"""Which rules fit a question, and when time alone makes other ones fit. Never words an answer (`decide` does).

`opening` and `ending` walk from change to change: at each instant at which a window of a rule concerned opens or
closes, the same question is asked again, so what they return is what `decide` would really answer then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final
from zoneinfo import ZoneInfo

from bastion.core.access.conditions import Facts, Times
from bastion.core.access.policy import Policy, Rule

_STEPS: Final = 32  # changes looked at; then "ask again at that time" is answer enough
_NEAR: Final = 256  # rules looked at for what nearly fits; with more of them a refusal's hint may miss the nearest


@dataclass(frozen=True, slots=True)
class Fit:
    """Rules that apply, by effect, and those about this person, action and endpoint that a condition keeps from it."""

    denying: list[Rule] = field(default_factory=list)
    granting: list[Rule] = field(default_factory=list)
    near: list[Rule] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Return whether it is allowed, perhaps once approved."""
        return bool(self.granting) and not self.denying

    @property
    def nearly(self) -> list[Rule]:
        """Return allow rules that nearly fit, a bounded number of them."""
        return [rule for rule in self.near[:_NEAR] if rule.allows]

    @property
    def zone(self) -> ZoneInfo:
        """Return the zone that people concerned read their clocks in: that of the first window in the way, else UTC."""
        checks = (check for rule in (*self.denying, *self.nearly) for check in rule.checks)
        return next((check.windows[0].zone for check in checks if isinstance(check, Times)), ZoneInfo("UTC"))


def fit(policy: Policy, facts: Facts) -> Fit:
    """Sort the rules that concern the question."""
    found = Fit()
    for rule in policy.candidates(facts.action, facts.identity.name, facts.roles, facts.endpoint):
        if rule.everywhere or rule.selects(facts.endpoint):
            if not (rule.logins or rule.checks) or _applies(rule, facts):
                (found.granting if rule.allows else found.denying).append(rule)
            else:
                found.near.append(rule)
    return found


def _applies(rule: Rule, facts: Facts) -> bool:
    if not rule.takes_login(facts.login):
        return False
    return all(rule.holds(check, facts) for check in rule.checks)


def gaps(rule: Rule, facts: Facts) -> int:
    """Return how many conditions keep an allow rule from applying."""
    return (not rule.takes_login(facts.login)) + sum(not rule.holds(check, facts) for check in rule.checks)


def opening(policy: Policy, facts: Facts, found: Fit) -> float | None:
    """Return when what is shut now opens if nothing but time changes, None if it does not (or not soon)."""
    for _ in range(_STEPS):
        if found.denying:
            lasting = not all(rule.timed for rule in found.denying)
            at = None if lasting else _latest(_closes(rule, facts) for rule in found.denying)
        else:
            at = _earliest(_opens(rule, facts) for rule in found.nearly if rule.timed)
        if at is None or at <= facts.at:
            return None
        facts = _later(facts, at)
        found = fit(policy, facts)
        if found.open:
            return at
    return None


def ending(policy: Policy, facts: Facts, found: Fit) -> float | None:
    """Return when what is open now ends if nothing but time changes, None if it does not."""
    at = None
    for _ in range(_STEPS):
        lasting = not all(rule.timed for rule in found.granting)  # one rule without windows grants for ever
        closing = None if lasting else _latest(_closes(rule, facts) for rule in found.granting)
        at = _earliest([closing, *(_opens(rule, facts) for rule in found.near if rule.timed and not rule.allows)])
        if at is None or at <= facts.at:
            return None
        facts = _later(facts, at)
        found = fit(policy, facts)
        if not found.open:
            return at
    return at


def _later(facts: Facts, at: float) -> Facts:
    return replace(facts, at=at, memo={}, logged_in_at=facts.at if facts.logged_in_at is None else facts.logged_in_at)


def _closes(rule: Rule, facts: Facts) -> float | None:
    """Return when a rule that applies stops to, by time alone."""
    return _earliest(check.closes_at(facts) for check in rule.checks if isinstance(check, Times))


def _opens(rule: Rule, facts: Facts) -> float | None:
    """Return when a rule that does not apply may start to, by time alone."""
    if not rule.takes_login(facts.login):
        return None
    shut = []
    for check in rule.checks:
        if not rule.holds(check, facts):
            if not isinstance(check, Times):
                return None
            shut.append(check.opens_at(facts))
    return _latest(shut)


def _earliest(instants: Iterable[float | None]) -> float | None:
    return min((at for at in instants if at is not None), default=None)


def _latest(instants: Iterable[float | None]) -> float | None:
    """Return the last of all, None when one of them never comes."""
    known = list(instants)
    return None if None in known else max((at for at in known if at is not None), default=None)
