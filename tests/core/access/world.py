"""People, machines and policies for the tests of access. Never a file: policies are given as plain data."""

from __future__ import annotations

import os
from typing import Any

import pytest

from bastion.core.access.build import build
from bastion.core.access.decide import decide
from bastion.core.access.decision import Decision
from bastion.core.access.endpoint import Endpoint, Login
from bastion.core.access.policy import Policy
from bastion.core.access.source import Document
from bastion.core.errors import Misconfigured
from bastion.core.identity import Identity

FUZZ = float(os.environ.get("BASTION_FUZZ", "1"))
NOW = 1_764_000_000.0  # Mon 2025-11-24 16:00 UTC

ALICE = Identity("u-alice", "alice", ("engineer",), "10.1.2.3", ())
BOB = Identity("u-bob", "bob", ("supervisor",), "10.1.2.4", ())
MALLORY = Identity("u-mallory", "mallory", (), "192.0.2.66", ())

WEB01 = Endpoint("e1", "web01", logins=(Login("deploy", "key"), Login("root", "key")), labels=(("env", "prod"), ("site", "north")))
DB01 = Endpoint("e2", "db01", logins=(Login("postgres", "key"),), labels=(("env", "test"),))


def examples(count: int) -> int:
    """Return how many examples a property test takes: few by default, more through BASTION_FUZZ."""
    return max(1, int(count * FUZZ))


def rule(name: str, **changes: Any) -> dict[str, Any]:
    """Return a rule that allows engineers to connect everywhere, with changes; None takes a key out."""
    base: dict[str, Any] = {"name": name, "effect": "allow", "roles": ["engineer"], "actions": ["connect"], "endpoints": ["*"]}
    return {key: value for key, value in (base | changes).items() if value is not None}


def deny(name: str, **changes: Any) -> dict[str, Any]:
    """Return a rule that denies everybody to connect everywhere, with changes."""
    return rule(name, **({"effect": "deny", "roles": ["*"]} | changes))


def document(*rules: dict[str, Any], roles: dict[str, Any] | None = None, file: str = "p.yaml", **more: Any) -> Document:
    """Return one file of a policy with the roles engineer, supervisor and vendor unless told otherwise."""
    known = {"engineer": None, "supervisor": None, "vendor": None} if roles is None else roles
    data = {"roles": known, "rules": list(rules)} | more
    lines = {("rules", number): 10 * (number + 1) for number in range(len(rules))}
    return Document(file, data, {(): 1, **lines})


def policy(*rules: dict[str, Any], **more: Any) -> Policy:
    """Return the policy these rules make."""
    return build([document(*rules, **more)])[0]


def refused(*rules: dict[str, Any], **more: Any) -> Misconfigured:
    """Return why these rules make no policy."""
    with pytest.raises(Misconfigured) as caught:
        build([document(*rules, **more)])
    return caught.value


def ask(where: Policy, who: Identity = ALICE, endpoint: Endpoint | None = WEB01, action: str = "connect", **more: Any) -> Decision:
    """Ask the policy, now."""
    return decide(where, who, endpoint, action, more.pop("at", NOW), **more)
