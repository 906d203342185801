"""May this person do this, there, now? The one answer for every way in. Never raises, never asks a clock or a store.

Theory of operation. The policy's index gives the rules that concern the person, the action and possibly the
endpoint. Each that fits wholly *applies*. One applying deny decides. Else all applying allows grant together:
their terms are merged, the strictest of each, and their needs for approval add up. Else the default denies, and
the reason names the rule that came nearest. Facts that are not known fail an allow and fulfil a deny.
Explanations are made afterwards and only for the first `explain` rules, so they cost nothing where nobody reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Final

from bastion.core.access.actions import ACTIONS
from bastion.core.access.conditions import Facts
from bastion.core.access.decision import (
    NO_SESSION,
    ApprovalLevel,
    Condition,
    Considered,
    Decision,
    SessionFacts,
    Verdict,
)
from bastion.core.access.endpoint import Endpoint
from bastion.core.access.policy import Policy, Rule
from bastion.core.access.source import shown
from bastion.core.access.terms import strictest
from bastion.core.identity import Identity

EXPLAINED: Final = 64
"""Rules explained unless told otherwise: more than a person reads, few enough to cost nothing."""

_NEAR: Final = 256  # rules among which the nearest to a refusal is looked for


def decide(  # noqa: PLR0913 - all that a decision depends on, and nothing hidden
    policy: Policy,
    identity: Identity,
    endpoint: Endpoint | None,
    action: str,
    at: float,
    *,
    login: str | None = None,
    session: SessionFacts = NO_SESSION,
    explain: int | None = EXPLAINED,
) -> Decision:
    """Decide one question. `at`: seconds since the epoch.

    `endpoint` None asks about an action as such: only rules about all endpoints answer that. `login` None means
    the endpoint's first login. `explain`: most rules to explain in `considered`; None for all of them.
    """
    known = ACTIONS.get(action)
    if known is None:
        return Decision(Verdict.DENY, "", f"There is no action '{shown(action)}', so nothing can allow it.")
    if not known.on_endpoint:
        endpoint = None
    if login is None and endpoint is not None and (first := endpoint.login()) is not None:
        login = first.name
    facts = Facts(identity, policy.roles_of(identity), endpoint, action, at, login if endpoint else None, session)
    denying: list[Rule] = []
    granting: list[Rule] = []
    near: list[Rule] = []
    for rule in policy.candidates(action, identity.name, facts.roles, endpoint):
        if rule.selects(endpoint):
            if _applies(rule, facts):
                (granting if rule.allows else denying).append(rule)
            else:
                near.append(rule)
    considered, omitted = _considered(policy, facts, [*denying, *granting], near, explain)
    if denying:
        return _denied(denying[0], facts, considered, omitted)
    if granting:
        return _granted(policy, granting, facts, considered, omitted)
    return _defaulted(near, facts, considered, omitted)


def may(policy: Policy, identity: Identity, endpoint: Endpoint | None, actions: Iterable[str], at: float) -> frozenset[str]:
    """Return which of the actions are allowed, or would be once approved. Cheap: for menus and completion."""
    return frozenset(
        action for action in actions if decide(policy, identity, endpoint, action, at, explain=0).verdict is not Verdict.DENY
    )


def permitted_logins(policy: Policy, identity: Identity, endpoint: Endpoint, action: str, at: float) -> tuple[str, ...]:
    """Return the endpoint's logins that the person may use for the action (perhaps once approved), first one first."""
    return tuple(
        login.name
        for login in endpoint.logins
        if decide(policy, identity, endpoint, action, at, login=login.name, explain=0).verdict is not Verdict.DENY
    )


def _applies(rule: Rule, facts: Facts) -> bool:
    if not rule.takes_login(facts.login):
        return False
    for check in rule.checks:
        holds = check.holds(facts)
        if holds is False or (holds is None and rule.allows):
            return False
    return True


# ---------------------------------------------------------------- answers


def _denied(rule: Rule, facts: Facts, considered: tuple[Considered, ...], omitted: int) -> Decision:
    why = f" ({shown(rule.description, 200)})" if rule.description else ""
    reason = f"Rule {rule.name!r} denies {_what(facts)}{why}."
    return Decision(Verdict.DENY, rule.name, reason, considered, omitted=omitted)


