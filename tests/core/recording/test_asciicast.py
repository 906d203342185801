"""The encoder: what is shown is on file, and time does not drift."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.recording.asciicast import EVENT_CHARACTERS, CastEncoder, header
from bastion.core.recording.convert import to_v2, to_v3
from bastion.core.recording.reader import CastReader, Event, read
from bastion.core.values import Size

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
GOLDEN = Path(__file__).parents[2] / "golden" / "recordings"

LABEL = header(
    size=Size(80, 24),
    term="xterm-256color",
    started_at=1_700_000_000.25,
    session="01ABC",
    user="alice",
    endpoint="web01",
    login="deploy",
    command="top",
    title="alice on web01 as deploy",
    tags=["prod"],
)


def example_cast() -> bytes:
    encoder = CastEncoder(100.0)
    return b"".join(
        [
            encoder.header(LABEL),
            encoder.output(b"\x1b[1mhi\x1b[m \xe2\x82", 100.000001),
            encoder.output(b"\xac 5\r\n", 100.5),
            encoder.input(b"ls\r", 101.25, "alice"),
            encoder.marker("bob joined as viewer", 101.3),
            encoder.input(b"q", 101.4, "bob"),
            encoder.resize(Size(100, 30), 102.0),
            encoder.output(b"bad \xff byte", 102.000002),
            encoder.end(7, 103.0),
        ]
    )


def events_of(cast: bytes) -> list[Event]:
    _, events, reader = read([cast])
    found = list(events)
    assert not reader.notes
    return found


def test_the_example_is_written_as_the_golden_file_says() -> None:
    assert example_cast() == (GOLDEN / "format-2.cast").read_bytes()


def test_the_v2_export_is_written_as_the_golden_file_says() -> None:
    assert b"".join(to_v2([example_cast()])) == (GOLDEN / "format-2.v2.cast").read_bytes()


def test_a_v3_cast_goes_through_to_v3_unchanged_but_for_spent_comments() -> None:
    cast = example_cast()
    assert events_of(b"".join(to_v3([cast]))) == [
        event._replace(offset=again.offset)
        for event, again in zip(events_of(cast), events_of(b"".join(to_v3([cast]))), strict=True)
    ]


def test_v2_and_v3_hold_the_same_moments() -> None:
    v2 = b"".join(to_v2([example_cast()]))
    back = b"".join(to_v3([v2]))
    wanted = [(e.time, e.code, e.data) for e in events_of(example_cast()) if e.code != "x"]
    assert [(e.time, e.code, e.data) for e in events_of(back)] == wanted


@settings(max_examples=60 * FUZZ, deadline=None)
@given(st.lists(st.binary(max_size=12) | st.sampled_from([*("é€𝄞".encode()[:n] for n in range(9)), bytes(63), bytes(64), bytes(9000)]), max_size=20))
def test_any_chunks_of_any_bytes_are_recorded_as_their_text(chunks: list[bytes]) -> None:
    encoder = CastEncoder(0.0)
    lines = [encoder.header(LABEL)]
    shown = b""
    for n, chunk in enumerate(chunks):
        lines.append(encoder.output(chunk, n * 0.1))
        shown += chunk
        reader = CastReader()
        text = "".join(e.data for e in reader.feed(b"".join(lines)))
        assert text + reader.tail.decode("utf-8", "replace") == shown.decode("utf-8", "replace")
    lines.append(encoder.end(0, 99.0))
    assert "".join(e.data for e in events_of(b"".join(lines)) if e.code == "o") == shown.decode("utf-8", "replace")


@settings(max_examples=40 * FUZZ, deadline=None)
@given(st.lists(st.floats(0, 1e5, allow_nan=False), min_size=1, max_size=50).map(sorted))
def test_every_moment_is_exact_to_the_microsecond(times: list[float]) -> None:
    encoder = CastEncoder(50.0)
    cast = encoder.header(LABEL) + b"".join(encoder.output(b"x", 50.0 + t) for t in times)
    for event, time in zip(events_of(cast), times, strict=True):
        assert abs(event.time - (50.0 + time - 50.0) * 1e6) <= 0.6


def test_a_day_of_events_has_no_drift() -> None:
    encoder = CastEncoder(1e6)
    lines = [encoder.header(LABEL)]
    for n in range(1, 200_001):
        lines.append(encoder.output(b".", 1e6 + n * (86_400 / 200_000) + 0.0000004))
    last = events_of(b"".join(lines))[-1]
    assert last.time == 86_400_000_000


def test_a_half_character_is_on_file_at_once_as_a_comment() -> None:
    encoder = CastEncoder(0.0)
    assert encoder.output(b"\xe2\x82", 1.0) == b"# bastion tail e282\n"
    assert encoder.output(b"\xac", 2.0) == '[2.000000,"o","€"]\n'.encode()


def test_time_that_goes_backwards_stands_still() -> None:
    encoder = CastEncoder(10.0)
    assert encoder.output(b"a", 11.0) == b'[1.000000,"o","a"]\n'
    assert encoder.output(b"b", 5.0) == b'[0.000000,"o","b"]\n'
    assert encoder.output(b"c", 12.0) == b'[1.000000,"o","c"]\n'


def test_a_flood_is_cut_into_lines_that_a_reader_can_hold() -> None:
    encoder = CastEncoder(0.0)
    data = b"\x1b" * (3 * EVENT_CHARACTERS + 1)
    lines = encoder.output(data, 1.0).splitlines()
    assert [len(json.loads(line)[2]) for line in lines] == [EVENT_CHARACTERS] * 3 + [1]
    assert max(map(len, lines)) < 500_000


def test_a_flood_of_zeros_is_written_as_comments_that_keep_its_time() -> None:
    encoder = CastEncoder(0.0)
    assert encoder.output(b"a" + bytes(64) + b"b", 1.0) == b'[1.000000,"o","a"]\n# bastion nul 64\n[0.000000,"o","b"]\n'
    assert encoder.output(bytes(8200), 2.0) == b'[1.000000,"o",""]\n' + b"# bastion nul 4096\n" * 2 + b"# bastion nul 8\n"
    cast = encoder.header(LABEL) + encoder.output(b"\xe2" + bytes(70), 3.0) + encoder.output(b"x", 4.0)
    assert [(e.time, e.data) for e in events_of(cast)][-3:] == [(1_000_000, "\ufffd"), (1_000_000, "\0" * 70), (2_000_000, "x")]


def test_a_comment_cannot_ask_for_more_nuls_than_one_may_stand_for() -> None:
    for count in (b"4097", b"-1", b"99999999999", b"", b"x"):
        reader = CastReader()
        assert reader.feed(CastEncoder(0.0).header(LABEL) + b"# bastion nul " + count + b"\n") == []
        assert len(reader.notes) == 1


def test_an_authors_name_cannot_end_its_comment() -> None:
    encoder = CastEncoder(0.0)
    cast = encoder.header(LABEL) + encoder.input(b"x", 1.0, 'eve\n[1,"o","forged"]')
    assert [e.code for e in events_of(cast)] == ["i"]


def test_a_lost_line_leaves_the_time_of_what_follows_right() -> None:
    encoder = CastEncoder(0.0)
    first = encoder.output(b"a", 1.0)
    before = encoder.time
    encoder.output(b"lost \xe2", 2.0)
    encoder.lost(before)
    cast = encoder.header(LABEL) + first + encoder.output(b"b", 3.0)
    assert [(e.time, e.data) for e in events_of(cast)] == [(1_000_000, "a"), (3_000_000, "b")]


@pytest.mark.parametrize("text", ["\udcff", "a\udc80b"])
def test_names_that_are_no_unicode_do_not_stop_a_recording(text: str) -> None:
    label = header(size=Size(80, 24), term="", started_at=0, session="s", user=text, endpoint="e", login="l", command=text)
    encoder = CastEncoder(0.0)
    cast = encoder.header(label) + encoder.marker(text, 1.0) + encoder.input(b"x", 1.0, text)
    assert [e.code for e in events_of(cast)] == ["m", "i"]
