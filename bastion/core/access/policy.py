"""A policy in its compiled form: roles, rules, and the index that finds the few rules a question is about.

Never reads files and never decides (`decide` does). A policy does not change; a reload makes another one.
Two policies are equal when they mean the same, wherever their lines stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from bastion.core.access.conditions import Check, Facts, Files, Times, To
from bastion.core.access.decision import ApprovalNeed, Terms
from bastion.core.access.endpoint import Endpoint
from bastion.core.access.glob import Glob
from bastion.core.access.source import Place
from bastion.core.identity import Identity

NOWHERE: Final = Place("", 0)
EVERYBODY: Final = "*"
_LISTED: Final = 8  # names of a list that an explanation spells out


@dataclass(frozen=True, slots=True)
class Selector:
    """One entry of `endpoints:`. All its parts must fit: globs on the name, globs on label values."""

    text: str
    names: tuple[Glob, ...] = ()
    labels: tuple[tuple[str, Glob], ...] = ()

    @property
    def everything(self) -> bool:
        """Return whether it selects every endpoint there is or will be."""
        return not self.labels and not any(name.text.strip("*") for name in self.names)

    def matches(self, endpoint: Endpoint) -> bool:
        """Return whether that endpoint is meant."""
        for name in self.names:  # plain loops here and below: they run for each of thousands of rules
            if not name.matches(endpoint.name):
                return False
        for wanted, value in self.labels:
            for key, got in endpoint.labels:
                if key == wanted and value.matches(got):
                    break
            else:
                return False
        return True

    def covers(self, other: Selector) -> bool:
        """Return whether everything the other selects is surely selected here, too."""
        return all(any(mine.covers(name) for name in other.names) for mine in self.names if mine.text.strip("*")) and all(
            any(key == theirs and mine.covers(value) for theirs, value in other.labels) for key, mine in self.labels
        )

    @property
    def token(self) -> str:
        """Return one exact thing that every endpoint meant here has (a name, a label), or "" where there is none."""
        exact = [f"={name.text}" for name in self.names if name.plain]
        exact += [f"{key}={value.text}" for key, value in self.labels if value.plain]
        return exact[0] if exact else ""

    @property
    def hint(self) -> tuple[str, Glob]:
        """Return a label's key (or "" for the name) and a pattern that every endpoint meant here fits."""
        return self.labels[0] if self.labels else ("", self.names[0])


