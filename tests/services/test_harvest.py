"""Bringing lines into the index: live ones are found at once, untold ones are read from the casts, nothing twice."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from bastion.backends.recordings import RecordingFolder
from bastion.backends.search import SqliteIndex
from bastion.core.errors import Denied, Invalid, Unavailable
from bastion.core.identity import Identity
from bastion.core.recording.asciicast import header
from bastion.core.recording.glean import Mark
from bastion.core.recording.lines import Line
from bastion.core.recording.search import Portion, Wanted
from bastion.core.values import Size
from bastion.services import harvest as module
from bastion.services.harvest import Harvest
from bastion.services.ports import SessionRecord
from bastion.services.search import Search

AUDREY = Identity("u1", "audrey", ("auditor",), "192.0.2.9", ())
EVERY = frozenset({"web01"})
START = 1_700_000_000.0


class Clock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


class Sessions:
    def __init__(self) -> None:
        self.records: dict[str, SessionRecord] = {}

    def add(self, session: str, **more: object) -> SessionRecord:
        fields = {"started_at": START + len(self.records), "ended_at": START + 100, "recording": session, **more}
        self.records[session] = SessionRecord(session, "u1", "alice", "web01", "deploy", "192.0.2.7", **fields)  # type: ignore[arg-type]
        return self.records[session]

    async def get(self, prefix: str) -> SessionRecord:
        return self.records[prefix]

    async def find(self, wanted: object) -> list[SessionRecord]:
        return list(self.records.values()) if wanted.until is None else []  # type: ignore[attr-defined]


class House:
    def __init__(self, folder: Path) -> None:
        self.recordings = RecordingFolder(str(folder / "recordings"))
        self.index = SqliteIndex(folder / "search.sqlite3")
        self.sessions = Sessions()
        self.harvest = Harvest(self.index, self.recordings, self.sessions, Clock())  # type: ignore[arg-type]

    def record(self, session: str, *texts: str, term: str = "xterm") -> SessionRecord:
        """Make a finished recording with these lines."""
        fields = header(size=Size(80, 24), term=term, started_at=START, session=session, user="alice", endpoint="web01", login="deploy")
        writer = self.recordings.create(session, fields, START, 0.0)
        for number, text in enumerate(texts):
            writer.output(f"{text}\r\n".encode(), number + 1.0)
        writer.end(0, len(texts) + 1.0)
        writer.close()
        return self.sessions.add(session)

    async def lines(self, text: str) -> list[str]:
        return sorted(hit.line.text for hit in (await self.index.find(Wanted(text, EVERY, limit=1000))).hits)

    async def worked(self) -> None:
        """Run until everything is read."""
        running = asyncio.ensure_future(self.harvest.run())
        async with asyncio.timeout(20):
            while await self.index.known(list(self.sessions.records)) != set(self.sessions.records) or self.harvest.lag.recordings:
                await asyncio.sleep(0.01)
            self.harvest.stop()
            await running


@pytest.fixture
async def house(tmp_path: Path):
    made = House(tmp_path)
    yield made
    await made.index.close()


async def test_recordings_older_than_the_index_are_read(house: House) -> None:
    house.record("s1", "one needle", "two")
    house.record("s2", "another needle")
    await house.worked()
    assert await house.lines("needle") == ["another needle", "one needle"]
    assert await house.index.unfinished() == {}
    assert house.harvest.lag == (0, 0)


async def test_what_a_session_told_is_found_before_it_is_written_and_once_after(house: House) -> None:
    sheaf = house.harvest.begin(house.sessions.add("live", ended_at=None))
    house.harvest.told(sheaf, [Line(5, 3, "alice", "fresh needle")], (), Mark(100, 5))
    assert house.harvest.lag.lines == 1
    assert [line.text for portion in house.harvest.waiting() for line in portion.lines] == ["fresh needle"]
    assert await house.lines("needle") == []
    await house.harvest.write(everything=True)
    assert await house.lines("needle") == ["fresh needle"]
    assert house.harvest.lag.lines == 0
    assert (await house.index.unfinished())["live"] == Mark(100, 5)


async def test_the_rest_of_a_session_is_read_from_its_mark_when_its_end_was_not_told(house: House) -> None:
    record = house.record("s1", *(f"line {n:02}" for n in range(20)))
    cast = b"".join(house.recordings.chunks("s1"))
    tenth = cast.index(b"line 10")
    offset = cast.rindex(b"\n", 0, tenth) + 1
    sheaf = house.harvest.begin(record)
    house.harvest.told(sheaf, [Line(n * 1_000_000, n, "alice", f"line {n:02}") for n in range(10)], (), Mark(offset, 10_000_000))
    house.harvest.end(sheaf, done=False)
    await house.worked()
    assert await house.lines("line") == [f"line {n:02}" for n in range(20)]


async def test_a_disk_that_takes_nothing_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    record = house.record("s1", "needle one", "needle two")
    sheaf = house.harvest.begin(record)
    house.harvest.told(sheaf, [Line(1_000_000, 0, "alice", "needle one")], (), Mark(10, 1_000_000))
    add = house.index.add

    async def full(portions: object) -> None:
        raise Unavailable("search.unavailable", "The search index does not answer.", "disk full")

    monkeypatch.setattr(house.index, "add", full)
    await house.harvest.write(everything=True)
    assert sheaf.lost
    monkeypatch.setattr(house.index, "add", add)
    house.harvest.told(sheaf, [Line(2_000_000, 1, "alice", "needle two")], (), Mark(20, 2_000_000))
    house.harvest.end(sheaf, done=True)
    await house.worked()
    assert await house.lines("needle") == ["needle one", "needle two"]


async def test_more_than_may_wait_is_left_to_the_cast(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_LINES", 10)
    monkeypatch.setattr(module, "MOST_LINES", 15)
    sheaf = house.harvest.begin(house.record("s1", "from the cast"))
    for n in range(30):
        house.harvest.told(sheaf, [Line(n, 0, "alice", f"told {n}")], (), Mark(n, n))
    assert sheaf.lost
    assert house.harvest.lag.lines == 0
    house.harvest.end(sheaf, done=True)
    await house.worked()
    assert await house.lines("from the cast") == ["from the cast"]
    assert await house.lines("told") == []


async def test_a_reader_that_is_stopped_half_way_goes_on_there(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_LINES", 50)
    monkeypatch.setattr(module, "_PIECE", 512)
    house.record("s1", *(f"needle {n:03}" for n in range(500)))
    first = asyncio.ensure_future(house.harvest.run())
    async with asyncio.timeout(20):
        while not await house.lines("needle"):
            await asyncio.sleep(0.005)
    house.harvest.stop()
    await first
    part = await house.lines("needle")
    house.harvest = Harvest(house.index, house.recordings, house.sessions, Clock())  # type: ignore[arg-type]
    running = asyncio.ensure_future(house.harvest.run())
    async with asyncio.timeout(20):
        while await house.index.unfinished():
            await asyncio.sleep(0.01)
    house.harvest.stop()
    await running
    assert len(part) <= 500
    assert await house.lines("needle") == [f"needle {n:03}" for n in range(500)]


async def test_damaged_missing_and_deleted_recordings_hold_nobody_up(house: House) -> None:
    house.sessions.add("gone")
    bad = house.record("bad", "x")
    path = house.recordings.path(bad.id)
    assert path is not None
    Path(path).write_bytes(b"this is no cast\n")
    house.sessions.add("deleted", recording="deleted yesterday by root")
    await house.index.add([Portion("deleted", "alice", "web01", START, [Line(0, 0, "a", "needle of the deleted")], done=True)])
    house.record("good", "needle")
    running = asyncio.ensure_future(house.harvest.run())
    async with asyncio.timeout(20):
        while await house.lines("needle") != ["needle"] or house.harvest.lag.recordings:
            await asyncio.sleep(0.01)
    house.harvest.stop()
    await running
    assert await house.index.unfinished() == {}


async def test_a_deleted_recording_is_forgotten(house: House) -> None:
    house.record("s1", "needle")
    await house.worked()
    await house.harvest.remove("s1")
    assert await house.lines("needle") == []
    assert await house.index.known(["s1"]) == frozenset()


# ---------------------------------------------------------------- asking


class Gate:
    """Lets this person search and replay on the endpoints named."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def decide(self, identity: Identity, action: str, endpoint: object = None) -> object:
        name = getattr(endpoint, "name", "")

        class Decision:
            allowed = name in self.names
            rule = ""
            reason = f"No rule allows {action} for {identity.name}."

        return Decision()


