"""Search through the real door: what stood in vim on a real endpoint is found, what was typed too, and the refused are told why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lab.bastion import Bastion
from tests.lab.tmux import Tmux
from tests.lab.waiting import until

SHELL = "connect web01 -- env PS1='ready$ ' HISTFILE= sh"


def find(bastion: Bastion, text: str, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bastion.json("aud", "search", f"'{text}'", *more)
    return found


def found(bastion: Bastion, text: str, *more: str) -> list[dict[str, Any]]:
    return until(lambda: find(bastion, text, *more), f"{text!r} is found")


def shell(bastion: Bastion) -> Tmux:
    engineer = bastion.tmux("alice", SHELL)
    engineer.wait("ready$")
    return engineer


def test_what_stood_in_vim_is_found_with_its_row_and_played_from_there(bastion: Bastion, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("".join(f"entry {n:03} of the vim-notes\n" for n in range(1, 101)))
    engineer = shell(bastion)
    engineer.text(f"cd {tmp_path} && vim -u NONE -i NONE notes")
    engineer.type("Enter")
    engineer.wait("entry 001")
    engineer.text("60Gzt")
    screen = engineer.wait("entry 075")
    (hit,) = found(bastion, "ENTRY 070 of the vim-notes")  # while the session runs
    assert screen.splitlines()[hit["row"] - 1] == "entry 070 of the vim-notes"
    assert (hit["owner"], hit["by"], hit["endpoint"], hit["kind"]) == ("alice", "alice", "web01", "shown")
    engineer.text(":q")
    engineer.type("Enter")
    engineer.wait("ready$")
    engineer.text("echo aft''erwards; exit")
    engineer.type("Enter")
    engineer.wait_exit()
    engineer.close()
    found(bastion, "afterwards", "--session", hit["id"])
    assert find(bastion, "entry 050 of the vim-notes") == [], "it never stood there"
    assert [one["text"] for one in find(bastion, "entry 070 of the vim-notes")] == ["entry 070 of the vim-notes"], "once, though it stayed"

    auditor = bastion.tmux("aud", "search 'entry 070 of the vim'", columns=100)
    auditor.wait("1 of 1")
    auditor.type("Enter")
    played = auditor.wait("paused")
    assert "entry 070 of the vim-notes" in played
    assert "entry 001" not in played
    auditor.text("q")
    auditor.wait("1 of 1")
    auditor.text("q")
    assert auditor.wait_exit() == 0
    auditor.close()
    replayed = until(lambda: [row for row in bastion.audit("recording.replayed") if row["session"] == hit["id"]], "the replay is audited")
    assert replayed[-1]["actor"] == "aud"


def test_every_search_is_audited_with_what_was_looked_for(bastion: Bastion) -> None:
    before = len(bastion.audit("recording.searched"))
    find(bastion, "never-to-be-found-4711", "--since", "1h")
    (row,) = until(lambda: bastion.audit("recording.searched")[before:], "the search is audited")
    assert (row["actor"], row["data"]["text"], row["data"]["found"]) == ("aud", "never-to-be-found-4711", 0)


@pytest.mark.parametrize("person", ["alice", "sup"])
def test_one_who_may_not_search_is_refused_with_the_reason(bastion: Bastion, person: str) -> None:
    refused = bastion.ssh(person, "search anything")
    assert refused.returncode == 77
    assert f"No rule allows search for {person}" in refused.stderr.decode()
    assert refused.stdout == b""
    until(lambda: [row for row in bastion.audit("command.denied") if row["actor"] == person and row["subject"] == "search"], "it is audited")


def test_what_a_command_without_a_terminal_wrote_is_found(bastion: Bastion) -> None:
    bastion.ssh("bob", "connect web01 -- printf 'alpha\\nneedle-of-exec\\nomega\\n'")
    (hit,) = found(bastion, "needle-of-exec")
    assert (hit["owner"], hit["text"]) == ("bob", "needle-of-exec")


def test_a_text_of_nothing_or_many_lines_is_no_text(bastion: Bastion) -> None:
    for text in ("''", "' '", f"'{'x' * 201}'", "'two\nlines'"):
        refused = bastion.ssh("aud", f"search {text}")
        assert refused.returncode == 64, text
        assert b"1 to 200 characters of one line" in refused.stderr


def test_typed_lines_are_found_where_policy_records_input_and_passwords_are_not(own_bastion: Bastion) -> None:
    policy = own_bastion.home / "policies" / "default.yaml"
    rule = next(line for line in policy.read_text().splitlines(keepends=True) if "actions: [connect" in line)
    policy.write_text(policy.read_text().replace(rule, f"{rule}    terms:\n      input: true\n", 1))
    assert own_bastion.ssh("root1", "policy reload").returncode == 0
    engineer = shell(own_bastion)
    engineer.text("echo typed-by-ali")
    engineer.type("BSpace", "BSpace")
    engineer.text("lice")
    engineer.type("Enter")
    engineer.wait("typed-by-alice")
    engineer.text("stty -echo; read secret; stty echo; echo done''reading")
    engineer.type("Enter")
    until(lambda: engineer.screen().count("stty"), "it reads")
    engineer.text("pass-word-nobody-sees")
    engineer.type("Enter")
    engineer.wait("donereading")
    (hit,) = found(own_bastion, "typed-by-alice", "--typed")
    assert (hit["by"], hit["kind"], hit["row"]) == ("alice", "typed", None)
    engineer.text("exit")
    engineer.type("Enter")
    engineer.wait_exit()
    engineer.close()
    found(own_bastion, "donereading", "--shown")
    assert find(own_bastion, "pass-word-nobody-sees") == []


def test_a_killed_bastion_finds_everything_once_again_after_its_start(own_bastion: Bastion) -> None:
    engineer = shell(own_bastion)
    for n in range(3):
        engineer.text(f"echo crash-proof-line-{n}; seq 1 40")
        engineer.type("Enter")
        until(lambda n=n: find(own_bastion, f"crash-proof-line-{n}"), "it stood there")
    own_bastion.stop(kill=True)
    engineer.close()
    own_bastion.start()
    lines = until(
        lambda: (rows := find(own_bastion, "crash-proof-line-")) and {row["text"] for row in rows if row["text"].startswith("crash")} == {
            f"crash-proof-line-{n}" for n in range(3)
        } and rows,
        "all lines are back",
    )  # fmt: skip
    texts = [row["text"] for row in lines]
    assert sorted(set(texts)) == sorted(texts), "nothing twice"
