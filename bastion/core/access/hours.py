"""Weekly windows and date ranges in a named time zone, as exact spans of time. Never asks a clock.

Theory of operation. A window is turned into spans between two instants, day by day, by the zone's own rules;
nothing is ever compared as "minutes since midnight". So a window over a change of clocks keeps its wall-clock
ends: one that starts in the hour that is skipped starts when the clocks jump, one that ends in the hour that
comes twice ends the first time. Neighbouring windows meet exactly: no gap and no overlap between them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from bastion.core.access.source import did_you_mean, shown

Span = tuple[float, float]
"""From (included) until (not included), in seconds since the epoch."""

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOUR_MINUTES: Final = 60
_DAY_MINUTES: Final = 24 * _HOUR_MINUTES
_YEARS: Final = range(1971, 9000)  # what instants and every zone's rules can say
_LATEST: Final = 250_000_000_000.0  # year 9892: beyond that calendars end
_WEEKLY: Final = re.compile(r"([a-z,-]{3,40}) +([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2}) +([A-Za-z0-9_+/-]{1,64})")
_MOMENT: Final = r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?: ([0-9]{2}):([0-9]{2}))?"
_RANGE: Final = re.compile(_MOMENT + r" ?\.\. ?" + _MOMENT + r" +([A-Za-z0-9_+/-]{1,64})")
_POINT: Final = re.compile(_MOMENT + r" +([A-Za-z0-9_+/-]{1,64})")


@dataclass(frozen=True, slots=True)
class Weekly:
    """Some days of the week from `start` to `end`, minutes after midnight; `end` up to `start` is on the next day."""

    text: str
    days: frozenset[int]
    start: int
    end: int
    zone: ZoneInfo = field(compare=False, repr=False)

    def spans(self, at: float) -> Iterator[Span]:
        """Yield spans in order, from the one that may hold at that instant on, for more than a week."""
        today = datetime.fromtimestamp(at, self.zone).date()
        length = self.end - self.start if self.end > self.start else self.end - self.start + _DAY_MINUTES
        for offset in range(-2, 10):  # a day has up to 25 hours, and an overnight window began yesterday
            day = today + timedelta(days=offset)
            if day.weekday() in self.days:
                yield instant(day, self.start, self.zone), instant(day, self.start + length, self.zone)


@dataclass(frozen=True, slots=True)
class Dates:
    """From one instant to another, once."""

    text: str
    span: Span
    zone: ZoneInfo = field(compare=False, repr=False)

    def spans(self, at: float) -> Iterator[Span]:  # noqa: ARG002 - the same for every instant
        """Yield the one span."""
        yield self.span


def instant(day: date, minutes: int, zone: ZoneInfo) -> float:
    """Return when the clocks of a zone first show that minute of that day, or jump over it."""
    wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
    first = wall.replace(tzinfo=zone).timestamp()
    if datetime.fromtimestamp(first, zone).replace(tzinfo=None) == wall:
        return first
    # the minute does not exist: find the jump between the two readings of it, by halves
    before, after = wall.replace(tzinfo=zone, fold=1).timestamp(), first
    offset = datetime.fromtimestamp(before, zone).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def covering(windows: tuple[Weekly | Dates, ...], at: float) -> float | None:
    """Return until when the instant lies in one of the windows without a break; None when it lies in none."""
    if not 0 <= at < _LATEST:
        return None
    end = at
    for _ in range(16):  # windows that follow each other; after two weeks of them it is soon enough to ask again
        further = max((stop for window in windows for start, stop in window.spans(end) if start <= end < stop), default=end)
        if further == end:
            break
        end = further
    return end if end > at else None


def following(windows: tuple[Weekly | Dates, ...], at: float) -> float | None:
    """Return when one of the windows next begins, None when none ever does."""
    if not 0 <= at < _LATEST:
        return None
    return min((start for window in windows for start, _ in window.spans(at) if start > at), default=None)


def show_instant(at: float, zone: ZoneInfo) -> str:
    """Return the instant on that zone's clocks, `Mon 2026-11-23 08:00 CET`."""
    if not 0 <= at < _LATEST:
        return "a time that no clock shows"
    local = datetime.fromtimestamp(at, zone)
    return f"{DAYS[local.weekday()].title()} {local:%Y-%m-%d %H:%M} {local.tzname() or zone.key}"


