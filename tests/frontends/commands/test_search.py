"""`search` as people and programs see it: a table, JSON, a list to choose from, and what it does not have."""

import asyncio
import json

import pytest

from bastion.core.recording.lines import Line
from bastion.core.recording.search import Hit, IndexState
from bastion.frontends.commands.gate import run
from bastion.frontends.commands.hits import excerpt
from bastion.frontends.commands.times import moment
from bastion.services.harvest import Lag

from .fakes import NOW, FakeConsole, World


def hit(text="$ rm -rf /srv", start=2, length=6, row=4, session="aa11bb22cc33dd44", time=80_500_000):
    return Hit(session, "alice", "web01", NOW - 3600, Line(time, row, "bob", text), start, length)


@pytest.fixture
def world():
    made = World()
    made.search.hits = [hit(), hit("ls secret", 3, 6, row=-1, time=5_000_000)]
    return made


async def test_hits_are_a_table_for_people(world):
    code, out, err = await world.run("search 'rm -rf'", who="carol")
    assert (code, err) == (0, "")
    head, first, second = out.splitlines()
    assert head.split() == ["ID", "AT", "TIME", "ENDPOINT", "BY", "WHERE", "LINE"]
    assert first.split()[:6] == ["aa11bb22cc33", "2027-01-15T07:01:20Z", "+1:20", "web01", "bob", "row"]
    assert first.endswith("$ rm -rf /srv")
    assert "typed" in second


async def test_hits_are_objects_for_programs(world):
    code, out, _ = await world.run("search 'rm -rf' --json", who="carol")
    assert code == 0
    first, second = json.loads(out)
    assert first == {
        "id": "aa11bb22cc33dd44", "owner": "alice", "endpoint": "web01", "at": "2027-01-15T07:01:20Z", "seconds": 80.5, "kind": "shown",
        "row": 5, "by": "bob", "text": "$ rm -rf /srv", "start": 2, "length": 6, "replay": "replay aa11bb22cc33 --at +1:20.5",
    }  # fmt: skip
    assert (second["kind"], second["row"]) == ("typed", None)


async def test_the_filters_reach_the_service(world):
    line = "search x --endpoint web01 --user bob --session aa --since 7d --until 2027-01-15T08:00 --typed --case -n 3"
    assert (await world.run(line, who="carol"))[0] == 0
    (wanted,) = world.search.asked
    assert (wanted.text, wanted.endpoints, wanted.user, wanted.session) == ("x", {"web01"}, "bob", "aa11")
    assert (wanted.since, wanted.until) == (NOW - 7 * 86400, NOW)
    assert (wanted.typed, wanted.case, wanted.limit) == (True, True, 3)


@pytest.mark.parametrize(("line", "words"), [
    ("search x --since yesterday", "is no time: write how long ago"),
    ("search x --session nobody", "There is no recording 'nobody'"),
])  # fmt: skip
async def test_what_makes_no_sense_is_said(world, line, words):
    code, out, err = await world.run(line, who="carol")
    assert code in {64, 66}
    assert words in err
    assert out == ""


async def test_one_without_the_right_is_told_why(world):
    code, out, err = await world.run("search x", who="alice")
    assert (code, out) == (77, "")
    assert "no rule allows alice to search" in err


async def test_what_the_list_does_not_have_is_said(world):
    world.search.more, world.search.lag, world.search.state_ = True, Lag(5, 3), IndexState(9, 9, 2, 9)
    _, _, err = await world.run("search x", who="carol")
    assert "There are older ones" in err
    assert "3 recordings are still being indexed" in err
    assert "In 2 recordings more scrolled by" in err
    world.search.back_to = NOW
    _, _, err = await world.run("search x", who="carol")
    assert "Time was up: nothing before 2027-01-15T08:00:00Z was looked through" in err


async def test_nothing_found_is_said(world):
    world.search.hits = []
    code, out, err = await world.run("search x", who="carol")
    assert (code, out) == (0, "")
    assert "Nothing was found." in err


async def test_enter_plays_from_there_and_the_list_comes_back(world):
    console = FakeConsole("carol", ("auditor",), term="xterm-256color", LANG="C.UTF-8")
    task = asyncio.ensure_future(run(world.desk, console, b"search rm"))
    await console.shows("1 of 2")
    console.type("\x1b[B")
    await console.shows("2")
    since = len(console.out)
    console.type("\r")
    await console.shows("played aa11bb22cc33dd44 x1.0 at 5000000 paused", since)
    assert [event.code for event in world.auditor.events] == ["recording.replayed"]
    await console.shows("2 of 2", since)
    console.type("q")
    assert await asyncio.wait_for(task, 10) == 0


async def test_a_plain_list_in_a_terminal_marks_what_was_found_and_escapes_the_rest(world):
    world.search.hits = [hit("x\x1b]0;evil\x07 found here", 11, 5)]
    console = FakeConsole("carol", ("auditor",), term="xterm", LANG="C.UTF-8")
    assert await run(world.desk, console, b"search found --plain") == 0
    assert b"\x1b[1;33mfound\x1b[0m" in console.out
    assert b"\x1b]" not in console.out


def test_an_excerpt_is_what_stands_around_it():
    before, found, after = excerpt(hit("a" * 200 + "NEEDLE" + "b" * 200, 200, 6))
    assert (before, found, after) == ("…" + "a" * 60, "NEEDLE", "b" * 60 + "…")


def test_a_moment_is_ago_or_a_date():
    assert moment("", NOW) is None
    assert moment("90m", NOW) == NOW - 5400
    assert moment("2027-01-15", NOW) == NOW - 8 * 3600
    assert moment("2027-01-15T09:00+01:00", NOW) == NOW
