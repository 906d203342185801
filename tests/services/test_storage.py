"""The keeper of recordings: what they take, what is overdue, and deletions that leave a trace whatever happens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bastion.backends.recordings import RecordingFolder
from bastion.core.access.endpoint import Endpoint
from bastion.core.errors import Conflict, Missing
from bastion.core.identity import Identity
from bastion.core.recording.asciicast import header
from bastion.core.recording.retention import parse
from bastion.core.values import Size
from bastion.services.ports import SessionRecord
from bastion.services.storage import Storage, is_kept

STARTED = 1_700_000_000.0
DAY = 86400.0
ROOT1 = Identity("u1", "root1", ("admin",), "192.0.2.1", ())
ROOT2 = Identity("u2", "root2", ("admin",), "192.0.2.2", ())


class World:
    """Sessions, endpoints, an auditor and a clock from memory, around a real folder."""

    def __init__(self, folder: Path) -> None:
        self.at = STARTED + DAY
        self.recordings = RecordingFolder(str(folder))
        self.records: dict[str, SessionRecord] = {}
        self.events: list[Any] = []

    def now(self) -> float:
        return self.at

    monotonic = now

    def record(self, event: Any) -> None:
        self.events.append(event)

    async def flush(self) -> None:
        self.flushed = len(self.events)

    async def find(self, wanted: Any) -> list[SessionRecord]:
        return [one for one in self.records.values() if wanted.live is None or wanted.live == (one.ended_at is None)]

    async def save(self, record: SessionRecord) -> None:
        assert self.flushed == len(self.events), "the fact comes first"
        self.records[record.id] = record

    async def all(self) -> list[Endpoint]:
        return [Endpoint("e1", "web01", labels=(("env", "prod"),)), Endpoint("e2", "lab1", labels=(("env", "test"),))]

    def add(self, session_id: str, endpoint: str = "web01", started: float = STARTED, *, live: bool = False) -> SessionRecord:
        label = header(size=Size(80, 24), term="x", started_at=started, session=session_id, user="alice", endpoint=endpoint, login="r")
        writer = self.recordings.create(session_id, label, started, 0.0)
        writer.output(b"words " * 2000, 1.0)
        if not live:
            writer.end(0, 2.0)
            writer.close()
        ended = None if live else started + 2
        self.records[session_id] = SessionRecord(session_id, "u9", "alice", endpoint, "r", "192.0.2.9", started, ended, "closed", recording=session_id)
        return self.records[session_id]

    def keeper(self, *rules: str, two_people: bool = False) -> Storage:
        port: Any = self
        return Storage(self.recordings, port, port, port, port, lambda: 1000, parse(rules), two_people=two_people)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "recordings")


async def test_use_is_told_by_day_and_endpoint_with_the_ratio_of_packing(world: World) -> None:
    world.add("S1")
    world.add("S2", "lab1", STARTED + DAY)
    world.add("S3", "lab1", STARTED + DAY)
    world.recordings.pack("S2", 3)
    use = await world.keeper().use()
    assert (use.recordings, use.packed, use.least) == (3, 1, 1000)
    assert [(name, count) for name, count, _, _ in use.by_day] == [("2023-11-15", 2), ("2023-11-14", 1)]
    assert {name: count for name, count, _, _ in use.by_endpoint} == {"web01": 1, "lab1": 2}
    assert use.packed_cast_bytes > 10 * use.packed_bytes
    assert sum(size for _, _, size, _ in use.by_day) == use.bytes == sum(path.stat().st_size for path in Path(world.recordings.root, "2023").rglob("*") if path.is_file())


async def test_what_rules_no_longer_keep_is_swept_and_nothing_else(world: World) -> None:
    world.add("OLD", "lab1", STARTED - 8 * DAY)
    world.add("YOUNG", "lab1", STARTED)
    world.add("PROD", "web01", STARTED - 800 * DAY)
    world.add("LIVE", "lab1", STARTED - 9 * DAY, live=True)
    keeper = world.keeper("endpoint=lab* 7d", "endpoint=* forever")
    assert [(one.record.id, one.rule.text) for one in await keeper.overdue()] == [("OLD", "endpoint=lab* 7d")]
    assert world.recordings.path("OLD"), "asking deletes nothing"
    assert [one.record.id for one in await keeper.sweep()] == ["OLD"]
    assert world.recordings.path("OLD") is None
    assert all(world.recordings.path(name) for name in ("YOUNG", "PROD", "LIVE"))
    assert [(e.code, e.session, e.actor) for e in world.events] == [("recording.expired", "OLD", "system")]
    assert await keeper.sweep() == []


async def test_without_rules_nothing_is_ever_overdue(world: World) -> None:
    world.add("OLD", "lab1", STARTED - 8000 * DAY)
    assert await world.keeper().overdue() == []


async def test_a_deletion_leaves_a_tombstone_and_no_file(world: World) -> None:
    record = world.add("S1")
    assert await world.keeper().delete(record, ROOT1, "held a customer list")
    assert world.records["S1"].recording == "deleted 2023-11-15T22:13:20Z by root1: held a customer list"
    assert not is_kept(world.records["S1"])
    assert [path for path in Path(world.recordings.root).rglob("*") if path.is_file()] == []
    assert [(e.code, e.actor, e.reason, e.session) for e in world.events] == [("recording.deleted", "root1", "held a customer list", "S1")]
    with pytest.raises(Missing, match="was deleted 2023-11-15T22:13:20Z by root1"):
        await world.keeper().delete(world.records["S1"], ROOT1, "again")


async def test_a_live_recording_is_never_deleted(world: World) -> None:
    record = world.add("S1", live=True)
    with pytest.raises(Conflict, match="live"):
        await world.keeper().delete(record, ROOT1, "x")
    with pytest.raises(Conflict, match="still being written"):
        world.recordings.remove("S1")
    assert world.recordings.path("S1")


async def test_where_two_must_agree_one_alone_deletes_nothing(world: World) -> None:
    record = world.add("S1")
    keeper = world.keeper(two_people=True)
    assert not await keeper.delete(record, ROOT1, "first")
    with pytest.raises(Conflict, match="another person"):
        await keeper.delete(record, ROOT1, "first again")
    assert world.recordings.path("S1")
    assert await keeper.delete(record, ROOT2, "seconded")
    assert world.recordings.path("S1") is None
    assert [(e.code, e.actor, e.data.get("agreed")) for e in world.events] == [
        ("recording.deletion_asked", "root1", None),
        ("recording.deleted", "root2", ["root1"]),
    ]


async def test_a_wish_that_nobody_seconds_is_forgotten_after_a_day(world: World) -> None:
    record = world.add("S1")
    keeper = world.keeper(two_people=True)
    assert not await keeper.delete(record, ROOT1, "first")
    world.at += DAY + 1
    assert not await keeper.delete(record, ROOT2, "too late: this is a first wish again")
    assert await keeper.delete(record, ROOT1, "now two")


async def test_a_crash_between_the_list_and_the_files_is_ended_at_the_next_start(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    record = world.add("S1")
    world.add("S2")
    keeper = world.keeper()
    with monkeypatch.context() as patch:
        patch.setattr(world.recordings, "remove", lambda _: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(OSError, match="killed"):
            await keeper.delete(record, ROOT1, "x")
    assert world.recordings.path("S1")
    await keeper._end_deletions()
    assert world.recordings.path("S1") is None
    assert world.recordings.path("S2")


async def test_a_crash_within_a_removal_is_ended_at_the_next_start(world: World) -> None:
    world.add("S1")
    trash = Path(world.recordings.root, ".trash")
    trash.mkdir(mode=0o700)
    Path(str(world.recordings.path("S1"))).parent.rename(trash / "S1")
    assert world.recordings.path("S1") is None
    await world.keeper()._end_deletions()
    assert list(trash.iterdir()) == []


def test_a_link_in_the_trash_harms_nothing_elsewhere(world: World, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("x")
    trash = Path(world.recordings.root, ".trash")
    trash.mkdir(mode=0o700)
    (trash / "S1").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError):
        world.recordings.empty_trash()
    assert (tmp_path / "precious" / "file").exists()


def test_records_without_recording_are_not_kept() -> None:
    record = SessionRecord("S1", "u", "a", "w", "r", "", 0.0)
    assert not is_kept(record)
    assert is_kept(replace(record, recording="S1"))
