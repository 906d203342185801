"""The index on SQLite: literal search, newest first, whole or not at all, also when its writer is killed."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bastion.backends.search import SqliteIndex
from bastion.backends.search.schema import BLOCK_LINES, blocks, grams
from bastion.core.errors import Misconfigured
from bastion.core.recording.glean import Mark
from bastion.core.recording.lines import Flood, Line
from bastion.core.recording.search import Portion, Wanted

START = 1_700_000_000.0
WEB = frozenset({"web01"})


def portion(session: str, *texts: str, endpoint: str = "web01", user: str = "alice", at: float = START, row: int = 3, **more: object) -> Portion:
    lines = [Line(number * 1_000_000, row, user, text) for number, text in enumerate(texts)]
    return Portion(session, user, endpoint, at, lines, **more)  # type: ignore[arg-type]


async def found(index: SqliteIndex, text: str, **more: object) -> list[tuple[str, str]]:
    wanted = Wanted(text, more.pop("endpoints", WEB), **more)  # type: ignore[arg-type]
    return [(hit.session, hit.line.text) for hit in (await index.find(wanted)).hits]


@pytest.fixture
async def index(tmp_path: Path):
    made = SqliteIndex(tmp_path / "search.sqlite3")
    yield made
    await made.close()


async def test_a_text_is_found_literally_in_any_case_newest_first(index: SqliteIndex) -> None:
    await index.add([portion("s1", "$ rm -rf /srv", "nothing"), portion("s2", "RM -RF x", "r m", at=START + 100)])
    assert await found(index, "rm -rf") == [("s2", "RM -RF x"), ("s1", "$ rm -rf /srv")]
    assert await found(index, "rm -rf", case=True) == [("s1", "$ rm -rf /srv")]
    assert await found(index, "rm*rf") == []


@pytest.mark.parametrize("text", ['"', "'", "AND", '" OR "', "%", "_x_", "*", "a" * 200, "ß", "日本語", "\\", "NEAR(a b)", "-"])
async def test_nothing_in_a_text_is_an_operator(index: SqliteIndex, text: str) -> None:
    await index.add([portion("s1", f"before {text} after", "other words")])
    assert await found(index, text) == [("s1", f"before {text} after")]


async def test_a_text_shorter_than_three_letters_is_looked_for_in_all_lines(index: SqliteIndex) -> None:
    await index.add([portion("s1", "ab", "xyz"), portion("s2", "-ab-", at=START + 9)])
    assert await found(index, "AB") == [("s2", "-ab-"), ("s1", "ab")]
    assert await found(index, "q") == []


async def test_time_that_is_up_is_said_with_how_far_it_came(index: SqliteIndex) -> None:
    await index.add([portion(f"s{n}", f"line {n}", at=START + n) for n in range(200)])
    answer = await index.find(Wanted("zz", WEB, seconds=0.0))
    assert list(answer.hits) == []
    assert answer.back_to is not None
    assert START < answer.back_to < START + 200


async def test_only_the_endpoints_that_count_are_searched_and_the_filters_hold(index: SqliteIndex) -> None:
    await index.add([portion("s1", "secret one"), portion("s2", "secret two", endpoint="db01", user="bob", at=START + 1000)])
    assert await found(index, "secret") == [("s1", "secret one")]
    assert await found(index, "secret", endpoints=frozenset()) == []
    both = WEB | {"db01"}
    assert len(await found(index, "secret", endpoints=both)) == 2
    assert await found(index, "secret", endpoints=both, user="bob") == [("s2", "secret two")]
    assert await found(index, "secret", endpoints=both, session="s1") == [("s1", "secret one")]
    assert await found(index, "secret", endpoints=both, since=START + 999) == [("s2", "secret two")]
    assert await found(index, "secret", endpoints=both, until=START + 999) == [("s1", "secret one")]
    assert await index.endpoints() == both


async def test_typed_lines_and_shown_lines_are_told_apart(index: SqliteIndex) -> None:
    await index.add([portion("s1", "passwd root", row=-1), portion("s1", "$ passwd root", at=START + 0.5)])
    assert await found(index, "passwd", typed=True) == [("s1", "passwd root")]
    assert await found(index, "passwd", typed=False) == [("s1", "$ passwd root")]


async def test_a_limit_keeps_the_newest_and_says_that_there_are_more(index: SqliteIndex) -> None:
    await index.add([portion("s1", *(f"hit {n}" for n in range(200)))])
    answer = await index.find(Wanted("hit", WEB, limit=3))
    assert [hit.line.text for hit in answer.hits] == ["hit 199", "hit 198", "hit 197"]
    assert answer.more


async def test_a_hit_says_who_had_control_when_and_where(index: SqliteIndex) -> None:
    await index.add([Portion("s1", "alice", "web01", START, [Line(1_500_000, 7, "bob", "by bob")])])
    (hit,) = (await index.find(Wanted("BOB", WEB))).hits
    assert (hit.line.by, hit.line.row, hit.at, hit.start, hit.length, hit.user) == ("bob", 7, START + 1.5, 3, 3, "alice")


async def test_blocks_of_the_same_moment_all_stay(index: SqliteIndex) -> None:
    await index.add([portion(f"s{n}", "same moment") for n in range(50)])
    assert len(await found(index, "moment")) == 50


async def test_marks_say_where_to_go_on_until_a_recording_is_done(index: SqliteIndex) -> None:
    mark = Mark(100, 5, "$ ls", (3, "bob", "wh"), 90)
    await index.add([portion("s1", "one", mark=mark), portion("s2", "two", mark=Mark(7), done=True)])
    assert await index.unfinished() == {"s1": mark}
    await index.add([portion("s1", "two"), portion("s3")])
    assert await index.unfinished() == {"s1": mark, "s3": Mark()}
    await index.add([portion("s1", done=True)])
    assert await index.known(["s1", "s2", "nobody"]) == {"s1", "s2"}
    assert list(await index.unfinished()) == ["s3"]


async def test_a_removed_recording_leaves_nothing(index: SqliteIndex, tmp_path: Path) -> None:
    await index.add([portion("s1", "to forget"), portion("s2", "to keep", at=START + 1)])
    await index.remove("s1")
    assert await found(index, "forget") == []
    assert await found(index, "keep") == [("s2", "to keep")]
    await index.add([portion("s4", "to forget", endpoint="db01")])
    other = sqlite3.connect(tmp_path / "search.sqlite3")
    assert other.execute("SELECT count(*) FROM texts").fetchone() == (2,)
    assert other.execute("SELECT count(*) FROM grams WHERE grams MATCH '\"for\"'").fetchone() == (1,)
    other.execute("INSERT INTO grams (grams) VALUES ('integrity-check')")
    other.close()


async def test_the_state_counts_lines_and_floods(index: SqliteIndex) -> None:
    await index.add([portion("s1", "a", "b", floods=[Flood(1, 2)]), portion("s2", "c")])
    state = await index.state()
    assert (state.recordings, state.lines, state.floods) == (2, 3, 1)
    assert state.bytes > 4096


async def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite3"
    path.touch(0o644)
    path.chmod(0o644)
    with pytest.raises(Misconfigured, match="Others may read .*chmod 600"):
        SqliteIndex(path)


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 100, b""])
async def test_a_damaged_file_is_made_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "search.sqlite3"
    path.write_bytes(content)
    path.chmod(0o600)
    index = SqliteIndex(path)
    await index.add([portion("s1", "fresh")])
    assert await found(index, "fresh") == [("s1", "fresh")]
    await index.close()


async def test_an_index_of_another_version_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite3"
    first = SqliteIndex(path)
    await first.add([portion("s1", "old")])
    await first.close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    second = SqliteIndex(path)
    assert await second.known(["s1"]) == frozenset()
    await second.close()


def test_blocks_are_bounded_in_lines_size_and_time() -> None:
    many = [Line(n, 0, "a", "x") for n in range(100)]
    assert max(block.text.count("\n") + 1 for block in blocks(many, START)) == BLOCK_LINES
    assert len(list(blocks([Line(0, 0, "a", "x" * 4000)] * 9, START))) == 5
    apart = [Line(0, 0, "a", "x"), Line(61_000_000, 0, "a", "y")]
    assert [block.at for block in blocks(apart, START)] == [START, START + 61]


def test_a_long_text_asks_for_a_dozen_threes_at_most() -> None:
    assert grams("ab") == ""
    assert grams("abcd") == '"abc" AND "bcd"'
    asked = grams("".join(chr(97 + n % 26) + str(n) for n in range(60))).split(" AND ")
    assert 8 <= len(asked) <= 12
    assert grams('a"b') == '"a""b"'


WRITER = """
import asyncio, sys
from pathlib import Path
from bastion.backends.search import SqliteIndex
from bastion.core.recording.glean import Mark
from bastion.core.recording.lines import Line
from bastion.core.recording.search import Portion
async def main():
    index = SqliteIndex(Path(sys.argv[1]))
    at = (await index.unfinished()).get("s1", Mark()).offset
    print("from", at, flush=True)
    while True:
        lines = [Line(n * 1000, 0, "alice", f"line {n:07} of many") for n in range(at, at + 37)]
        at += 37
        await index.add([Portion("s1", "alice", "web01", 1_700_000_000.0, lines, mark=Mark(at))])
        print(at, flush=True)
