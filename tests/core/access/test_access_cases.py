"""Cases beside a policy are judged by the real decision, and a comparison names whose access changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bastion.core.access.cases import CaseResult, build_cases, run_cases
from bastion.core.access.compare import compare
from bastion.core.access.decision import Verdict
from bastion.core.access.policy import Policy
from bastion.core.access.source import Document
from bastion.core.errors import Misconfigured

from .world import ALICE, BOB, DB01, MALLORY, NOW, WEB01, deny, policy, rule

CASE = {
    "name": "alice connects",
    "user": "alice",
    "roles": ["engineer"],
    "action": "connect",
    "endpoint": "web01",
    "expect": "allow",
}


def run(where: Policy, **changes: Any) -> CaseResult:
    return run_cases(where, build_cases([Document("t.yaml", {"cases": [CASE | changes]}, {("cases", 0): 4})]))[0]


def test_a_case_that_comes_out_as_expected_passes() -> None:
    assert run(policy(rule("go"))).passed
    assert run(policy(rule("go")), rule="go").passed
    assert str(run(policy(rule("go")))) == "t.yaml:4: alice connects: as expected"


def test_a_case_that_comes_out_otherwise_says_what_was_wanted_and_got() -> None:
    result = run(policy(rule("go"), deny("no")))
    assert not result.passed
    assert str(result) == "t.yaml:4: alice connects: wanted allow, got deny: Rule 'no' denies connect on web01."


def test_a_case_decided_by_another_rule_fails() -> None:
    assert run(policy(rule("go")), rule="other").failures == ("wanted the rule 'other' to decide, got 'go'",)


def test_a_case_may_set_time_source_factors_and_ticket() -> None:
    when = {
        "hours": ["mon 08:00-17:00 Europe/Berlin"],
        "sources": ["10.9.0.0/16"],
        "factor": {"kinds": ["totp"], "within": "5m"},
        "ticket": "T#",
    }
    right = {"at": "2026-11-23 09:00 Europe/Berlin", "source": "10.9.1.1", "factors": {"totp": "1m"}, "ticket": "T1"}
    where = policy(rule("go", when=when))
    assert run(where, **right).passed
    for key, wrong in [("at", "2026-11-24 09:00 UTC"), ("source", "10.8.1.1"), ("factors", {"totp": "6m"}), ("ticket", "1")]:
        assert run(where, **(right | {key: wrong, "expect": "deny"})).passed


def test_a_case_may_ask_when_a_refusal_opens() -> None:
    where = policy(rule("go", when={"hours": ["mon 08:00-17:00 Europe/Berlin"]}))
    case = {"at": "2026-11-21 09:00 UTC", "expect": "deny"}
    assert run(where, **case, opens="2026-11-23 08:00 Europe/Berlin").passed
    wrong = run(where, **case, opens="2026-11-23 09:00 Europe/Berlin")
    assert wrong.failures == ("wanted it to open at Mon 2026-11-23 08:00 UTC, got Mon 2026-11-23 07:00 UTC",)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"expct": "deny"}, "unknown key 'expct' in cases[1]; did you mean 'expect'?"),
        ({"expect": "alow"}, "must be 'allow', 'deny' or 'needs-approval', not 'alow'; did you mean 'allow'?"),
        ({"action": "conect"}, "case 'alice connects': there is no action 'conect'; did you mean 'connect'?"),
        ({"at": "tomorrow"}, "case 'alice connects': at: 'tomorrow' is not a time; write it like 2026-12-01 08:00 Europe/Berlin"),
        ({"factors": {"totp": "soon"}}, "'soon' is not a length of time"),
    ],
)
def test_a_bad_case_is_refused_with_its_place(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        run(policy(rule("go")), **changes)
    assert caught.value.public.startswith("t.yaml:4: ")
    assert sentence in caught.value.public


def test_a_comparison_names_whose_access_changes_and_why() -> None:
    old = policy(rule("go", actions=["connect", "audit"]))
    new = policy(rule("go", actions=["connect", "join"]), deny("no-root", logins=["root"]))
    found = [str(change) for change in compare(old, new, [ALICE, BOB, MALLORY], [WEB01, DB01], NOW)]
    assert found == [
        "alice: audit: allow -> deny (no rule allows it)",
        "alice: join on db01 as postgres: deny -> allow (rule 'go')",
        "alice: connect on web01 as root: allow -> deny (rule 'no-root')",
        "alice: join on web01 as deploy: deny -> allow (rule 'go')",
        "alice: join on web01 as root: deny -> allow (rule 'go')",
    ]


def test_a_comparison_of_equal_policies_finds_nothing() -> None:
    assert compare(policy(rule("go")), policy(rule("go")), [ALICE, BOB], [WEB01], NOW) == []


def test_a_comparison_sees_gains_and_approvals() -> None:
    old, new = policy(rule("go")), policy(rule("go", approval={"by": ["supervisor"]}))
    there = compare(old, new, [ALICE], [DB01], NOW)[0]
    assert (there.before, there.after, there.gained) == (Verdict.ALLOW, Verdict.NEEDS_APPROVAL, False)
    assert compare(new, old, [ALICE], [DB01], NOW)[0].gained


def test_people_whom_rules_name_are_not_taken_for_others() -> None:
    old, new = policy(), policy(rule("bobs", roles=None, users=["bob"]))
    twins = [replace(ALICE, name=name, user_id=name) for name in ("bob", "carol", "dan")]
    assert {change.user for change in compare(old, new, twins, [WEB01], NOW)} == {"bob"}


def test_a_thousand_people_on_a_thousand_endpoints_are_compared_in_seconds() -> None:
    people = [replace(ALICE, name=f"user{number}", user_id=f"u{number}") for number in range(1000)]
    machines = [replace(WEB01, id=f"e{number}", name=f"web{number}") for number in range(1000)]
    old, new = policy(rule("go")), policy(rule("go"), rule("seven", actions=["exec"], endpoints=["web7"]))
    assert len(compare(old, new, people, machines, NOW)) == 2000  # one endpoint, two logins
