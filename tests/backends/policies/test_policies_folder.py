"""A folder of YAML becomes one policy; each bad file is refused in one line with its place, fast."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import bastion.backends.policies.document as document_module
from bastion.backends.policies import PolicyFolder, load_cases, load_policy, run_folder
from bastion.backends.policies.document import MAX_BYTES, read_document
from bastion.core.access.actions import ACTIONS, expand
from bastion.core.access.build import build
from bastion.core.access.decide import decide
from bastion.core.access.decision import SessionFacts
from bastion.core.access.endpoint import Endpoint, Login
from bastion.core.errors import Misconfigured
from bastion.core.identity import Identity

FUZZ = float(os.environ.get("BASTION_FUZZ", "1"))
SHIPPED = Path(__file__).parents[3] / "policies"

GOOD = """\
roles:
  engineer:
    members: [alice]
rules:
  - name: go
    effect: allow
    roles: [engineer]
    actions: [connect]
    endpoints: ["*"]
"""

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"

BAD = {
    "an empty file": ("", "policy.empty", 1, "the file is empty; a policy file says roles or rules"),
    "only comments": ("# soon\n", "policy.empty", 1, "the file is empty"),
    "an unknown key": (GOOD.replace("effect:", "efect:"), "policy.unknown_key", 6, "unknown key 'efect' in rules[1]; did you mean 'effect'?"),
    "a role misspelled": (GOOD.replace("roles: [engineer]", "roles: [enginer]"), "policy.unknown_role", 7, "there is no role 'enginer'; did you mean 'engineer'?"),
    "a wrong type": (GOOD.replace("[connect]", "connect"), "policy.wrong_type", 8, "rules[1].actions must be a list, like [a, b], not 'connect'"),
    "a duplicate key": (GOOD + "    effect: deny\n", "policy.duplicate_key", 10, "the key 'effect' is here twice; it is already on line 6"),
    "a duplicate section": (GOOD + "rules: []\n", "policy.duplicate_key", 10, "the key 'rules' is here twice; it is already on line 4"),
    "an alias bomb": (BOMB, "policy.alias", 1, "anchors (&a) are not allowed; write it out"),
    "a lone alias": ("a: *x\n", "policy.alias", 1, "aliases (*x) are not allowed; write it out"),
    "a merge": (GOOD.replace("- name: go", "- <<: {}\n    name: go"), "policy.unknown_key", 5, "unknown key '<<' in rules[1]"),
    "a python object": ("a: !!python/object/apply:os.system [id]\n", "policy.tag", 1, "the tag !!python/object/apply:os.system is not allowed"),
    "a python name": ("a: !!python/name:os.system\n", "policy.tag", 1, "the tag !!python/name:os.system is not allowed"),
    "a binary": ("a: !!binary aGk=\n", "policy.tag", 1, "the tag !!binary is not allowed"),
    "an own tag": ("a: !include /etc/passwd\n", "policy.tag", 1, "the tag !include is not allowed"),
    "a tab": (GOOD.replace("    effect", "\teffect"), "policy.tab", 6, "the line is indented with a tab; use spaces"),
    "a second document": (GOOD + "---\n" + GOOD, "policy.syntax", 10, "a second document starts here ('---')"),
    "an open bracket": (GOOD.replace("[connect]", "[connect"), "policy.syntax", 9, "not valid YAML: "),
    "a list as key": ("? [a]\n: b\n", "policy.syntax", 1, "a key must be a word, not a list or a mapping"),
    "deep nesting": ("a: " + "[" * 50_000, "policy.too_deep", 1, "more than 12 levels inside one another"),
    "an escape character": ("a: b\nc: \x1b[2J\n", "policy.encoding", 2, "the character '\\x1b' cannot be seen, so it may not be here"),
    "a zero-width space": ("roles:\n  adm\u200bin:\n", "policy.encoding", 2, "the character '\\u200b' cannot be seen"),
    "text turned round": ("a: \u202eb\n", "policy.encoding", 1, "the character '\\u202e' cannot be seen"),
    "just a word": ("hello\n", "policy.wrong_type", 1, "the file must be keys with values, not 'hello'"),
}  # fmt: skip


def write(folder: Path, text: str | bytes, name: str = "p.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(folder: Path) -> Misconfigured:
    with pytest.raises(Misconfigured) as caught:
        load_policy(folder)
    return caught.value


def assert_policy_or_one_line(load: Callable[[], object]) -> None:
    found = None
    try:
        load()
    except Misconfigured as error:
        found = error
    if found is not None:
        assert found.code.startswith("policy.")
        assert found.public.startswith("p.yaml:")
        assert found.public.isprintable()


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_refused_with_its_line_by_both_parsers(
    what: str, loader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_module, "_LOADER", getattr(yaml, loader))
    text, code, line, sentence = BAD[what]
    path = write(tmp_path, text)
    start = time.process_time()
    error = refused(tmp_path)
    assert error.code == code
    assert error.public.startswith(f"{path}:{line}: ")
    assert sentence in error.public
    assert error.public.isprintable()
    assert time.process_time() - start < 2


@pytest.mark.parametrize(("start", "name"), [(b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe", "UTF-16 LE"), (b"\xfe\xff", "UTF-16 BE")])
def test_a_byte_order_mark_is_refused(start: bytes, name: str, tmp_path: Path) -> None:
    write(tmp_path, start + GOOD.encode())
    error = refused(tmp_path)
    assert error.code == "policy.encoding", name
    assert ":1: the file starts with a byte order mark; save it as plain UTF-8" in error.public


def test_bytes_that_are_not_utf_8_are_refused_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"roles:\n  x:\n    description: \xe9t\xe9\n")
    assert refused(tmp_path).public == f"{path}:3: byte 0xe9 is not UTF-8"


def test_a_file_over_a_megabyte_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "#" * MAX_BYTES)
    assert refused(tmp_path).public == f"{path}:1: the file is larger than 1,000,000 bytes; split it"


def test_files_that_are_too_large_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bastion.backends.policies.folder._MAX_TOTAL", 1000)
    for number in range(9):
        write(tmp_path, f"roles: {{r{number}: }}\n" + "#" * 300, f"{number}.yaml")
    assert refused(tmp_path).public == f"{tmp_path}/3.yaml:1: the files of the folder have more than 1,000 bytes together"


def test_a_folder_without_a_policy_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path).public == f"{tmp_path}: there is no *.yaml here; without a policy nobody may do anything"
    assert refused(tmp_path / "nowhere").code == "policy.unreadable"


def test_a_fifo_in_the_folder_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.yaml")
    assert refused(tmp_path).public == f"{tmp_path}/p.yaml:1: not a regular file"


def test_a_directory_called_yaml_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").mkdir()
    assert refused(tmp_path).code == "policy.unreadable"


def test_subfolders_and_hidden_files_are_not_read_and_yml_is_warned_of(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, "nonsense: [", ".p.yaml")
    write(tmp_path, "nonsense: [", "other.yml")
    (tmp_path / "tests").mkdir()
    write(tmp_path / "tests", "nonsense: [")
    policy, warnings = load_policy(tmp_path)
    assert [rule.name for rule in policy.rules] == ["go"]
    assert [str(warning) for warning in warnings] == [f"{tmp_path}/other.yml:1: not read: a policy's file ends in .yaml"]


def test_all_files_of_the_folder_make_one_policy(tmp_path: Path) -> None:
    roles, rules = GOOD.split("rules:")
    write(tmp_path, roles, "roles.yaml")
    write(tmp_path, "rules:" + rules, "a-rules.yaml")
    policy, warnings = load_policy(tmp_path)
    assert not warnings
    assert str(policy.rules[0].place) == f"{tmp_path}/a-rules.yaml:2"
    assert decide(policy, Identity("u", "alice", (), "", ()), None, "connect", 0.0).allowed


def test_plain_words_stay_the_text_they_are() -> None:
    said = read_document(
        "p.yaml", b"a: no\nb: on\nc: 08:30\nd: 1_000\ne: 0o17\nf: 007\ng: 2026-11-22\nh: 1e3\ni: 'true'\nj: !!str 7\n"
    ).data
    assert said == {
        "a": "no",
        "b": "on",
        "c": "08:30",
        "d": "1_000",
        "e": "0o17",
        "f": "007",
        "g": "2026-11-22",
        "h": "1e3",
        "i": "true",
        "j": "7",
    }
    assert read_document("p.yaml", b"a: true\nb: 12\nc: ~\nd:\ne: -3\n").data == {
        "a": True,
        "b": 12,
        "c": None,
        "d": None,
        "e": -3,
    }


def test_the_fingerprint_changes_with_content_names_and_replacement(tmp_path: Path) -> None:
    path, source = write(tmp_path, GOOD), PolicyFolder(tmp_path)
    seen = {source.fingerprint()}
    os.utime(path, ns=(1, 1))  # an old time, as `cp -p` or a restore leaves it
    seen.add(source.fingerprint())
    write(tmp_path, GOOD, "q.yaml")
    seen.add(source.fingerprint())
    write(tmp_path, GOOD, "new").replace(path)
    seen.add(source.fingerprint())
    assert len(seen) == 4
    assert source.fingerprint() == source.fingerprint()


def test_ten_thousand_rules_load_in_seconds(tmp_path: Path) -> None:
    rule = "  - {{name: r{0}, effect: allow, roles: [engineer], actions: [connect], endpoints: [web{0}]}}\n"
    for part in range(2):
        rules = "".join(rule.format(number) for number in range(part * 5000, part * 5000 + 5000))
        write(tmp_path, "rules:\n" + rules, f"{part}.yaml")
    write(tmp_path, "roles: {engineer: }\n", "roles.yaml")
    start = time.process_time()
    policy, _ = load_policy(tmp_path)
    assert len(policy.rules) == 10_000
    assert time.process_time() - start < 20


@settings(max_examples=max(1, int(300 * FUZZ)), deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text("abr:ules-[]{}#&*!|>'\"%@`?,\n \t", max_size=80).map(str.encode)))
def test_any_bytes_make_a_document_or_one_clear_line(raw: bytes) -> None:
    assert_policy_or_one_line(lambda: read_document("p.yaml", raw))


@settings(max_examples=max(1, int(150 * FUZZ)), deadline=None)
@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.text(max_size=4))
def test_a_good_file_with_any_piece_cut_or_changed_is_a_policy_or_one_clear_line(start: int, end: int, piece: str) -> None:
    raw = (GOOD[: min(start, end)] + piece + GOOD[max(start, end) :]).encode(errors="replace")
    assert_policy_or_one_line(lambda: build([read_document("p.yaml", raw)]))


# ---------------------------------------------------------------- what is shipped


def test_the_shipped_policy_has_the_four_roles_and_no_warning() -> None:
    policy, warnings = load_policy(SHIPPED)
    assert warnings == []
    assert set(policy.roles) == {"admin", "engineer", "supervisor", "auditor"}


MAY = {
    "admin": {*expand("admin.*"), "audit", "list", "pause", "end"},
    "engineer": {"connect", "exec", "sftp", "scp"},
    "supervisor": {"connect", "exec", "sftp", "scp", "list", "join", "moderate", "invite-guest", "pause", "end"},
    "auditor": {"replay", "search", "export", "audit"},
    "nobody": set(),
}


@pytest.mark.parametrize("role", MAY)
def test_the_shipped_policy_gives_each_role_exactly_this(role: str) -> None:
    policy, _ = load_policy(SHIPPED)
    who = Identity("u", "alice", (role,), "10.0.0.1", ())
    endpoint = Endpoint("e", "web01", logins=(Login("root", "key"),))
    assert {action for action in ACTIONS if decide(policy, who, endpoint, action, 0.0).allowed} == MAY[role]
    invited = {action for action in ACTIONS if decide(policy, who, endpoint, action, 0.0, session=SessionFacts(invited=True)).allowed}
    assert invited - MAY[role] == ({"join", "control"} - MAY[role] if role in {"engineer", "supervisor"} else set())


@pytest.mark.parametrize("folder", [SHIPPED, *sorted((SHIPPED / "examples").iterdir())], ids=lambda path: path.name)
def test_each_policy_that_is_shipped_is_valid_and_does_what_its_cases_say(folder: Path) -> None:
    assert load_policy(folder)[1] == []
    assert len(load_cases(folder)) >= 8
    assert run_folder(folder) == []


def test_a_case_that_fails_is_told_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "tests").mkdir()
    case = write(tmp_path / "tests", "cases:\n  - {name: bob connects, user: bob, action: connect, endpoint: web01, expect: allow}\n")
    assert run_folder(tmp_path) == [f"{case}:2: bob connects: wanted allow, got deny: No rule allows connect on web01 for bob."]


def test_a_policy_without_cases_does_not_pass_for_tested(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert run_folder(tmp_path) == [f"{tmp_path}/tests: there are no cases (*.yaml), so nothing is tested"]


def test_a_folder_without_cases_has_none(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert load_cases(tmp_path) == []
    (tmp_path / "tests").mkdir()
    assert load_cases(tmp_path) == []
    write(tmp_path / "tests", "cases: [{nme: x}]\n")
    with pytest.raises(Misconfigured, match=r"tests/p\.yaml:1: unknown key 'nme' in cases\[1\]; did you mean 'name'\?"):
        load_cases(tmp_path)
