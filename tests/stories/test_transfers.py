"""Files move with stock sftp and scp, and each one is in the audit: path, size, direction, SHA-256, result."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.transfers import deeds, last, random_file, remote_shell, run, scp, sftp, sha256
from tests.lab.waiting import until

MB = 1 << 20
SIZE = int(os.environ.get("BASTION_TRANSFER_MB", "5")) * MB
NAMES = ["with space.txt", "ümläut-漢字.txt", "new\nline", "-dash", "quote'\".txt", "$(id)`x`;y", "star*?.txt"]


@pytest.fixture
def far(tmp_path: Path) -> Path:
    """A folder on the endpoint."""
    folder = tmp_path / "far"
    folder.mkdir()
    return folder


def test_sftp_brings_a_file_there_and_back_and_both_are_written_down(bastion: Bastion, tmp_path: Path, far: Path) -> None:
    here = random_file(tmp_path / "here.bin", SIZE)
    since = last(bastion)
    done = sftp(bastion, "alice%web01", f"put {here} {far}/there.bin", f"get {far}/there.bin {tmp_path}/back.bin")
    assert done.returncode == 0, done.stderr
    assert sha256(far / "there.bin") == sha256(here) == sha256(tmp_path / "back.bin")
    up, down = deeds(bastion, since, lambda rows: len(rows) >= 2)
    for row, code in ((up, "file.uploaded"), (down, "file.downloaded")):
        assert (row["code"], row["result"], row["actor"], row["subject"]) == (code, "ok", "alice", "web01")
        assert row["data"]["path"] == f"{far}/there.bin"
        assert row["data"]["bytes"] == SIZE
        assert row["data"]["sha256"] == sha256(here)
        assert row["data"]["seconds"] >= 0
    assert up["session"] == down["session"]


def test_each_change_by_sftp_is_written_down(bastion: Bastion, tmp_path: Path, far: Path) -> None:
    (far / "a").write_text("a")
    since = last(bastion)
    done = sftp(
        bastion, "alice%web01", f"cd {far}", "mkdir d", "rename a b", "chmod 600 b", "ln -s b link", "ln b hard", "ls -l", "rm b", "rmdir d",
        "-rm nothing",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = deeds(bastion, since, lambda found: len(found) >= 8)
    told = [(row["code"].removeprefix("file."), row["data"]["path"].removeprefix(f"{far}/"), row["result"]) for row in rows]
    assert told == [
        ("folder-made", "d", "ok"), ("renamed", "a", "ok"), ("changed", "b", "ok"), ("linked", "b", "ok"), ("linked", "b", "ok"),
        ("removed", "b", "ok"), ("folder-removed", "d", "ok"), ("removed", "nothing", "failed"),
    ]  # fmt: skip
    assert rows[1]["data"]["to"] == f"{far}/b"
    assert rows[2]["data"]["mode"] == "0600"


@pytest.mark.parametrize("old", [False, True], ids=["sftp-protocol", "old-protocol"])
def test_scp_brings_a_file_there_and_back_with_its_times_and_rights(bastion: Bastion, tmp_path: Path, far: Path, old: bool) -> None:
    here = random_file(tmp_path / "here.bin", SIZE)
    here.chmod(0o640)
    os.utime(here, (1_000_000_000, 1_000_000_000))
    since = last(bastion)
    up = scp(bastion, "alice%web01", "-p", str(here), f":{far}/there.bin", old=old)
    down = scp(bastion, "alice%web01", "-p", f":{far}/there.bin", f"{tmp_path}/back.bin", old=old)
    assert (up.returncode, down.returncode) == (0, 0), up.stderr + down.stderr
    for copy in (far / "there.bin", tmp_path / "back.bin"):
        assert sha256(copy) == sha256(here)
        assert copy.stat().st_mode & 0o777 == 0o640
        assert copy.stat().st_mtime == 1_000_000_000
    rows = deeds(bastion, since, lambda found: {"file.uploaded", "file.downloaded"} <= {row["code"] for row in found})
    moved = [row for row in rows if row["code"] in {"file.uploaded", "file.downloaded"}]
    assert [row["data"]["sha256"] for row in moved] == [sha256(here)] * 2
    assert {row["data"]["path"] for row in moved} == {f"{far}/there.bin"}


@pytest.mark.parametrize("old", [False, True], ids=["sftp-protocol", "old-protocol"])
def test_scp_brings_a_whole_tree_with_awkward_names(bastion: Bastion, tmp_path: Path, far: Path, old: bool) -> None:
    tree = tmp_path / "tree"
    (tree / "deep" / "deeper").mkdir(parents=True)
    names = [name for name in NAMES if not (old and "\n" in name)]  # the old protocol has no way to say a line's end
    for name in names:
        (tree / "deep" / name).write_bytes(name.encode())
    for number in range(60):
        (tree / "deep" / "deeper" / f"small-{number}").write_bytes(bytes([number]) * number)
    since = last(bastion)
    up = scp(bastion, "alice%web01", "-r", str(tree), f":{far}/", old=old)
    down = scp(bastion, "alice%web01", "-r", f":{far}/tree", f"{tmp_path}/back", old=old)
    assert (up.returncode, down.returncode) == (0, 0), up.stderr + down.stderr
    for copy in (far / "tree", tmp_path / "back"):
        assert {str(path.relative_to(copy)): path.read_bytes() for path in copy.rglob("*") if path.is_file()} == {
            str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()
        }
    rows = deeds(bastion, since, lambda found: sum(row["code"] == "file.downloaded" for row in found) == len(names) + 60)
    uploaded = {row["data"]["path"] for row in rows if row["code"] == "file.uploaded"}
    assert uploaded == {str(far / "tree" / path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}


def test_what_the_old_scp_expands_at_the_endpoint_arrives(bastion: Bastion, tmp_path: Path, far: Path) -> None:
    for name in ("one.log", "two.log", "three.txt", "a b.log"):
        (far / name).write_text(name)
    (tmp_path / "back").mkdir()
    done = scp(bastion, "alice%web01", f":{far}/*.log", str(tmp_path / "back"), old=True)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "back").iterdir()) == ["a b.log", "one.log", "two.log"]
    assert scp(bastion, "alice%web01", f":{far}/a\\ b.log", f"{tmp_path}/ab", old=True).returncode == 0
    assert (tmp_path / "ab").read_text() == "a b.log"


@pytest.mark.parametrize("old", [False, True], ids=["sftp-protocol", "old-protocol"])
def test_scp_of_what_is_not_there_fails_with_its_words(bastion: Bastion, tmp_path: Path, far: Path, old: bool) -> None:
    done = scp(bastion, "alice%web01", f":{far}/nothing", str(tmp_path / "x"), old=old)
    assert done.returncode == 1
    assert b"No such file" in done.stderr
    done = scp(bastion, "alice%web01", str(tmp_path / "no-such-thing"), f":{far}/", old=old)
    assert done.returncode != 0


def test_sftp_goes_on_where_it_was_cut(bastion: Bastion, tmp_path: Path, far: Path) -> None:
    here = random_file(tmp_path / "here.bin", 3 * MB)
    whole = here.read_bytes()
    (far / "up").write_bytes(whole[:MB])
    (tmp_path / "down").write_bytes(whole[:MB])
    since = last(bastion)
    done = sftp(bastion, "alice%web01", f"reput {here} {far}/up", f"reget {far}/up {tmp_path}/down")
    assert done.returncode == 0, done.stderr
    assert sha256(far / "up") == sha256(tmp_path / "down") == sha256(here)
    rows = [row for row in deeds(bastion, since, lambda found: len(found) >= 2) if "bytes" in row["data"]]
    assert [(row["data"].get("from"), row["data"]["bytes"]) for row in rows] == [(MB, 2 * MB)] * 2


def test_a_transfer_session_plays_as_one_line_for_each_file(bastion: Bastion, tmp_path: Path, far: Path) -> None:
    here = random_file(tmp_path / "seen.bin", 70_000)
    since = last(bastion)
    assert sftp(bastion, "alice%web01", f"put {here} {far}/seen.bin").returncode == 0
    row = deeds(bastion, since)[0]
    text = until(lambda: bastion.ssh("aud", f"transcript {row['session']}").stdout.decode(), "the recording is there")
    assert f"uploaded {far}/seen.bin" in text.replace("\n", "")
    assert row["data"]["sha256"] in text.replace("\n", "")
    past = until(lambda: [one for one in bastion.json("aud", "sessions", "--past") if one["id"] == row["session"]], "it is listed")
    assert past[0]["kind"] == "sftp"
    assert past[0]["bytes_in"] > 70_000


def test_sftp_and_scp_without_an_endpoint_are_told_how(bastion: Bastion, tmp_path: Path) -> None:
    for done in (sftp(bastion, "alice", "ls"), scp(bastion, "alice", __file__, ":x")):
        assert done.returncode != 0
        assert b"sftp USER%NAME@BASTION" in done.stderr


def test_paramiko_moves_files_by_sftp(bastion: Bastion, tmp_path: Path, far: Path) -> None:
    here = random_file(tmp_path / "here.bin", MB + 1)
    with bastion.paramiko("alice%web01") as client, client.open_sftp() as files:
        files.put(str(here), f"{far}/there.bin")
        files.get(f"{far}/there.bin", f"{tmp_path}/back.bin")
        assert files.listdir(str(far)) == ["there.bin"]
        with pytest.raises(OSError, match="No such file"):
            files.stat(f"{far}/nothing")
    assert sha256(tmp_path / "back.bin") == sha256(here)


# ---------------------------------------------------------------- what is exec: rsync, git


def test_rsync_brings_trees_both_ways_as_an_exec(bastion: Bastion, tmp_path: Path, far: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    for name in NAMES:
        (tree / "deep" / name).write_bytes(name.encode())
    random_file(tree / "large", SIZE).chmod(0o600)
    since = last(bastion)
    up = run(["rsync", "-a", "-e", remote_shell(bastion, "alice%web01"), f"{tree}/", f"alice%web01@127.0.0.1:{far}/"])
    down = run(["rsync", "-a", "-e", remote_shell(bastion, "alice%web01"), f"alice%web01@127.0.0.1:{far}/", f"{tmp_path}/back/"])
    assert (up.returncode, down.returncode) == (0, 0), up.stderr + down.stderr
    for path in tree.rglob("*"):
        for copy in (far / path.relative_to(tree), tmp_path / "back" / path.relative_to(tree)):
            assert copy.stat().st_mode == path.stat().st_mode
            assert copy.is_dir() or sha256(copy) == sha256(path)
    started = until(lambda: bastion.audit("session.started", since=since), "they are sessions")
    kinds = until(
        lambda: [one["kind"] for one in bastion.json("aud", "sessions", "--past") if one["id"] in {row["session"] for row in started}],
        "they are listed",
    )
    assert set(kinds) == {"exec"}


def test_git_clones_and_pushes_through(bastion: Bastion, tmp_path: Path, far: Path) -> None:
    quiet = {**os.environ, "GIT_SSH_COMMAND": remote_shell(bastion, "alice%web01"), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    quiet |= {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def git(*words: str) -> None:
        done = run(["git", *words], env=quiet)
        assert done.returncode == 0, done.stderr

    git("init", "-q", "--bare", "-b", "main", str(far / "r.git"))
    git("clone", "-q", f"alice%web01@127.0.0.1:{far}/r.git", str(tmp_path / "one"))
    random_file(tmp_path / "one" / "file", 1 << 20)
    git("-C", str(tmp_path / "one"), "checkout", "-qb", "main")
    git("-C", str(tmp_path / "one"), "add", "file")
    git("-C", str(tmp_path / "one"), "commit", "-qm", "a file")
    git("-C", str(tmp_path / "one"), "push", "-q", "origin", "main")
    git("clone", "-q", f"alice%web01@127.0.0.1:{far}/r.git", str(tmp_path / "two"))
    assert sha256(tmp_path / "two" / "file") == sha256(tmp_path / "one" / "file")


def test_files_move_over_the_jump_as_well(bastion: Bastion, tmp_path: Path, far: Path) -> None:
    """`ssh -J bastion web01` ends in the same channels, so its sftp and scp are written down alike."""
    here = random_file(tmp_path / "here.bin", MB)
    config = tmp_path / "config"
    config.write_text(
        f"Host bastion\n HostName 127.0.0.1\n Port {bastion.port}\n User alice\n"
        "Host web01\n ProxyJump bastion\n User alice\n"
        f"Host *\n IdentityFile {bastion.key_of('alice')}\n IdentitiesOnly yes\n BatchMode yes\n StrictHostKeyChecking no\n"
        " UserKnownHostsFile /dev/null\n LogLevel ERROR\n"
    )
    since = last(bastion)
    for old in ([], ["-O"]):
        done = run(["scp", "-F", str(config), *old, str(here), f"web01:{far}/there{len(old)}"])
        assert done.returncode == 0, done.stderr
    rows = deeds(bastion, since, lambda found: len([row for row in found if row["code"] == "file.uploaded"]) == 2)
    assert {row["data"]["sha256"] for row in rows if row["code"] == "file.uploaded"} == {sha256(here)}
