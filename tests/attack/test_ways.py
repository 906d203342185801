"""Gates by ways (every way in passes the same gate): made from the product's own table, so a new way without a driver here fails.

A way is a kind of session at a door: the verb (`ssh bastion connect NAME`), the address (`USER%NAME@bastion`), the jump
(`ssh -J bastion NAME`). Each cell is a real client; it must be refused, leave nothing on the endpoint, and be in the audit.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bastion.core.access.actions import ACTIONS
from bastion.core.access.ways import ACTION_OF
from bastion.frontends.commands.tree import root, walk
from tests.lab.bastion import Bastion
from tests.lab.jump import Jumper
from tests.lab.sshd import Sshd
from tests.lab.waiting import until

Done = subprocess.CompletedProcess[bytes]
SCP = b"C0600 1 f\nx\0"

GATES: dict[str, str] = {
    "no-rule": "",
    "deny": "- {name: d, effect: deny, roles: ['*'], actions: [ALL], endpoints: [deny]}",
    "hours": "- {name: h, effect: allow, roles: [engineer], actions: [ALL], endpoints: [hours], when: {dates: ['2001-01-01..2001-01-02 UTC']}}",
    "source": "- {name: s, effect: allow, roles: [engineer], actions: [ALL], endpoints: [source], when: {sources: [192.0.2.0/24]}}",
    "login": "- {name: l, effect: allow, roles: [engineer], actions: [ALL], endpoints: [login], logins: [nobody-else]}",
    "factor": "- {name: f, effect: allow, roles: [engineer], actions: [ALL], endpoints: [factor], when: {factor: {kinds: [totp]}}}",
    "approval": "- {name: a, effect: allow, roles: [engineer], actions: [ALL], endpoints: [approval], approval: {by: [supervisor]}}",
}
"""Gate (and the endpoint behind it) -> its rule. What a rule allows besides cannot open it."""

ALL = ", ".join(ACTION_OF.values())


@dataclass
class World:
    """A bastion with an endpoint behind each gate and one open one, and alice's machine."""

    bastion: Bastion
    jumper: Jumper

    def ssh(self, user: str, *words: str, given: bytes = b"") -> Done:
        return self.bastion.ssh(user, *words, input=given)


Driver = Callable[[World, str, Path], Done]


def _sftp(argv: list[str], mark: Path) -> Done:
    """Run sftp over that ssh command line."""
    given = f"put /etc/hostname {mark}\n".encode()
    return subprocess.run(argv, input=given, capture_output=True, timeout=60, check=False)


def _over(world: World, words: list[str], mark: Path) -> Done:
    """Run sftp with a verb as its server, over plain ssh."""
    server = " ".join(world.bastion.ssh_argv("alice", *words))
    return _sftp(["sftp", "-b", "-", "-D", server], mark)


def _options(world: World) -> list[str]:
    return ["-P" if word == "-p" else word for word in world.bastion.ssh_argv("alice")[1:-1]]


DRIVERS: dict[tuple[str, str], Driver] = {
    ("shell", "verb"): lambda w, name, mark: w.ssh("alice", f"connect {name}", given=f"touch {mark}\nexit\n".encode()),
    ("shell", "address"): lambda w, name, mark: w.ssh(f"alice%{name}", given=f"touch {mark}\nexit\n".encode()),
    ("shell", "jump"): lambda w, name, mark: w.jumper.run("ssh", name, input=f"touch {mark}\nexit\n".encode()),
    ("exec", "verb"): lambda w, name, mark: w.ssh("alice", f"connect {name} -- touch {mark}"),
    ("exec", "address"): lambda w, name, mark: w.ssh(f"alice%{name}", f"touch {mark}"),
    ("exec", "jump"): lambda w, name, mark: w.jumper.run("ssh", name, f"touch {mark}"),
    ("scp", "verb"): lambda w, name, mark: w.ssh("alice", f"connect {name} -- scp -t {mark}", given=SCP),
    ("scp", "address"): lambda w, name, mark: w.ssh(f"alice%{name}", f"scp -t {mark}", given=SCP),
    ("scp", "jump"): lambda w, name, mark: w.jumper.run("scp", "-O", "/etc/hostname", f"{name}:{mark}"),
    ("sftp", "verb"): lambda w, name, mark: _over(w, [f"sftp {name}"], mark),
    ("sftp", "address"): lambda w, name, mark: _sftp(["sftp", *_options(w), "-b", "-", f"alice%{name}@127.0.0.1"], mark),
    ("sftp", "jump"): lambda w, name, mark: _sftp(w.jumper.argv("sftp", "-b", "-", name), mark),
}

INTO_LIVE = {"join", "attach", "kill", "pause", "resume", "invite", "kick", "request-control", "give", "take", "message"}
"""Verbs that reach a session that runs; who is not in it learns nothing, not even that there is one."""
READING = {"replay", "search", "export"}
"""Actions on what was recorded: nothing is dialled and no session is entered."""
DIALLING = {"connect", "sftp"}


