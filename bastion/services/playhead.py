"""Where a replay stands and how it moves: playing, seeking, stepping, following what is still recorded.

Never shows anything and reads no key: the player does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bastion.core.recording.playback import Playback, clock_text
from bastion.core.recording.reader import MAX_TIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from bastion.core.recording.track import Entry
    from bastion.services.ports import Clock
    from bastion.services.stage import Stage

FRAME_SECONDS: Final = 1 / 30
IDLE_SECONDS: Final = 3.0
"""Nothing happening for longer is skipped (`s` switches that off)."""
SECOND: Final = 1_000_000

_TICK_SECONDS: Final = 1.0
_LIVE_SECONDS: Final = 0.25


class Playhead:
    """A stage and the counter that moves it. Positions are microseconds of the recording."""

    def __init__(self, stage: Stage, clock: Clock, *, at: int = 0, speed: float = 1.0, live: bool = False) -> None:
        self.stage = stage
        self._clock = clock
        self.playback = Playback(clock.monotonic(), position=at, speed=speed)
        self.live = live
        """Whether it is still recorded."""
        self.follow = False
        """Whether it keeps to the live end."""
        self.skip_idle = True

    @property
    def position(self) -> int:
        """Where it stands: at the end, where the end is; the counter may have run beyond it."""
        return self.stage.reached if self.at_end else self.playback.position(self._clock.monotonic())

    @property
    def at_end(self) -> bool:
        """Whether everything that is written is shown."""
        stage = self.stage
        return stage.at_end and (self.follow or self.playback.position(self._clock.monotonic()) >= stage.reached)

    @property
    def duration(self) -> int:
        """How long the recording is, as far as that is known."""
        return max(self.stage.index.duration, self.stage.reached)

    @property
    def word(self) -> str:
        """What it does now, in a word or two."""
        if self.follow:
            return "LIVE"
        if self.at_end and not self.live:
            return "end"
        word = "playing" if self.playback.playing else "paused"
        behind = self.duration - self.position
        return f"{word}, {clock_text(behind)} behind live" if self.live and behind >= SECOND else word

    async def advance(self, stop: Callable[[], bool]) -> str:
        """Bring the stage to where the counter stands; return what there is to say ("": nothing)."""
        stage, playback = self.stage, self.playback
        await stage.go(MAX_TIME if self.follow else playback.position(self._clock.monotonic()), stop)
        now = self._clock.monotonic()
        if stage.at_end and playback.playing:
            if self.live:
                self.follow = True
                playback.jump(stage.reached, now)
            elif stage.index.complete:
                playback.jump(stage.reached, now)
        elif playback.playing and self.skip_idle and not self.follow:
            return await self._skip()
        return ""

    async def _skip(self) -> str:
        event = await self.stage.tape.peek()
        now = self._clock.monotonic()
        position = self.playback.position(now)
        if event is None or position - self.stage.reached < IDLE_SECONDS * SECOND:
            return ""
        gap = event.time - position
        if gap <= IDLE_SECONDS * SECOND:
            return ""
        self.playback.jump(event.time, now)
        return f"» {clock_text(gap)} without output skipped (s: show such gaps)"

    async def timeout(self) -> float | None:
        """Return in how many seconds something happens by itself; None for never."""
        if self.follow:
            return _LIVE_SECONDS
        if not self.playback.playing:
            return _TICK_SECONDS if self.live else None
        event = await self.stage.tape.peek()
        if event is None:
            return _LIVE_SECONDS if self.live else _TICK_SECONDS
        return min(_TICK_SECONDS, max(FRAME_SECONDS, self.playback.seconds_until(event.time, self._clock.monotonic())))

    def ended(self) -> None:
        """Know that the recording is complete now."""
        self.live = self.follow = False
        self.stage.index.ended()

    # ------------------------------------------------------------ moves

    def hold(self) -> None:
        """Count from what is shown, and follow no longer."""
        if self.at_end:
            self.playback.jump(self.stage.reached, self._clock.monotonic())
        self.follow = False

    def pause(self) -> None:
        """Stand still here."""
        self.hold()
        self.playback.set_playing(self._clock.monotonic(), playing=False)

    def toggle(self) -> None:
        """Play or stand still; at the end, play from the start."""
        if self.at_end and not self.live and self.stage.index.complete:
            self.seek(0)
            self.playback.set_playing(self._clock.monotonic(), playing=True)
            return
        playing = self.playback.playing
        self.hold()
        self.playback.set_playing(self._clock.monotonic(), playing=not playing)

    def seek(self, position: int) -> None:
        """Go to a moment."""
        self.follow = False
        if self.stage.index.complete:
            position = min(position, self.duration)
        self.playback.jump(position, self._clock.monotonic())

    def move(self, seconds: int) -> None:
        """Go some seconds on, or back when negative."""
        self.hold()
        self.seek(self.position + seconds * SECOND)

    def tenth(self, digit: int) -> None:
        """Go to that tenth of the recording."""
        self.seek(self.duration * digit // 10)

    def to_end(self) -> None:
        """Go to the end; where it is still recorded, follow it."""
        if self.live:
            self.playback.set_playing(self._clock.monotonic(), playing=True)
            self.follow = True
        else:
            self.seek(self.duration)

    def mark(self, *, forward: bool) -> Entry | None:
        """Go to the next marker, or the one before; return it, None when there is none."""
        here = self.position
        entries = self.stage.index.entries
        if forward:
            wanted = next((entry for entry in entries if entry.time > here), None)
        else:  # a second press within a second goes on to the one before
            slack = SECOND if self.playback.playing else 0
            wanted = next((entry for entry in reversed(entries) if entry.time < here - slack), None)
        if wanted is not None:
            self.seek(wanted.time)
        return wanted

    async def step(self, *, forward: bool) -> None:
        """Go to the next change of the screen, or the one before, and stand still."""
        self.pause()
        stage = self.stage
        if forward:
            time = await stage.step()
            self.playback.jump(stage.reached if time is None else time, self._clock.monotonic())
        else:
            self.playback.jump(await stage.before(stage.reached), self._clock.monotonic())
