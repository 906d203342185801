"""Whose access another policy changes. Never guesses: each difference is two decisions that really differ.

People (and machines) that no rule of either policy can tell apart are asked about once, so a thousand users on
a thousand endpoints are a few dozen questions.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bastion.core.access.actions import ACTIONS
from bastion.core.access.decide import decide
from bastion.core.access.decision import NO_SESSION, SessionFacts, Verdict
from bastion.core.access.endpoint import Endpoint
from bastion.core.access.policy import Policy, Selector
from bastion.core.identity import Identity

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Change:
    """What one person may do on one endpoint ("" where none is concerned), before and after."""

    user: str
    endpoint: str
    login: str
    action: str
    before: Verdict
    after: Verdict
    rule: str

    @property
    def gained(self) -> bool:
        """Return whether the new policy lets them do more than the old one did."""
        order = (Verdict.DENY, Verdict.NEEDS_APPROVAL, Verdict.ALLOW)
        return order.index(self.after) > order.index(self.before)

    def __str__(self) -> str:
        where = f" on {self.endpoint}" + (f" as {self.login}" if self.login else "") if self.endpoint else ""
        why = f" (rule {self.rule!r})" if self.rule else " (no rule allows it)"
        return f"{self.user}: {self.action}{where}: {self.before.value} -> {self.after.value}{why}"


def compare(
    old: Policy,
    new: Policy,
    people: Sequence[Identity],
    endpoints: Sequence[Endpoint],
    at: float,
    *,
    session: SessionFacts = NO_SESSION,
    limit: int = 10_000,
) -> list[Change]:
    """Return the first `limit` differences by user, endpoint and action. `at`: seconds since the epoch.

    The person's source and factors count as they are given, so pass them as they would come.
    """
    found: list[Change] = []
    there = [name for name, action in ACTIONS.items() if action.on_endpoint]
    elsewhere = [name for name in ACTIONS if name not in there]
    users = frozenset(name for policy in (old, new) for rule in policy.rules for name in rule.users)
    alike = _gather(people, lambda one: (one.user_id == session.owner_id, *_kind(one, (old, new), users)))
    machines = _gather(endpoints, _sorter((old, new)))
    for same_people in alike:
        for same_machines in machines:
            for action, login, before, after, rule in _differences(old, new, same_people[0], same_machines[0], there, at, session):
                found += [
                    Change(one.name, machine.name, login, action, before, after, rule) for one in same_people for machine in same_machines
                ]
        for action, _, before, after, rule in _differences(old, new, same_people[0], None, elsewhere, at, session):
            found += [Change(one.name, "", "", action, before, after, rule) for one in same_people]
    return sorted(found, key=lambda change: (change.user, change.endpoint, change.action, change.login))[:limit]


def _differences(
    old: Policy, new: Policy, who: Identity, endpoint: Endpoint | None, actions: list[str], at: float, session: SessionFacts
) -> Iterator[tuple[str, str, Verdict, Verdict, str]]:
    for login in [one.name for one in endpoint.logins] or [""] if endpoint else [""]:
        for action in actions:
            before = decide(old, who, endpoint, action, at, login=login or None, session=session, explain=0)
            after = decide(new, who, endpoint, action, at, login=login or None, session=session, explain=0)
            if before.verdict is not after.verdict:
                yield action, login, before.verdict, after.verdict, after.rule


def _gather(things: Iterable[V], kind: Callable[[V], Hashable]) -> list[list[V]]:
    found: dict[Hashable, list[V]] = {}
    for thing in things:
        found.setdefault(kind(thing), []).append(thing)
    return list(found.values())


def _kind(who: Identity, policies: Iterable[Policy], users: frozenset[str]) -> tuple[Hashable, ...]:
    """Return what rules can tell of a person."""
    named = who.name if who.name in users else ""
    return (named, who.source, who.factors, *(policy.roles_of(who) for policy in policies))


def _sorter(policies: Iterable[Policy]) -> Callable[[Endpoint], Hashable]:
    """Return what gives, for an endpoint, all that rules can tell of it."""
    selectors: list[Selector] = list({one.text: one for policy in policies for rule in policy.rules for one in rule.selectors}.values())

    def kind(endpoint: Endpoint) -> Hashable:
        return tuple(one.matches(endpoint) for one in selectors), tuple(login.name for login in endpoint.logins)

    return kind
