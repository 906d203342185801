"""Replay on a console: what the auditor sees, what keys do, and that nothing raw gets through."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from desk import Desk, RealClock

from bastion.backends.recordings import RecordingFolder
from bastion.core.errors import Corrupt, Invalid, Missing
from bastion.core.recording.asciicast import header
from bastion.core.recording.controls import CONTROLS
from bastion.core.recording.playback import parse_position
from bastion.core.values import Size
from bastion.services.replay import Replay

LABEL = header(size=Size(40, 5), term="xterm", started_at=1.7e9, session="S1", user="alice", endpoint="web", login="root")


@pytest.fixture
def folder(tmp_path: Path) -> RecordingFolder:
    return RecordingFolder(str(tmp_path))


def record(folder: RecordingFolder, *events: tuple[float, bytes | Size | str | tuple[bytes, str]]) -> None:
    writer = folder.create("S1", LABEL, 1.7e9, 0.0)
    last = 0.0
    for at, what in events:
        if isinstance(what, bytes):
            writer.output(what, at)
        elif isinstance(what, Size):
            writer.resize(what, at)
        elif isinstance(what, tuple):
            writer.input(what[0], at, what[1])
        else:
            writer.marker(what, at)
        last = at
    writer.end(0, last)
    writer.close()


async def playing(folder: RecordingFolder, desk: Desk, **how: float) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(Replay(folder, RealClock()).play("S1", desk, **how))  # type: ignore[arg-type]
    await desk.until(lambda: desk.listener or task.done())
    return task


@pytest.mark.parametrize(("links", "shown"), [(False, []), (True, [b"https://example.org/a"])])
async def test_links_that_a_program_marked_are_played_only_to_the_web_and_by_setting(folder: RecordingFolder, links: bool, shown: list[bytes]) -> None:
    record(folder, (0.0, b"\x1b]8;;https://example.org/a\x07here\x1b]8;;javascript:x\x07there\x1b]8;;file:///etc\x07!\x1b]8;;\x07"))
    desk = Desk()
    task = asyncio.get_running_loop().create_task(Replay(folder, RealClock(), links=links).play("S1", desk))
    await desk.shows("herethere!")
    desk.type("q")
    await asyncio.wait_for(task, 5)
    assert [link for link in re.findall(rb"\x1b\]8;;(.*?)\x1b\\", desk.sent) if link] == shown


async def test_a_replay_shows_the_screen_and_where_it_stands(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"hello\r\n"), (0.05, b"\x1b[1mworld"))
    desk = Desk()
    task = await playing(folder, desk)
    await desk.shows("hello")
    await desk.shows("world")
    await desk.shows("end")
    desk.type("q")
    await asyncio.wait_for(task, 5)
    assert desk.listener is None
    assert desk.sent.endswith(b"\x1b[?1049l")


async def test_time_stands_still_while_paused(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (3600.0, b" two"))
    desk = Desk()
    task = await playing(folder, desk)
    await desk.shows("one")
    desk.type(" ")
    await desk.shows("paused")
    desk.type(" ")
    await desk.shows("playing")
    assert "two" not in desk.text()
    desk.type("q")
    await asyncio.wait_for(task, 5)


async def test_speed_has_steps_and_shows(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (16.0, b" two"))
    desk = Desk()
    task = await playing(folder, desk)
    for wanted in ("2x", "4x", "8x", "16x", "32x", "64x"):
        desk.type("+")
        await desk.shows(wanted)
    await desk.shows("one two")
    desk.type("-")
    await desk.shows("32x")
    desk.type("q")
    await asyncio.wait_for(task, 5)


async def test_arrows_move_in_time_both_ways(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (4.0, b" two"), (100.0, b" three"))
    desk = Desk()
    task = await playing(folder, desk)
    desk.type(" ")
    await desk.shows("paused")
    desk.type("\x1b[C")
    await desk.shows("one two")
    desk.type("\x1b[D")
    await desk.until(lambda: "two" not in desk.text())
    assert desk.text().startswith("one")
    desk.type("q")
    await asyncio.wait_for(task, 5)


async def test_it_starts_where_and_as_fast_as_it_was_told(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (600.0, b" two"), (9000.0, b" three"))
    desk = Desk()
    task = await playing(folder, desk, at=600_000_000, speed=4.0)
    await desk.shows("one two")
    await desk.shows("10:00/2:30:00  4x")
    desk.type("q")
    await asyncio.wait_for(task, 5)


async def test_the_window_may_have_any_size_and_change_it(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"top\r\n\r\n\r\nlow"), (0.01, Size(20, 3)), (0.02, b"er"), (100.0, b""))
    desk = Desk(size=Size(30, 3))
    task = await playing(folder, desk)
    await desk.shows("lower")
    assert desk.listener is not None
    for size in (Size(1, 1), Size(2, 2), Size(200, 60), Size(10, 4)):
        desk.glass.resize(*size)
        desk.listener.resized(size)
        await desk.until(lambda size=size: len(desk.glass.snapshot().rows) == size.lines)
    await desk.shows("lower")
    desk.type("q")
    await asyncio.wait_for(task, 5)


async def test_a_lost_person_ends_the_replay(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (3600.0, b"two"))
    desk = Desk()
    task = await playing(folder, desk)
    assert desk.listener is not None
    desk.listener.lost()
    await asyncio.wait_for(task, 5)


HOSTILE = (
    b"\x1b]0;pwned\x07\x1b]52;c;cm0gLXJm\x07\x1b]8;;javascript:x\x07link\x1b]8;;\x07\x1b[c\x1b[>c\x1b[6n\x1b[5n\x1b[?1000h"
    b"\x1b[?2004h\x1b[21t\x1bP$qm\x1b\\\x1bPq#0;2;0;0;0#0~~\x1b\\\x1b_Gf=24;AAAA\x1b\\\x1b]1337;File=:AAAA\x07\x1b[>q"
    b"\x1b]10;?\x07\x9b6n\xc2\x9b6n\x1b[?1049h\x1b[?3h\x1bc\x07\x05\x0e\x1b[201~end\x1b[99J\x1b[" + b"9" * 5000 + b"J\x1b]unended"
)
ALLOWED = re.compile(rb"\x1b\[[0-9;:]*[HfABCDGdmJKXrSTbLMPE@]|\x1b\[\?(25|2026|1049|7)[hl]|\x1b\[[0-6]? q|[\x20-\x7e\x80-\xff\r\n]")


async def test_nothing_active_from_an_endpoint_reaches_the_auditor(folder: RecordingFolder) -> None:
    record(folder, (0.0, HOSTILE), (0.01, b"\x1b\\still here"), (0.02, "marker \x1b]52;c;eA==\x07"))
    desk = Desk()
    desk.environment["COLORTERM"] = "truecolor"
    task = await playing(folder, desk)
    await desk.shows("still here")
    await desk.shows("end")
    assert desk.listener is not None
    begun = desk.sent.index(b"\x1b[H\x1b[2J") + len(b"\x1b[H\x1b[2J")  # behind what `enter` says for us
    body = desk.sent[begun:]
    desk.type("q")
    await asyncio.wait_for(task, 5)
    assert ALLOWED.sub(b"", body) == b""


@pytest.mark.parametrize("term", ["", "dumb"])
async def test_without_a_drawing_terminal_a_replay_is_a_plain_transcript(folder: RecordingFolder, term: str) -> None:
    record(folder, (1.0, b"\x1b[31mred\x1b[m\r\n50%\r100%\r\nab\bc\r\n"), (65.5, "bob joined"), (66.0, HOSTILE))
    desk = Desk(term=term)
    await Replay(folder, RealClock()).play("S1", desk)
    lines = desk.sent.decode().splitlines()
    assert lines[:4] == ["0:01  red", "0:01  100%", "0:01  ac", "1:05  -- bob joined"]
    assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]", desk.sent)
    assert "\x9b" not in desk.sent.decode()
    assert lines[-1] == "1:06  -- exit 0"


async def test_a_cast_is_sent_byte_for_byte_or_as_v2(folder: RecordingFolder) -> None:
    record(folder, (1.0, b"x" * 300_000), (2.0, b"end"))
    desk = Desk(term="")
    await Replay(folder, RealClock()).cast("S1", desk)
    assert desk.sent == b"".join(folder.chunks("S1"))
    desk.sent = b""
    await Replay(folder, RealClock()).cast("S1", desk, version=2)
    assert desk.sent.startswith(b'{"version":2,"width":40,"height":5')
    assert desk.sent.endswith(b'[2.000000,"o","end"]\n')


async def test_a_cast_is_not_poured_into_a_terminal(folder: RecordingFolder) -> None:
    record(folder, (1.0, HOSTILE))
    desk = Desk()
    with pytest.raises(Invalid, match="not for a terminal"):
        await Replay(folder, RealClock()).cast("S1", desk)
    assert desk.sent == b""


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"junk\n", "no asciicast header"), (b'{"version":9}\n', "version 9"), (b"\x1f\x8b\x08junk", "compressed")],
)
async def test_a_bad_cast_is_refused_before_the_terminal_is_taken(folder: RecordingFolder, content: bytes, words: str) -> None:
    record(folder, (0.0, b""))
    Path(str(folder.path("S1"))).write_bytes(content)
    for term in ("xterm", ""):
        desk = Desk(term=term)
        with pytest.raises(Corrupt, match=words):
            await Replay(folder, RealClock()).play("S1", desk)
        assert desk.sent == b""


async def test_a_session_without_recording_is_missing(folder: RecordingFolder) -> None:
    with pytest.raises(Missing, match="no recording"):
        await Replay(folder, RealClock()).play("S2", Desk())


async def test_a_live_recording_is_followed_as_it_grows(folder: RecordingFolder) -> None:
    writer = folder.create("S1", LABEL, 1.7e9, 0.0)
    writer.output(b"one", 0.0)
    desk = Desk()
    task = await playing(folder, desk)
    await desk.shows("one")
    await desk.shows("LIVE")
    writer.output(b" two", 0.01)
    await desk.shows("one two")
    desk.type("q")
    await asyncio.wait_for(task, 5)
    writer.end(0, 1.0)
    writer.close()


async def paused(folder: RecordingFolder, desk: Desk, **how: float) -> asyncio.Task[None]:
    task = await playing(folder, desk, **how)
    desk.type(" ")
    await desk.shows("paused")
    await desk.until(lambda: "+  " not in desk.text())  # the whole length is known
    return task


async def quit_player(desk: Desk, task: asyncio.Task[None]) -> None:
    desk.type("q")
    await asyncio.wait_for(task, 5)


async def test_digits_seek_to_tenths_and_end_to_the_end(folder: RecordingFolder) -> None:
    record(folder, *((float(n), b"\x1b[2J\x1b[Hsecond %d" % n) for n in range(101)))
    desk = Desk()
    task = await paused(folder, desk)
    await desk.shows("/1:40  1x")
    for key, shown in (("5", "second 50"), ("9", "second 90"), ("0", "second 0"), ("\x1b[F", "second 100"), ("\x1b[1;2D", "second 40")):
        desk.type(key)
        await desk.shows(shown)
    await quit_player(desk, task)


async def test_brackets_go_from_marker_to_marker_and_say_what_they_are(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"a"), (50.0, "bob joined"), (51.0, b"b"), (80.0, "control to bob"), (99.0, b"c"))
    desk = Desk(size=Size(100, 10))
    task = await paused(folder, desk)
    for key, shown in (("]", "bob joined"), ("]", "control to bob"), ("]", "no marker"), ("[", "bob joined"), ("[", "no marker")):
        desk.type(key)
        await desk.shows(shown)
    desk.type("0")
    await desk.until(lambda: desk.text().count("◆") == 2)
    await quit_player(desk, task)


async def test_steps_go_one_change_of_the_screen_at_a_time_both_ways(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"a"), (5.0, b"b"), (5.5, "marker"), (6.0, b"c"), (7.0, b"d"))
    desk = Desk()
    task = await paused(folder, desk)
    for key, shown in ((".", "ab "), (".", "abc "), (",", "ab "), (",", "a "), (".", "ab ")):
        desk.type(key)
        await desk.until(lambda shown=shown: desk.text().startswith(shown))
    await quit_player(desk, task)


async def test_text_is_found_on_the_screens_and_again_with_n(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"a"), (30.0, b"\x1b[2J\x1b[Hrm -\x1b[1mrf /"), (60.0, b"\x1b[2J"), (90.0, b"\x1b[Hrm -rf ~"))
    desk = Desk(size=Size(100, 10))
    task = await paused(folder, desk)
    desk.type("/RM -rfx")
    await desk.shows("find: RM -rfx_")
    desk.type("\x7f\r")
    await desk.shows("rm -rf /")
    await desk.shows("found 'RM -rf'")
    desk.type("n")
    await desk.shows("rm -rf ~")
    await desk.shows("1:30/1:30")
    desk.type("n")
    await desk.shows("'RM -rf' does not come any more")
    desk.type("/")
    await desk.shows("find: _")
    desk.type("\x1b")
    await desk.until(lambda: "find:" not in desk.text())
    await quit_player(desk, task)


async def test_gaps_are_skipped_and_that_is_said(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (3.1, b"."), (7200.0, b"two"))
    desk = Desk(size=Size(120, 10))
    task = await playing(folder, desk, speed=64.0)
    await desk.shows("one.two")
    await desk.shows("without output skipped")
    desk.type("s")
    await desk.shows("gaps without output are shown")
    await quit_player(desk, task)


async def test_wall_clock_link_and_typed_keys_are_shown_on_demand(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"$ "), (10.0, (b"ls -l\r", "bob")), (11.0, b"files"))
    desk = Desk(size=Size(140, 10))
    task = await paused(folder, desk)
    desk.type(".")
    await desk.shows("files")
    desk.type("w")
    await desk.shows("2023-11-14 22:13:31 UTC")
    desk.type("i")
    await desk.shows("bob> ls -l\\r")
    desk.type("y")
    await desk.shows("replay S1 --at +0:11")
    await quit_player(desk, task)


async def test_a_killed_sessions_recording_is_indexed_when_it_is_opened_and_only_then(folder: RecordingFolder) -> None:
    record(folder, *((n * 0.5, b"\x1b[2J\x1b[Hnumber %d " % n + b"." * 150) for n in range(2000)))
    keyframes = Path(str(folder.path("S1"))).with_name("keyframes")
    assert not keyframes.exists()
    desk = Desk()
    task = await paused(folder, desk)
    await desk.shows("/16:39  1x")
    desk.type("5")
    await desk.shows("number 999")
    await quit_player(desk, task)
    made = keyframes.read_bytes()
    assert made
    keyframes.write_bytes(made[: len(made) // 2])  # a power cut
    desk = Desk()
    task = await paused(folder, desk)
    await desk.shows("/16:39  1x")
    desk.type("5")
    await desk.shows("number 999")
    await quit_player(desk, task)
    assert len(keyframes.read_bytes()) >= len(made) // 2
    assert keyframes.read_bytes().startswith(made[: len(made) // 2 - 2000])


async def test_search_goes_back_too_also_across_keyframes_and_marks_what_it_found(folder: RecordingFolder) -> None:
    filler = b"\x1b[2J\x1b[H" + b"x" * 150
    found = {300: b"needle one", 900: b"Needle two"}
    record(folder, *((n * 1.0, b"\x1b[2J\x1b[H" + found[n] if n in found else filler) for n in range(1500)))
    desk = Desk(size=Size(120, 10))
    task = await paused(folder, desk)
    await desk.shows("/24:59")
    desk.type("/nothing like it\r")
    await desk.shows("does not come any more")
    desk.type("\x1b[F")
    await desk.shows("24:59/24:59")
    desk.type("/needle\r")
    await desk.shows("'needle' does not come any more")
    for shown, at in (("Needle two", "15:00/"), ("needle one", "5:00/")):
        desk.type("N")
        await desk.shows(shown)
        await desk.shows(at)
    row = desk.glass.snapshot().rows[0]
    assert [style.bg != -1 for style in row.styles[:10]] == [True] * 6 + [False] * 4
    desk.type("N")
    await desk.shows("'needle' does not come before this")
    desk.type("n")
    await desk.shows("Needle two")
    await quit_player(desk, task)


async def test_what_scrolled_by_can_be_read_page_by_page_and_left_where_it_was_shown(folder: RecordingFolder) -> None:
    record(folder, *((n * 0.5, b"line %d of the log\r\n" % n) for n in range(300)))
    desk = Desk(size=Size(100, 20))
    task = await paused(folder, desk)
    desk.type("\x1b[F")
    await desk.shows("line 299")
    lines = set()
    while "its start" not in desk.text():
        before = desk.text().partition("\n")[0]
        desk.type("\x1b[5~")
        await desk.until(lambda before=before: desk.text().partition("\n")[0] != before and "scrolled back" in desk.text())
        found = [int(number) for number in re.findall(r"line (\d+) of", desk.text())]
        assert found == list(range(found[0], found[0] + len(found)))  # nothing missing, nothing twice
        lines.update(found)
    assert sorted(lines) == list(range(max(lines) + 1))
    desk.type("\x1b[6~")
    await desk.until(lambda: "its start" not in desk.text())
    desk.type("\x1b[H")
    await desk.shows("line 0 of")
    desk.type("\r")
    await desk.shows("paused")
    await desk.until(lambda: "line 299" not in desk.text())
    await quit_player(desk, task)


async def test_rows_that_a_larger_window_brought_back_are_told_once(folder: RecordingFolder) -> None:
    lines = [(n * 0.1, b"line %d of the log\r\n" % n) for n in range(100)]
    record(folder, *lines[:60], (6.0, Size(40, 3)), *lines[60:80], (8.0, Size(60, 20)), *lines[80:], (10.0, Size(50, 8)), (10.1, b"end"))
    desk = Desk(size=Size(100, 40))
    task = await paused(folder, desk)
    desk.type("\x1b[F")
    await desk.shows("line 99 of")
    seen = [int(number) for number in re.findall(r"line (\d+) of", desk.text())]
    while seen[0]:
        before = desk.text().partition("\n")[0]
        desk.type("\x1b[5~")
        await desk.until(lambda before=before: desk.text().partition("\n")[0] != before and "scrolled" in desk.text())
        found = [int(number) for number in re.findall(r"line (\d+) of", desk.text())]
        assert found == list(range(found[0], found[0] + len(found)))
        seen = [*(number for number in found if number < seen[0]), *seen]
    assert seen == list(range(100))
    await quit_player(desk, task)


async def test_the_help_page_lists_every_key_and_any_key_leaves_it(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (100.0, b" two"))
    desk = Desk(size=Size(80, 24))
    task = await paused(folder, desk)
    desk.type("?")
    await desk.shows("Keys of the player")
    for control in CONTROLS:
        assert control.text in desk.text()
    desk.type("x")
    await desk.shows("paused")
    await quit_player(desk, task)


async def test_links_are_printed_when_the_player_is_left_and_lead_to_the_exact_screen(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"one"), (2.000001, b" two"), (9.0, b" three"))
    desk = Desk(size=Size(100, 10))
    task = await paused(folder, desk)
    for _ in range(2):
        desk.type(".")
    await desk.shows("one two three")
    desk.type(",y")
    await desk.shows("replay S1 --at +0:02.000001")
    await quit_player(desk, task)
    assert desk.sent.endswith(b"replay S1 --at +0:02.000001\r\n")
    again = Desk(size=Size(100, 10))
    task = await paused(folder, again, at=parse_position("+0:02.000001"))
    await again.until(lambda: again.text().startswith("one two "))
    assert "three" not in again.text()
    await quit_player(again, task)


async def test_a_live_session_can_be_rewound_and_followed_again_until_it_ends(folder: RecordingFolder) -> None:
    writer = folder.create("S1", LABEL, 1.7e9, 0.0)
    for n in range(30):
        writer.output(b"\x1b[2J\x1b[Hsecond %d" % n, float(n))
    desk = Desk(size=Size(100, 10))
    task = await playing(folder, desk, at=28_000_000)
    await desk.shows("LIVE")
    await desk.shows("second 29")
    desk.type("\x1b[D")
    await desk.shows("second 24")
    await desk.shows("behind live")
    desk.type(" ")
    await desk.shows("paused, 0:0")
    writer.output(b"\x1b[2J\x1b[Hsecond 60", 60.0)
    await desk.shows("/1:00+")  # it is known to be longer now
    assert "second 60" not in desk.text()
    desk.type("\x1b[F")
    await desk.shows("LIVE")
    await desk.shows("second 60")
    writer.output(b"\x1b[2J\x1b[Hlast words", 61.0)
    writer.end(0, 61.0)
    await desk.shows("last words")
    writer.close()
    await desk.shows("  end")
    await quit_player(desk, task)


async def test_who_held_control_is_named_and_coloured(folder: RecordingFolder) -> None:
    record(folder, (0.0, b"a"), (50.0, b"b"), (99.0, b"c"))
    folder.append_side("S1", "track.jsonl", b'{"t":50000000,"kind":"control","who":"bob","text":"control: alice -> bob"}\n')
    desk = Desk(size=Size(100, 10))
    task = await paused(folder, desk)
    await desk.shows("● alice")
    desk.type("9")
    await desk.shows("● bob")
    await desk.until(lambda: len({style.fg for style in desk.glass.snapshot().rows[-2].styles}) >= 2)
    await quit_player(desk, task)
