"""The gate's decisions, with a hand-moved clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.wire.bucket import Bucket
from bastion.wire.gate import Ending, Gate, source_of
from bastion.wire.limits import Limits

STILL = replace(Limits(), connection_rate=0.0, connection_burst=1_000_000)


def ask(gate: Gate, source: str = "192.0.2.1", now: float = 0.0, chance: float = 0.999, share: float = 0.0) -> str | None:
    return gate.admit(source, now, chance, share)


def test_ten_wait_from_one_source_and_the_eleventh_is_refused() -> None:
    gate = Gate(STILL)
    assert [ask(gate) for _ in range(11)] == [None] * 10 + ["refused.source"]
    assert ask(gate, "192.0.2.2") is None


def test_a_login_makes_room_for_the_next_from_that_source() -> None:
    gate = Gate(STILL)
    for _ in range(10):
        ask(gate)
    gate.authenticated("192.0.2.1")
    assert ask(gate) is None


def test_a_hundred_wait_in_all_and_the_next_is_refused_whoever_it_is() -> None:
    gate = Gate(STILL)
    answers = [ask(gate, f"192.0.2.{n}") for n in range(101)]
    assert answers == [None] * 100 + ["refused.unauthenticated"]
    assert gate.unauthenticated == 100


@pytest.mark.parametrize(("waiting", "dropped"), [(49, 0), (50, 1), (75, 50), (99, 98)])
def test_between_fifty_and_a_hundred_the_chance_to_be_dropped_rises(waiting: int, dropped: int) -> None:
    gate = Gate(STILL)
    for n in range(waiting):
        ask(gate, f"192.0.2.{n}", chance=1.0)
    outcomes = []
    for percent in range(100):
        answer = ask(gate, "198.51.100.1", chance=percent / 100)
        outcomes.append(answer)
        if answer is None:
            gate.authenticated("198.51.100.1")
    assert abs(outcomes.count("refused.early_drop") - dropped) <= 2


def test_forty_connect_at_once_and_then_twenty_a_second() -> None:
    gate = Gate(replace(Limits(), unauthenticated_per_source=10_000, unauthenticated=10_000, early_drop_from=10_000))
    assert [ask(gate) for _ in range(41)] == [None] * 40 + ["refused.rate"]
    assert [ask(gate, now=1.0) for _ in range(21)] == [None] * 20 + ["refused.rate"]


def test_three_quarters_of_the_open_files_are_for_ssh_and_no_more() -> None:
    gate = Gate(STILL)
    assert ask(gate, share=0.74) is None
    assert ask(gate, share=0.75) == "refused.open_files"


def test_the_fourth_connection_after_failed_logins_is_refused_until_the_penalty_has_run_out() -> None:
    gate = Gate(STILL)
    for _ in range(3):
        assert ask(gate) is None
        gate.left("192.0.2.1", Ending.AUTH_FAILED, 0.0)
    assert ask(gate, now=1.0) == "refused.penalty"
    assert ask(gate, now=14.9) == "refused.penalty"
    assert ask(gate, now=15.0) is None


def test_a_victim_behind_another_address_still_gets_in() -> None:
    gate = Gate(STILL)
    for _ in range(9):
        ask(gate)
        gate.left("192.0.2.1", Ending.GRACE, 0.0)
    assert ask(gate) == "refused.penalty"
    assert ask(gate, "192.0.2.9") is None


def test_two_typos_are_no_attack() -> None:
    gate = Gate(STILL)
    for _ in range(2):
        ask(gate)
        gate.left("192.0.2.1", Ending.AUTH_FAILED, 0.0)
    assert ask(gate) is None


def test_no_penalty_is_longer_than_ten_minutes() -> None:
    gate = Gate(STILL)
    for _ in range(1000):
        gate._punish("192.0.2.1", Ending.GRACE, 0.0)
    assert ask(gate, now=599.0) == "refused.penalty"
    assert ask(gate, now=600.0) is None


def test_the_source_seen_longest_ago_is_forgotten_first() -> None:
    gate = Gate(replace(STILL, penalty_sources=2))
    for source in ("a", "b", "c"):
        for _ in range(3):
            ask(gate, source)
            gate.left(source, Ending.AUTH_FAILED, 0.0)
    assert [ask(gate, source) for source in ("a", "b", "c")] == [None, "refused.penalty", "refused.penalty"]


def test_an_exempt_network_is_limited_only_in_total() -> None:
    gate = Gate(replace(Limits(), exempt_networks=("127.0.0.0/8",), early_drop_from=100))
    assert [ask(gate, "127.0.0.1") for _ in range(101)] == [None] * 100 + ["refused.unauthenticated"]


def test_twenty_logins_at_once_may_have_the_longer_grace() -> None:
    gate = Gate(STILL)
    assert [gate.pending() for _ in range(21)] == [True] * 20 + [False]
    gate.no_longer_pending()
    assert gate.pending()


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_64(address: str, source: str) -> None:
    assert source_of(address) == source


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([None, *Ending]), st.floats(0, 5)), max_size=60))
def test_whatever_happens_the_counts_return_to_nothing(steps: list[tuple[str, Ending | None, float]]) -> None:
    gate, now, inside = Gate(Limits()), 0.0, []
    for source, ending, wait in steps:
        now += wait
        if gate.admit(source, now, 0.5, 0.0) is None:
            inside.append((source, ending))
        assert gate.unauthenticated == len(inside) <= 100
    for source, ending in inside:
        if ending is None:
            gate.authenticated(source)
        else:
            gate.left(source, ending, now)
    assert gate.unauthenticated == 0
    assert not gate._waiting


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=200))
def test_a_bucket_never_gives_more_than_its_burst_and_rate(waits: list[float]) -> None:
    bucket, now, taken = Bucket(5.0, 3.0, 0.0), 0.0, 0
    for wait in waits:
        now += wait
        taken += bucket.take(now)
        assert taken <= 3 + 5 * now + 1e-6
