"""Where a replay stands: position, speed, playing or not, as functions of a time that is passed in.

Never reads a recording and never shows one.
"""

from __future__ import annotations

from typing import Final

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


def clock_text(position: int) -> str:
    """Return microseconds as `m:ss` or `h:mm:ss`."""
    minutes, seconds = divmod(max(0, position) // 1_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def speed_text(speed: float) -> str:
    """Return a speed as people write it: `2x`, `0.5x`."""
    return f"{speed:g}x"
