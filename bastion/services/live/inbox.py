"""One session's events, one by one: the Session decides, its effects are done in order. Decides nothing itself.

Drained by whoever posts when nobody drains it yet: an event that comes while another is handled waits its turn, so a
session never sees two at once, and a keystroke costs no task switch (a queue and a task of its own cost 25 us a
keystroke, measured; half of a direct sshd's echo is 45).

Bytes of which the Session said that nothing is to be decided about them (`Session.plain_output`, `plain_input`) take
the short way beside the events: on file, to the screen, to who has the keyboard. Any event ends that until it is asked anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from bastion.core.errors import Ended
from bastion.core.session import events as e

if TYPE_CHECKING:
    from bastion.core.session.session import Session
    from bastion.services.live.audience import Audience
    from bastion.services.live.screen import LiveScreen
    from bastion.services.live.seat import Seat
    from bastion.services.recorder import Recording


class Inbox:
    """Takes what happens to one session. `crashed` is told of a bug; it ends the session and nothing else."""

    def __init__(
        self,
        session: Session,
        recording: Recording,
        screen: LiveScreen | None,
        audience: Audience,
        effects: dict[type, Callable[..., None]],
        to_endpoint: Callable[[bytes], None],
        hold_back: Callable[[str], None],
        now: Callable[[], float],
        crashed: Callable[[Exception], None],
    ) -> None:
        self._session = session
        self._recording = recording
        self._screen = screen
        self._audience = audience
        self._do = effects
        self._to_endpoint = to_endpoint
        self._hold_back = hold_back
        self._now = now
        self._crashed = crashed
        self._events: deque[e.Event] = deque()
        self._busy = False
        self._asked = False
        self._seat: Seat | None = None  # of who gets plain output, while nothing was posted since it was asked

    def post(self, event: e.Event) -> None:
        """Take an event; it is handled now, or right after the one that is being handled."""
        self._events.append(event)
        if not self._busy:
            self._drain()

    def _drain(self) -> None:
        self._busy = True
        self._asked = False
        self._seat = None
        try:
            while self._events:
                self._perform(self._events.popleft())
        finally:
            self._busy = False

    def _perform(self, event: e.Event) -> None:
        try:
            for effect in self._session.handle(event):
                self._do[type(effect)](effect)
        except Ended as error:  # the recording: nothing after the failed effect is done, so nothing unrecorded is shown
            self._events.appendleft(e.RecordingFailed(self._now(), error.public))
        except Exception as error:  # noqa: BLE001 - a crash in a session ends that session and nothing else
            self.crash(error)

    def crash(self, error: Exception) -> None:
        """Forget what waits, and tell of a bug."""
        self._events.clear()
        self._crashed(error)

    def output(self, data: bytes, *, stderr: bool) -> None:
        """Take output of the endpoint."""
        if not self._asked and not self._busy:
            self._asked = True
            holder = self._session.plain_output()
            self._seat = self._audience.seat(holder) if holder is not None else None
        seat = self._seat
        if seat is None or stderr or self._busy or not seat.raw or seat.overlay:
            self.post(e.OutputReceived(self._now(), data, stderr))
            return
        self._busy = True
        try:
            self._recording.output(data, self._now())
            if self._screen is not None:
                self._screen.push(data)
            if not seat.write(data):
                self._hold_back(seat.participant)
        except Ended as error:  # nothing unrecorded is shown
            self._events.appendleft(e.RecordingFailed(self._now(), error.public))
        except Exception as error:  # noqa: BLE001 - as in `_perform`
            self.crash(error)
        finally:
            self._busy = False
        if self._events:
            self._drain()

    def typed(self, participant: str, data: bytes) -> None:
        """Take what a participant typed."""
        now = self._now()
        if self._busy or not self._session.plain_input(now, participant, data):
            self.post(e.InputReceived(now, participant, data))
            return
        self._busy = True
        try:
            self._to_endpoint(data)
        except Exception as error:  # noqa: BLE001 - as in `_perform`
            self.crash(error)
        finally:
            self._busy = False
        if self._events:
            self._drain()