@dataclass(frozen=True, slots=True)
class Role:
    """A role and who has it by the policy; the store may give it to more users."""

    name: str
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    description: str = ""
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `logins` empty means every login; `selectors` are any-of, `checks` all-of."""

    name: str
    allows: bool
    roles: frozenset[str]
    users: frozenset[str]
    actions: frozenset[str]
    selectors: tuple[Selector, ...]
    everywhere: bool
    logins: tuple[Glob, ...] = ()
    checks: tuple[Check, ...] = ()
    terms: Terms = field(default_factory=Terms)
    approval: ApprovalNeed | None = None
    description: str = ""
    place: Place = field(default=NOWHERE, compare=False)
    timed: bool = field(init=False, compare=False, repr=False)
    where: str = field(init=False, compare=False, repr=False)
    wanted_who: str = field(init=False, compare=False, repr=False)
    wanted_endpoints: str = field(init=False, compare=False, repr=False)
    wanted_logins: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        who = ["everybody"] if EVERYBODY in self.roles else [f"role {name}" for name in sorted(self.roles)]
        who += [f"user {name}" for name in sorted(self.users)]
        object.__setattr__(self, "timed", any(isinstance(check, Times) for check in self.checks))
        object.__setattr__(self, "where", str(self.place))
        object.__setattr__(self, "wanted_who", _one_of(who))
        object.__setattr__(self, "wanted_endpoints", _one_of([selector.text for selector in self.selectors]))
        object.__setattr__(self, "wanted_logins", _one_of([glob.text for glob in self.logins]))

    @property
    def effect(self) -> str:
        """Return the word the file uses."""
        return "allow" if self.allows else "deny"

    def concerns(self, name: str, roles: frozenset[str]) -> bool:
        """Return whether the rule is about that person."""
        return name in self.users or EVERYBODY in self.roles or not roles.isdisjoint(self.roles)

    def selects(self, endpoint: Endpoint | None) -> bool:
        """Return whether the rule is about that endpoint. What concerns no endpoint takes a rule about all of them."""
        if self.everywhere:
            return True
        if endpoint is not None:
            for selector in self.selectors:
                if selector.matches(endpoint):
                    return True
        return False

    def holds(self, check: Check, facts: Facts) -> bool:
        """Return whether a condition counts as fulfilled. Unknown facts fail an allow and fulfil a deny.

        But a condition on files (or destinations), where none is asked about, decides nothing yet: an allow lets the session
        start, a deny does not keep it from starting, and each file (tunnel) is asked about by itself.
        """
        found = check.holds(facts)
        if found is not None:
            return found
        open_question = (facts.session.file is None and isinstance(check, Files)) or (facts.session.to is None and isinstance(check, To))
        return self.allows is open_question

    @property
    def most_bytes(self) -> int | None:
        """Return the largest file that its conditions let through, None for no limit."""
        return min((check.most for check in self.checks if isinstance(check, Files) and check.most is not None), default=None)

    def takes_login(self, login: str | None) -> bool:
        """Return whether the rule is about that login."""
        if not self.logins:
            return True
        if login is not None:
            for glob in self.logins:
                if glob.matches(login):
                    return True
        return False


def _one_of(words: list[str]) -> str:
    more = len(words) - _LISTED
    return ", ".join(words[:_LISTED]) + (f" or {more} more" if more > 0 else "")


Numbered = tuple[int, Rule]


class _Shelf:
    """The rules about one action and one role (or user), found by what an endpoint surely has."""

    __slots__ = ("by_hint", "by_token", "everywhere")

    def __init__(self) -> None:
        self.everywhere: list[Numbered] = []
        self.by_token: dict[str, list[Numbered]] = {}
        self.by_hint: dict[str, list[tuple[str, str, Numbered]]] = {}

    def put(self, number: int, rule: Rule) -> None:
        if rule.everywhere:
            self.everywhere.append((number, rule))
            return
        for selector in rule.selectors:
            if token := selector.token:
                self.by_token.setdefault(token, []).append((number, rule))
            else:
                key, glob = selector.hint
                self.by_hint.setdefault(key, []).append((glob.head, glob.tail, (number, rule)))

    def find(self, endpoint: Endpoint | None) -> Iterator[Iterable[Numbered]]:
        yield self.everywhere
        if endpoint is None:
            return
        for key, value in (("", endpoint.name), *endpoint.labels):
            if self.by_token:
                yield self.by_token.get(f"{key}={value}", ())
            if hinted := self.by_hint.get(key):
                yield [found for head, tail, found in hinted if value.startswith(head) and value.endswith(tail)]


@dataclass(frozen=True, slots=True)
class Policy:
    """Roles and rules, rules in the order of their names so that the order of files cannot matter."""

    roles: Mapping[str, Role] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    defaults: Terms = field(default_factory=Terms)
    about: Mapping[str, tuple[Rule, ...]] = field(init=False, compare=False, repr=False)
    _shelves: dict[tuple[str, str], _Shelf] = field(init=False, compare=False, repr=False)
    _of_user: dict[str, frozenset[str]] = field(init=False, compare=False, repr=False)
    _of_group: dict[str, frozenset[str]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(sorted(self.rules, key=lambda rule: rule.name)))
        about: dict[str, list[Rule]] = {}
        shelves: dict[tuple[str, str], _Shelf] = {}
        for number, rule in enumerate(self.rules):
            subjects = [EVERYBODY] if EVERYBODY in rule.roles else [f"role {name}" for name in rule.roles]
            subjects += [f"user {name}" for name in rule.users]
            for action in rule.actions:
                about.setdefault(action, []).append(rule)
                for subject in subjects:
                    shelves.setdefault((action, subject), _Shelf()).put(number, rule)
        object.__setattr__(self, "about", {action: tuple(rules) for action, rules in about.items()})
        object.__setattr__(self, "_shelves", shelves)
        object.__setattr__(self, "_of_user", _inverse({role.name: role.users for role in self.roles.values()}))
        object.__setattr__(self, "_of_group", _inverse({role.name: role.groups for role in self.roles.values()}))

    def roles_of(self, identity: Identity) -> frozenset[str]:
        """Return the person's roles: those the store gave, and those this policy's members lists give."""
        roles = self._of_user.get(identity.name, frozenset()).union(identity.roles)
        for group in self._of_group.keys() & identity.groups:
            roles |= self._of_group[group]
        return roles

    def candidates(self, action: str, name: str, roles: Iterable[str], endpoint: Endpoint | None) -> list[Rule]:
        """Return the rules that concern that person and action and may concern that endpoint, by name."""
        found: dict[int, Rule] = {}
        for subject in (EVERYBODY, f"user {name}", *(f"role {role}" for role in roles)):
            shelf = self._shelves.get((action, subject))
            if shelf is not None:
                for rules in shelf.find(endpoint):
                    found.update(rules)
        return [found[number] for number in sorted(found)]


def _inverse(members: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for role, names in members.items():
        for name in names:
            found.setdefault(name, set()).add(role)
    return {name: frozenset(roles) for name, roles in found.items()}
