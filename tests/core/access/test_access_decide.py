"""Decisions: default deny, deny wins, strictest terms, and each refusal says why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bastion.core.access.actions import ACTIONS, FAMILIES, expand
from bastion.core.access.decide import may, permitted_logins
from bastion.core.access.decision import SessionFacts, Terms, Verdict, WatchNeed
from bastion.core.access.endpoint import Login
from bastion.core.access.explain import explain
from bastion.core.access.policy import Policy
from bastion.core.access.terms import STRICTER, stricter

from .world import ALICE, BOB, DB01, MALLORY, WEB01, ask, deny, policy, rule


def test_an_empty_policy_denies_and_says_that_no_rule_allows_it() -> None:
    answer = ask(Policy())
    assert answer.verdict is Verdict.DENY
    assert answer.rule == ""
    assert answer.reason == "No rule allows connect on web01 as deploy for alice."


def test_a_rule_that_fits_allows_and_is_named() -> None:
    answer = ask(policy(rule("go")))
    assert answer.allowed
    assert (answer.rule, answer.granted_by) == ("go", ("go",))
    assert answer.reason == "Rule 'go' allows connect on web01 as deploy."


def test_a_person_without_the_role_is_denied_and_explain_says_who_was_wanted() -> None:
    answer = ask(policy(rule("go")), MALLORY)
    assert answer.verdict is Verdict.DENY
    assert "    who: wanted role engineer, got mallory (no role)" in explain(answer)


def test_a_deny_wins_over_every_allow_and_gives_its_description_as_reason() -> None:
    answer = ask(policy(rule("a"), rule("z"), deny("stop", description="maintenance")))
    assert answer.verdict is Verdict.DENY
    assert answer.rule == "stop"
    assert answer.reason == "Rule 'stop' denies connect on web01 as deploy (maintenance)."


def test_an_action_that_no_rule_names_is_denied() -> None:
    assert ask(policy(rule("go")), action="sftp").reason == "No rule allows sftp on web01 as deploy for alice."


def test_an_action_that_does_not_exist_is_denied_whatever_the_policy_says() -> None:
    answer = ask(policy(rule("all", actions=["*"], roles=["*"])), action="conect\x1b[2J")
    assert answer.verdict is Verdict.DENY
    assert answer.reason == "There is no action 'conect\\x1b[2J', so nothing can allow it."


@pytest.mark.parametrize(
    ("entry", "fits"),
    [("web01", True), ("web*", True), ("*01", True), ("w?b01", True), ("env=prod", True), ("env=p*", True), ("web*,env=prod", True),
     ("site=north,env=prod", True), ("db01", False), ("web0", False), ("env=test", False), ("web*,env=test", False), ("stage=prod", False)],
)  # fmt: skip
def test_endpoints_are_chosen_by_name_glob_and_label(entry: str, fits: bool) -> None:
    assert ask(policy(rule("go", endpoints=[entry]))).allowed is fits


def test_a_rule_is_found_under_any_of_its_endpoints() -> None:
    both = policy(rule("go", endpoints=["db01", "env=prod", "x*"]))
    assert ask(both).allowed
    assert ask(both, endpoint=DB01).allowed
    assert not ask(both, endpoint=replace(DB01, name="db02")).allowed


def test_a_login_outside_the_rule_is_denied_and_told() -> None:
    answer = ask(policy(rule("go", logins=["deploy", "svc-*"])), login="root")
    assert answer.verdict is Verdict.DENY
    assert answer.reason.endswith("Rule 'go' would, but login: wanted deploy, svc-*, got root.")


def test_without_a_login_the_endpoints_first_one_is_judged() -> None:
    root_first = replace(WEB01, logins=(Login("root", "key"), Login("deploy", "key")))
    no_root = policy(rule("go"), deny("no-root", logins=["root"]))
    assert ask(no_root).allowed
    assert ask(no_root, endpoint=root_first).rule == "no-root"
    assert permitted_logins(no_root, ALICE, root_first, "connect", 0.0) == ("deploy",)


def test_roles_come_from_the_store_and_from_members_and_from_groups() -> None:
    where = policy(rule("go"), roles={"engineer": {"members": ["mallory", "group:cn=plant,dc=x"]}})
    assert ask(where, ALICE).allowed  # by the store
    assert ask(where, MALLORY).allowed  # by name
    assert ask(where, replace(BOB, groups=("cn=plant,dc=x",))).allowed
    assert not ask(where, replace(BOB, groups=("cn=plant",))).allowed


def test_a_store_that_gives_odd_role_names_does_not_reach_rules_of_others() -> None:
    where = policy(rule("bobs", roles=None, users=["bob"]), rule("all", roles=["*"], actions=["join"]))
    odd = replace(MALLORY, roles=("user bob", "role engineer", "*"))
    assert not ask(where, odd).allowed
    assert ask(where, odd, action="join").granted_by == ("all",)


def test_a_rule_for_everybody_admits_whoever_is_logged_in() -> None:
    assert ask(policy(rule("all", roles=["*"])), MALLORY).allowed


def test_a_question_without_an_endpoint_needs_a_rule_about_all_endpoints() -> None:
    some = policy(rule("some", actions=["list"], endpoints=["web01"]))
    answer = ask(some, endpoint=None, action="list")
    assert answer.verdict is Verdict.DENY
    assert "    endpoint: wanted web01, got no endpoint" in explain(answer)
    assert ask(policy(rule("all", actions=["list"])), endpoint=None, action="list").allowed


def test_a_rule_about_some_endpoints_gives_no_global_right() -> None:
    some = policy(rule("site-admin", actions=["*"], endpoints=["site=north"]))
    assert ask(some, action="end").allowed
    assert not ask(some, action="admin.user").allowed
    assert not ask(some, endpoint=None, action="audit").allowed


def test_invited_people_may_watch_and_others_are_told_what_is_missing() -> None:
    where = policy(rule("watch", actions=["join"], when={"invited": True}))
    assert ask(where, action="join", session=SessionFacts(invited=True)).allowed
    answer = ask(where, action="join")
    assert answer.reason.endswith("'watch' would, but invited: wanted an invitation to the session, got not invited.")


def test_own_means_the_same_account_by_its_id() -> None:
    own = policy(rule("own", actions=["replay"], when={"own": True}))
    assert ask(own, action="replay", session=SessionFacts(owner_id="u-alice", owner="renamed")).allowed
    assert not ask(own, action="replay", session=SessionFacts(owner_id="u-other", owner="alice")).allowed


def test_a_fact_that_is_not_known_fails_an_allow_and_fulfils_a_deny() -> None:
    own = {"own": True}
    assert not ask(policy(rule("own", actions=["replay"], when=own)), action="replay").allowed
    both = policy(rule("go", actions=["replay"]), deny("not-own", actions=["replay"], when=own))
    assert ask(both, action="replay").rule == "not-own"


def test_the_strictest_term_of_all_granting_rules_counts() -> None:
    where = policy(
        rule("long", terms={"max": "24h", "idle": "10m", "recording": "strict", "participants": 3}),
        rule("short", terms={"max": "2h", "idle": "none", "recording": "best-effort", "viewers": "none"}),
    )
    answer = ask(where)
    assert answer.granted_by == ("long", "short")
    terms = answer.terms
    assert (terms.max_seconds, terms.idle_seconds, terms.recording) == (7200.0, 600.0, "strict")
    assert (terms.max_participants, terms.viewers, terms.joinable) == (3, "none", False)


def test_a_rule_that_says_nothing_of_a_term_asks_for_the_default() -> None:
    where = policy(rule("long", terms={"max": "24h"}), rule("silent"))
    assert ask(where).terms.max_seconds == Terms().max_seconds
    longer = policy(rule("long", terms={"max": "24h"}), rule("silent"), defaults={"max": "none"})
    assert ask(longer).terms.max_seconds == 24 * 3600


ORDERS: dict[str, tuple[Any, Any]] = {
    "recording": ("strict", "best-effort"),
    "record_input": (True, False),
    "max_seconds": (60.0, None),
    "idle_seconds": (60.0, 61.0),
    "detach_seconds": (0.0, 60.0),
    "max_participants": (2, 3),
    "joinable": (False, True),
    "viewers": ("none", "permitted"),
    "lock_seconds": (60.0, None),
    "reauth_seconds": (60.0, None),
    "handover": (False, True),
    "typing": ("one", "shared"),
    "handback_seconds": (60.0, None),
    "sessions_per_user": (1, None),
    "sessions_per_endpoint": (1, 2),
    "watchers": ((WatchNeed(1, ("a",)),), ()),
}


@pytest.mark.parametrize("term", Terms.__dataclass_fields__)
def test_the_stricter_value_of_a_term_wins_from_either_side(term: str) -> None:
    strict, loose = (replace(Terms(), **{term: value}) for value in ORDERS[term])
    assert stricter(strict, loose) == stricter(loose, strict) == strict


def test_viewers_whom_only_a_rule_lets_in_are_fewer_than_those_invited() -> None:
    assert stricter(Terms(viewers="invited"), Terms(viewers="permitted")).viewers == "permitted"


def test_every_term_has_its_order_of_strictness() -> None:
    assert set(STRICTER) == set(Terms.__dataclass_fields__)


def test_explain_shows_answer_reason_terms_and_every_rule_considered() -> None:
    where = policy(rule("go"), rule("vendors", roles=["vendor"], endpoints=["db*"]), deny("night", endpoints=["env=test"]))
    assert explain(ask(where)) == [
        "allowed: Rule 'go' allows connect on web01 as deploy.",
        "terms: recording strict; max 12h; idle 1h; detach 10m; up to 10 participants, viewers invited",
        "rules considered:",
        "  go (allow, p.yaml:10): applies",
        "  night (deny, p.yaml:30): does not apply",
        "    endpoint: wanted env=test, got web01 (env=prod, site=north)",
        "  vendors (allow, p.yaml:20): does not apply",
        "    who: wanted role vendor, got alice (engineer)",
        "    endpoint: wanted db*, got web01 (env=prod, site=north)",
    ]


def test_explanations_are_bounded_and_say_how_many_are_left_out() -> None:
    where = policy(*(rule(f"r{number:03}", users=["bob"], roles=None) for number in range(100)), rule("zz-go"))
    answer = ask(where)
    assert answer.considered[0].rule == "zz-go"  # what decided is always among them
    assert (len(answer.considered), answer.omitted) == (64, 37)
    assert "  and 37 more that do not apply" in explain(answer)
    assert len(ask(where, explain=None).considered) == 101
    assert ask(where, explain=0).considered == ()


def test_what_a_person_may_do_here_is_cheap_to_ask() -> None:
    where = policy(rule("go", actions=["connect", "exec"]), deny("no", actions=["exec"]))
    assert may(where, ALICE, WEB01, ["connect", "exec", "sftp"], 0.0) == {"connect"}


def test_families_stand_for_actions_and_each_action_says_what_it_is() -> None:
    assert set(FAMILIES["*"]) == set(ACTIONS)
    assert expand("admin.*") == tuple(name for name in ACTIONS if name.startswith("admin."))
    assert expand("admin*") == ()
    assert all(action.help and "\n" not in action.help for action in ACTIONS.values())
