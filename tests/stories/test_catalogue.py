"""The list of recordings through the real door: found again by its filters, tagged, noted, and who has seen it."""

from __future__ import annotations

from tests.lab.bastion import Bastion
from tests.lab.waiting import until


def test_a_recording_is_found_by_its_filters_tagged_noted_and_shown_with_who_saw_it(bastion: Bastion) -> None:
    bastion.ssh("bob", "connect web01 -- sh -c 'echo for-the-catalogue; exit 3'")

    def listed(*filters: str) -> list[str]:
        return [row["id"] for row in bastion.json("aud", "recordings", "--user bob", "--since 1h", *filters) if row["exit_status"] == 3]

    (session,) = until(lambda: listed("--shorter 5m", "--reason exit", "--participant bob"), "it is listed")
    assert listed("--longer 5m") == []
    assert listed("--participant alice") == []
    assert listed("--handed-over") == []
    assert listed("--reason killed") == []
    assert bastion.ssh("aud", f"recordings tag {session} +incident-17 +todo").returncode == 0
    assert bastion.ssh("aud", f"recordings tag {session} -todo").stdout.decode() == f"{session[:12]} has incident-17.\n"
    assert listed("--tag incident-17") == [session]
    assert listed("--tag todo") == []
    assert bastion.ssh("aud", f"recordings note {session} 'was agreed with the owner'").returncode == 0
    assert b"for-the-catalogue" in bastion.ssh("aud", f"transcript {session}").stdout
    found = bastion.json("aud", f"recordings show {session}")
    assert [(note["by"], note["text"]) for note in found["notes"]] == [("aud", "was agreed with the owner")]
    assert [(one["by"], one["how"]) for one in found["seen"]] == [("aud", "exported")]
    assert (found["tags"], found["exit_status"], [one["name"] for one in found["participants"]]) == (["incident-17"], 3, ["bob"])
    assert found["decision"].startswith("rule ")
    assert until(lambda: bastion.json("aud", f"recordings show {session}")["seal"].startswith("good, "), "it is sealed")
    tagged = [row for row in bastion.audit("recording.tagged") if row["session"] == session]
    assert [row["data"] for row in tagged] == [{"added": ["incident-17", "todo"], "removed": []}, {"added": [], "removed": ["todo"]}]


def test_one_who_may_not_replay_may_not_list_show_tag_or_note(bastion: Bastion) -> None:
    bastion.ssh("bob", "connect web01 -- true")
    session = until(lambda: bastion.json("aud", "recordings", "--user bob"), "it is listed")[0]["id"]
    for line in ("recordings", f"recordings show {session}", f"recordings tag {session} +mine", f"recordings note {session} hello"):
        refused = bastion.ssh("alice", line)
        assert (refused.returncode, refused.stdout) == (77, b""), line
        assert "No rule allows replay" in refused.stderr.decode(), line
        assert "for alice" in refused.stderr.decode(), line
    assert bastion.json("aud", f"recordings show {session}")["tags"] == []
