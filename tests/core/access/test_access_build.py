"""From data to a policy: what is wrong is refused with file, line and what may have been meant."""

from __future__ import annotations

from typing import Any

import pytest

from bastion.core.access.build import build
from bastion.core.access.durations import parse_duration, show_duration
from bastion.core.access.models import schema
from bastion.core.access.source import Document
from bastion.core.errors import Misconfigured

from .world import deny, document, policy, refused, rule

WRONG = [
    (rule("r", efect="allow"), "policy.unknown_key", "unknown key 'efect' in rules[1]; did you mean 'effect'?"),
    (rule("r", when={"invitd": True}), "policy.unknown_key", "unknown key 'invitd' in rules[1].when; did you mean 'invited'?"),
    (rule("r", terms={"idel": "1h"}), "policy.unknown_key", "unknown key 'idel' in rules[1].terms; did you mean 'idle'?"),
    (rule("r", effect=None), "policy.missing_key", "rules[1] needs the key 'effect'"),
    (rule("r", effect="alow"), "policy.bad_value", "rules[1].effect must be 'allow' or 'deny', not 'alow'; did you mean 'allow'?"),
    (rule("r", roles="engineer"), "policy.wrong_type", "rules[1].roles must be a list, like [a, b], not 'engineer'"),
    (rule("r", users=[7]), "policy.wrong_type", "rules[1].users[1] must be text (put it into quotes if it looks like a number), not the number 7"),
    (rule("r", terms={"max": 8}), "policy.wrong_type", "must be text (put it into quotes if it looks like a number), not the number 8"),
    (rule("r", terms={"max": "8"}), "policy.bad_value", "rule 'r': terms.max: '8' is not a length of time; write it like 30m, 8h, 1h30m or 2d, or none"),
    (rule("r", terms={"idle": "0s"}), "policy.bad_value", "rule 'r': terms.idle: 0 would end it at once; write none for no limit"),
    (rule("r", terms={"input": "no"}), "policy.wrong_type", "rules[1].terms.input must be true or false, not 'no'"),
    (rule("r", terms={"participants": 0}), "policy.bad_value", "rules[1].terms.participants: input should be greater than or equal to 1"),
    (rule("r", terms=["max"]), "policy.wrong_type", "rules[1].terms must be keys with values, not a list"),
    (rule("r", roles=["enginer"]), "policy.unknown_role", "rule 'r': there is no role 'enginer'; did you mean 'engineer'?"),
    (rule("r", actions=["conect"]), "policy.unknown_action", "rule 'r': there is no action 'conect'; did you mean 'connect'?"),
    (rule("r", actions=["admin"]), "policy.unknown_action", "rule 'r': there is no action 'admin'"),
    (rule("r", users=["Bob"]), "policy.bad_name", "rule 'r': 'Bob' is not a user name"),
    (rule("R 1"), "policy.bad_name", "'R 1' is not a rule name"),
    (rule("r", actions=[]), "policy.bad_value", "rule 'r': actions: an empty list fits nobody and nothing; name something, or leave the rule out"),
    (rule("r", roles=[]), "policy.bad_value", "rule 'r': roles: an empty list fits nobody and nothing"),
    (rule("r", logins=[]), "policy.bad_value", "rule 'r': logins: an empty list fits nobody"),
    (rule("r", roles=None), "policy.bad_value", "rule 'r': say whom it concerns: roles or users"),
    (rule("r", endpoints=None), "policy.bad_value", "rule 'r': say on which endpoints"),
    (rule("r", endpoints=["Web01"]), "policy.bad_value", "'Web01' is neither an endpoint name, a glob (web*) nor a label (env=prod); endpoint names are lower case"),
    (rule("r", endpoints=["web01,"]), "policy.bad_value", "'' is neither an endpoint name"),
    (rule("r", endpoints=["*" * 300]), "policy.bad_value", "a pattern has at most 256 characters"),
    (rule("r", logins=["-oProxyCommand=x"]), "policy.bad_value", "'-oProxyCommand=x' is neither a login name nor a glob"),
    (deny("r", terms={"max": "1h"}), "policy.bad_value", "rule 'r': terms: a rule that denies starts no session, so it has no terms"),
    ("connect", "policy.wrong_type", "rules[1] must be keys with values, not 'connect'"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "code", "sentence"), WRONG)
def test_a_mistake_in_a_rule_is_refused_with_place_and_one_clear_line(wrong: Any, code: str, sentence: str) -> None:
    error = refused(wrong)
    assert error.code == code
    assert error.public.startswith("p.yaml:10: ")
    assert sentence in error.public
    assert "\n" not in error.public


def test_an_unknown_key_at_the_top_is_refused_with_what_was_meant() -> None:
    assert refused(rulez=[]).public == "p.yaml:1: unknown key 'rulez' in the file; did you mean 'rules'?"


@pytest.mark.parametrize("data", ["text", 7, None, True, [], ["rules"]])
def test_a_file_that_is_no_mapping_is_refused(data: object) -> None:
    with pytest.raises(Misconfigured, match=r"^p.yaml:1: the file must be keys with values, not "):
        build([Document("p.yaml", data)])


def test_all_mistakes_are_told_at_once() -> None:
    error = refused(rule("a", roles=["x"]), rule("b", actions=["y"]), rule("a"))
    assert error.public.endswith("(and 2 more problems)")
    lines = error.detail.splitlines()
    assert lines[1].startswith("p.yaml:20: rule 'b': there is no action 'y'")
    assert lines[2] == "p.yaml:30: rule 'a' is already defined at p.yaml:10"


