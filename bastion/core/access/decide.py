"""May this person do this, there, now? The one answer for every way in. Never raises, never asks a clock or a store.

Theory of operation. The policy's index gives the rules that concern the person, the action and possibly the
endpoint. Each that fits wholly *applies*. One applying deny decides. Else all applying allows grant together:
their terms are merged, the strictest of each, and their needs for approval add up. Else the default denies, and
the reason names the rule that came nearest. Facts that are not known fail an allow and fulfil a deny.
Explanations are made afterwards and only for the first `explain` rules, so they cost nothing where nobody reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, islice
from typing import Final

from bastion.core.access.actions import ACTIONS
from bastion.core.access.conditions import Facts
from bastion.core.access.decision import (
    NO_SESSION,
    Condition,
    Considered,
    Decision,
    SessionFacts,
    Verdict,
)
from bastion.core.access.endpoint import Endpoint
from bastion.core.access.fit import Fit, ending, fit, gaps, opening
from bastion.core.access.hours import show_instant
from bastion.core.access.policy import Policy, Rule
from bastion.core.access.source import shown
from bastion.core.access.terms import strictest
from bastion.core.identity import Identity

EXPLAINED: Final = 64
"""Rules explained unless told otherwise: more than a person reads, few enough to cost nothing."""


def decide(
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
    the endpoint's first login. `explain`: most rules to explain in `considered`, None for all of them; with 0
    (menus) the answer has neither explanations nor `opens_at` and `valid_until`.
    """
    known = ACTIONS.get(action)
    if known is None:
        return Decision(Verdict.DENY, "", f"There is no action '{shown(action)}', so nothing can allow it.")
    if not known.on_endpoint:
        endpoint = None
    if login is None and endpoint is not None and (first := endpoint.login()) is not None:
        login = first.name
    facts = Facts(identity, policy.roles_of(identity), endpoint, action, at, login if endpoint else None, session)
    found = fit(policy, facts)
    considered, omitted = _considered(policy, facts, found, explain)
    if found.denying:
        answer = _denied(found.denying[0], facts)
    elif found.granting:
        answer = _granted(policy, found.granting, facts)
    else:
        answer = _defaulted(found, facts)
    if explain == 0:
        return replace(answer, omitted=omitted)
    if found.open:
        return replace(answer, considered=considered, omitted=omitted, valid_until=ending(policy, facts, found))
    opens = opening(policy, facts, found)
    reason = answer.reason if opens is None else f"{answer.reason} It opens at {show_instant(opens, found.zone)}."
    return replace(answer, reason=reason, considered=considered, omitted=omitted, opens_at=opens)


def may(policy: Policy, identity: Identity, endpoint: Endpoint | None, actions: Iterable[str], at: float) -> frozenset[str]:
    """Return which of the actions are allowed, or would be once approved. Cheap: for menus and completion."""
    return frozenset(action for action in actions if decide(policy, identity, endpoint, action, at, explain=0).verdict is not Verdict.DENY)


def permitted_logins(policy: Policy, identity: Identity, endpoint: Endpoint, action: str, at: float) -> tuple[str, ...]:
    """Return the endpoint's logins that the person may use for the action (perhaps once approved), first one first."""
    return tuple(
        login.name
        for login in endpoint.logins
        if decide(policy, identity, endpoint, action, at, login=login.name, explain=0).verdict is not Verdict.DENY
    )


# ---------------------------------------------------------------- answers


def _denied(rule: Rule, facts: Facts) -> Decision:
    why = f" ({shown(rule.description, 200)})" if rule.description else ""
    return Decision(Verdict.DENY, rule.name, f"Rule {rule.name!r} denies {_what(facts)}{why}.")


def _granted(policy: Policy, granting: list[Rule], facts: Facts) -> Decision:
    needs = (rule.approval for rule in granting if rule.approval is not None)
    approvals = tuple(need for need in needs if need.rule not in facts.session.approved)
    terms = strictest((rule.terms for rule in granting), policy.defaults)
    names = tuple(rule.name for rule in granting)
    if approvals:
        people = "; and by ".join(", then by ".join(map(str, need.levels)) for need in approvals)
        reason = f"Rule {approvals[0].rule!r} allows {_what(facts)} once approved by {people}."
        return Decision(Verdict.NEEDS_APPROVAL, approvals[0].rule, reason, terms=terms, granted_by=names, approvals=approvals)
    also = f" (so do {len(names) - 1} more)" if len(names) > 1 else ""
    most = [rule.most_bytes for rule in granting] if facts.session.file is not None else [None]
    limit = None if None in most else max(size for size in most if size is not None)
    reason = f"Rule {names[0]!r} allows {_what(facts)}{also}."
    return Decision(Verdict.ALLOW, names[0], reason, terms=terms, granted_by=names, most_bytes=limit)


