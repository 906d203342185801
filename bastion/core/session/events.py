"""What can happen to a session. Past tense; NamedTuples, since two of them are made for each keystroke."""

from __future__ import annotations

from typing import NamedTuple

from bastion.core.session.participants import Participant, Role
from bastion.core.values import Size


class Started(NamedTuple):
    """The grant is there and the owner waits."""

    at: float


class EndpointOpened(NamedTuple):
    """The endpoint answered: its shell or command runs."""

    at: float


class EndpointFailed(NamedTuple):
    """It could not be opened. `code` is stable (`endpoint.unreachable`), `text` is for people."""

    at: float
    code: str
    text: str


class OutputReceived(NamedTuple):
    """The endpoint wrote."""

    at: float
    data: bytes
    stderr: bool = False


class EndpointClosed(NamedTuple):
    """The endpoint's side ended by itself, or its connection was lost (`error`)."""

    at: float
    status: int | None
    signal: str | None
    error: str


class InputReceived(NamedTuple):
    """A participant typed."""

    at: float
    participant: str
    data: bytes


class InputEnded(NamedTuple):
    """A participant's input is at its end (EOF)."""

    at: float
    participant: str


class SignalReceived(NamedTuple):
    """A participant's client sent a signal or a break."""

    at: float
    participant: str
    name: str


class Resized(NamedTuple):
    """A participant's window has another size."""

    at: float
    participant: str
    size: Size


class Joined(NamedTuple):
    """Somebody whose right was checked comes in."""

    at: float
    participant: Participant


class Reattached(NamedTuple):
    """The owner of a detached session is back, perhaps from elsewhere."""

    at: float
    participant: Participant


class Left(NamedTuple):
    """A participant went or was lost."""

    at: float
    participant: str
    reason: str


class PutOut(NamedTuple):
    """A participant who is not the owner must go. `code` is stable (`session.kicked`), `text` tells them why."""

    at: float
    participant: str
    by: str
    code: str
    text: str


class Reassessed(NamedTuple):
    """What policy lets a participant do here was asked again."""

    at: float
    participant: str
    role: Role
    rights: frozenset[str]


class Told(NamedTuple):
    """Somebody says something to participants (an empty tuple: to all); `marked`: the recording is to tell of it."""

    at: float
    text: str
    to: tuple[str, ...] = ()
    marked: bool = True


class ControlRequested(NamedTuple):
    """A participant asks for the keyboard."""

    at: float
    participant: str


class ControlGiven(NamedTuple):
    """The holder (or a moderator) gives the keyboard to another."""

    at: float
    by: str
    to: str


class ControlTaken(NamedTuple):
    """A participant takes the keyboard: the owner takes it back, a moderator forces it."""

    at: float
    by: str
    reason: str = ""


class PauseRequested(NamedTuple):
    """Somebody with the right stops input; `hold`: output, too, is shown to moderators only."""

    at: float
    by: str
    reason: str
    hold: bool = False


class ResumeRequested(NamedTuple):
    """Somebody with the right lets it go on."""

    at: float
    by: str


class EndRequested(NamedTuple):
    """Somebody, or a rule, ends the session. `code`: `killed`, `max-time`, `idle`, `revoked`, `shutdown`..."""

    at: float
    by: str
    code: str
    reason: str


class RecordingFailed(NamedTuple):
    """A strict recording could not be written."""

    at: float
    reason: str


class ScreenFailed(NamedTuple):
    """An error of ours, met at `where`, reset the terminal that pictures are made from; `times` so far."""

    at: float
    times: int
    where: str


class TimerFired(NamedTuple):
    """A timer set by an effect ran out."""

    at: float
    name: str


Event = (
    Started
    | EndpointOpened
    | EndpointFailed
    | OutputReceived
    | EndpointClosed
    | InputReceived
    | InputEnded
    | SignalReceived
    | Resized
    | Joined
    | Reattached
    | Left
    | PutOut
    | Reassessed
    | Told
    | ControlRequested
    | ControlGiven
    | ControlTaken
    | PauseRequested
    | ResumeRequested
    | EndRequested
    | RecordingFailed
    | ScreenFailed
    | TimerFired
)
