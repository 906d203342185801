"""Policy decides each file before the endpoint hears of it, and no command gets past the recorder by looking like scp."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.cast import Cast
from tests.lab.transfers import deeds, last, random_file, scp, sftp
from tests.lab.waiting import until

POLICY = """
roles:
  engineer: {members: []}
  worker: {members: [alice]}
  filer: {members: [bob]}
rules:
  - {name: workers, effect: allow, roles: [worker], actions: [connect, exec], endpoints: ["*"]}
  - name: filers-drop
    effect: allow
    roles: [filer]
    actions: [sftp, scp]
    endpoints: ["*"]
    when: {files: {direction: upload, paths: ["FAR/in/**"], size: 64K}}
  - name: filers-fetch
    effect: allow
    roles: [filer]
    actions: [sftp, scp]
    endpoints: ["*"]
    when: {files: {direction: download, paths: ["FAR/**"]}}
  - name: nobody-secrets
    effect: deny
    roles: ["*"]
    actions: [sftp, scp]
    endpoints: ["*"]
    when: {files: {paths: ["**/secret*"]}}
  - {name: auditors, effect: allow, roles: [aud], actions: [replay, search, export, audit, list], endpoints: ["*"]}
"""


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("far")
    (folder / "in").mkdir()
    (folder / "secret.txt").write_text("the plan")
    (folder / "open.txt").write_text("for all")
    return folder


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, furnished_home: Bastion, far: Path) -> Iterator[Bastion]:
    """A bastion where bob may only drop small files into one folder and fetch from another, and alice only work."""
    lives = furnished_home.copy(tmp_path_factory.mktemp("strict") / "b")
    policies = lives.home / "policies"
    for path in policies.glob("*.yaml"):
        path.unlink()
    (policies / "p.yaml").write_text(POLICY.replace("FAR", str(far)).replace("roles: [aud]", "users: [aud]"))
    lives.start()
    yield lives
    lives.stop()


@pytest.mark.parametrize("old", [False, True], ids=["sftp-protocol", "old-protocol"])
def test_a_download_that_policy_denies_never_starts_and_says_which_rule(strict: Bastion, far: Path, tmp_path: Path, old: bool) -> None:
    since = last(strict)
    done = scp(strict, "bob%web01", f":{far}/secret.txt", str(tmp_path / "x"), old=old)
    assert done.returncode == 1
    assert b"nobody-secrets" in done.stderr
    assert not (tmp_path / "x").exists()
    (row,) = deeds(strict, since)
    assert (row["code"], row["result"], row["data"]["path"]) == ("file.downloaded", "denied", f"{far}/secret.txt")
    assert "nobody-secrets" in row["reason"]
    assert scp(strict, "bob%web01", f":{far}/open.txt", str(tmp_path / "x"), old=old).returncode == 0


@pytest.mark.parametrize("old", [False, True], ids=["sftp-protocol", "old-protocol"])
def test_an_upload_goes_only_where_policy_says_and_only_so_large(strict: Bastion, far: Path, tmp_path: Path, old: bool) -> None:
    small, large = random_file(tmp_path / "small", 60_000), random_file(tmp_path / "large", 70_000)
    name = f"f{int(old)}"
    assert scp(strict, "bob%web01", str(small), f":{far}/in/{name}", old=old).returncode == 0
    for source, target, words in ((small, f"{far}/{name}", b"filers-drop"), (large, f"{far}/in/large{name}", b"at most 65536 bytes")):
        done = scp(strict, "bob%web01", str(source), f":{target}", old=old)
        assert done.returncode == 1
        assert words in done.stderr
        assert not Path(target).exists() or Path(target).stat().st_size <= 65536
    assert (far / "in" / name).read_bytes() == small.read_bytes()


def test_renaming_linking_and_changing_rights_are_decided_by_their_paths(strict: Bastion, far: Path) -> None:
    (far / "in" / "kept").touch()  # a folder that is not empty is not removed
    for line in (
        f"rename {far}/secret.txt {far}/in/now-mine", f"rename {far}/open.txt {far}/in/now-mine", f"ln -s {far}/secret.txt {far}/in/link",
        f"ln {far}/secret.txt {far}/in/hard", f"chmod 777 {far}/open.txt", f"rm {far}/open.txt", f"mkdir {far}/new", f"rmdir {far}/in",
        f"ln -s ../secret.txt {far}/in/link", f"get {far}/in/../secret.txt /dev/null",
    ):  # fmt: skip
        done = sftp(strict, "bob%web01", line)
        if line.startswith("rmdir"):
            assert done.returncode == 1, line
            continue
        assert done.returncode == 1, line
        assert b"ermission denied" in done.stderr + done.stdout, (line, done.stderr)
    assert sorted(path.name for path in far.iterdir()) == ["in", "open.txt", "secret.txt"]
    assert not [path for path in (far / "in").iterdir() if path.is_symlink() or path.name in {"now-mine", "hard"}]


@pytest.mark.parametrize("old", [False, True], ids=["sftp-protocol", "old-protocol"])
def test_whom_no_rule_lets_move_files_is_refused_with_the_reason(strict: Bastion, far: Path, tmp_path: Path, old: bool) -> None:
    done = scp(strict, "alice%web01", f":{far}/open.txt", str(tmp_path / "x"), old=old)
    assert done.returncode != 0
    assert f"No rule allows {'scp' if old else 'sftp'} on web01".encode() in done.stderr
    assert b"77" not in done.stdout
    assert not (tmp_path / "x").exists()


def test_who_may_only_move_files_gets_no_command_that_begins_with_scp(strict: Bastion, far: Path) -> None:
    for command in ("scp -t x; touch FAR/in/evil", "scp -t x && sh", "scp -S /bin/sh -t x", "scp -t $(touch FAR/in/evil)", "scp -t x\ntouch FAR/in/evil"):
        done = strict.ssh("bob%web01", command.replace("FAR", str(far)))
        assert done.returncode == 77, (command, done.stderr)
        assert b"No rule allows exec on web01" in done.stderr
    done = strict.ssh("bob%web01", "scp -t x", options=("-tt",))
    assert done.returncode == 77
    assert not (far / "in" / "evil").exists()


@pytest.mark.parametrize(
    "command", ["scp -t x; echo evaded-$((6*7))", "scp -t x && sh; echo evaded-$((6*7))", "scp -t $(echo evaded-$((6*7)) >&2)", "scp -f x\necho evaded-42"]
)
def test_a_command_that_begins_as_an_scp_is_a_recorded_session(bastion: Bastion, command: str) -> None:
    """With a terminal and without: what it shows is on file, and it was decided as exec."""
    for words, options in (([f"connect web01 -- {command}"], ("-tt",)), ([f"connect web01 -- {command}"], ()), ([command], ())):
        user = "alice" if words[0].startswith("connect") else "alice%web01"
        since = last(bastion)
        bastion.ssh(user, *words, options=options, input=b"\x04" * 4)
        started = until(lambda since=since: bastion.audit("session.started", since=since), "it started")[0]
        until(lambda since=since: bastion.audit("session.ended", since=since), "it ended")
        (past,) = [one for one in bastion.json("aud", "sessions", "--past") if one["id"] == started["session"]]
        assert past["kind"] == "exec"
        cast = until(
            lambda started=started: [path for path in bastion.casts() if path.parent.name.startswith(started["session"])], "the cast is there"
        )[0]
        assert b"evaded-42" in Cast.read(cast).output