# ---------------------------------------------------------------- reading


def read_weekly(text: str) -> Weekly:
    """Read `mon-fri 08:00-17:00 Europe/Berlin`; raises `ValueError` with a sentence."""
    found = _WEEKLY.fullmatch(text)
    if found is None:
        raise ValueError(f"'{shown(text)}' is not a weekly window; write it like mon-fri 08:00-17:00 Europe/Berlin")
    start, end = _minutes(found[2], found[3]), _minutes(found[4], found[5])
    if start in {end, _DAY_MINUTES}:
        raise ValueError(f"'{shown(text)}' has no length; a whole day is 00:00-24:00")
    return Weekly(text, _days(found[1]), start, end, read_zone(found[6]))


def read_dates(text: str) -> Dates:
    """Read `2026-12-01..2026-12-24 Europe/Berlin` (both days included), perhaps with times; raises `ValueError`."""
    found = _RANGE.fullmatch(text)
    if found is None:
        example = "2026-12-01..2026-12-24 Europe/Berlin, or 2026-12-01 08:00..2026-12-01 18:00 Europe/Berlin"
        raise ValueError(f"'{shown(text)}' is not a range of dates; write it like {example}")
    zone = read_zone(found[11])
    first = _moment(found[1], found[2], found[3], found[4] or "00", found[5] or "00", zone)
    last = _moment(found[6], found[7], found[8], found[9] or "24", found[10] or "00", zone)
    if first >= last:
        raise ValueError(f"'{shown(text)}' ends before it starts")
    return Dates(text, (first, last), zone)


def read_instant(text: str) -> float:
    """Read `2026-12-01 08:00 Europe/Berlin` (or a day: its start); raises `ValueError` with a sentence."""
    found = _POINT.fullmatch(text)
    if found is None:
        raise ValueError(f"'{shown(text)}' is not a time; write it like 2026-12-01 08:00 Europe/Berlin")
    return _moment(found[1], found[2], found[3], found[4] or "00", found[5] or "00", read_zone(found[6]))


def read_zone(name: str) -> ZoneInfo:
    """Return the IANA zone of that name; raises `ValueError` with what may have been meant."""
    try:
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError) as error:
        near = did_you_mean(name, sorted(available_timezones()))
        hint = near if "did you mean" in near else "; use an IANA name like Europe/Berlin or UTC"
        raise ValueError(f"there is no time zone '{shown(name)}'{hint}") from error


def _days(text: str) -> frozenset[int]:
    if text == "daily":
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"'{shown(part)}' is not a day; write mon, mon-fri, sat,sun or daily")
        start = DAYS.index(first)
        length = (DAYS.index(last) - start) % 7 if dash else 0
        found |= {(start + day) % 7 for day in range(length + 1)}
    return frozenset(found)


def _minutes(hours: str, minutes: str) -> int:
    value = int(hours) * _HOUR_MINUTES + int(minutes)
    if int(minutes) >= _HOUR_MINUTES or value > _DAY_MINUTES:
        raise ValueError(f"{hours}:{minutes} is not a time of day")
    return value


def _moment(year: str, month: str, day: str, hour: str, minute: str, zone: ZoneInfo) -> float:
    try:
        there = date(int(year), int(month), int(day))
    except ValueError as error:
        raise ValueError(f"there is no day {year}-{month}-{day}") from error
    if there.year not in _YEARS:
        raise ValueError(f"the year {year} is out of reach")
    return instant(there, _minutes(hour, minute), zone)
