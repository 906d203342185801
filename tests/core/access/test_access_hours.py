"""Windows keep their wall-clock ends over midnight, weeks, and both changes of clocks."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.access.hours import covering, following, read_dates, read_instant, read_weekly, read_zone, show_instant

from .world import examples

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return read_instant(text)


@pytest.mark.parametrize(
    ("window", "when", "open_"),
    [
        ("mon-fri 08:00-17:00 Europe/Berlin", "2026-11-23 08:00 Europe/Berlin", True),
        ("mon-fri 08:00-17:00 Europe/Berlin", "2026-11-23 07:59 Europe/Berlin", False),
        ("mon-fri 08:00-17:00 Europe/Berlin", "2026-11-23 16:59 Europe/Berlin", True),
        ("mon-fri 08:00-17:00 Europe/Berlin", "2026-11-23 17:00 Europe/Berlin", False),
        ("mon-fri 08:00-17:00 Europe/Berlin", "2026-11-22 12:00 Europe/Berlin", False),
        ("mon-fri 08:00-17:00 Europe/Berlin", "2026-07-01 06:30 UTC", True),  # summer: 08:30 there
        ("mon-fri 08:00-17:00 Europe/Berlin", "2026-12-01 06:30 UTC", False),  # winter: 07:30 there
        ("fri 22:00-06:00 UTC", "2026-11-28 05:59 UTC", True),  # Saturday morning belongs to Friday night
        ("fri 22:00-06:00 UTC", "2026-11-27 05:59 UTC", False),
        ("sat-mon 00:00-24:00 UTC", "2026-11-23 23:59 UTC", True),
        ("sat-mon 00:00-24:00 UTC", "2026-11-24 00:00 UTC", False),
        ("daily 00:00-24:00 Asia/Kathmandu", "2026-11-24 18:14 UTC", True),
        ("mon,wed,fri 12:00-13:00 UTC", "2026-11-25 12:30 UTC", True),
        ("mon,wed,fri 12:00-13:00 UTC", "2026-11-24 12:30 UTC", False),
    ],
)
def test_a_weekly_window_is_open_exactly_then(window: str, when: str, open_: bool) -> None:
    assert (covering((read_weekly(window),), at(when)) is not None) is open_


def test_a_window_that_starts_in_the_skipped_hour_starts_when_the_clocks_jump() -> None:
    window = (read_weekly("sun 02:30-04:00 Europe/Berlin"),)
    jump = at("2026-03-29 01:00 UTC")  # 02:00 becomes 03:00 there
    assert following(window, jump - 3600) == jump
    assert covering(window, jump) == at("2026-03-29 02:00 UTC")


def test_a_window_that_ends_in_the_skipped_hour_ends_when_the_clocks_jump() -> None:
    window = (read_weekly("sun 01:00-02:30 Europe/Berlin"),)
    assert covering(window, at("2026-03-29 00:30 UTC")) == at("2026-03-29 01:00 UTC")


def test_a_window_that_ends_in_the_hour_that_comes_twice_ends_the_first_time() -> None:
    window = (read_weekly("sun 01:00-02:30 Europe/Berlin"),)
    first = at("2026-10-25 00:30 UTC")  # 02:30 in summer time; it is 02:30 again an hour later
    assert covering(window, first - 1) == first
    assert covering(window, first + 3600 - 1) is None


def test_a_night_over_a_change_of_clocks_is_an_hour_longer_or_shorter() -> None:
    window = (read_weekly("sat 22:00-06:00 Europe/Berlin"),)
    for start, hours in [("2026-10-24 22:00", 9), ("2026-03-28 22:00", 7), ("2026-11-21 22:00", 8)]:
        begin = at(f"{start} Europe/Berlin")
        end = covering(window, begin)
        assert end is not None
        assert end - begin == hours * 3600


@settings(max_examples=examples(60), deadline=None)
@given(st.sampled_from(["2026-03-29", "2026-10-25", "2026-06-07"]), st.integers(0, 26 * 60), st.integers(1, 1439))
def test_two_neighbouring_windows_have_no_gap_and_no_overlap_on_any_day(day: str, minute: int, border: int) -> None:
    clock = f"{border // 60:02}:{border % 60:02}"
    now = at(f"{day} Europe/Berlin") + minute * 60
    parts = [covering((read_weekly(f"daily {part} Europe/Berlin"),), now) for part in (f"00:00-{clock}", f"{clock}-24:00")]
    assert [part is not None for part in parts].count(True) == 1


@settings(max_examples=examples(100), deadline=None)
@given(
    st.sampled_from(["mon-fri 08:00-17:00", "sat 22:00-06:00", "daily 02:30-02:45", "sun,wed 00:00-24:00"]),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]),
    st.integers(0, 4_000_000_000),
)
def test_what_opens_opens_exactly_then_and_what_closes_closes_exactly_then(hours: str, zone: str, now: int) -> None:
    window = (read_weekly(f"{hours} {zone}"),)
    end = covering(window, now)
    if end is None:
        start = following(window, now)
        assert start is not None
        assert start > now
        assert covering(window, start) is not None
        assert covering(window, start - 1) is None
    else:
        assert covering(window, end - 1) == end
        assert covering(window, end) is None


def test_windows_that_follow_each_other_close_together() -> None:
    windows = (read_weekly("mon 08:00-12:00 UTC"), read_weekly("mon 12:00-18:00 UTC"))
    assert covering(windows, at("2026-11-23 09:00 UTC")) == at("2026-11-23 18:00 UTC")


def test_dates_count_both_days_and_end_once() -> None:
    dates = (read_dates("2026-12-24..2026-12-26 Europe/Berlin"),)
    assert covering(dates, at("2026-12-23 23:59 Europe/Berlin")) is None
    assert covering(dates, at("2026-12-26 23:59 Europe/Berlin")) == at("2026-12-27 00:00 Europe/Berlin")
    assert following(dates, at("2026-12-27 00:00 Europe/Berlin")) is None
    timed = (read_dates("2026-12-24 08:00 .. 2026-12-24 18:30 Europe/Berlin"),)
    assert covering(timed, at("2026-12-24 08:00 Europe/Berlin")) == at("2026-12-24 18:30 Europe/Berlin")


@pytest.mark.parametrize("when", [float("nan"), float("inf"), -1.0, -1e300, 1e300, 3e11])
def test_a_time_that_no_calendar_has_is_in_no_window(when: float) -> None:
    window = (read_weekly("daily 00:00-24:00 UTC"),)
    assert covering(window, when) is None
    assert following(window, when) is None
    assert show_instant(when, BERLIN) == "a time that no clock shows"


def test_instants_are_shown_on_the_zones_own_clocks() -> None:
    assert show_instant(at("2026-11-23 07:00 UTC"), BERLIN) == "Mon 2026-11-23 08:00 CET"
    assert datetime.fromtimestamp(at("2026-06-01 Europe/Berlin"), BERLIN).hour == 0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mon-fri 8-17", "is not a weekly window; write it like mon-fri 08:00-17:00 Europe/Berlin"),
        ("mon-fri 08:00-17:00", "is not a weekly window"),
        ("mon-fri 08:00-25:00 UTC", "25:00 is not a time of day"),
        ("mon-fri 08:60-17:00 UTC", "08:60 is not a time of day"),
        ("mon-fri 08:00-08:00 UTC", "has no length; a whole day is 00:00-24:00"),
        ("mon-fir 08:00-17:00 UTC", "'mon-fir' is not a day"),
        ("mon-tue-wed 08:00-17:00 UTC", "'mon-tue-wed' is not a day"),
        ("mon 08:00-17:00 Europe/Berlim", "there is no time zone 'Europe/Berlim'; did you mean 'Europe/Berlin'?"),
        ("mon 08:00-17:00 ../../etc/passwd", "is not a weekly window"),
        ("mon 08:00-17:00 /etc/passwd", "there is no time zone '/etc/passwd'; use an IANA name like Europe/Berlin or UTC"),
        ("mon 08:00-17:00 Europe", "there is no time zone 'Europe'"),
    ],
)
def test_a_bad_window_is_refused_with_what_would_be_right(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_weekly(text)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2026-12-01 UTC", "is not a range of dates; write it like 2026-12-01..2026-12-24 Europe/Berlin"),
        ("2026-02-30..2026-03-01 UTC", "there is no day 2026-02-30"),
        ("2026-12-24..2026-12-01 UTC", "ends before it starts"),
        ("0001-01-01..9999-12-31 UTC", "the year 0001 is out of reach"),
    ],
)
def test_a_bad_range_of_dates_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_dates(text)
    assert sentence in str(caught.value)


@settings(max_examples=examples(100), deadline=None)
@given(st.text(max_size=40) | st.text("/.:-_A-Za-z0-9", max_size=40))
def test_any_zone_name_is_a_zone_or_one_clear_sentence(name: str) -> None:
    said = "there is no time zone '"
    try:
        read_zone(name)
    except ValueError as error:
        said = str(error)
    assert said.startswith("there is no time zone '")
    assert said.isprintable()