class Endpoint:
    def __init__(self, name: str) -> None:
        self.name = name


class Endpoints:
    async def all(self) -> list[Endpoint]:
        return [Endpoint("web01"), Endpoint("db01")]


class Auditor:
    def __init__(self) -> None:
        self.events: list[object] = []

    def record(self, event: object) -> None:
        self.events.append(event)


def searching(house: House, *names: str) -> tuple[Search, Auditor]:
    auditor = Auditor()
    return Search(house.index, house.harvest, house.recordings, Gate(*names), Endpoints(), auditor, Clock()), auditor  # type: ignore[arg-type]


async def test_only_what_one_may_replay_is_found_live_or_written(house: House) -> None:
    await house.index.add([Portion("s1", "alice", "web01", START, [Line(0, 0, "a", "needle web")], done=True)])
    await house.index.add([Portion("s2", "alice", "db01", START, [Line(0, 0, "a", "needle db")], done=True)])
    sheaf = house.harvest.begin(SessionRecord("s3", "u1", "alice", "db01", "deploy", "x", START))
    house.harvest.told(sheaf, [Line(0, 0, "a", "needle live db")], (), None)
    search, auditor = searching(house, "web01")
    assert [hit.line.text for hit in (await search.find(AUDREY, Wanted("needle", frozenset()))).found.hits] == ["needle web"]
    both, _ = searching(house, "web01", "db01")
    assert len((await both.find(AUDREY, Wanted("NEEDLE", frozenset()))).found.hits) == 3
    assert len((await both.find(AUDREY, Wanted("needle", frozenset({"db01"})))).found.hits) == 2
    (event,) = auditor.events
    assert (event.code, event.actor, event.data["text"], event.data["found"]) == ("recording.searched", "audrey", "needle", 1)  # type: ignore[attr-defined]


