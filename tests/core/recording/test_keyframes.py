"""Keyframes: any moment is reached from the nearest one, exactly as from the beginning."""

from __future__ import annotations

import os
import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.recording import keyframes
from bastion.core.recording.asciicast import CastEncoder, header
from bastion.core.recording.find import Finder
from bastion.core.recording.indexer import Indexer
from bastion.core.recording.keyframes import Due, Keyframe, Place, Places, activity, pack, place, unpack
from bastion.core.recording.reader import CastReader, Event, Header, parse_size, read
from bastion.core.recording.track import Entry, line, merged, parse
from bastion.core.terminal import Grid, Terminal
from bastion.core.terminal.past import ROWS
from bastion.core.values import Size

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
FRAME = Keyframe(5_000_000, 12_345, Size(80, 24), b"\x1b[1mhello" * 50, "alice")
LABEL = header(size=Size(40, 8), term="xterm", started_at=0, session="s", user="u", endpoint="e", login="l")
PIECES = (
    b"plain words ",
    b"\r\n",
    b"\x1b[31;1m",
    b"\x1b[m",
    b"\x1b[2J\x1b[H",
    b"\x1b[?1049h",
    b"\x1b[?1049l",
    b"\x1b[3;5H",
    b"\x1b[2;6r",
    b"\x1b[r",
    b"\x1b7",
    b"\x1b8",
    "wide 漢字 é ".encode(),
    b"\xe2\x82",
    b"\xac",
    b"\x1b[4",
    b"8;5;200m",
    b"\x1b]0;title",
    b"\x07",
    b"\x1b(0lqk",
    b"\x1b(B",
    b"\x1b[5L",
    b"\x1bM",
)


def random_cast(seed: int, events: int = 400, *, widths: bool = True) -> bytes:
    chance = random.Random(seed)
    encoder = CastEncoder(0.0)
    lines = [encoder.header(LABEL)]
    at = 0.0
    for _ in range(events):
        at += chance.choice((0.0, 0.01, 0.5, 4.0))
        kind = chance.random()
        if kind < 0.03:
            lines.append(encoder.resize(Size(chance.randint(5, 60) if widths else 40, chance.randint(2, 12)), at))
        elif kind < 0.06:
            lines.append(encoder.input(b"k", at, chance.choice(("alice", "bob"))))
        elif kind < 0.08:
            lines.append(encoder.marker("mark", at))
        else:
            lines.append(encoder.output(b"".join(chance.choices(PIECES, k=chance.randint(1, 8))), at))
    lines.append(encoder.end(0, at))
    return b"".join(lines)


def play(terminal: Terminal, events: list[Event], until: int) -> Grid:
    for event in events:
        if event.time > until:
            break
        if event.code == "o":
            terminal.feed(event.data.encode())
        elif event.code == "r":
            size = parse_size(event.data)
            assert size is not None
            terminal.resize(*size)
    return terminal.snapshot()


def test_a_keyframe_comes_back_as_it_was_written() -> None:
    record = pack(FRAME)
    assert unpack(record) == FRAME
    assert place(record, 77) == Place(FRAME.time, FRAME.offset, FRAME.size, 77, len(record))


def test_no_changed_byte_goes_unnoticed() -> None:
    record = pack(FRAME)
    for at in range(len(record)):
        changed = record[:at] + bytes([record[at] ^ 0x10]) + record[at + 1 :]
        assert unpack(changed) is None, at


def test_a_record_cut_short_is_none() -> None:
    record = pack(FRAME)
    assert all(unpack(record[:size]) is None for size in range(len(record)))


def test_a_record_that_would_unpack_to_more_than_it_says_is_refused() -> None:
    body = zlib.compress(b"x" * 10_000_000)
    fields = struct.pack("<4sQQHHHIII", b"KF1\n", 0, 0, 80, 24, 0, len(body), 100, zlib.crc32(body))
    assert unpack(fields + struct.pack("<I", zlib.crc32(fields)) + body) is None


def test_a_screen_too_large_gets_no_keyframe() -> None:
    assert pack(FRAME._replace(screen=b"x" * (keyframes.MAX_SCREEN + 1))) == b""


def test_keyframes_are_due_by_bytes_by_time_and_at_a_resize() -> None:
    due = Due()
    assert not due.now(0, 0)
    assert not due.now(9_999_999, 100)
    assert due.now(10_000_000, 100)
    assert due.now(0, 256 * 1024)
    due.made(10_000_000, 100)
    due.resized()
    assert due.now(10_000_001, 101)
    assert not due.now(99_000_000, 100), "nothing was written since"


def test_places_come_in_any_order_and_those_that_go_backwards_are_left_out() -> None:
    good = [Place(t, t * 10, Size(80, 24), 0, 0) for t in (1, 2, 5)]
    places = Places([good[2], good[1], Place(1, 25, Size(80, 24), 0, 0), Place(3, 20, Size(80, 24), 0, 0), good[0]])
    assert len(places) == 3
    assert places.before(4) == [good[1], good[0]]
    assert places.before(0) == []


def test_activity_tells_where_something_happened() -> None:
    points = [(10, 100), (20, 5100), (90, 5200)]
    assert activity(points, 100, 10) == [100, 5000, 14, 14, 14, 14, 14, 14, 14, 0]
    assert activity(points, 0, 3) == [0, 0, 0]


