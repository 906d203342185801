"""The states of a session and the table of what each event does in each. Knows nobody's name.

Theory of operation: PENDING waits for what must come first, CONNECTING for the endpoint, RUNNING relays,
PAUSED relays output only, CLOSING waits for the endpoint to hang up, CLOSED is the end. Every pair of state and
event is in `TABLE`: the name of the method that handles it, `IGNORE` where it may come late or early and
means nothing, `ILLEGAL` where only a bug can bring it (then `Session.handle` raises and nothing changes).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from bastion.core.session import events as e


class State(Enum):
    """Where a session is in its life."""

    PENDING = "pending"
    CONNECTING = "connecting"
    RUNNING = "running"
    PAUSED = "paused"
    CLOSING = "closing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended, or is ending."""

    code: str
    text: str
    status: int | None = None
    signal: str | None = None


IGNORE: Final = ""
ILLEGAL: Final = "!"

_SAME_WHILE_LIVE: Final = {
    e.Started: ILLEGAL,
    e.EndpointOpened: ILLEGAL,
    e.EndpointFailed: ILLEGAL,
    e.OutputReceived: "output",
    e.EndpointClosed: "endpoint_closed",
    e.InputEnded: "input_ended",
    e.SignalReceived: "signal",
    e.Resized: "resized",
    e.Joined: "joined",
    e.Reattached: "reattached",
    e.Left: "left",
    e.PutOut: "put_out",
    e.Reassessed: "reassessed",
    e.Told: "told",
    e.ControlRequested: "control_requested",
    e.ControlGiven: "control_given",
    e.ControlTaken: "control_taken",
    e.EndRequested: "end_requested",
    e.RecordingFailed: "recording_failed",
    e.ScreenFailed: "screen_failed",
    e.TimerFired: "timer",
}
_BEFORE: Final = {
    e.OutputReceived: ILLEGAL,
    e.EndpointClosed: ILLEGAL,
    e.InputReceived: "typed_ahead",
    e.InputEnded: "ended_ahead",
    e.SignalReceived: IGNORE,
    e.Resized: "resized_ahead",
    e.Joined: "too_early",
    e.Reattached: ILLEGAL,
    e.Left: "left_early",
    e.PutOut: IGNORE,
    e.Reassessed: IGNORE,
    e.Told: IGNORE,
    e.ControlRequested: IGNORE,
    e.ControlGiven: IGNORE,
    e.ControlTaken: IGNORE,
    e.PauseRequested: IGNORE,
    e.ResumeRequested: IGNORE,
    e.EndRequested: "end_early",
    e.RecordingFailed: "recording_failed",
    e.ScreenFailed: IGNORE,
    e.TimerFired: IGNORE,
}
_OVER: Final = dict.fromkeys((*_SAME_WHILE_LIVE, e.InputReceived, e.PauseRequested, e.ResumeRequested), IGNORE)

TABLE: Final[dict[State, dict[type, str]]] = {
    State.PENDING: {**_BEFORE, e.Started: "started", e.EndpointOpened: ILLEGAL, e.EndpointFailed: ILLEGAL},
    State.CONNECTING: {**_BEFORE, e.Started: ILLEGAL, e.EndpointOpened: "opened", e.EndpointFailed: "failed"},
    State.RUNNING: {
        **_SAME_WHILE_LIVE,
        e.InputReceived: "input",
        e.PauseRequested: "pause",
        e.ResumeRequested: IGNORE,
    },
    State.PAUSED: {
        **_SAME_WHILE_LIVE,
        e.InputReceived: "input_while_paused",
        e.PauseRequested: IGNORE,
        e.ResumeRequested: "resume",
    },
    State.CLOSING: {**_OVER, e.EndpointClosed: "closing_done", e.TimerFired: "closing_timer", e.Joined: "too_late"},
    State.CLOSED: {**_OVER, e.Joined: "too_late", e.Reattached: "too_late"},
}