def _granted(policy: Policy, granting: list[Rule], facts: Facts, considered: tuple[Considered, ...], omitted: int) -> Decision:
    needs = tuple(rule.approval for rule in granting if rule.approval is not None)
    open_needs = tuple(need for need in needs if need.rule not in facts.session.approved)
    terms = strictest((rule.terms for rule in granting), policy.defaults)
    names = tuple(rule.name for rule in granting)
    decisive = open_needs[0].rule if open_needs else names[0]
    if open_needs:
        people = "; and by ".join(_who_approves(need.levels) for need in open_needs)
        reason = f"Rule {decisive!r} allows {_what(facts)} once approved by {people}."
    else:
        also = f" (so do {len(names) - 1} more)" if len(names) > 1 else ""
        reason = f"Rule {decisive!r} allows {_what(facts)}{also}."
    verdict = Verdict.NEEDS_APPROVAL if open_needs else Verdict.ALLOW
    return Decision(verdict, decisive, reason, considered, terms, granted_by=names, approvals=open_needs, omitted=omitted)


def _defaulted(near: list[Rule], facts: Facts, considered: tuple[Considered, ...], omitted: int) -> Decision:
    reason = f"No rule allows {_what(facts)} for {facts.identity.name}."
    missed = [rule for rule in near[:_NEAR] if rule.allows]
    if missed:
        nearest = min(missed, key=lambda rule: (_gaps(rule, facts), rule.name))
        failed = [condition for condition in _conditions(nearest, facts, _Got(facts)) if not condition.holds]
        gaps = "; ".join(f"{condition.name}: wanted {condition.wanted}, got {condition.got}" for condition in failed)
        reason += f" Rule {nearest.name!r} would, but {gaps}."
    return Decision(Verdict.DENY, "", reason, considered, omitted=omitted)


def _gaps(rule: Rule, facts: Facts) -> int:
    """Return how many conditions keep an allow rule from applying."""
    return (not rule.takes_login(facts.login)) + sum(check.holds(facts) is not True for check in rule.checks)


def _what(facts: Facts) -> str:
    if facts.endpoint is None:
        return facts.action
    login = f" as {shown(facts.login)}" if facts.login and ACTIONS[facts.action].dials else ""
    return f"{facts.action} on {facts.endpoint.name}{login}"


def _who_approves(levels: Iterable[ApprovalLevel]) -> str:
    return ", then by ".join(str(level) for level in levels)


# ---------------------------------------------------------------- explanations


class _Got:
    """What was found, spelled once for all rules of a decision."""

    __slots__ = ("endpoint", "login", "who")

    def __init__(self, facts: Facts) -> None:
        self.who = f"{facts.identity.name} ({', '.join(sorted(facts.roles)) or 'no role'})"
        self.login = shown(facts.login) if facts.login else "no login"
        self.endpoint = "no endpoint"
        if facts.endpoint is not None:
            labels = ", ".join(f"{key}={value}" for key, value in facts.endpoint.labels[:8])
            self.endpoint = f"{facts.endpoint.name} ({shown(labels)})" if labels else facts.endpoint.name


def _considered(
    policy: Policy, facts: Facts, applying: list[Rule], near: list[Rule], limit: int | None
) -> tuple[tuple[Considered, ...], int]:
    """Return explanations, nearest rules first: applying, then those about this person and endpoint, then the others."""
    everything = policy.about.get(facts.action, ())
    if limit == 0 or not everything:
        return (), len(everything)
    limit = len(everything) if limit is None else limit
    chosen = {rule.name: (rule, True) for rule in applying[:limit]}
    for rule in chain(near, everything):
        if len(chosen) >= limit:
            break
        chosen.setdefault(rule.name, (rule, False))
    got = _Got(facts)
    explained = tuple(
        Considered(name, rule.effect, applies, _conditions(rule, facts, got), rule.where)
        for name, (rule, applies) in chosen.items()
    )
    return explained, len(everything) - len(explained)


def _conditions(rule: Rule, facts: Facts, got: _Got) -> tuple[Condition, ...]:
    """Return every condition of a rule as found. `holds` is as the rule's effect takes it (a deny takes unknown facts)."""
    found = [Condition("who", rule.wanted_who, got.who, rule.concerns(facts.identity.name, facts.roles))]
    if not rule.everywhere:
        found.append(Condition("endpoint", rule.wanted_endpoints, got.endpoint, rule.selects(facts.endpoint)))
    if rule.logins:
        found.append(Condition("login", rule.wanted_logins, got.login, rule.takes_login(facts.login)))
    for check in rule.checks:
        holds = check.holds(facts)
        found.append(Condition(check.name, check.wanted, check.got(facts), not rule.allows if holds is None else holds))
    return tuple(found)
