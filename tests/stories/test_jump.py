"""`ssh -J bastion NAME` and ProxyJump: stock programs that know only names, and the same gate, session and recording."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import paramiko
import pytest

from tests.lab.bastion import Bastion
from tests.lab.cast import Cast
from tests.lab.jump import Jumper
from tests.lab.sshd import Sshd
from tests.lab.tmux import Tmux
from tests.lab.waiting import until


@pytest.fixture(scope="module")
def alice(bastion: Bastion, tmp_path_factory: pytest.TempPathFactory) -> Jumper:
    """Alice's machine, with what the bastion printed for her."""
    return Jumper(bastion, "alice", tmp_path_factory.mktemp("alice"))


def last_sentence(stderr: bytes) -> str:
    """Return what ssh said, on one line."""
    return " ".join(stderr.decode().split())


def test_a_command_runs_and_its_streams_and_exit_code_come_back(alice: Jumper) -> None:
    done = alice.run("ssh", "web01", "cat; echo err >&2; exit 7", input=b"in\x00\xff")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"in\x00\xff", b"err\n")


def test_every_byte_passes_unchanged_both_ways_and_the_session_is_recorded_as_any_other(bastion: Bastion, alice: Jumper, sshd: Sshd) -> None:
    data = os.urandom(3_000_000)
    assert alice.run("ssh", "web01", "cat", input=data).stdout == data
    before = {row["id"] for row in bastion.json("aud", "recordings")}
    assert alice.run("ssh", "web01", "echo planted-through-the-jump").returncode == 0
    new = until(lambda: [row for row in bastion.json("aud", "recordings") if row["id"] not in before], "the recording is listed")
    assert (new[0]["owner"], new[0]["endpoint"], new[0]["login"]) == ("alice", "web01", sshd.user)
    cast = until(lambda: bastion.ssh("aud", f"cast {new[0]['id']}").stdout, "the cast")
    assert b"planted-through-the-jump" in Cast(cast).output
    fact = bastion.audit("jump.opened")[-1]
    assert (fact["actor"], fact["subject"], fact["source"]) == ("alice", "web01", "127.0.0.1")


def test_an_editor_on_a_terminal_and_a_resize(bastion: Bastion, alice: Jumper, tmp_path: Path) -> None:
    file = tmp_path / "note"
    window = Tmux(tmp_path, alice.argv("ssh", "-t", "web01", f"vim.tiny -u NONE -N {file}; stty size"))
    try:
        window.wait("~")
        window.resize(100, 30)
        window.text("ithrough the jump")
        window.type("Escape")
        window.text(":wq")
        window.type("Enter")
        window.wait("30 100")
        assert window.wait_exit() == 0
        assert file.read_text() == "through the jump\n"
    finally:
        window.close()


def test_others_look_on_in_a_session_that_came_by_a_jump(bastion: Bastion, alice: Jumper, tmp_path: Path) -> None:
    window = Tmux(tmp_path, alice.argv("ssh", "-tt", "web01"))
    try:
        window.wait("~")
        row = until(lambda: bastion.live(user="sup", owner="alice", kind="shell"), "it is listed")[0]
        viewer = bastion.tmux("sup", f"join {row['id']}")
        try:
            window.text("echo seen-by-$((40+2))")
            window.type("Enter")
            viewer.wait("seen-by-42")
        finally:
            viewer.close()
        window.text("exit 3")
        window.type("Enter")
        assert window.wait_exit() == 3
    finally:
        window.close()