async def test_an_endpoint_one_may_not_replay_is_refused_with_the_reason(house: House) -> None:
    search, auditor = searching(house, "web01")
    with pytest.raises(Denied, match="search: No rule allows search for audrey"):
        await search.find(AUDREY, Wanted("needle", frozenset({"db01"})))
    nobody, _ = searching(house)
    with pytest.raises(Denied, match="search: No rule allows search for audrey"):
        await nobody.find(AUDREY, Wanted("needle", frozenset()))
    assert auditor.events == []


@pytest.mark.parametrize("text", ["", "  ", "x" * 201, "two\nlines", "esc\x1b"])
async def test_what_cannot_stand_in_a_line_is_no_text(house: House, text: str) -> None:
    search, _ = searching(house, "web01")
    with pytest.raises(Invalid, match="1 to 200 characters of one line"):
        await search.find(AUDREY, Wanted(text, frozenset()))


async def test_the_moment_of_a_line_that_scrolled_by_is_when_it_came(house: House) -> None:
    house.record("s1", *(f"line {n:03}" for n in range(100)))
    await house.worked()
    search, _ = searching(house, "web01")
    (hit,) = (await search.find(AUDREY, Wanted("line 040", frozenset()))).found.hits
    assert await search.moment(hit) == 41_000_000
