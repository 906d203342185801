"""What must be done about an event. Imperative; executed in order by the one who owns the session.

Order is a promise: `RecordOutput` stands before the `Show` of the same bytes, and when it fails nothing
after it is done.
"""

from __future__ import annotations

from typing import NamedTuple

from bastion.core.values import Size


class Dial(NamedTuple):
    """Open the endpoint; answered by EndpointOpened or EndpointFailed."""


class ToEndpoint(NamedTuple):
    """Send input."""

    data: bytes


class HoldTyping(NamedTuple):
    """Take no more input from this participant until the endpoint is open."""

    participant: str


class LetType(NamedTuple):
    """Take input again from all who were held."""


class EndInput(NamedTuple):
    """Tell the endpoint that no more input follows."""


class SignalEndpoint(NamedTuple):
    """Pass a signal on."""

    name: str


class ResizeEndpoint(NamedTuple):
    """Give the endpoint's PTY this size."""

    size: Size


class CloseEndpoint(NamedTuple):
    """Hang up."""


class RecordOutput(NamedTuple):
    """Write output to the recording."""

    data: bytes


class RecordInput(NamedTuple):
    """Write input and its author to the recording."""

    data: bytes
    by: str


class RecordResize(NamedTuple):
    """Write a change of size to the recording."""

    size: Size


class Mark(NamedTuple):
    """Write a marker to the recording. `kind` and `who` go into its participants track (core.recording.track)."""

    text: str
    kind: str = "marker"
    who: str = ""


class Show(NamedTuple):
    """Send the endpoint's bytes as they are to the participant who has the keyboard."""

    participant: str
    data: bytes
    stderr: bool = False


class ShowRaw(NamedTuple):
    """From now on this participant gets the endpoint's bytes; first bring their terminal to the screen as it is."""

    participant: str


class ShowRendered(NamedTuple):
    """From now on this participant is shown pictures of the screen."""

    participant: str


class Notify(NamedTuple):
    """Tell participants something out of band; an empty tuple means all."""

    participants: tuple[str, ...]
    text: str


class HoldOutput(NamedTuple):
    """From now on only moderators see what the endpoint writes; `on` False ends that."""

    on: bool


class Pan(NamedTuple):
    """Move the window that a participant has onto the screen, by cells; 0, 0: let it follow the cursor again."""

    participant: str
    right: int
    down: int


class Prompt(NamedTuple):
    """Show what a participant is asked and has answered so far; None: nothing is asked any more."""

    participant: str
    text: str | None


class InviteWanted(NamedTuple):
    """A participant named somebody to invite: `line` is what they typed, unchecked."""

    participant: str
    line: str


class ShowPeople(NamedTuple):
    """Show who is here to this participant."""

    participant: str


class Dismiss(NamedTuple):
    """Put a participant out, with the reason. The session goes on."""

    participant: str
    code: str
    text: str


class ShowHelp(NamedTuple):
    """Show the keys that work for this participant."""

    participant: str


class Window(NamedTuple):
    """A participant pressed a key about their windows. `rest`: what they typed after it, for the window they then have."""

    participant: str
    key: str
    rest: bytes


class SetTimer(NamedTuple):
    """Start (or, with None, stop) a timer that answers with TimerFired."""

    name: str
    seconds: float | None


class Note(NamedTuple):
    """Write an audit event about this session."""

    code: str
    actor: str
    subject: str = ""
    result: str = "ok"
    reason: str = ""


class Finish(NamedTuple):
    """The session is over. `code` is the reason code, `text` is for people; status or signal as the endpoint said."""

    code: str
    text: str
    status: int | None = None
    signal: str | None = None


Effect = (
    Dial
    | ToEndpoint
    | EndInput
    | SignalEndpoint
    | ResizeEndpoint
    | CloseEndpoint
    | HoldTyping
    | LetType
    | RecordOutput
    | RecordInput
    | RecordResize
    | Mark
    | Show
    | ShowRaw
    | ShowRendered
    | Notify
    | HoldOutput
    | Pan
    | Prompt
    | InviteWanted
    | ShowPeople
    | Dismiss
    | ShowHelp
    | Window
    | SetTimer
    | Note
    | Finish
)