@pytest.mark.parametrize("seed", range(6 * FUZZ))
def test_every_keyframe_leads_to_the_same_screens_as_the_beginning(seed: int) -> None:
    cast = random_cast(seed, widths=seed < 6)  # whether a row went on in a blank one is not in a keyframe; widths may show that
    head, events, _ = read([cast])
    everything = list(events)
    indexer = Indexer(head)
    found = [frame for at in range(0, len(cast), 1000) for frame in indexer.feed(cast[at : at + 1000])]
    assert len(found) > 10
    assert indexer.time == everything[-1].time
    authors = {event.offset: event.by for event in everything if event.code == "i"}
    chance = random.Random(seed)
    for frame in chance.sample(found, 8):
        rest = CastReader.resume(head, frame.offset, frame.time, frame.by).feed(cast[frame.offset :])
        assert rest == [event for event in everything if event.offset >= frame.offset]
        assert all(event.by == authors[event.offset] for event in rest if event.code == "i")
        until = frame.time + chance.choice((0, 500_000, 30_000_000))
        terminal = Terminal(*frame.size, history=1000)
        terminal.feed(frame.screen)
        played = [event for event in everything if event.offset < frame.offset or event.time <= until]
        assert play(terminal, rest, until) == play(Terminal(40, 8, history=1000), played, max(until, frame.time))


@pytest.mark.parametrize("seed", range(4 * FUZZ))
def test_a_window_made_larger_after_a_keyframe_shows_again_what_had_scrolled_away(seed: int) -> None:
    chance = random.Random(seed)
    encoder = CastEncoder(0.0)
    cast = encoder.header(LABEL)
    for n in range(300):
        at = n * 2.0
        if chance.random() < 0.1:
            cast += encoder.resize(Size(chance.choice((40, 40, 30, 70)), chance.randrange(4, 60)), at)
        else:
            line = f"\x1b[3{n % 8}mline {n}\x1b[m " + "word " * chance.choice((1, 3, 30)) + "\r\n"
            cast += encoder.output(line.encode() * chance.choice((1, 1, 9)), at)
    head, events, _ = read([cast])
    everything = list(events)
    for frame in chance.sample(Indexer(head).feed(cast), 6):
        terminal = Terminal(*frame.size, history=ROWS)
        terminal.feed(frame.screen)
        until = frame.time + chance.randrange(40_000_000)
        rest = [event for event in everything if event.offset >= frame.offset]
        whole = [event for event in everything if event.time <= until]
        assert play(terminal, rest, until) == play(Terminal(40, 8, history=1000), whole, until)


@pytest.mark.parametrize("seed", range(3))
def test_indexing_goes_on_from_a_keyframe_as_if_it_had_not_stopped(seed: int) -> None:
    cast = random_cast(seed)
    head, _, _ = read([cast])
    whole = Indexer(head).feed(cast)
    middle = whole[len(whole) // 2]
    again = Indexer(head, middle).feed(cast[middle.offset :])
    for one, other in zip(again, whole[len(whole) // 2 + 1 :], strict=True):
        assert one._replace(screen=b"") == other._replace(screen=b"")
        assert shown(one) == shown(other)


def shown(frame: Keyframe) -> Grid:
    terminal = Terminal(*frame.size)
    terminal.feed(frame.screen)
    return terminal.snapshot()


@settings(max_examples=50 * FUZZ, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_make_a_keyframe_or_a_track_fail(junk: bytes) -> None:
    assert unpack(junk) is None
    assert unpack(pack(FRAME)[: keyframes.HEAD] + junk) is None
    parse(junk)


def test_a_track_keeps_what_is_sound_and_tells_each_marker_once() -> None:
    entries = [Entry(5, "join", "bob", "bob joined"), Entry(2, "control", "", "x")]
    data = line(entries[0]) + b"junk\n" + b'{"t":-1,"kind":"a","who":"","text":""}\n' + line(entries[1])[:-1]
    assert parse(data) == sorted(entries)
    assert merged(parse(data), [Entry(5, "marker", "", "bob joined"), Entry(9, "marker", "", "new")])[1:] == [
        entries[0],
        Entry(9, "marker", "", "new"),
    ]


def found(cast: bytes, wanted: str, after: int = -1) -> int | None:
    head: Header = read([cast])[0]
    finder = Finder(head, wanted, after=after)
    for at in range(0, len(cast), 500):
        if (time := finder.feed(cast[at : at + 500])) is not None:
            return time
    return finder.close()


def test_a_text_is_found_as_it_stood_on_the_screen() -> None:
    encoder = CastEncoder(0.0)
    cast = b"".join(
        [
            encoder.header(LABEL),
            encoder.output(b"\x1b[2;1Hs\x1b[31me\x1b[m", 1.0),
            encoder.output(b"\x1b[2;3Hcr\x1b[1met", 2.0),
            encoder.output(b"\x1b[2J", 5.0),
            encoder.output(b"\x1b[HSecret again", 7.0),
            encoder.output(b"more", 8.0),
            encoder.output(b"\r\n" * 600 + b"flood FL\x1b[1mOW by" + b"\r\n" * 20, 9.0),
            encoder.end(0, 10.0),
        ]
    )
    assert found(cast, "SECRET") == 2_000_000
    assert found(cast, "secret", after=2_000_000) == 7_000_000
    assert found(cast, "secret", after=7_000_000) is None
    assert found(cast, "flow by") == 9_000_000
    assert found(cast, "31me") is None