def test_what_is_quoted_back_cannot_move_a_cursor_or_fill_a_screen() -> None:
    error = refused(rule("r", **{"\x1b[2J" + "x" * 5000: 1}))
    assert error.public.isprintable()
    assert len(error.public) < 400


def test_the_same_role_or_defaults_in_two_files_is_refused_with_both_places() -> None:
    one, two = document(file="a.yaml", defaults={"max": "1h"}), document(file="b.yaml", defaults={"max": "2h"})
    with pytest.raises(Misconfigured) as caught:
        build([one, two])
    assert "b.yaml:1: defaults are already set at a.yaml:1; one file only can set them" in caught.value.detail
    assert "b.yaml:1: role 'engineer' is already defined at a.yaml:1" in caught.value.detail


def test_a_rule_may_use_a_role_of_another_file() -> None:
    both, _ = build([document(rule("r"), roles={}, file="z.yaml"), document(file="a.yaml")])
    assert [found.name for found in both.rules] == ["r"]


def test_more_rules_than_can_be_decided_in_time_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bastion.core.access.build.MAX_RULES", 3)
    assert policy(*(rule(f"r{number}") for number in range(3)))
    error = refused(*(rule(f"r{number}") for number in range(9)))
    assert (error.code, error.public) == ("policy.too_large", "p.yaml:40: more than 3 rules; use labels and globs")


def test_defaults_name_roles_that_exist() -> None:
    error = refused(defaults={"watchers": {"by": ["supervsor"]}})
    assert error.public == "p.yaml:1: defaults: watchers.by: there is no role 'supervsor'; did you mean 'supervisor'?"


@pytest.mark.parametrize("member", ["Alice", "group:", "group: x", "user:alice", "a b", "group:a\nb"])
def test_a_member_that_is_neither_user_nor_group_is_refused(member: str) -> None:
    error = refused(roles={"engineer": {"members": [member]}})
    assert error.code == "policy.bad_name"
    assert "is neither a user name nor group:NAME" in error.public


def warnings(*rules: dict[str, Any], **more: Any) -> list[str]:
    return [str(found) for found in build([document(*rules, **{"roles": {"engineer": None}} | more)])[1]]


def test_a_rule_that_a_deny_covers_wholly_is_warned_of_with_both_places() -> None:
    assert warnings(deny("stop"), rule("go", endpoints=["web01"])) == [
        "p.yaml:20: rule 'go' can never apply: rule 'stop' (p.yaml:10) denies all of it"
    ]


@pytest.mark.parametrize(
    "stop",
    [deny("stop", endpoints=["db*"]), deny("stop", logins=["root"]), deny("stop", actions=["exec"]),
     deny("stop", roles=None, users=["bob"]), deny("stop", when={"invited": True}), deny("stop", endpoints=["web*,env=prod"])],
)  # fmt: skip
def test_a_rule_that_a_deny_covers_in_part_is_not_warned_of(stop: dict[str, Any]) -> None:
    assert warnings(stop, rule("go", endpoints=["web01"])) == []


@pytest.mark.parametrize(
    ("wide", "narrow"), [("web*", "web01"), ("web*", "web-*"), ("env=*", "env=prod"), ("env=prod", "web*,env=prod"), ("*", "db?")]
)
def test_a_pattern_inside_another_is_seen_as_covered(wide: str, narrow: str) -> None:
    assert len(warnings(deny("stop", endpoints=[wide]), rule("go", endpoints=[narrow]))) == 1


def test_a_role_that_no_rule_mentions_is_warned_of() -> None:
    found = warnings(rule("go"), roles={"engineer": None, "ghost": None})
    assert found == ["p.yaml:1: no rule mentions the role 'ghost', so it gives nothing"]


def test_global_actions_in_a_rule_about_some_endpoints_are_warned_of() -> None:
    found = warnings(rule("go", actions=["connect", "audit"], endpoints=["web01"]))
    assert found == ["p.yaml:10: rule 'go' is about some endpoints only, so it does not allow audit"]


def test_a_policy_that_allows_nothing_is_warned_of() -> None:
    assert warnings(deny("stop", roles=["engineer"])) == ["p.yaml:10: no rule allows anything, so nobody may do anything"]


def test_policies_that_mean_the_same_are_equal_wherever_their_lines_stand() -> None:
    one, two = rule("a"), deny("b", endpoints=["web*"], logins=["root"])
    assert policy(one, two) == policy(two, one)
    assert policy(one) != policy(two)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("8h", 28800), ("1h30m", 5400), ("2d", 172800), ("1d2h3m4s", 93784)]
)
def test_lengths_of_time_are_read_and_shown_alike(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(show_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "8", "8 h", "h", "1m1h", "-1h", "1.5h", "٣h", "9" * 500 + "h", "1h\n"])
def test_other_spellings_of_time_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a length of time"):
        parse_duration(text)


def test_the_schema_for_editors_knows_every_key_and_forbids_others() -> None:
    exported = schema()
    assert exported["additionalProperties"] is False
    assert set(exported["$defs"]["RuleModel"]["properties"]) >= {
        "name",
        "effect",
        "roles",
        "users",
        "actions",
        "endpoints",
        "logins",
    }
    assert exported["$defs"]["RuleModel"]["additionalProperties"] is False
