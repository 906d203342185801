"""Space, retention and deletion through the real door."""

from __future__ import annotations

from tests.lab.bastion import Bastion
from tests.lab.waiting import until


def test_storage_is_shown_swept_and_a_recording_deleted_with_a_tombstone(own_bastion: Bastion) -> None:
    for word in ("first", "second"):
        own_bastion.ssh("alice", f"connect web01 -- echo {word}")
    until(lambda: len(list(own_bastion.home.glob("recordings/.pack/*"))) == 2, "both recordings are complete", seconds=60)
    use = own_bastion.json("root1", "storage")
    assert (use["recordings"], [row["name"] for row in use["by_endpoint"]], use["low"]) == (2, ["web01"], False)
    shown = own_bastion.ssh("root1", "storage")
    assert b"2 recordings take" in shown.stdout
    assert b"must stay free: enough" in shown.stdout
    assert b"kept for ever" in own_bastion.ssh("root1", "storage sweep --dry-run").stderr

    doomed, kept = (row["id"] for row in own_bastion.json("aud", "recordings"))
    refused = own_bastion.ssh("aud", f"recordings delete {doomed} --reason x --yes")
    assert refused.returncode == 77
    asked = own_bastion.ssh("root1", f"recordings delete {doomed} --reason 'held a list'")
    assert asked.returncode == 64
    assert b"of alice on web01" in asked.stderr, "the question names what will be hit"
    assert own_bastion.ssh("root1", f"recordings delete {doomed} --yes").returncode == 64, "without a reason nothing goes"
    assert len(own_bastion.casts()) == 2
    done = own_bastion.ssh("root1", f"recordings delete {doomed} --reason 'held a list' --yes")
    assert done.returncode == 0, done.stderr
    assert len(own_bastion.casts()) == 1

    rows = {row["id"]: row for row in own_bastion.json("aud", "recordings")}
    assert rows[kept]["deleted"] is None
    assert rows[doomed]["deleted"].endswith("by root1: held a list")
    for verb in ("cast", "replay", "transcript", "verify"):
        gone = own_bastion.ssh("aud", f"{verb} {doomed}")
        assert (gone.returncode, b"was deleted" in gone.stderr) == (66, True), verb
    assert own_bastion.ssh("aud", "verify --all").returncode == 0
    assert [row["reason"] for row in own_bastion.audit("recording.deleted")] == ["held a list"]
    assert own_bastion.ssh("aud", "audit verify").returncode == 0


def test_what_a_rule_no_longer_keeps_goes_by_itself_and_two_must_agree_where_the_setting_says_so(own_bastion: Bastion) -> None:
    own_bastion.ssh("alice", "connect web01 -- echo short-lived")
    until(lambda: list(own_bastion.home.glob("recordings/.pack/*")), "the recording is complete", seconds=60)
    own_bastion.admit_user("root2", "admin")
    own_bastion.stop()
    own_bastion.env["BASTION_RETENTION_TWO_PEOPLE"] = "true"
    own_bastion.start()
    (row,) = own_bastion.json("aud", "recordings")
    first = own_bastion.ssh("root1", f"recordings delete {row['id']} --reason x --yes")
    assert b"Another person must say" in first.stdout
    assert own_bastion.ssh("root1", f"recordings delete {row['id']} --reason x --yes").returncode != 0
    assert len(own_bastion.casts()) == 1
    own_bastion.stop()
    own_bastion.env["BASTION_RETENTION_RULES"] = "env=test 1s"
    own_bastion.start()
    until(lambda: not own_bastion.casts(), "the sweep took it", seconds=60)
    (fact,) = until(lambda: own_bastion.audit("recording.expired"), "the sweep is in the chain")
    assert (fact["actor"], fact["reason"]) == ("system", "kept for env=test 1s")
