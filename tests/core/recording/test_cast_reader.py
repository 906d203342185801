"""The reader: hostile and broken casts are refused in one line or read around, never loaded whole."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.errors import Corrupt
from bastion.core.recording.convert import to_v2, to_v3
from bastion.core.recording.reader import MAX_LINE, CastReader, Event, read
from bastion.core.values import Size

if TYPE_CHECKING:
    from collections.abc import Iterator

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
V3 = b'{"version":3,"term":{"cols":80,"rows":24}}\n'
V2 = b'{"version":2,"width":80,"height":24}\n'


def all_of(cast: bytes) -> tuple[list[Event], CastReader]:
    _, events, reader = read([cast])
    return list(events), reader


def test_version_1_is_read_even_when_pretty_printed() -> None:
    document = {"version": 1, "width": 90, "height": 30, "stdout": [[0.5, "a"], [1.25, "b"]]}
    for text in (json.dumps(document), json.dumps(document, indent=2)):
        header, events, _ = read([text.encode()[:7], text.encode()[7:]])
        assert header.size == Size(90, 30)
        assert [(e.time, e.data) for e in events] == [(500_000, "a"), (1_750_000, "b")]


def test_version_2_counts_from_the_start_and_3_from_the_last_event() -> None:
    lines = b'[1.5,"o","a"]\n[2.0,"o","b"]\n'
    assert [e.time for e in all_of(V2 + lines)[0]] == [1_500_000, 2_000_000]
    assert [e.time for e in all_of(V3 + lines)[0]] == [1_500_000, 3_500_000]


@pytest.mark.parametrize(
    ("cast", "code", "words"),
    [
        (b"", "cast.empty", "empty"),
        (b"\n", "cast.header", "no asciicast header"),
        (b"hello\n", "cast.header", "no asciicast header"),
        (b"[]\n", "cast.header", "no asciicast header"),
        (b'{"version":99}\n', "cast.version", "version 99"),
        (b'{"version":"3"}\n', "cast.header", "no asciicast header"),
        (b'{"version":true}\n', "cast.header", "no asciicast header"),
        (b'{"version":3}\n', "cast.size", "no usable terminal size"),
        (b'{"version":3,"term":[]}\n', "cast.size", "no usable terminal size"),
        (b'{"version":2,"width":-1,"height":24}\n', "cast.size", "no usable terminal size"),
        (b'{"version":2,"width":"80","height":24}\n', "cast.size", "no usable terminal size"),
        (b'{"version":1,"width":80,"height":24}\n', "cast.header", "no asciicast events"),
        (b'{"version":\n', "cast.header", "no asciicast header"),
        (gzip.compress(V3, mtime=0), "cast.compressed", "compressed"),
        (b"\xff\xfe\x00", "cast.header", "no asciicast header"),
    ],
)
def test_a_file_that_is_no_cast_is_refused_in_one_line(cast: bytes, code: str, words: str) -> None:
    with pytest.raises(Corrupt, match=words) as refusal:
        all_of(cast)
    assert refusal.value.code == code
    assert "\n" not in refusal.value.public


@pytest.mark.parametrize(("columns", "size"), [(0, Size(80, 24)), (10**9, Size(1000, 24)), (1, Size(1, 24))])
def test_sizes_beyond_what_we_draw_are_clamped(columns: int, size: Size) -> None:
    header, _, _ = read([b'{"version":2,"width":%d,"height":24}\n' % columns])
    assert header.size == size


@pytest.mark.parametrize(
    "line",
    [
        b'[NaN,"o","x"]',
        b'["1","o","x"]',
        b'[1e308,"o","x"]',
        b'[1e999,"o","x"]',
        b'[true,"o","x"]',
        b'[1,"o",5]',
        b'[1,"o"]',
        b'[1,"","x"]',
        b"{}",
        b"nonsense",
        b'[1,"o","\xff"]',
        b'[1,"o","\\ud800"]',
        b"[" * 5000,
        b'[99999999999,"o","x"]',
    ],
)
def test_a_bad_line_is_skipped_and_noted_by_its_number(line: bytes) -> None:
    events, reader = all_of(V3 + b'[0,"o","before"]\n' + line + b'\n[0,"o","after"]\n')
    assert [e.data for e in events] == ["before", "after"]
    assert reader.skipped == 1
    assert reader.notes[0].startswith("line 3: ")


def test_unknown_codes_comments_and_blank_lines_are_passed_over_in_silence() -> None:
    events, reader = all_of(V3 + b'# hello\n\n  \n[1,"z","?"]\n[1,"o","x"]\n')
    assert [(e.time, e.data) for e in events] == [(2_000_000, "x")]
    assert reader.skipped == 0


def test_negative_and_backward_times_stand_still() -> None:
    assert [e.time for e in all_of(V3 + b'[1,"o","a"]\n[-5,"o","b"]\n')[0]] == [1_000_000, 1_000_000]
    assert [e.time for e in all_of(V2 + b'[3,"o","a"]\n[1,"o","b"]\n')[0]] == [3_000_000, 3_000_000]


def test_a_last_line_cut_within_a_character_is_noted() -> None:
    events, reader = all_of(V3 + b'[0,"o","whole"]\n[1,"o","\xe2\x82')
    assert [e.data for e in events] == ["whole"]
    assert reader.notes == ["line 3: not a JSON line; skipped"]


def test_a_giant_event_is_skipped_with_its_time_kept_and_little_memory() -> None:
    def chunks() -> Iterator[bytes]:
        yield V3 + b'[2.5, "o", "'
        for _ in range(1024):
            yield b"x" * 65_536
        yield b'"]\n[1,"o","after"]\n'

    tracemalloc.start()
    _, events, reader = read(chunks())
    assert [(e.time, e.data) for e in events] == [(3_500_000, "after")]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "67108" in reader.notes[0]
    assert peak < 4 * MAX_LINE


def test_a_header_that_never_ends_is_refused_early() -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"version":3,"title":"'
        for _ in range(100):
            yield b"x" * 65_536
        pytest.fail("read on after the limit")

    with pytest.raises(Corrupt, match="does not end"):
        read(chunks())


def test_millions_of_bad_lines_leave_twenty_notes() -> None:
    _, reader = all_of(V3 + b"?\n" * 50_000)
    assert reader.skipped == 50_000
    assert len(reader.notes) == 20


def test_reading_goes_on_in_the_middle_where_a_line_begins() -> None:
    cast = V3 + b'[1,"o","a"]\n[1,"o","b"]\n[1,"o","c"]\n'
    events, first = all_of(cast)
    middle = events[1]
    assert first.header is not None
    rest = CastReader.resume(first.header, middle.offset, events[0].time).feed(cast[middle.offset :])
    assert rest == events[1:]


@settings(max_examples=80 * FUZZ, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"", V2, V3, b'{"version":1,"width":8,"height":2,"stdout":']))
def test_no_bytes_make_the_reader_fail_otherwise_than_by_corrupt(junk: bytes, before: bytes) -> None:
    for convert in (to_v2, to_v3):
        with contextlib.suppress(Corrupt):
            list(convert([before + junk]))


@settings(max_examples=60 * FUZZ, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers(-(10**20), 10**20) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
def test_no_json_makes_the_reader_fail(value: object) -> None:
    line = json.dumps(value).encode() + b"\n"
    for convert in (to_v2, to_v3):
        assert list(convert([V3 + line + V2[:0]]))


@settings(max_examples=40 * FUZZ, deadline=None)
@given(st.integers(1, 40))
def test_the_cut_into_chunks_changes_nothing(size: int) -> None:
    cast = V3 + '[0.1,"o","é€"]\n# bastion by bob\n[0.2,"i","x"]\n?\n[1,"m","hi"]'.encode()
    whole, _ = all_of(cast)
    reader = CastReader()
    pieces = [e for at in range(0, len(cast), size) for e in reader.feed(cast[at : at + size])] + reader.close()
    assert pieces == whole
    assert whole[1].by == "bob"
