"""Measures how late the event loop runs, and says what it was at when it stood still. Never ends or slows anything.

Theory of operation. One task asks to be woken every `PERIOD`; what it is late by is the *lag*: for so long nobody's
keystroke passed. Part of a lag can be the machine's doing (other programs had the processor): `stolen` is how long this
thread waited for a processor, `cpu` how long it computed; the rest was a call that blocked. While a beat is missing, a
thread looks once at what the loop's thread is executing: the only witness, since afterwards the stack is gone.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from bastion.core.audit.event import AuditEvent

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from bastion.services.ports import Clock

PERIOD: Final = 0.1
ALARM: Final = 0.5
"""Seconds of lag that are logged and audited: no input may cause as much."""
AUDIT_EVERY: Final = 10.0  # seconds between two audited lags: a machine that is too slow must not fill the log
_RECENT: Final = 600  # beats kept: a minute
_DEPTH: Final = 6  # frames told: the innermost say what, these few say for whom
_LOOK: Final = 0.2

_log = logging.getLogger("bastion.pulse")


class Usage(NamedTuple):
    """What the loop's thread used so far, in seconds: of a processor, and of waiting for one."""

    cpu: float
    stolen: float


@dataclass(frozen=True, slots=True)
class Lag:
    """One late beat. `at` is seconds since the epoch, the others are seconds; `where` the stack, innermost first."""

    at: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    stolen: float = 0.0
    where: str = ""

    @property
    def own(self) -> float:
        """Return the part that is the bastion's own: what is left without the time other programs had the processor."""
        return max(0.0, self.seconds - self.stolen)


class Pulse:
    """The loop's pulse. `run` is spawned once, on the loop that is watched."""

    def __init__(self, clock: Clock, usage: Callable[[], Usage], report: Callable[[AuditEvent], None], *, alarm: float = ALARM) -> None:
        self._clock = clock
        self._usage = usage
        self._report = report
        self._alarm = alarm
        self._recent: deque[Lag] = deque(maxlen=_RECENT)
        self._told_at = float("-inf")
        self._untold = 0
        self._beat = clock.monotonic()
        self._where = ""
        self._stopped = threading.Event()
        self.worst = Lag()
        """The worst since the start."""
        self.worst_own = Lag()
        """The one with the largest `own` part."""
        self.alarms = 0
        """How many lags were beyond the alarm."""

    @property
    def recent(self) -> Lag:
        """Return the worst of the last minute."""
        return max(self._recent, key=lambda lag: lag.seconds, default=Lag())

    async def run(self) -> None:
        """Measure until cancelled."""
        loop = asyncio.get_running_loop()
        self._beat = self._clock.monotonic()
        witness = threading.Thread(target=self._look_on, args=(threading.get_ident(),), name="pulse", daemon=True)
        witness.start()
        try:
            while True:
                before, due = self._usage(), loop.time() + PERIOD
                await asyncio.sleep(PERIOD)
                after = self._usage()
                self._beat = self._clock.monotonic()
                where, self._where = self._where, ""
                lag = Lag(self._clock.now(), max(0.0, loop.time() - due), after.cpu - before.cpu, after.stolen - before.stolen, where)
                self._take(lag)
        finally:
            self._stopped.set()
            witness.join()

    def _take(self, lag: Lag) -> None:
        self._recent.append(lag)
        if lag.seconds > self.worst.seconds:
            self.worst = lag
        if lag.own > self.worst_own.own:
            self.worst_own = lag
        if lag.seconds <= self._alarm:
            return
        self.alarms += 1
        what = f"the loop stood still for {lag.seconds:.2f} s ({lag.cpu:.2f} s computing, {lag.stolen:.2f} s without a processor)"
        _log.warning("%s at %s", what, lag.where or "an unknown place")
        now = self._clock.monotonic()
        if now - self._told_at < AUDIT_EVERY:
            self._untold += 1
            return
        self._told_at = now
        data: dict[str, object] = {
            "seconds": round(lag.seconds, 3), "cpu": round(lag.cpu, 3), "stolen": round(lag.stolen, 3),
            "where": lag.where, "unreported": self._untold,
        }  # fmt: skip
        self._untold = 0
        self._report(AuditEvent("node.loop_lag", lag.at, result="failed", reason=what, data=data))

    def _look_on(self, thread: int) -> None:
        """Look what the loop's thread does when its beat is missing; runs in a thread of its own."""
        looked_at = 0.0
        while not self._stopped.wait(_LOOK):
            beat = self._beat
            if beat != looked_at and self._clock.monotonic() - beat > PERIOD + self._alarm * 0.6:
                looked_at = beat
                self._where = _stack(sys._current_frames().get(thread))  # noqa: SLF001 - its documented name


def _stack(frame: FrameType | None) -> str:
    """Return the innermost calls, `file:line function`, joined by ` < `."""
    calls: list[str] = []
    while frame is not None and len(calls) < _DEPTH:
        code = frame.f_code
        calls.append(f"{'/'.join(code.co_filename.rsplit('/', 2)[-2:])}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(calls)