def _defaulted(found: Fit, facts: Facts) -> Decision:
    reason = f"No rule allows {_what(facts)} for {shown(facts.identity.name)}."
    if nearly := found.nearly:
        nearest = min(nearly, key=lambda rule: (gaps(rule, facts), rule.name))
        failed = [condition for condition in _conditions(nearest, facts, _Got(facts), about=True) if not condition.holds]
        missing = "; ".join(f"{condition.name}: wanted {condition.wanted}, got {condition.got}" for condition in failed)
        reason += f" Rule {nearest.name!r} would, but {missing}."
    return Decision(Verdict.DENY, "", reason)


def _what(facts: Facts) -> str:
    to = facts.session.to
    if to is not None and ACTIONS[facts.action].dials:
        return f"{facts.action} to {shown(to.host)}:{to.port}" + (f" through {shown(facts.endpoint.name)}" if facts.endpoint else "")
    if facts.endpoint is None:
        return facts.action
    file = facts.session.file
    if file is not None and ACTIONS[facts.action].dials:
        return f"{facts.action} {file.direction} of {shown(file.path, 200)} on {shown(facts.endpoint.name)}"
    login = f" as {shown(facts.login)}" if facts.login and ACTIONS[facts.action].dials else ""
    return f"{facts.action} on {shown(facts.endpoint.name)}{login}"


# ---------------------------------------------------------------- explanations


class _Got:
    """What was found, spelled once for all rules of a decision."""

    __slots__ = ("endpoint", "login", "who")

    def __init__(self, facts: Facts) -> None:
        # names come from stores and directories, so they are shown as carefully as anything else
        self.who = f"{shown(facts.identity.name)} ({shown(', '.join(sorted(facts.roles)), 200) or 'no role'})"
        self.login = shown(facts.login) if facts.login else "no login"
        self.endpoint = "no endpoint"
        if facts.endpoint is not None:
            labels = ", ".join(f"{key}={value}" for key, value in facts.endpoint.labels[:8])
            self.endpoint = shown(facts.endpoint.name) + (f" ({shown(labels, 200)})" if labels else "")


def _considered(policy: Policy, facts: Facts, found: Fit, limit: int | None) -> tuple[tuple[Considered, ...], int]:
    """Return explanations, nearest rules first: applying, then those about this person and endpoint, then the others."""
    everything = policy.about.get(facts.action, ())
    if limit == 0 or not everything:
        return (), len(everything)
    limit = len(everything) if limit is None else limit
    got = _Got(facts)
    explained: dict[str, Considered] = {}
    about = chain(((rule, True) for rule in chain(found.denying, found.granting)), ((rule, False) for rule in found.near))
    for rule, applies in islice(about, limit):
        conditions = _conditions(rule, facts, got, about=True)
        explained[rule.name] = Considered(rule.name, rule.effect, applies, conditions, rule.where)
    for rule in everything:
        if len(explained) >= limit:
            break
        if rule.name not in explained:
            conditions = _conditions(rule, facts, got, about=False)
            explained[rule.name] = Considered(rule.name, rule.effect, applies=False, conditions=conditions, source=rule.where)
    return tuple(explained.values()), len(everything) - len(explained)


def _conditions(rule: Rule, facts: Facts, got: _Got, *, about: bool) -> tuple[Condition, ...]:
    """Return every condition of a rule as found. `holds` is as the rule's effect takes it (a deny takes unknown facts).

    `about`: the rule is known to be about this person and endpoint.
    """
    found = [Condition("who", rule.wanted_who, got.who, about or rule.concerns(facts.identity.name, facts.roles))]
    if not rule.everywhere:
        found.append(Condition("endpoint", rule.wanted_endpoints, got.endpoint, about or rule.selects(facts.endpoint)))
    if rule.logins:
        found.append(Condition("login", rule.wanted_logins, got.login, rule.takes_login(facts.login)))
    found += [Condition(check.name, check.wanted, check.got(facts), rule.holds(check, facts)) for check in rule.checks]
    return tuple(found)