def test_files_go_by_both_scps_and_rsync_with_equal_checksums(bastion: Bastion, alice: Jumper, tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.write_bytes(os.urandom(400_000))
    for program, args in (("scp", []), ("scp", ["-O"]), ("rsync", [])):
        there, back = (tmp_path / f"{program}{''.join(args)}-{way}" for way in ("there", "back"))
        up = alice.run(program, *args, str(source), f"web01:{there}")
        down = alice.run(program, *args, f"web01:{there}", str(back))
        assert (up.returncode, down.returncode) == (0, 0), up.stderr + down.stderr
        assert {hashlib.sha256(one.read_bytes()).hexdigest() for one in (source, there, back)} == {
            hashlib.sha256(source.read_bytes()).hexdigest()
        }
    sha = hashlib.sha256(source.read_bytes()).hexdigest()
    moved = until(lambda: [row for row in bastion.audit() if sha in json.dumps(row)], "each copy is in the audit with its checksum")
    assert {row["actor"] for row in moved} == {"alice"}


def test_git_clones_and_pushes(alice: Jumper, tmp_path: Path) -> None:
    there, here = tmp_path / "there.git", tmp_path / "here"
    environment = {
        **os.environ, "GIT_SSH_COMMAND": f"ssh -F {alice.config}", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    }  # fmt: skip
    for argv in (
        ["init", "-q", "--bare", str(there)],
        ["clone", "-q", f"ssh://web01{there}", str(here)],
        ["-C", str(here), "commit", "-q", "--allow-empty", "-m", "through the jump"],
        ["-C", str(here), "push", "-q", "origin", "HEAD:refs/heads/main"],
    ):
        subprocess.run(["git", *argv], env=environment, check=True, capture_output=True, timeout=60)
    log = subprocess.run(["git", "-C", str(there), "log", "--format=%s", "main"], check=True, capture_output=True, text=True)
    assert log.stdout == "through the jump\n"


def test_a_login_is_named_as_the_inner_user_and_one_that_is_not_there_is_told(bastion: Bastion, alice: Jumper, sshd: Sshd) -> None:
    assert alice.run("ssh", f"{sshd.user}@web01", "id -un").stdout.decode().strip() == sshd.user
    assert alice.run("ssh", "alice@web01", "id -un").stdout.decode().strip() == sshd.user, "one's own name is the first login"
    done = alice.run("ssh", "nobody2@web01", "true")
    assert done.returncode == 64
    assert last_sentence(done.stderr) == f"bastion: web01 has no login 'nobody2'; it has: {sshd.user}."
    client = paramiko_inside(bastion)
    with pytest.raises(paramiko.AuthenticationException):
        client.auth_publickey("a b; rm", paramiko.Ed25519Key.from_private_key_file(str(bastion.key_of("alice"))))
    assert client.get_banner() == b"bastion: 'a b; rm' is not a login name.\r\n"
    client.close()


def paramiko_inside(bastion: Bastion) -> paramiko.Transport:
    """Return paramiko's transport to web01 through the bastion, not logged in."""
    outer = bastion.paramiko("alice").get_transport()
    assert outer is not None
    inner = paramiko.Transport(outer.open_channel("direct-tcpip", ("web01", 22), ("127.0.0.1", 1)))
    inner.start_client(timeout=20)
    return inner


def test_paramiko_jumps_too(bastion: Bastion, sshd: Sshd) -> None:
    client = paramiko_inside(bastion)
    client.auth_publickey(sshd.user, paramiko.Ed25519Key.from_private_key_file(str(bastion.key_of("alice"))))
    channel = client.open_session()
    channel.exec_command("echo by paramiko")
    assert channel.makefile().read() == b"by paramiko\n"
    assert channel.recv_exit_status() == 0
    client.close()


def test_what_cannot_be_reached_is_one_sentence_and_audited(bastion: Bastion, alice: Jumper) -> None:
    done = alice.run("ssh", "-J", "bastion", "nosuch", "true")
    assert done.returncode == 255
    assert "open failed: administratively prohibited: There is no endpoint 'nosuch' that you may reach." in last_sentence(done.stderr)
    done = alice.run("ssh", "-J", "bastion", "-p", "5432", "127.0.0.1", "true")
    assert "This bastion forwards no ports for you: No rule allows forward for alice." in last_sentence(done.stderr)
    until(lambda: any(one["subject"] == "nosuch:22" for one in bastion.audit("jump.refused")), "the refusal is audited")
    assert bastion.audit("forward.refused")[-1]["subject"] == "127.0.0.1:5432"


def test_who_may_not_connect_is_told_the_same_for_endpoints_that_exist(bastion: Bastion, tmp_path: Path) -> None:
    auditor = Jumper(bastion, "aud", tmp_path, config=f"Host bastion\n  HostName 127.0.0.1\n  Port {bastion.port}\n  User aud\n")
    there, nowhere = (last_sentence(auditor.run("ssh", "-J", "bastion", name, "true").stderr) for name in ("web01", "web99"))
    assert "There is no endpoint 'web01' that you may reach." in there
    assert there.replace("web01", "web99") == nowhere
    fact = bastion.audit("jump.refused")[-2]
    assert (fact["actor"], fact["subject"], fact["result"]) == ("aud", "web01", "denied")
    assert "No rule allows connect on web01" in fact["reason"]


def test_the_inner_host_key_is_certified_by_the_bastion_alone(bastion: Bastion, alice: Jumper, tmp_path: Path) -> None:
    own = bastion.home / "host_ed25519.pub"
    (tmp_path / "known").write_text(f"[127.0.0.1]:{bastion.port} {own.read_text()}")
    done = alice.run("ssh", "-o", f"UserKnownHostsFile={tmp_path}/known", "web01", "true")
    assert done.returncode == 255
    assert "Host key verification failed." in last_sentence(done.stderr)


def test_nobody_elses_key_opens_the_inner_connection(bastion: Bastion, alice: Jumper) -> None:
    command = f"ssh -F {alice.config} -W %h:%p bastion"
    done = alice.run("ssh", "-i", str(bastion.key_of("bob")), "-o", "IdentityFile=none", "-J", "none", "-o", f"ProxyCommand={command}",
                     "-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={alice.known_hosts}", "-o", "IdentitiesOnly=yes", "web01", "true")  # fmt: skip
    assert done.returncode == 255
    assert "Permission denied (publickey)." in last_sentence(done.stderr)


def test_one_master_connection_carries_several_endpoints_and_each_session_is_decided(
    bastion: Bastion, sshd: Sshd, alice: Jumper, tmp_path: Path
) -> None:
    socket = f"/tmp/cm-{os.getpid()}-%n"  # a socket's path may have 104 bytes
    shared = ("-o", "ControlMaster=auto", "-o", f"ControlPath={socket}", "-o", "ControlPersist=30")
    try:
        before = len(bastion.audit("login.accepted"))
        rows = len(bastion.audit("session.started"))
        for number in range(3):
            assert alice.run("ssh", *shared, "bastion", f"connect web01 -- echo {number}").stdout == b"%d\n" % number
        assert alice.run("ssh", *shared, "bastion", "whoami").returncode == 0
        refused = alice.run("ssh", *shared, "bastion", "connect nosuch -- true")
        assert refused.returncode == 66
        assert alice.run("ssh", *shared, "web01", "echo inner").stdout == b"inner\n"
        assert alice.run("ssh", *shared, "web01", "echo again").stdout == b"again\n"
        accepted = [one for one in bastion.audit("login.accepted")[before:] if one["actor"] == "alice"]
        assert len(accepted) == 2, "the master's, and that of the jump's own outer connection"
        assert len([one for one in bastion.audit("session.started")[rows:] if one["actor"] == "alice"]) == 5
    finally:
        for name in ("bastion", "web01"):
            subprocess.run(alice.argv("ssh", *shared, "-O", "exit", name), capture_output=True, check=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-R", "0:127.0.0.1:22"), "remote port forwarding failed"),
        (("-A",), ""),
        (("-X",), ""),
        (("-w", "any"), "This kind of channel is not offered"),
    ],
    ids=["remote", "agent", "x11", "tun"],
)
def test_other_forwarding_is_refused_on_the_inner_connection_too(alice: Jumper, options: tuple[str, ...], said: str) -> None:
    done = alice.run("ssh", *options, "web01", "echo SSH_AUTH_SOCK=$SSH_AUTH_SOCK DISPLAY=$DISPLAY")
    assert said in last_sentence(done.stderr)
    if done.returncode == 0:
        assert done.stdout == b"SSH_AUTH_SOCK= DISPLAY=\n"