asyncio.run(main())
"""


async def test_a_writer_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "search.sqlite3"
    rounds = 5
    for round_ in range(rounds):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        said = [int(process.stdout.readline().split()[-1])]
        for _ in range(3 + 4 * round_):
            said.append(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
        index = SqliteIndex(path)
        mark = (await index.unfinished())["s1"]
        assert mark.offset >= said[-1]
        await index.close()
        connection = sqlite3.connect(path)
        stored = sorted(line for (text,) in connection.execute("SELECT text FROM texts") for line in text.split("\n"))
        assert stored == [f"line {n:07} of many" for n in range(mark.offset)]
        connection.execute("INSERT INTO grams (grams) VALUES ('integrity-check')")
        connection.close()
    final = SqliteIndex(path)
    assert len((await final.find(Wanted("0000", WEB, limit=1000))).hits) == min(1000, mark.offset)
    await final.close()


async def test_a_search_goes_on_while_lines_are_added(index: SqliteIndex) -> None:
    await index.add([portion("s0", "needle")])
    writes = [index.add([portion(f"w{n}", *(f"hay {m}" for m in range(200)), at=START + n)]) for n in range(20)]
    searches = [index.find(Wanted("needle", WEB)) for _ in range(20)]
    results = await asyncio.gather(*writes, *searches)
    assert all(len(answer.hits) == 1 for answer in results if answer is not None)