def test_every_way_that_the_product_knows_has_a_driver_here() -> None:
    assert {kind for kind, _ in DRIVERS} == set(ACTION_OF)
    assert {(kind, door) for kind in ACTION_OF for door in ("verb", "address", "jump")} == set(DRIVERS)
    assert set(ACTION_OF.values()) <= {name for name, action in ACTIONS.items() if action.dials}
    asked = {" ".join(path): verb.action for path, verb in walk(root) if verb.asks == "service"}
    assert set(asked) >= INTO_LIVE | DIALLING
    assert {path for path, action in asked.items() if action not in READING} - INTO_LIVE - DIALLING == {"admin"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, furnished_home: Bastion, sshd: Sshd) -> Iterator[World]:
    lives = furnished_home.copy(tmp_path_factory.mktemp("ways") / "b")
    lives.start()
    for name in (*GATES, "open"):
        lives.admit_endpoint(name, sshd.port, sshd.user, sshd.key, sshd.host_key_public)
    lives.stop()
    lives.port = 0
    policies = lives.home / "policies"
    shipped = (policies / "default.yaml").read_text()
    for path in policies.glob("*.yaml"):
        path.unlink()
    roles = shipped[shipped.index("\nroles:") : shipped.index("\nrules:")]
    # The jump's own door and the list of endpoints ask whether anything at all is allowed: `list` there is not.
    rules = ["- {name: open, effect: allow, roles: [engineer], actions: [ALL], endpoints: [open, deny]}"]
    rules += ["- {name: desk, effect: allow, roles: ['*'], actions: [list, replay, audit, export, 'admin.*'], endpoints: ['*']}"]
    text = roles + "\nrules:\n" + "\n".join(f"  {rule}" for rule in (*rules, *GATES.values()) if rule).replace("ALL", ALL) + "\n"
    (policies / "ways.yaml").write_text(text)
    assert lives.program("policy", "check").returncode == 0
    lives.start()
    # Names that alice may not reach are not printed for her, so she writes them herself, as an attacker would.
    folder = tmp_path_factory.mktemp("alice")
    jumper = Jumper(lives, "alice", folder)
    blocks = "".join(
        f"Host {name}\n  HostName {name}\n  User alice\n  ProxyCommand {' '.join(lives.ssh_argv('alice')[:-1])} -W {name}:22 alice@127.0.0.1\n"
        for name in (*GATES, "open")
    )
    jumper.config.write_text(blocks + jumper.config.read_text().partition("Host *\n")[1] + jumper.config.read_text().partition("Host *\n")[2])
    yield World(lives, jumper)
    lives.stop()


def test_every_way_is_open_where_a_rule_opens_it_and_leaves_a_session_with_a_recording(world: World, tmp_path: Path) -> None:
    since = _last(world)
    with ThreadPoolExecutor(4) as pool:
        runs = {way: pool.submit(driver, world, "open", tmp_path / "-".join(way)) for way, driver in DRIVERS.items()}
    for way, run in runs.items():
        assert run.result().returncode == 0, (way, run.result().stderr)
        assert (tmp_path / "-".join(way)).exists(), way
    ended = until(lambda: _ended(world, since, len(DRIVERS)), "all sessions ended")

    def listed() -> dict[str, str]:
        """Return the kind of each session that is over, once all of these are listed."""
        past = {one["id"]: one["kind"] for one in world.bastion.json("aud", "sessions", "--past")}
        return past if set(ended) <= set(past) else {}

    past = until(listed, "all are listed as past")
    assert sorted(past[session] for session in ended) == sorted(kind for kind, _ in DRIVERS)
    recorded = {path.parent.name for path in world.bastion.casts()} | {path.parent.name for path in world.bastion.home.glob("recordings/**/session.*")}
    assert ended <= recorded


@pytest.mark.parametrize("gate", GATES)
def test_a_gate_is_shut_on_every_way(world: World, tmp_path: Path, gate: str) -> None:
    since = _last(world)
    with ThreadPoolExecutor(4) as pool:
        runs = {way: pool.submit(driver, world, gate, tmp_path / "-".join(way)) for way, driver in DRIVERS.items()}
    for way, run in runs.items():
        assert run.result().returncode != 0, (gate, way, run.result())
        assert not (tmp_path / "-".join(way)).exists(), (gate, way)
    facts = [row for row in world.bastion.audit(since=since) if row["subject"] == gate and row["actor"] == "alice"]
    assert [row["code"] for row in facts if row["code"] == "session.started"] == []
    refused = [row for row in facts if row["result"] == "denied"]
    assert len(refused) >= len(DRIVERS), (gate, [(row["code"], row["reason"]) for row in refused])


def _last(world: World) -> int:
    return int(world.bastion.json("aud", "audit", "tail", "-n", "1")[-1]["id"])


def _ended(world: World, since: int, count: int) -> set[str]:
    rows: list[dict[str, Any]] = world.bastion.audit("session.ended", since=since)
    found = {row["session"] for row in rows}
    return found if len(found) >= count else set()
