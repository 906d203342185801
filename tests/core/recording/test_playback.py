"""The tape's counter, and how people write moments."""

from __future__ import annotations

import pytest

from bastion.core.errors import Invalid
from bastion.core.recording.playback import Playback, clock_text, parse_position, speed_text

NOON = 1_700_000_000.0 - 1_700_000_000.0 % 86_400 + 12 * 3600


def test_positions_run_with_the_clock_at_the_speed_and_stand_while_paused() -> None:
    tape = Playback(100.0, position=5_000_000)
    assert tape.position(101.5) == 6_500_000
    tape.faster(102.0)
    assert (tape.speed, tape.position(103.0)) == (2.0, 9_000_000)
    tape.set_playing(104.0, playing=False)
    assert tape.position(999.0) == 11_000_000
    tape.set_playing(1000.0, playing=True)
    assert tape.position(1000.5) == 12_000_000
    assert tape.seconds_until(14_000_000, 1000.5) == 1.0


def test_speeds_stop_at_both_ends() -> None:
    tape = Playback(0.0, speed=1000.0)
    tape.faster(0.0)
    assert tape.speed == 64.0
    for _ in range(20):
        tape.slower(0.0)
    assert speed_text(tape.speed) == "0.25x"


def test_a_clock_that_goes_back_does_not_rewind() -> None:
    tape = Playback(100.0, position=1_000_000)
    assert tape.position(50.0) == 1_000_000


@pytest.mark.parametrize(("position", "text"), [(0, "0:00"), (61_999_999, "1:01"), (3_661_000_000, "1:01:01"), (-5, "0:00")])
def test_positions_are_shown_as_people_write_them(position: int, text: str) -> None:
    assert clock_text(position) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("+90", 90), ("+1:20", 80), ("+1:02:03", 3723), ("12:00", 0), ("12:30:05", 1805), ("11:00", 23 * 3600), ("00:00", 12 * 3600)],
)
def test_moments_are_read_from_the_start_or_by_the_time_of_day(text: str, seconds: int) -> None:
    assert parse_position(text, NOON) == seconds * 1_000_000


@pytest.mark.parametrize("text", ["", "12", "x", "+", "25:00", "12:60", "1:2:3:4", "-5", "+1:2:3:4", "\u0661:\u0662", "9" * 50])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Invalid, match=r"is no (moment of a recording|time of day)"):
        parse_position(text, NOON)


def test_a_time_of_day_needs_a_recording_with_a_date() -> None:
    with pytest.raises(Invalid, match="is no moment"):
        parse_position("12:30")
