"""A recording that grows too large: everybody is told in time, and nothing is dropped."""

from __future__ import annotations

from bastion.services.live.brim import Brim


def watched(limit: int) -> tuple[Brim, list[str]]:
    told: list[str] = []
    return Brim(limit, lambda text: told.append(f"warn: {text}"), lambda text: told.append(f"end: {text}")), told


def test_people_are_warned_twice_and_then_the_session_ends_once() -> None:
    brim, told = watched(100 << 20)
    for length in range(0, 120 << 20, 1 << 20):
        if length >= brim.next:
            brim.reached(length)
    assert [text[:70] for text in told] == [
        "warn: This session's recording has 80% of its 100 MiB; at the limit the sessio"[:70],
        "warn: This session's recording has 95% of its 100 MiB; at the limit the sessio"[:70],
        "end: The recording reached its limit of 100 MiB; all of it is kept. Sessions w"[:70],
    ]


def test_a_leap_over_all_steps_ends_at_once() -> None:
    brim, told = watched(2 << 30)
    brim.reached(3 << 30)
    assert [text[:50] for text in told] == ["end: The recording reached its limit of 2.0 GiB; all of it"[:50]]
