"""Conditions on files: asked for each file, and never in the way of a session's start."""

from __future__ import annotations

import pytest

from bastion.core.access.decide import decide
from bastion.core.access.decision import Decision, FileFacts, SessionFacts
from bastion.core.access.paths import PathGlob, read_path_glob
from bastion.core.access.policy import Policy

from .world import ALICE, NOW, WEB01, policy, refused, rule


def moves(name: str = "moves", effect: str = "allow", **files: object) -> dict[str, object]:
    return rule(name, effect=effect, actions=["sftp", "scp"], when={"files": files} if files else None)


def ask(where: Policy, direction: str, *spellings: str, complete: bool = True, size: int | None = None) -> Decision:
    file = FileFacts(direction, spellings[0] if spellings else "?", spellings, complete=complete, size=size)
    return decide(where, ALICE, WEB01, "sftp", NOW, session=SessionFacts(file=file))


def test_a_session_starts_where_some_file_might_be_moved_and_not_where_none_might() -> None:
    only_up = policy(moves(direction="upload", paths=["/srv/in/**"]))
    assert decide(only_up, ALICE, WEB01, "sftp", NOW).allowed
    assert decide(policy(moves(), moves("not-those", "deny", paths=["/etc/**"])), ALICE, WEB01, "sftp", NOW).allowed
    assert not decide(policy(moves("deny-all", "deny")), ALICE, WEB01, "sftp", NOW).allowed


def test_a_file_is_allowed_by_direction_and_path() -> None:
    where = policy(moves(direction="upload", paths=["/srv/in/**", "~/drop/*"]))
    assert ask(where, "upload", "/srv/in/a").allowed
    assert ask(where, "upload", "/home/al/drop/a", "~/drop/a").allowed
    answer = ask(where, "download", "/srv/in/a")
    assert answer.reason == (
        "No rule allows sftp download of /srv/in/a on web01 for alice. Rule 'moves' would, but files: wanted upload, /srv/in/** or ~/drop/*, "
        "got download of /srv/in/a."
    )
    assert not ask(where, "upload", "/srv/other").allowed


def test_a_deny_wins_and_what_is_not_known_opens_nothing() -> None:
    where = policy(moves(), moves("no-etc", "deny", paths=["/etc/**"]))
    assert ask(where, "download", "/srv/a").allowed
    assert not ask(where, "download", "/etc/shadow").allowed
    assert not ask(where, "download", "~/x", complete=False).allowed  # the home may be /etc for all we know
    assert not ask(where, "download", complete=False).allowed
    assert not ask(policy(moves(paths=["/srv/**"])), "download", "~/x", complete=False).allowed
    assert ask(policy(moves(paths=["~/x"])), "download", "~/x", complete=False).allowed


def test_the_size_that_a_file_may_have_is_the_largest_of_all_that_allow_it() -> None:
    where = policy(moves("small", size="1K"), moves("large-in-srv", paths=["/srv/**"], size="2M"))
    assert ask(where, "upload", "/a").most_bytes == 1024
    assert ask(where, "upload", "/srv/a").most_bytes == 2 << 20
    assert not ask(where, "upload", "/a", size=1025).allowed
    assert ask(policy(moves(), moves("small", size="1K")), "upload", "/a").most_bytes is None


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, None),
        ({"paths": ["srv/in"]}, "a path begins with /"),
        ({"paths": ["/srv/../etc"]}, "no . or .. in it"),
        ({"paths": ["/srv/"]}, "for all below a folder write"),
        ({"paths": ["/srv/a**"]}, "** stands for whole names"),
        ({"paths": []}, "an empty list fits nobody"),
        ({"size": "10 MB"}, "is no size"),
        ({"size": "-1"}, "is no size"),
        ({"direction": "both"}, "must be 'upload' or 'download'"),
        ({"path": ["/srv"]}, "unknown key 'path'"),
    ],
)
def test_a_condition_on_files_that_makes_no_sense_is_refused_with_its_reason(files: dict[str, object], sentence: str | None) -> None:
    error = refused(rule("moves", actions=["sftp"], when={"files": files}))
    assert (sentence or "say a direction, paths or a size") in error.public


def test_conditions_on_files_are_for_sftp_and_scp_alone() -> None:
    assert "fit the actions sftp and scp only" in refused(rule("x", actions=["sftp", "exec"], when={"files": {"size": "1K"}})).public
    assert "give the size to the rule that allows" in refused(
        rule("x", effect="deny", actions=["sftp"], when={"files": {"size": "1K"}})
    ).public


@pytest.mark.parametrize(
    ("pattern", "fits", "not_"),
    [
        ("/srv/in/**", ["/srv/in", "/srv/in/a", "/srv/in/a/b"], ["/srv/inn", "/srv", "/x/srv/in/a", "~/srv/in"]),
        ("/srv/*/x", ["/srv/a/x"], ["/srv/x", "/srv/a/b/x", "/srv/a/x/y"]),
        ("/**/*.log", ["/a.log", "/x/y/a.log"], ["/a.txt", "a.log", "/a.log/b"]),
        ("**/.ssh/**", ["/u/a/.ssh/id", "~/.ssh", "/.ssh"], ["/u/ssh"]),
        ("/a?c/**/d/**/e", ["/abc/d/e", "/abc/x/d/y/z/e"], ["/abc/e/d", "/ac/d/e"]),
        ("**", ["/", "~/x", "/a/b"], []),
        ("~/in/*", ["~/in/x"], ["/home/al/in/x", "~/in", "~/in/x/y"]),
    ],
)
def test_a_path_pattern_means_what_it_says(pattern: str, fits: list[str], not_: list[str]) -> None:
    glob = read_path_glob(pattern)
    assert [path for path in fits if not glob.matches(path)] == []
    assert [path for path in not_ if glob.matches(path)] == []


def test_no_pattern_takes_long() -> None:
    hard = PathGlob("/" + "**/a*b*c/" * 25 + "z")
    assert not hard.matches("/" + "aXbXc/" * 600 + "y")
