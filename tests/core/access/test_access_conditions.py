"""Conditions: time, network, factor, ticket, whose session; approvals; and when an answer changes by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bastion.core.access.decide import decide
from bastion.core.access.decision import ApprovalLevel, Decision, SessionFacts, Verdict, WatchNeed
from bastion.core.access.explain import explain
from bastion.core.access.glob import Form
from bastion.core.access.hours import read_instant
from bastion.core.access.policy import Policy
from bastion.core.identity import Factor

from .world import ALICE, NOW, WEB01, ask, deny, policy, refused, rule

OFFICE = {"hours": ["mon-fri 08:00-17:00 Europe/Berlin"]}


def ask_at(where: Policy, text: str) -> Decision:
    return ask(where, at=read_instant(text))


def test_outside_its_hours_a_rule_refuses_and_tells_when_it_opens() -> None:
    answer = ask_at(policy(rule("office", when=OFFICE)), "2026-11-21 10:12 Europe/Berlin")
    assert answer.verdict is Verdict.DENY
    assert answer.opens_at == read_instant("2026-11-23 08:00 Europe/Berlin")
    assert answer.reason == (
        "No rule allows connect on web01 as deploy for alice. Rule 'office' would, but hours: wanted "
        "mon-fri 08:00-17:00 Europe/Berlin, got Sat 2026-11-21 10:12 CET (next from Mon 2026-11-23 08:00 CET). It opens at Mon 2026-11-23 08:00 CET."
    )


def test_inside_its_hours_a_rule_allows_until_they_end() -> None:
    answer = ask_at(policy(rule("office", when=OFFICE)), "2026-11-23 10:12 Europe/Berlin")
    assert answer.allowed
    assert answer.valid_until == read_instant("2026-11-23 17:00 Europe/Berlin")
    assert "until Mon 2026-11-23 16:00 UTC, by time alone" in explain(answer)


def test_another_rule_that_grants_for_ever_takes_the_end_away() -> None:
    answer = ask_at(policy(rule("office", when=OFFICE), rule("always")), "2026-11-23 10:12 Europe/Berlin")
    assert answer.allowed
    assert answer.valid_until is None


def test_two_windows_of_two_rules_end_with_the_later_one() -> None:
    where = policy(rule("day", when={"hours": ["mon 08:00-17:00 UTC"]}), rule("late", when={"hours": ["mon 16:00-22:00 UTC"]}))
    assert ask_at(where, "2026-11-23 09:00 UTC").valid_until == read_instant("2026-11-23 22:00 UTC")


def test_a_deny_that_is_to_come_ends_what_is_allowed() -> None:
    where = policy(rule("go"), deny("works", when={"dates": ["2026-11-23 20:00..2026-11-23 23:00 UTC"]}))
    answer = ask_at(where, "2026-11-23 09:00 UTC")
    assert answer.valid_until == read_instant("2026-11-23 20:00 UTC")
    during = ask_at(where, "2026-11-23 21:00 UTC")
    assert during.rule == "works"
    assert during.opens_at == read_instant("2026-11-23 23:00 UTC")
    assert during.reason.endswith("It opens at Mon 2026-11-23 23:00 UTC.")


def test_an_opening_inside_a_deny_is_not_promised() -> None:
    where = policy(rule("office", when=OFFICE), deny("works", when={"dates": ["2026-11-23..2026-11-24 Europe/Berlin"]}))
    assert ask_at(where, "2026-11-21 10:00 Europe/Berlin").opens_at == read_instant("2026-11-25 08:00 Europe/Berlin")


def test_no_opening_is_told_when_something_else_is_missing_too() -> None:
    answer = ask_at(policy(rule("office", when=OFFICE | {"sources": ["192.168.0.0/16"]})), "2026-11-21 10:00 Europe/Berlin")
    assert answer.opens_at is None
    assert "It opens" not in answer.reason
    assert (
        "got Sat 2026-11-21 10:00 CET (next from Mon 2026-11-23 08:00 CET); sources: wanted 192.168.0.0/16, got 10.1.2.3." in answer.reason
    )


def test_a_window_that_is_over_says_so() -> None:
    answer = ask(policy(rule("once", when={"dates": ["2020-01-01..2020-01-02 UTC"]})))
    assert answer.reason.endswith("dates: wanted 2020-01-01..2020-01-02 UTC, got Mon 2025-11-24 16:00 UTC (over).")
    assert answer.opens_at is None


def test_a_permanent_deny_never_opens() -> None:
    assert ask(policy(rule("office", when=OFFICE), deny("no"))).opens_at is None


@pytest.mark.parametrize(
    ("source", "fits"),
    [("10.1.2.3", True), ("11.0.0.1", False), ("::ffff:10.1.2.3", True), ("2001:db8::1", True), ("2001:db9::1", False), ("fe80::1%eth0", False)],
)  # fmt: skip
def test_a_source_lies_in_a_network_or_not(source: str, fits: bool) -> None:
    where = policy(rule("net", when={"sources": ["10.0.0.0/8", "2001:db8::/32"]}))
    assert ask(where, replace(ALICE, source=source)).allowed is fits


@pytest.mark.parametrize("source", ["", "unix", "10.1.2.3.4", "10.1.2.3:22", "\x00", "010.1.2.3"])
def test_a_source_that_is_no_address_opens_nothing_and_passes_no_deny(source: str) -> None:
    who = replace(ALICE, source=source)
    assert not ask(policy(rule("net", when={"sources": ["0.0.0.0/0", "::/0"]})), who).allowed
    assert ask(policy(rule("go"), deny("not-abroad", when={"sources": ["192.0.2.0/24"]})), who).rule == "not-abroad"


def proven(*factors: tuple[str, float]) -> Any:
    return replace(ALICE, factors=tuple(Factor(kind, NOW - age) for kind, age in factors))


def test_a_factor_must_be_fresh_and_of_the_kind() -> None:
    where = policy(rule("fresh", when={"factor": {"kinds": ["totp", "browser"], "within": "15m"}}))
    assert ask(where, proven(("publickey", 1), ("totp", 900))).allowed
    stale = ask(where, proven(("publickey", 1), ("totp", 901)))
    assert stale.reason.endswith("factor: wanted totp or browser in the last 15m, got publickey 1s ago, totp 15m1s ago.")
    assert not ask(where, proven()).allowed


def test_a_factor_from_the_future_is_not_fresh() -> None:
    where = policy(rule("fresh", when={"factor": {"within": "15m"}}))
    assert ask(where, proven(("totp", -2))).allowed  # two clocks are never quite alike
    assert not ask(where, proven(("totp", -3600))).allowed


def test_a_running_session_is_not_asked_again_for_what_is_asked_at_entry() -> None:
    where = policy(rule("fresh", when={"factor": {"within": "15m"}, "ticket": "CHG#"}))
    assert not ask(where, proven(("totp", 9999))).allowed
    assert ask(where, proven(("totp", 9999)), session=SessionFacts(running=True)).allowed


@pytest.mark.parametrize(
    ("form", "ticket", "fits"),
    [("CHG#######", "CHG0012345", True), ("CHG#######", "CHG001234", False), ("CHG#######", "chg0012345", False), ("@@-*", "AB-", True),
     ("@@-*", "A1-7", False), ("*-#", "x-y-7", True), ("??", "a\u0661", False), ("##", "\u0661\u0662", False), ("*", "a b", False), ("*", "", True)],
)  # fmt: skip
def test_a_ticket_number_has_the_form_or_not(form: str, ticket: str, fits: bool) -> None:
    assert Form(form).matches(ticket) is fits


def test_a_ticket_of_another_form_is_refused_and_shown() -> None:
    answer = ask(policy(rule("t", when={"ticket": "CHG###"})), session=SessionFacts(ticket="\x1b[2Jplease"))
    assert answer.reason.endswith("ticket: wanted a ticket number like CHG###, got '\\x1b[2Jplease'.")


def test_supervision_can_be_limited_to_sessions_of_some_role() -> None:
    where = policy(rule("watch", actions=["join"], when={"owner_roles": ["vendor"]}))
    assert ask(where, action="join", session=SessionFacts(owner_id="u", owner_roles=("vendor",))).allowed
    assert not ask(where, action="join", session=SessionFacts(owner_id="u", owner_roles=("engineer",))).allowed
    assert not ask(where, action="join").allowed


def test_an_approval_is_needed_first_and_says_by_whom() -> None:
    where = policy(rule("prod", approval={"by": ["supervisor"], "count": 2, "valid": "2h", "watched": True}))
    answer = ask(where)
    assert answer.verdict is Verdict.NEEDS_APPROVAL
    assert not answer.allowed
    assert answer.reason == "Rule 'prod' allows connect on web01 as deploy once approved by 2 of role supervisor."
    need = answer.approvals[0]
    assert (need.rule, need.valid_seconds, need.watched) == ("prod", 7200.0, True)
    assert need.levels == (ApprovalLevel(2, ("supervisor",)),)
    assert ask(where, session=SessionFacts(approved=frozenset({"prod"}))).allowed
    assert not ask(where, session=SessionFacts(approved=frozenset({"other"}))).allowed


def test_a_second_rule_that_grants_outright_does_not_spare_the_approval() -> None:
    answer = ask(policy(rule("all"), rule("prod", endpoints=["env=prod"], approval={"by": ["supervisor"]})))
    assert answer.verdict is Verdict.NEEDS_APPROVAL
    assert answer.granted_by == ("all", "prod")


def test_approvals_of_several_rules_add_up() -> None:
    where = policy(rule("a", approval={"by": ["supervisor"]}), rule("b", approval={"users": ["bob", "carol"], "count": 2}))
    assert [need.rule for need in ask(where).approvals] == ["a", "b"]
    assert [need.rule for need in ask(where, session=SessionFacts(approved=frozenset({"a"}))).approvals] == ["b"]


def test_levels_follow_each_other_and_admit_their_people() -> None:
    levels = [{"by": ["supervisor"]}, {"users": ["petra"]}]
    answer = ask(policy(rule("prod", approval={"levels": levels})))
    assert answer.reason.endswith("once approved by 1 of role supervisor, then by 1 of user petra.")
    first, second = answer.approvals[0].levels
    assert first.admits("anybody", frozenset({"supervisor"}))
    assert not second.admits("anybody", frozenset({"supervisor"}))
    assert second.admits("petra", frozenset())


def test_watchers_of_all_granting_rules_are_needed_and_told() -> None:
    where = policy(
        rule("a", terms={"watchers": {"by": ["supervisor"], "count": 2, "on_leave": "end", "grace": "1m"}}),
        rule("b", terms={"watchers": {"users": ["petra"]}}),
        rule("c"),
    )
    answer = ask(where)
    assert set(answer.terms.watchers) == {WatchNeed(2, ("supervisor",), (), "end", 60.0), WatchNeed(1, (), ("petra",), "pause", 300.0)}
    assert "only while 2 of role supervisor looks on" in explain(answer)[1]
    assert answer.terms.watchers[0].admits("petra", frozenset({"supervisor"}))
    assert not WatchNeed(1, ("supervisor",)).admits("petra", frozenset({"vendor"}))


def test_a_denied_request_is_not_put_to_approvers() -> None:
    assert ask(policy(rule("prod", approval={"by": ["supervisor"]}), deny("no"))).verdict is Verdict.DENY


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"when": {"hours": []}}, "rule 'r': when.hours: an empty list fits nobody and nothing; name something, or leave it out"),
    ({"when": {"hours": ["always"]}}, "rule 'r': when.hours: 'always' is not a weekly window"),
    ({"when": {"sources": ["10.0.0.0/33"]}}, "rule 'r': when.sources: '10.0.0.0/33' is not a network"),
    ({"when": {"sources": ["10.0.0.1/8"]}}, "'10.0.0.1/8' has bits set outside its mask; did you mean '10.0.0.0/8'?"),
    ({"when": {"sources": ["vpn.example"]}}, "'vpn.example' is not a network"),
    ({"when": {"factor": {}}}, "rule 'r': when.factor: say which kinds, or within which time"),
    ({"when": {"factor": {"kinds": ["topt"]}}}, "not 'topt'; did you mean 'totp'?"),
    ({"when": {"factor": {"within": "soon"}}}, "when.factor.within: 'soon' is not a length of time"),
    ({"when": {"ticket": "(a+)+$ "}}, "when.ticket: use up to 64 visible characters"),
    ({"when": {"owner_roles": ["vendr"]}}, "there is no role 'vendr'; did you mean 'vendor'?"),
    ({"approval": {"by": ["supervisr"]}}, "there is no role 'supervisr'; did you mean 'supervisor'?"),
    ({"approval": {}}, "rule 'r': approval.by: say who may approve: by (roles) or users"),
    ({"approval": {"users": ["bob", "bob"], "count": 2}}, "approval.count: 2 different people out of 1 can never approve"),
    (
        {"approval": {"by": ["vendor"], "levels": [{"by": ["vendor"]}]}},
        "approval.levels: say either by, users and count, or levels",
    ),
    ({"approval": {"levels": []}}, "approval.levels: an empty list"),
    ({"approval": {"levels": [{"by": ["nobody"]}]}}, "there is no role 'nobody'"),
    ({"approval": {"by": ["vendor"], "valid": "0s"}}, "approval.valid: an approval that lasts no time is none"),
    ({"terms": {"watchers": {}}}, "rule 'r': terms.watchers.by: say who may look on: by (roles) or users"),
    ({"terms": {"watchers": {"users": ["bob"], "count": 2}}}, "2 different people out of 1 can never look on"),
    ({"terms": {"watchers": {"by": ["supervsor"]}}}, "there is no role 'supervsor'; did you mean 'supervisor'?"),
    ({"terms": {"watchers": {"by": ["vendor"], "grace": "soon"}}}, "terms.watchers.grace: 'soon' is not a length of time"),
    ({"terms": {"watchers": {"by": ["vendor"]}, "viewers": "none"}}, "terms.watchers: somebody must look on where nobody may"),
    ({"approval": {"by": ["vendor"]}, "effect": "deny"}, "approval: a rule that denies cannot be approved"),
]


@pytest.mark.parametrize(("changes", "sentence"), WRONG)
def test_a_bad_condition_is_refused_with_what_would_be_right(changes: dict[str, Any], sentence: str) -> None:
    error = refused(rule("r", **changes))
    assert sentence in error.public
    assert error.public.startswith("p.yaml:10: ")


@pytest.mark.parametrize("when", [float("nan"), float("inf"), -float("inf"), -1e9, 1e300, 0.0])
def test_a_clock_that_shows_nonsense_opens_no_window(when: float) -> None:
    where = policy(rule("office", when={"hours": ["mon-wed 08:00-17:00 Europe/Berlin"]}), rule("x", actions=["exec"]))
    assert decide(where, ALICE, WEB01, "connect", when).verdict is Verdict.DENY
    assert decide(where, ALICE, WEB01, "exec", when).allowed
