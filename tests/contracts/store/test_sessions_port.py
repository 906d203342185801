"""What every implementation of Sessions does."""

from dataclasses import replace

import pytest

from bastion.core.errors import Conflict, Missing
from bastion.core.identity import User
from bastion.services.ports import Farewell, ParticipantRecord, SessionFilter, SessionRecord
from bastion.services.record_ports import RecordingNote

ONE = SessionRecord("abc123", "u1", "alice", "web01", "root", "10.0.0.1", 100.5, node="main", bytes_out=2**40)
TWO = replace(ONE, id="abd456", user="bob", endpoint="db01", started_at=200.0)
OLD = replace(ONE, id="xyz789", started_at=50.0, ended_at=60.0, state="closed", reason="exit", exit_status=7)


@pytest.fixture
async def sessions(store):
    for record in (ONE, TWO, OLD):
        await store.sessions.save(record)
    return store.sessions


async def test_a_session_is_found_by_any_unique_beginning_of_its_id(sessions):
    assert await sessions.get("abc123") == ONE
    assert await sessions.get("x") == OLD
    assert await sessions.get("ABC") == ONE


async def test_an_ambiguous_beginning_is_refused(sessions):
    with pytest.raises(Conflict, match="give more"):
        await sessions.get("ab")


async def test_a_whole_id_wins_over_a_longer_one(sessions):
    await sessions.save(replace(ONE, id="abc1234"))
    assert await sessions.get("abc123") == ONE


@pytest.mark.parametrize("prefix", ["", "q", "%", "_bc123", "abc1234", "*", "ab'", "\N{LATIN SMALL LETTER A WITH DIAERESIS}", " "])
async def test_no_session_is_found_by_anything_else(sessions, prefix):
    with pytest.raises(Missing, match="no session"):
        await sessions.get(prefix)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (SessionFilter(), [TWO, ONE, OLD]),
        (SessionFilter(user="alice"), [ONE, OLD]),
        (SessionFilter(endpoint="db01"), [TWO]),
        (SessionFilter(live=True), [TWO, ONE]),
        (SessionFilter(live=False), [OLD]),
        (SessionFilter(since=100.5), [TWO, ONE]),
        (SessionFilter(until=100.5), [OLD]),
        (SessionFilter(limit=1), [TWO]),
        (SessionFilter(limit=0), []),
        (SessionFilter(limit=-1), []),
        (SessionFilter(user="alice", live=True, since=1, until=1000), [ONE]),
        (SessionFilter(skip=1), [ONE, OLD]),
        (SessionFilter(skip=1, limit=1), [ONE]),
        (SessionFilter(recorded=True), []),
        (SessionFilter(reason="exit"), [OLD]),
        (SessionFilter(longer=10), [OLD]),
        (SessionFilter(longer=10.1), []),
        (SessionFilter(shorter=10), [OLD]),
        (SessionFilter(shorter=9.9), []),
        (SessionFilter(participant="carol"), []),
        (SessionFilter(tag="x"), []),
        (SessionFilter(handed_over=True), []),
        (SessionFilter(handed_over=False), [TWO, ONE, OLD]),
    ],
)
async def test_sessions_are_filtered_and_newest_first(sessions, wanted, found):
    assert await sessions.find(wanted) == found


async def test_sessions_are_found_by_who_took_part_and_by_tag(sessions, store):
    await sessions.save_participant(ParticipantRecord("abd456", "p2.1", "carol", "viewer", "10.0.0.9", 210.0))
    await store.annotations.tag("xyz789", ["incident"], [], "carol", 1.0)
    assert await sessions.find(SessionFilter(participant="carol")) == [TWO]
    assert await sessions.find(SessionFilter(tag="incident")) == [OLD]
    assert await sessions.find(SessionFilter(tag="incident", participant="carol")) == []


async def test_tags_come_and_go_and_notes_stay(store):
    notes = store.annotations
    assert await notes.tag("s1", ["b", "a", "b"], [], "carol", 1.0) == ["a", "b"]
    assert await notes.tag("s1", ["b", "c"], ["a", "never"], "dave", 2.0) == ["b", "c"]
    assert await notes.tag("s2", ["c"], [], "dave", 2.0) == ["c"]
    assert await notes.tags(["s1", "s2", "s3"]) == {"s1": ["b", "c"], "s2": ["c"]}
    assert await notes.tags([]) == {}
    assert await notes.all_tags() == ["b", "c"]
    for number in range(3):
        await notes.note(RecordingNote("s1", float(number), "carol", f"note {number}"))
    assert [note.text for note in await notes.notes("s1")] == ["note 0", "note 1", "note 2"]
    assert await notes.notes("s2") == []


async def test_a_saved_session_replaces_itself(sessions):
    ended = replace(ONE, ended_at=300.0, state="closed", exit_status=0)
    await sessions.save(ended)
    assert await sessions.get("abc123") == ended
    assert len(await sessions.find(SessionFilter())) == 3


async def test_orphans_are_one_nodes_sessions_without_an_end(sessions):
    await sessions.save(replace(ONE, id="other", node="second"))
    assert await sessions.orphans("main") == [ONE, TWO]
    assert [record.id for record in await sessions.orphans("second")] == ["other"]


async def test_stays_are_listed_in_order_and_replaced_by_id(sessions):
    first = ParticipantRecord("abc123", "p2", "alice", "controller", "10.0.0.1", 100.0)
    second = ParticipantRecord("abc123", "p1", "bob", "viewer", "10.0.0.2", 110.0)
    for record in (second, first, replace(first, session_id="abd456")):
        await sessions.save_participant(record)
    left = replace(second, left_at=120.0, reason="left")
    await sessions.save_participant(left)
    assert await sessions.participants("abc123") == [first, left]
    assert await sessions.participants("none") == []


async def test_a_farewell_is_told_once_to_the_one_it_is_for_oldest_first(store):
    for number in (1, 2):
        await store.users.add(User(f"u{number}", f"user{number}"))
    late, early = Farewell("s2", "u1", "web01", 9.0, "It was ended."), Farewell("s1", "u1", "db01", 5.0, "Too long.")
    other = Farewell("s3", "u2", "web01", 1.0, "Gone.")
    for one in (late, early, other):
        await store.sessions.save_farewell(one)
    assert await store.sessions.take_farewells("u1") == [early, late]
    assert await store.sessions.take_farewells("u1") == []
    assert await store.sessions.take_farewells("u2") == [other]
