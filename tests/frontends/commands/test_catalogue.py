"""`recordings`: its filters, its pages, everything of one, tags and notes, and who may."""

import json
from dataclasses import replace

import pytest

from bastion.core.audit.event import AuditEvent

from .fakes import NOW, World


@pytest.fixture
def world():
    return World()


async def test_the_filters_reach_the_store(world):
    line = (
        "recordings --user bob --participant alice --endpoint web01 --since 7d --until 2027-01-15 --longer 10m --shorter 2h"
        " --reason killed --tag x --handed-over --json"
    )
    assert (await world.run(line, who="carol"))[0] == 0
    asked = world.sessions.asked
    assert (asked.user, asked.participant, asked.endpoint, asked.reason, asked.tag) == ("bob", "alice", "web01", "killed", "x")
    assert (asked.since, asked.until, asked.longer, asked.shorter) == (NOW - 7 * 86400, NOW - 8 * 3600, 600, 7200)
    assert (asked.handed_over, asked.recorded) == (True, True)


async def test_pages_go_by_what_one_may_play_and_say_that_more_follows(world):
    one = world.sessions.records[0]
    world.sessions.records = [replace(one, id=f"r{n:03}") for n in range(7)]
    code, out, err = await world.run("recordings -n 3 --json", who="carol")
    assert (code, [row["id"] for row in json.loads(out)]) == (0, ["r000", "r001", "r002"])
    assert "--skip 3 shows the next" in err
    _, out, err = await world.run("recordings -n 3 --skip 6 --json", who="carol")
    assert ([row["id"] for row in json.loads(out)], err) == (["r006"], "")


@pytest.mark.parametrize(("line", "words"), [
    ("recordings --longer 5", "is not a length of time"),
    ("recordings --since soon", "is no time"),
    ("recordings tag aa11 x", "'x' is no change of a tag: +name adds, -name takes away"),
    ("recordings tag aa11 +Bad", "is no change of a tag"),
    ("recordings tag aa11 +", "is no change of a tag"),
    ("recordings note aa11 '  '", "A note has 1 to 2000 characters"),
    (f"recordings note aa11 {'x' * 2001}", "A note has 1 to 2000 characters"),
    ("recordings show nobody", "There is no recording 'nobody'"),
    ("recordings show bb22", "no rule allows carol to replay"),
    ("recordings tag bb22 +x", "no rule allows carol to replay"),
])  # fmt: skip
async def test_what_makes_no_sense_or_is_not_theirs_is_said(world, line, words):
    code, out, err = await world.run(line, who="carol")
    assert code in {64, 66, 77}
    assert words in err
    assert out == ""
    assert world.annotations.given == {}
    assert world.annotations.written == []


async def test_one_without_the_right_may_not_tag(world):
    code, _, err = await world.run("recordings tag aa11 +x", who="alice")
    assert code == 77
    assert "no rule allows alice to replay" in err


async def test_tags_are_given_and_taken_and_audited(world):
    assert await world.run("recordings tag aa11 +incident-17 +todo", who="carol") == (0, "aa11 has incident-17, todo.\n", "")
    assert await world.run("recordings tag aa11 +checked -todo", who="carol") == (0, "aa11 has checked, incident-17.\n", "")
    event = world.auditor.events[-1]
    assert (event.code, event.actor, event.session, event.data) == ("recording.tagged", "carol", "aa11", {"added": ["checked"], "removed": ["todo"]})
    (row,) = json.loads((await world.run("recordings --json", who="carol"))[1])
    assert row["tags"] == ["checked", "incident-17"]
    assert "checked,incident-17" in (await world.run("recordings", who="carol"))[1]


async def test_a_recording_has_so_many_tags_and_no_more(world):
    await world.run("recordings tag aa11 " + " ".join(f"+t{n}" for n in range(32)), who="carol")
    code, _, err = await world.run("recordings tag aa11 +one-more", who="carol")
    assert code == 64
    assert "may have 32 tags" in err
    assert (await world.run("recordings tag aa11 +one-more -t1", who="carol"))[0] == 0


async def test_notes_are_kept_with_their_author_and_audited(world):
    assert (await world.run("recordings note aa11 'was agreed'", who="carol"))[0] == 0
    assert [(note.by, note.at, note.text) for note in world.annotations.written] == [("carol", NOW, "was agreed")]
    assert world.auditor.events[-1].code == "recording.noted"


async def test_show_tells_everything_of_one_recording(world):
    for code, actor in (("session.started", "bob"), ("control.moved", "bob"), ("recording.replayed", "carol"), ("login.accepted", "x")):
        world.auditor.record(AuditEvent(code, NOW, actor, "192.0.2.7", "web01", "aa11", "ok", "rule team" if code == "session.started" else ""))
    await world.run("recordings note aa11 'look \x1b]0;here'", who="carol")
    await world.run("recordings tag aa11 +x", who="carol")
    found = json.loads((await world.run("recordings show aa11 --json", who="carol"))[1])
    assert (found["id"], found["decision"], found["handovers"], found["tags"]) == ("aa11", "rule team", 1, ["x"])
    assert found["seal"].startswith("good, 12 lines, digest d1d1")
    assert [one["name"] for one in found["participants"]] == ["bob"]
    assert [(one["by"], one["how"]) for one in found["seen"]] == [("carol", "replayed")]
    assert [one["by"] for one in found["notes"]] == ["carol"]
    text = (await world.run("recordings show aa11", who="carol"))[1]
    assert "carol replayed it" in text
    assert "\x1b" not in text


async def test_a_deleted_recording_is_still_shown_and_listed(world):
    world.sessions.records[0] = replace(world.sessions.records[0], recording="deleted 2027-01-01 by root: too much in it")
    found = json.loads((await world.run("recordings show aa11 --json", who="carol"))[1])
    assert (found["deleted"], found["seal"]) == ("2027-01-01 by root: too much in it", "deleted")
    code, _, err = await world.run("recordings tag aa11 +x", who="carol")
    assert code == 66
    assert "deleted 2027-01-01" in err
