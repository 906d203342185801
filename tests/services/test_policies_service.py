"""The policy in force is replaced by good ones only, and everybody concerned hears of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bastion.backends.policies import PolicyFolder
from bastion.core.access.build import build
from bastion.core.access.decide import decide
from bastion.core.access.policy import Policy
from bastion.core.access.source import Document, PolicyWarning
from bastion.core.errors import Misconfigured
from bastion.core.identity import Identity
from bastion.services.policies import Policies, Reload


def policy_called(name: str) -> Policy:
    rule = {"name": name, "effect": "allow", "roles": ["*"], "actions": ["audit"]}
    return build([Document("p.yaml", {"rules": [rule]})])[0]


class Shelf:
    """A policy source in memory: text is a rule's name, and `bad` is what cannot be loaded."""

    def __init__(self, text: str = "first") -> None:
        self.text = text
        self.version = 0
        self.loads = 0

    def write(self, text: str) -> None:
        self.text = text
        self.version += 1

    def load(self) -> tuple[Policy, list[PolicyWarning]]:
        self.loads += 1
        if self.text == "bad":
            raise Misconfigured("policy.syntax", "p.yaml:3: not valid YAML")
        return policy_called(self.text), []

    def fingerprint(self) -> object:
        return self.version


async def test_without_a_valid_policy_nothing_starts() -> None:
    with pytest.raises(Misconfigured, match=r"p\.yaml:3: not valid YAML"):
        await Policies.start(Shelf("bad"))


async def test_a_changed_policy_is_in_force_with_a_higher_epoch_and_listeners_are_told() -> None:
    shelf = Shelf()
    policies = await Policies.start(shelf)
    told: list[tuple[Policy, int]] = []
    policies.on_change(lambda policy, epoch: told.append((policy, epoch)))
    shelf.write("second")
    report = await policies.reload()
    assert (report.changed, report.refused, report.epoch, policies.epoch) == (True, None, 2, 2)
    assert told == [(policy_called("second"), 2)]
    assert policies.current == policy_called("second")


async def test_a_bad_policy_keeps_the_last_good_one_and_says_why() -> None:
    shelf = Shelf()
    policies = await Policies.start(shelf)
    told: list[Reload] = []
    policies.on_reload(told.append)
    policies.on_change(lambda _policy, _epoch: pytest.fail("a bad policy changed something"))
    shelf.write("bad")
    report = await policies.reload()
    assert report.refused is not None
    assert report.refused.public == "p.yaml:3: not valid YAML"
    assert told == [report] == [policies.last]
    assert (policies.epoch, policies.current) == (1, policy_called("first"))


async def test_a_policy_that_means_the_same_leaves_the_epoch_alone() -> None:
    shelf = Shelf()
    policies = await Policies.start(shelf)
    shelf.write("first")
    assert not (await policies.reload()).changed
    assert policies.epoch == 1


async def test_a_change_is_taken_up_once_the_files_rest() -> None:
    shelf = Shelf()
    policies = await Policies.start(shelf)
    assert await policies.poll() is None  # nothing changed
    shelf.write("half")
    assert await policies.poll() is None  # changed just now: may be half written
    shelf.write("second")
    assert await policies.poll() is None  # still being written
    report = await policies.poll()
    assert report is not None
    assert report.changed
    assert policies.current == policy_called("second")
    assert shelf.loads == 2  # the half-written state was never loaded
    assert await policies.poll() is None


async def test_a_bad_file_is_reported_once_and_not_at_every_look() -> None:
    shelf = Shelf()
    policies = await Policies.start(shelf)
    told: list[Reload] = []
    policies.on_reload(told.append)
    shelf.write("bad")
    for _ in range(5):
        await policies.poll()
    assert len(told) == 1


async def test_a_listener_that_fails_keeps_no_other_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    policies = await Policies.start(shelf)
    heard: list[int] = []

    def fail(_policy: Policy, _epoch: int) -> None:
        raise RuntimeError("boom")

    policies.on_change(fail)
    policies.on_change(lambda _policy, epoch: heard.append(epoch))
    shelf.write("second")
    await policies.reload()
    assert heard == [2]
    assert "a listener of the policy failed" in caplog.text


async def test_two_reloads_at_once_leave_the_newer_policy() -> None:
    shelf = Shelf()
    policies = await Policies.start(shelf)
    shelf.write("second")
    await asyncio.gather(*(policies.reload() for _ in range(5)))
    assert policies.epoch == 2
    assert policies.current == policy_called("second")


async def test_the_watch_takes_a_change_up_by_itself() -> None:
    shelf = Shelf()
    policies = await Policies.start(shelf)
    changed = asyncio.Event()
    policies.on_change(lambda _policy, _epoch: changed.set())
    watch = asyncio.ensure_future(policies.watch(interval=0.001))
    shelf.write("second")
    await asyncio.wait_for(changed.wait(), 5)
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch


async def test_files_that_change_are_in_force_and_files_that_break_are_not(tmp_path: Path) -> None:
    def write(effect: str) -> None:
        path = tmp_path / "p.yaml"
        path.write_text(f"rules:\n  - {{name: r, effect: {effect}, roles: ['*'], actions: [audit]}}\n")

    def allowed() -> bool:
        return decide(policies.current, Identity("u", "alice", (), "", ()), None, "audit", 0.0).allowed

    write("allow")
    policies = await Policies.start(PolicyFolder(tmp_path))
    assert allowed()
    write("dney")
    await policies.poll()
    report = await policies.poll()
    assert report is not None
    assert report.refused is not None
    assert report.refused.public.endswith("p.yaml:2: rules[1].effect must be 'allow' or 'deny', not 'dney'; did you mean 'deny'?")
    assert allowed()
    write("deny")
    await policies.poll()
    await policies.poll()
    assert not allowed()
    (tmp_path / "p.yaml").unlink()
    await policies.poll()
    report = await policies.poll()
    assert report is not None
    assert report.refused is not None
    assert report.refused.code == "policy.none"
    assert not allowed()
    assert policies.epoch == 2
