"""What holds for every policy there can be: refusal is the default and nothing but an allow opens a door."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.access.actions import ACTIONS
from bastion.core.access.build import build
from bastion.core.access.decide import decide
from bastion.core.access.decision import Decision, SessionFacts, Terms, Verdict
from bastion.core.access.endpoint import Endpoint, Login
from bastion.core.access.explain import explain
from bastion.core.access.policy import Policy
from bastion.core.access.source import Document
from bastion.core.access.terms import stricter
from bastion.core.identity import Factor, Identity

from .world import examples, policy

ROLES = ["engineer", "supervisor", "vendor"]
SOME = settings(max_examples=examples(60), deadline=None)
OPENNESS = [Verdict.DENY, Verdict.NEEDS_APPROVAL, Verdict.ALLOW]


def some_of(*choices: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(choices), min_size=1, max_size=3)


WHEN = st.fixed_dictionaries(
    {},
    optional={
        "hours": some_of("mon-fri 08:00-17:00 Europe/Berlin", "fri 22:00-06:00 UTC", "daily 00:00-24:00 UTC"),
        "dates": some_of("2026-03-28..2026-03-30 Europe/Berlin", "2020-01-01..2040-01-01 UTC"),
        "sources": some_of("10.0.0.0/8", "::/0", "192.0.2.7"),
        "factor": st.sampled_from([{"kinds": ["totp"]}, {"within": "15m"}]),
        "ticket": st.sampled_from(["CHG###", "*"]),
        "owner_roles": some_of(*ROLES),
        "invited": st.booleans(),
        "own": st.booleans(),
    },
)
TERMS = st.fixed_dictionaries(
    {},
    optional={
        "max": st.sampled_from(["1h", "24h", "none"]),
        "idle": st.sampled_from(["5m", "2h", "none"]),
        "detach": st.sampled_from(["1m", "1h", "none"]),
        "recording": st.sampled_from(["strict", "best-effort"]),
        "input": st.booleans(),
        "participants": st.integers(1, 30),
        "viewers": st.sampled_from(["invited", "permitted", "none"]),
        "handover": st.booleans(),
        "typing": st.sampled_from(["one", "shared"]),
        "sessions_per_user": st.integers(1, 9),
        "watchers": st.sampled_from([{"by": ["vendor"]}, {"users": ["bob"], "on_leave": "end"}]),
    },
)


def rules(effect: str) -> st.SearchStrategy[dict[str, Any]]:
    more: dict[str, Any] = {"users": some_of("alice", "bob"), "logins": some_of("root", "svc-*", "*"), "when": WHEN}
    if effect == "allow":
        approval = st.sampled_from([{"by": ["supervisor"]}, {"levels": [{"by": ["vendor"]}, {"users": ["bob"]}]}])
        more |= {"terms": TERMS, "approval": approval}
    return st.fixed_dictionaries(
        {
            "effect": st.just(effect),
            "roles": some_of("*", *ROLES),
            "actions": some_of("connect", "join", "replay", "audit", "admin.*", "*"),
            "endpoints": some_of("*", "web01", "web*", "?b*", "env=prod", "env=*", "web*,env=prod", "zone=x"),
        },
        optional=more,
    )


ALLOWS, DENIES = rules("allow"), rules("deny")
RULE_LISTS = st.lists(ALLOWS | DENIES, max_size=6)
PEOPLE = st.builds(
    Identity,
    user_id=st.sampled_from(["u-alice", "u-bob", "x"]),
    name=st.sampled_from(["alice", "bob", "x"]),
    roles=st.lists(st.sampled_from([*ROLES, "*", "ghost"]), max_size=3).map(tuple),
    source=st.sampled_from(["10.1.1.1", "::1", "192.0.2.7", "", "nonsense"]),
    factors=st.lists(st.builds(Factor, st.sampled_from(["totp", "publickey"]), st.floats(0, 4e9)), max_size=2).map(tuple),
)
ENDPOINTS = st.none() | st.builds(
    Endpoint,
    id=st.just("e"),
    name=st.sampled_from(["web01", "db01", "web2"]),
    logins=st.lists(st.builds(Login, st.sampled_from(["root", "svc-a", "me"]), st.just("key")), max_size=2).map(tuple),
    labels=st.lists(st.sampled_from([("env", "prod"), ("env", "test"), ("zone", "x")]), max_size=2).map(tuple),
)
SESSIONS = st.builds(
    SessionFacts,
    owner_id=st.sampled_from(["", "u-alice", "u-bob"]),
    owner_roles=st.lists(st.sampled_from(ROLES), max_size=2).map(tuple),
    invited=st.booleans(),
    ticket=st.sampled_from(["", "CHG123", "x"]),
    approved=st.frozensets(st.sampled_from(["r0", "r1", "r2", "r3"])),
    running=st.booleans(),
)
QUESTIONS = st.tuples(PEOPLE, ENDPOINTS, st.sampled_from(list(ACTIONS)), st.floats(1.7e9, 1.9e9), st.none() | st.just("root"), SESSIONS)


def sensible(entry: dict[str, Any]) -> dict[str, Any]:
    """Take watchers out where nobody may look on: such a rule is refused."""
    terms = entry.get("terms", {})
    if terms.get("viewers") != "none":
        return entry
    return entry | {"terms": {key: value for key, value in terms.items() if key != "watchers"}}


def made(entries: list[dict[str, Any]]) -> Policy:
    return policy(*({"name": f"r{number}"} | sensible(entry) for number, entry in enumerate(entries)))


def answer(where: Policy, question: Any) -> Decision:
    who, endpoint, action, at, login, session = question
    return decide(where, who, endpoint, action, at, login=login, session=session)


@SOME
@given(QUESTIONS)
def test_an_empty_policy_denies_everything(question: Any) -> None:
    assert answer(Policy(), question).verdict is Verdict.DENY


@SOME
@given(RULE_LISTS, DENIES, QUESTIONS)
def test_one_more_deny_never_allows_more(entries: list[dict[str, Any]], deny: dict[str, Any], question: Any) -> None:
    before, after = answer(made(entries), question), answer(made([*entries, deny]), question)
    assert OPENNESS.index(after.verdict) <= OPENNESS.index(before.verdict)


@SOME
@given(RULE_LISTS, ALLOWS, QUESTIONS)
def test_one_more_allow_never_denies_what_was_allowed_and_never_loosens_its_terms(
    entries: list[dict[str, Any]], allow: dict[str, Any], question: Any
) -> None:
    before, after = answer(made(entries), question), answer(made([*entries, allow]), question)
    if before.verdict is not Verdict.DENY:
        assert after.verdict is not Verdict.DENY
        assert stricter(before.terms, after.terms) == after.terms


@SOME
@given(RULE_LISTS, QUESTIONS)
def test_only_what_an_allow_grants_and_no_deny_forbids_is_open(entries: list[dict[str, Any]], question: Any) -> None:
    found = answer(made(entries), question)
    applying = [considered for considered in found.considered if considered.applies]
    opens = any(one.effect == "allow" for one in applying) and not any(one.effect == "deny" for one in applying)
    assert opens is (found.verdict is not Verdict.DENY)
    for considered in found.considered:
        assert considered.applies is all(condition.holds for condition in considered.conditions)


@SOME
@given(st.lists(ALLOWS, min_size=1, max_size=6), QUESTIONS)
def test_the_terms_are_those_of_every_granting_rule_at_its_strictest(entries: list[dict[str, Any]], question: Any) -> None:
    where = made(entries)
    found = answer(where, question)
    granting = [one for one in where.rules if one.name in found.granted_by]
    for one in granting:
        assert stricter(found.terms, one.terms) == found.terms
    for name in set(Terms.__dataclass_fields__) - {"watchers"}:  # all of those are needed together
        if granting:
            assert getattr(found.terms, name) in [getattr(one.terms, name) for one in granting]


@SOME
@given(RULE_LISTS, QUESTIONS, st.randoms(use_true_random=False), st.integers(0, 6))
def test_the_order_of_rules_and_files_does_not_matter(entries: list[dict[str, Any]], question: Any, random: Any, cut: int) -> None:
    named = [{"name": f"r{number}"} | sensible(entry) for number, entry in enumerate(entries)]
    shuffled = list(named)
    random.shuffle(shuffled)
    roles = dict.fromkeys(ROLES)
    one = build([Document("a.yaml", {"roles": roles, "rules": named})])[0]
    two = build([Document("b.yaml", {"rules": shuffled[:cut]}), Document("a.yaml", {"roles": roles, "rules": shuffled[cut:]})])[0]
    assert one == two
    first, second = answer(one, question), answer(two, question)
    unplaced = [[replace(considered, source="") for considered in found.considered] for found in (first, second)]
    assert unplaced[0] == unplaced[1]
    assert replace(first, considered=()) == replace(second, considered=())


@SOME
@given(RULE_LISTS, QUESTIONS)
def test_the_index_loses_no_rule_that_applies(entries: list[dict[str, Any]], question: Any) -> None:
    where = made(entries)
    who, endpoint, action, *_ = question
    place = endpoint if ACTIONS[action].on_endpoint else None
    roles = where.roles_of(who)
    about = {one.name for one in where.about.get(action, ()) if one.concerns(who.name, roles) and one.selects(place)}
    found = {one.name for one in where.candidates(action, who.name, roles, place) if one.selects(place)}
    assert found == about


@SOME
@given(RULE_LISTS, QUESTIONS)
def test_what_is_said_of_later_comes_true(entries: list[dict[str, Any]], question: Any) -> None:
    where = made(entries)
    who, endpoint, action, at, login, session = question
    found = answer(where, question)
    for then, opens in ((found.opens_at, True), (found.valid_until, False)):
        if then is not None:
            assert then > at
            # they log in anew, so what they proved is as old then as it is now
            again = replace(who, factors=tuple(replace(factor, at=factor.at + then - at) for factor in who.factors))
            later = decide(where, again, endpoint, action, then, login=login, session=session)
            # a window that is always open has no end to find: then it is told to ask again, in half a year
            assert (later.verdict is not Verdict.DENY) is opens or (not opens and then - at > 100 * 86400)


@SOME
@given(
    RULE_LISTS,
    st.builds(Identity, st.text(max_size=5), st.text(max_size=5), st.lists(st.text(max_size=5), max_size=2).map(tuple), st.text(max_size=9),
              st.lists(st.builds(Factor, st.text(max_size=5), st.floats()), max_size=2).map(tuple), st.lists(st.text(max_size=5)).map(tuple)),
    st.builds(Endpoint, st.text(max_size=5), st.text(max_size=9), labels=st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5))).map(tuple)),
    st.text(max_size=9) | st.sampled_from(list(ACTIONS)),
    st.floats(),
    st.none() | st.text(max_size=9),
    st.builds(SessionFacts, ticket=st.text(max_size=80), owner_id=st.text(max_size=3), owner=st.text(max_size=3)),
)  # fmt: skip
def test_a_decision_never_raises_and_explains_itself_in_visible_lines(
    entries: list[dict[str, Any]],
    who: Identity,
    endpoint: Endpoint,
    action: str,
    at: float,
    login: str | None,
    session: SessionFacts,
) -> None:
    found = decide(made(entries), who, endpoint, action, at, login=login, session=session)
    assert all(line.isprintable() for line in explain(found))
