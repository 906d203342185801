"""The chain: what it binds, what it finds, and how fast."""

import json
import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.audit.chain import (
    MAX_EVENT_BYTES,
    Fault,
    Head,
    Link,
    canonical,
    decode_line,
    encode_line,
    extend,
    genesis,
    link,
    read_event,
    verify,
)
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Corrupt, Invalid

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
START = Head(0, genesis("main"))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
events = st.builds(
    AuditEvent,
    code=st.text(min_size=1, max_size=20),
    at=st.floats(0, 1e10),
    actor=st.text(max_size=20),
    source=st.text(max_size=20),
    subject=st.text(st.characters(), max_size=20),
    reason=st.text(st.characters(categories=None), max_size=30),
    data=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
)


def chain(count: int, start: Head = START) -> list[Link]:
    return extend(start, (canonical(AuditEvent("login.accepted", float(n), actor=f"user{n}")) for n in range(count)))


@given(events)
@settings(max_examples=60 * FUZZ, deadline=None)
def test_an_event_comes_back_from_its_line_as_it_was(event):
    entry = extend(START, [canonical(event)])[0]
    line = encode_line(entry)
    assert decode_line(line) == entry
    assert read_event(entry.text) == event
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert not any(byte < 0x20 or byte > 0x7E for byte in line[:-1]), "no control byte may reach a log"


def test_an_event_has_one_spelling_whatever_the_order_of_its_data():
    one = canonical(AuditEvent("a", 1.0, data={"x": 1, "y": 2}))
    two = canonical(AuditEvent("a", 1.0, data={"y": 2, "x": 1}))
    assert one == two


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", object(), {1, 2}, {("a",): 1}])
def test_what_is_not_json_is_refused(value):
    with pytest.raises(Invalid) as caught:
        canonical(AuditEvent("a", 1.0, data={"x": value}))
    assert caught.value.code == "audit.event"


def test_an_event_without_bound_is_refused():
    with pytest.raises(Invalid, match="larger than"):
        canonical(AuditEvent("a", 1.0, reason="x" * MAX_EVENT_BYTES))


def test_text_that_is_no_event_is_corrupt():
    for text in (b"", b"[]", b'{"code":"a"}', b'{"code":"a","at":1,"more":1}', b"[" * 100_000):
        with pytest.raises(Corrupt):
            read_event(text)


def test_a_sound_chain_is_sound_to_its_head():
    entries = chain(50)
    verdict = verify(entries, START)
    assert verdict.fault is None
    assert verdict.head == Head(50, entries[-1].hash)


def test_a_chain_cannot_be_passed_off_as_another_nodes():
    verdict = verify(chain(3), Head(0, genesis("other")))
    assert verdict.fault == Fault(1, "it was changed, or does not follow the entry before it")


def test_the_hash_binds_position_predecessor_and_text():
    base = link(START.hash, 1, b"{}")
    assert len({base, link(START.hash, 2, b"{}"), link(b"\0" * 32, 1, b"{}"), link(START.hash, 1, b"{ }")}) == 4


@given(st.integers(0, 19), st.integers(0, 10**9))
@settings(max_examples=100 * FUZZ, deadline=None)
def test_every_flipped_bit_of_a_line_is_found_and_located(victim, bit):
    lines = [encode_line(entry) for entry in chain(20)]
    damaged = bytearray(lines[victim])
    bit %= len(damaged) * 8
    damaged[bit // 8] ^= 1 << bit % 8
    lines[victim] = bytes(damaged)
    verdict = verify([decode_line(line) for line in b"".join(lines).splitlines(keepends=True)], START)
    assert verdict.fault is not None
    assert verdict.fault.seq == victim + 1
    assert verdict.head.seq == victim


@given(st.integers(0, 17), st.integers(1, 2), st.sampled_from(["remove", "swap", "double", "insert", "rehash"]))
@settings(max_examples=60 * FUZZ, deadline=None)
def test_every_structural_edit_is_found_where_it_begins(at, distance, edit):
    entries = chain(20)
    forged = canonical(AuditEvent("login.accepted", 0.5, actor="mallory"))
    first_bad = at + 1
    match edit:
        case "remove":
            del entries[at]
        case "swap":
            entries[at], entries[at + distance] = entries[at + distance], entries[at]
        case "double":
            entries.insert(at + 1, entries[at])
            first_bad = at + 2
        case "insert":
            before = entries[at - 1].hash if at else START.hash
            entries.insert(at, Link(at + 1, link(before, at + 1, forged), forged))
            first_bad = at + 2  # the forged one is well made: what follows it betrays it
        case "rehash":
            before = entries[at - 1].hash if at else START.hash
            entries[at] = Link(at + 1, link(before, at + 1, forged), forged)
            first_bad = at + 2
    verdict = verify(entries, START)
    assert verdict.fault is not None
    assert verdict.fault.seq == first_bad


def test_a_line_that_we_would_not_write_is_not_read():
    line = encode_line(chain(1)[0])
    for other in (
        line.replace(b'":', b'": ', 1),
        line.rstrip(),
        line + b"\n",
        line.upper(),
        b"",
        b"{}\n",
        line.replace(b":1,", b":01,", 1),
    ):
        assert decode_line(other) is None, other


def test_a_hundred_thousand_entries_are_verified_in_a_second():
    entries = chain(20_000)
    best = 0.0
    for _ in range(5):
        begin = time.process_time()
        assert verify(entries, START).fault is None
        best = max(best, len(entries) / (time.process_time() - begin))
    assert best > 100_000, f"{best:,.0f} entries/s"


def test_the_journals_line_is_plain_json_for_other_tools():
    entry = chain(1)[0]
    assert json.loads(encode_line(entry))["event"]["actor"] == "user0"


@given(st.binary(max_size=120) | st.text(alphabet='{"seq:hash,event}\n0123456789abcdefAF+_ ', max_size=200).map(str.encode))
@settings(max_examples=200 * FUZZ, deadline=None)
def test_whatever_is_read_as_a_line_is_written_so(line):
    entry = decode_line(line)
    assert entry is None or encode_line(entry) == line