def test_a_locked_account_loses_its_inner_connections(own_bastion: Bastion, tmp_path: Path) -> None:
    bob = Jumper(own_bastion, "bob", tmp_path / "m")
    window = Tmux(tmp_path, bob.argv("ssh", "-tt", "web01"))
    try:
        window.wait("~")
        assert own_bastion.ssh("root1", "user lock bob --reason left --yes").returncode == 0
        assert window.wait_exit() in (75, 255)
    finally:
        window.close()


def test_what_is_printed_is_json_for_programs_too(bastion: Bastion, sshd: Sshd) -> None:
    rows = bastion.json("alice", "ssh-config")
    assert [(row["name"], row["logins"]) for row in rows if row["endpoint"] == "web01"] == [("web01", [sshd.user])]
    bastion_line, authority = bastion.json("alice", "known-hosts")[:2]
    assert bastion_line["name"] == f"[127.0.0.1]:{bastion.port}"
    assert (authority["marker"], "web01" in authority["name"].split(",")) == ("@cert-authority", True)
    assert bastion.json("aud", "ssh-config") == [], "who may reach nothing is told of nothing"


def test_the_direct_block_works_as_well(bastion: Bastion, tmp_path: Path) -> None:
    config = bastion.ssh("alice", f"ssh-config --direct --prefix d- --bastion 127.0.0.1:{bastion.port}").stdout.decode()
    alice = Jumper(bastion, "alice", tmp_path, config=config)
    assert alice.run("ssh", "d-web01", "echo direct").stdout == b"direct\n"
    assert json.loads(bastion.ssh("alice", "ssh-config --json").stdout)
