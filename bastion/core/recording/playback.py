"""Where a replay stands: position, speed, playing or not, as functions of a time that is passed in.

Never reads a recording and never shows one.
"""

from __future__ import annotations

import re
from typing import Final

from bastion.core.errors import Invalid

_POSITION: Final = re.compile(
    r"(?P<plus>\+)?(?P<hours>\d{1,6})(?::(?P<minutes>\d{1,2}))?(?::(?P<seconds>\d{1,2}))?(?P<part>\.\d{1,6})?", re.ASCII
)
_DAY: Final = 86_400
_LAST_HOUR: Final = 23
_LAST_MINUTE: Final = 59
SPEEDS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


class Playback:
    """The tape's counter. Positions are microseconds of the recording, `now` is monotonic seconds."""

    def __init__(self, now: float, *, position: int = 0, speed: float = 1.0) -> None:
        self._since = now
        self._position = max(0, position)
        self.speed = min(max(speed, SPEEDS[0]), SPEEDS[-1])
        self.playing = True

    def position(self, now: float) -> int:
        """Return where the replay stands at `now`."""
        if not self.playing:
            return self._position
        return self._position + int(max(0.0, now - self._since) * self.speed * 1e6)

    def seconds_until(self, position: int, now: float) -> float:
        """Return how long it takes, at this speed, until that position is reached."""
        return max(0, position - self.position(now)) / 1e6 / self.speed

    def jump(self, position: int, now: float) -> None:
        """Go on from another position."""
        self._position, self._since = max(0, position), now

    def set_playing(self, now: float, *, playing: bool) -> None:
        """Play or stand still."""
        self.jump(self.position(now), now)
        self.playing = playing

    def faster(self, now: float) -> None:
        """Take the next higher speed."""
        self._set_speed(next((s for s in SPEEDS if s > self.speed), SPEEDS[-1]), now)

    def slower(self, now: float) -> None:
        """Take the next lower speed."""
        self._set_speed(next((s for s in reversed(SPEEDS) if s < self.speed), SPEEDS[0]), now)

    def _set_speed(self, speed: float, now: float) -> None:
        self.jump(self.position(now), now)
        self.speed = speed


def parse_position(text: str, started_at: float | None = None) -> int:
    """Return the microseconds into a recording that `text` names; `Invalid` when it names none.

    `+1:20`, `+90`, `+1:02:03` or `+1:20.25` count from the start. `12:30` and `12:30:05` are times of day (UTC), the
    first such moment not before the start, which `started_at` (seconds since the epoch) tells.
    """
    found = _POSITION.fullmatch(text.strip())
    if found is None or (not found["plus"] and (started_at is None or not found["minutes"])):
        raise Invalid("replay.at", f"{text[:32]!a} is no moment of a recording: use +1:20 (from the start) or 12:30 (time of day, UTC).")
    parts = [int(part) for part in (found["hours"], found["minutes"], found["seconds"]) if part]
    micros = int((found["part"] or ".")[1:].ljust(6, "0"))
    if found["plus"]:
        seconds = 0
        for part in parts:
            seconds = seconds * 60 + part
        return seconds * 1_000_000 + micros
    hours, minutes, seconds = (*parts, 0)[:3]
    if hours > _LAST_HOUR or minutes > _LAST_MINUTE or seconds > _LAST_MINUTE:
        raise Invalid("replay.at", f"{text[:32]!a} is no time of day.")
    since_midnight = (started_at or 0.0) % _DAY
    return int((hours * 3600 + minutes * 60 + seconds - since_midnight) % _DAY * 1e6) + micros


def clock_text(position: int) -> str:
    """Return microseconds as `m:ss` or `h:mm:ss`."""
    minutes, seconds = divmod(max(0, position) // 1_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def exact_text(position: int) -> str:
    """Return microseconds as `parse_position` reads them back exactly: `+1:20`, `+1:20.25`."""
    micros = max(0, position) % 1_000_000
    return f"+{clock_text(position)}" + (f".{micros:06}".rstrip("0") if micros else "")


def speed_text(speed: float) -> str:
    """Return a speed as people write it: `2x`, `0.5x`."""
    return f"{speed:g}x"
