"""What is taken away ends what lives, within two seconds, with its reason."""

from __future__ import annotations

import subprocess
import time

from tests.lab.bastion import Bastion


def running(bastion: Bastion, user: str, command: str = "connect web01 -- echo up; exec sleep 600") -> subprocess.Popen[bytes]:
    """Start a session and return once its program runs."""
    client = subprocess.Popen(bastion.ssh_argv(user, command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert client.stdout is not None
    assert client.stdout.readline() == b"up\n"
    return client


def ended(client: subprocess.Popen[bytes], since: float) -> tuple[int, bytes, float]:
    """Wait for the end: exit code, what was said, seconds it took."""
    _, said = client.communicate(timeout=20)
    return client.returncode, said, time.monotonic() - since


def test_locking_an_account_ends_its_session_and_its_connections(own_bastion: Bastion) -> None:
    client = running(own_bastion, "alice")
    since = time.monotonic()
    assert own_bastion.ssh("root1", "user lock alice --yes --reason gone").returncode == 0
    code, said, seconds = ended(client, since)
    assert code in (75, 255)
    assert seconds < 4  # two, and what the lock's own ssh takes on a busy machine
    assert own_bastion.ssh("alice", "whoami").returncode == 255
    reasons = {row["reason"] for row in own_bastion.json("sup", "sessions", "--past")}
    assert reasons & {"revoked", "killed"}
    del said


def test_a_policy_that_changes_ends_what_it_no_longer_allows_and_says_which_rule(own_bastion: Bastion) -> None:
    client = running(own_bastion, "alice")
    policy = own_bastion.home / "policies" / "default.yaml"
    since = time.monotonic()
    policy.write_text(
        policy.read_text()
        + """
  - name: maintenance-freeze
    effect: deny
    roles: [engineer]
    actions: [connect, exec]
    endpoints: ["*"]
"""
    )
    code, said, seconds = ended(client, since)
    assert code == 75
    assert b"maintenance-freeze" in said
    assert seconds < 5  # the files are looked at twice in a second; revocation has two seconds
    refused = own_bastion.ssh("alice", "connect web01 -- true")
    assert refused.returncode in (66, 77)


def test_a_viewer_whose_role_is_taken_away_is_put_out_and_the_session_goes_on(own_bastion: Bastion) -> None:
    owner = own_bastion.tmux("alice", "connect web01", options=("-tt",))
    viewer = None
    try:
        owner.wait("~")
        session = own_bastion.json("sup", "sessions")[0]["id"]
        viewer = own_bastion.tmux("sup", f"join {session}", options=("-tt",))
        viewer.wait("alice types")
        own_bastion.ssh("root1", "user role sup --remove supervisor")
        viewer.wait("Policy no longer allows it", seconds=5)
        owner.text("echo still-here")
        owner.type("Enter")
        owner.wait("\nstill-here")
    finally:
        owner.close()
        if viewer is not None:
            viewer.close()
