"""What a valid policy says that is probably not meant: rules that can never apply, roles nobody uses.

Never refuses anything. It reports only what is certain: a rule is called unreachable when a deny without
conditions surely covers all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bastion.core.access.actions import ACTIONS
from bastion.core.access.conditions import OwnerRoles
from bastion.core.access.policy import EVERYBODY, Policy, Rule
from bastion.core.access.source import PolicyWarning

_COMPARISONS: Final = 200_000
"""Pairs of rules looked at; a policy with more keeps its reload short and is told so."""


def lint(policy: Policy) -> list[PolicyWarning]:
    """Return warnings in the order of files and lines."""
    found = [*_idle_roles(policy), *_aimless(policy), *_unreachable(policy)]
    if policy.rules and not any(rule.allows for rule in policy.rules):
        found.append(PolicyWarning(policy.rules[0].place, "no rule allows anything, so nobody may do anything"))
    return sorted(found, key=lambda warning: (warning.place, warning.text))


def _idle_roles(policy: Policy) -> Iterator[PolicyWarning]:
    used = {name for rule in policy.rules for name in rule.roles}
    used |= {name for rule in policy.rules if rule.approval for level in rule.approval.levels for name in level.roles}
    used |= {name for rule in policy.rules for need in rule.terms.watchers for name in need.roles}
    used |= {name for rule in policy.rules for check in rule.checks if isinstance(check, OwnerRoles) for name in check.roles}
    for role in policy.roles.values():
        if role.name not in used:
            yield PolicyWarning(role.place, f"no rule mentions the role {role.name!r}, so it gives nothing")


def _aimless(policy: Policy) -> Iterator[PolicyWarning]:
    """Find rules on some endpoints or logins that name actions which concern none (global verbs need global rights)."""
    for rule in policy.rules:
        if rule.everywhere and not rule.logins:
            continue
        lost = [name for name in ACTIONS if name in rule.actions and not ACTIONS[name].on_endpoint]
        if lost:
            only = "some endpoints" if not rule.everywhere else "some logins"
            text = f"rule {rule.name!r} is about {only} only, so it does not {rule.effect} {', '.join(lost)}"
            yield PolicyWarning(rule.place, text)


def _unreachable(policy: Policy) -> Iterator[PolicyWarning]:
    by_subject: dict[str, list[Rule]] = {}
    for rule in policy.rules:
        if not rule.allows and not rule.checks:
            for subject in [*(f"role {name}" for name in rule.roles), *(f"user {name}" for name in rule.users)]:
                by_subject.setdefault(subject, []).append(rule)
    left = _COMPARISONS
    for rule in policy.rules:
        if not rule.allows:
            continue
        # a deny that covers the rule concerns each of its subjects, so it is enough to look below one of them
        one = next((f"role {name}" for name in sorted(rule.roles)), None) or f"user {min(rule.users)}"
        near = by_subject.get(f"role {EVERYBODY}", []) + (by_subject.get(one, []) if EVERYBODY not in rule.roles else [])
        left -= len(near)
        if left < 0:
            yield PolicyWarning(rule.place, "too many rules to look for all unreachable ones; stopped looking here")
            return
        for deny in near:
            if _covers(deny, rule):
                text = f"rule {rule.name!r} can never apply: rule {deny.name!r} ({deny.place}) denies all of it"
                yield PolicyWarning(rule.place, text)
                break


def _covers(deny: Rule, allow: Rule) -> bool:
    people = EVERYBODY in deny.roles or (allow.roles <= deny.roles and allow.users <= deny.users)
    if not people or not allow.actions <= deny.actions:
        return False
    if deny.logins and not (allow.logins and all(any(d.covers(a) for d in deny.logins) for a in allow.logins)):
        return False
    if deny.everywhere:
        return True
    return not allow.everywhere and all(any(d.covers(a) for d in deny.selectors) for a in allow.selectors)
