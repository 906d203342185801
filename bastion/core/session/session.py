"""A session as a pure state machine: events in, effects out. Never waits, never reads a clock.

Theory of operation: `handle` looks the event up in `state.TABLE` and calls one method of this class, which changes
the session and returns what must be done, in order. Who may do a thing was decided before the event was made
(rights travel with the participant); what remains here is what depends on the session: who has the keyboard,
whether it is paused, whether it is over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bastion.core.access.decision import Terms
from bastion.core.session import effects as do
from bastion.core.session import events as e
from bastion.core.session.chord import CHORD, WINDOW_KEYS, Command
from bastion.core.session.effects import Effect
from bastion.core.session.keyboard import CLOSING_SECONDS
from bastion.core.session.participants import Participant
from bastion.core.session.state import IGNORE, ILLEGAL, TABLE, Ending, State
from bastion.core.session.stays import Stays
from bastion.core.values import Size

CONFIRM_SECONDS: Final = 10.0
MOST_AHEAD: Final = 256 * 1024  # bytes typed while the endpoint is dialled; beyond, the client's window closes
_STEPS: Final = {"up": (0, -5), "down": (0, 5), "left": (-10, 0), "right": (10, 0), ".": (0, 0)}  # cells; 0, 0 follows the cursor


class IllegalEvent(Exception):
    """An event that only a bug can bring in this state; the session is as it was."""


class Session(Stays):
    """One session of `owner` on an endpoint. `interactive`: there is a PTY, so chord, join and hand-over work."""

    def __init__(self, owner: Participant, terms: Terms, *, interactive: bool, chord: int | None = CHORD) -> None:
        super().__init__(owner, terms, interactive=interactive, chord=chord)
        self.ends_at: float | None = None
        """When the longest time that policy allows is over, on the clock that events carry."""
        self._ahead: list[bytes] = []
        self._ahead_bytes = 0
        self._ahead_ended = False
        self._end_asked: tuple[str, float] = ("", 0.0)
        self._handlers: dict[State, dict[type, Callable[..., list[Effect]] | None]] = {
            state: {
                event: None if name == IGNORE else getattr(self, "_" + name) if name != ILLEGAL else self._illegal
                for event, name in row.items()
            }
            for state, row in TABLE.items()
        }

    def handle(self, event: e.Event) -> list[Effect]:
        """Take one event; return what must be done, in order. Raises `IllegalEvent` and changes nothing on a bug."""
        handler = self._handlers[self.state][type(event)]
        return handler(event) if handler is not None else []

    def _illegal(self, event: e.Event) -> list[Effect]:
        raise IllegalEvent(f"{type(event).__name__} in {self.state.name}")

    # ------------------------------------------------------------ before it runs

    def _started(self, event: e.Started) -> list[Effect]:
        self.state = State.CONNECTING
        self.last_input = event.at
        return [do.Dial()]

    def _typed_ahead(self, event: e.InputReceived) -> list[Effect]:
        if self.interactive and b"\x03" in event.data:
            return self._end_now(Ending("cancelled", "Cancelled."))
        self._ahead.append(event.data)
        self._ahead_bytes += len(event.data)
        return [do.HoldTyping(event.participant)] if self._ahead_bytes > MOST_AHEAD else []

    def _ended_ahead(self, event: e.InputEnded) -> list[Effect]:
        del event
        self._ahead_ended = True
        return []

    def _resized_ahead(self, event: e.Resized) -> list[Effect]:
        self._note_size(event)
        self.size = event.size
        return []

    def _left_early(self, event: e.Left) -> list[Effect]:
        return self._end_now(Ending("owner-left", event.reason or "The owner left."))

    def _end_early(self, event: e.EndRequested) -> list[Effect]:
        return self._end_now(Ending(event.code, event.reason))

    def _too_early(self, event: e.Joined) -> list[Effect]:
        return [do.Dismiss(event.participant.id, "session.not_running", "That session is not running yet; try again.")]

    def _too_late(self, event: e.Joined | e.Reattached) -> list[Effect]:
        return [do.Dismiss(event.participant.id, "session.ended", "That session has ended.")]

    def _failed(self, event: e.EndpointFailed) -> list[Effect]:
        return self._end_now(Ending(event.code, event.text))

    def _opened(self, event: e.EndpointOpened) -> list[Effect]:
        self.state = State.RUNNING
        self.last_input = event.at
        self.control.move(self.owner, event.at)
        owner = self.people[self.owner]
        effects: list[Effect] = [do.Note("session.running", owner.name)]
        if self.size != owner.size or owner.size != self._dialled_size:
            effects.append(do.ResizeEndpoint(owner.size))
        if self.terms.max_seconds is not None:
            self.ends_at = event.at + self.terms.max_seconds
            effects.append(do.SetTimer("max-time", self.terms.max_seconds))
        if self.terms.idle_seconds is not None and self.interactive:
            effects.append(do.SetTimer("idle", self.terms.idle_seconds))
        for data in self._ahead:
            effects.extend(self._input(e.InputReceived(event.at, self.owner, data)))
        self._ahead.clear()
        if self._ahead_ended:
            effects.append(do.EndInput())
        return effects

    @property
    def lonely(self) -> bool:
        """Return whether nobody is here: the owner is away and nobody looks on."""
        return self.control.lease is None and not any(person.attached for person in self.people.values())

    def dialled(self) -> None:
        """Remember which size the endpoint was asked for (a resize while dialling is sent after)."""
        self._dialled_size = self.size

    _dialled_size: Size | None = None

    # ------------------------------------------------------------ bytes

    def _output(self, event: e.OutputReceived) -> list[Effect]:
        kept = self._kept(self._echo.output(event.data)) if self._echo is not None and self._echo.waits else []
        holder = self.control.lease
        if holder is None:
            return [*kept, do.RecordOutput(event.data)]
        if self.holding and "moderate" not in self.people[holder.holder].rights:
            return [*kept, do.RecordOutput(event.data)]
        return [*kept, do.RecordOutput(event.data), do.Show(holder.holder, event.data, event.stderr)]

    def plain_output(self) -> str | None:
        """Return who is to get output as it is, recorded first, until the next event; None: `handle` says what to do with it."""
        lease = self.control.lease
        if lease is None or self.state is not State.RUNNING or self.holding or (self._echo is not None and self._echo.waits):
            return None
        return lease.holder

    def plain_input(self, at: float, participant: str, data: bytes) -> bool:
        """Return whether this input is for the endpoint, unrecorded, and nothing else; it counts as typed then."""
        lease = self.control.lease
        if lease is None or lease.holder != participant or self.state is not State.RUNNING or self.terms.record_input:
            return False
        reader = self._readers.get(participant)
        if reader is None or self._prompts or self._floor is not None or not reader.plain(data):
            return False
        self.last_input = at
        return True

    def _input(self, event: e.InputReceived) -> list[Effect]:  # noqa: C901 - one branch for each way a part is meant
        reader = self._readers.get(event.participant)
        if reader is None:
            return []
        lease = self.control.lease
        if lease is not None and lease.holder == event.participant and not self._prompts and reader.plain(event.data):
            self.last_input = event.at
            return self._sent(event.at, event.data, self.people[event.participant])
        effects: list[Effect] = []
        parts = reader.read(event.data)
        for number, part in enumerate(parts, 1):
            who = self._present(event.participant)
            if who is None:
                break  # a command put them out; what they typed after it goes nowhere
            if isinstance(part, Command) and part.key in WINDOW_KEYS:
                return [*effects, do.Window(who.id, part.key, reader.unread(parts[number:]))]
            if isinstance(part, Command):
                effects.extend(self._command(who, part.key, event.at))
            elif who.id in self._prompts:
                effects.extend(self._answered(who, part.data))
                if who.id not in self._prompts:
                    break  # answered: what was typed behind it in the same breath was not meant for the endpoint
            elif self.state is State.RUNNING and self.control.types(who):
                self.last_input = event.at
                effects.extend(self._sent(event.at, part.data, who))
            elif self.control.holder != who.id and part.data == b"\x03":
                effects.extend(self._go(who, "left", "You left the session.", event.at))
        return effects

    def _input_while_paused(self, event: e.InputReceived) -> list[Effect]:
        reader = self._readers.get(event.participant)
        if reader is None:
            return []
        effects: list[Effect] = []
        parts = reader.read(event.data)
        for number, part in enumerate(parts, 1):
            who = self._present(event.participant)
            if who is None:
                break
            if isinstance(part, Command) and part.key in WINDOW_KEYS:
                return [*effects, do.Window(who.id, part.key, reader.unread(parts[number:]))]
            if isinstance(part, Command):
                effects.extend(self._command(who, part.key, event.at))
            elif who.id in self._prompts:
                effects.extend(self._answered(who, part.data))
            elif self.control.types(who):
                effects.append(do.Notify((who.id,), f"Paused by {self.paused_by}: what you type is not sent."))
            elif part.data == b"\x03":
                effects.extend(self._go(who, "left", "You left the session.", event.at))
        return effects

    def _input_ended(self, event: e.InputEnded) -> list[Effect]:
        return [do.EndInput()] if self.control.holder == event.participant and not self.interactive else []

    def _signal(self, event: e.SignalReceived) -> list[Effect]:
        if self.control.holder == event.participant and self.state is State.RUNNING:
            return [do.SignalEndpoint(event.name)]
        return []

    # ------------------------------------------------------------ commands of the chord

    def _command(self, who: Participant, key: str, at: float) -> list[Effect]:  # noqa: C901, PLR0911 - one clause a key
        match key:
            case "d" | "q":
                return self._go(who, "left", "You left the session.", at)
            case "?" | "h":
                return [do.ShowHelp(who.id)]
            case "r":
                return self._control_requested(e.ControlRequested(at, who.id))
            case "g":
                return self._control_given(e.ControlGiven(at, who.id, ""))
            case "t":
                return self._control_taken(e.ControlTaken(at, who.id))
            case "w":
                return [do.ShowPeople(who.id)]
            case "i":
                return self._ask_whom_to_invite(who)
            case "up" | "down" | "left" | "right" | ".":
                right, down = _STEPS[key]
                return (
                    [do.Pan(who.id, right, down)] if who.id != self.control.holder else [do.Notify((who.id,), "You see the whole screen.")]
                )
            case "P":
                return self._toggle_pause(who, at)
            case "k":
                return self._ask_end(who, at)
            case _:
                return [do.Notify((who.id,), f"No such key. {self.chord_name} ? shows those there are.")]

    def _toggle_pause(self, who: Participant, at: float) -> list[Effect]:
        if "pause" not in who.rights:
            return [
                do.Notify((who.id,), "Policy does not let you pause this session."),
                do.Note("session.paused", who.name, "", "denied", "no right"),
            ]
        if self.state is State.PAUSED:
            return self._resume(e.ResumeRequested(at, who.name))
        return self._pause(e.PauseRequested(at, who.name, ""))

    def _ask_end(self, who: Participant, at: float) -> list[Effect]:
        if who.id != self.owner and "end" not in who.rights:
            return [
                do.Notify((who.id,), "Policy does not let you end this session."),
                do.Note("session.ended", who.name, "", "denied", "no right"),
            ]
        asked, when = self._end_asked
        if asked == who.id and at - when <= CONFIRM_SECONDS:
            return self._close(Ending("killed", f"{who.name} ended the session."), at)
        self._end_asked = (who.id, at)
        return [do.Notify((who.id,), f"This ends the session for everybody. Press {self.chord_name} k again to do it.")]

    def _pause(self, event: e.PauseRequested) -> list[Effect]:
        self.state = State.PAUSED
        self.paused_by = event.by
        if self._floor is not None:
            self._floor.clear()
        why = f": {event.reason}" if event.reason else ""
        held = " What comes is shown when it goes on." if event.hold else ""
        effects: list[Effect] = [
            do.Mark(f"paused by {event.by}{why}", "pause", event.by),
            do.Note("session.paused", event.by, "", "ok", event.reason),
            do.Notify((), f"Paused by {event.by}{why}. Nothing you type is sent.{held}"),
        ]
        if event.hold and self.interactive:
            self.holding = True
            effects.append(do.HoldOutput(on=True))
            holder = self._present(self.control.holder or "")
            if holder is not None and "moderate" not in holder.rights:
                effects.append(do.ShowRendered(holder.id))
        return effects

    def _resume(self, event: e.ResumeRequested) -> list[Effect]:
        self.state = State.RUNNING
        self.paused_by = ""
        effects: list[Effect] = [do.Mark(f"resumed by {event.by}", "resume", event.by), do.Note("session.resumed", event.by)]
        if self.holding:
            self.holding = False
            effects.append(do.HoldOutput(on=False))
            holder = self._present(self.control.holder or "")
            if holder is not None and "moderate" not in holder.rights:
                effects.append(do.ShowRaw(holder.id))
        return [*effects, do.Notify((), f"{event.by} lets it go on.")]

    # ------------------------------------------------------------ the end

    def _timer(self, event: e.TimerFired) -> list[Effect]:  # noqa: PLR0911 - one clause a timer
        match event.name:
            case "detached":
                return self._close(Ending("detached-too-long", "Nobody came back to it in time."), event.at)
            case "echo":
                return self._echo_late(event.at)
            case "floor":
                return self._floor_free(event.at)
            case "handback":
                return self._handed_back(event.at)
            case "max-time":
                return self._close(Ending("max-time", "The longest time that policy allows is over."), event.at)
            case "idle" if self.terms.idle_seconds is not None:
                left = self.last_input + self.terms.idle_seconds - event.at
                if left > 0:
                    return [do.SetTimer("idle", left)]
                return self._close(Ending("idle", "Nobody typed for too long."), event.at)
        return []

    def _end_requested(self, event: e.EndRequested) -> list[Effect]:
        return self._close(Ending(event.code, event.reason), event.at)

    def _recording_failed(self, event: e.RecordingFailed) -> list[Effect]:
        self.state = State.CLOSING
        self.ending = Ending("recording-failed", event.reason)
        return [do.CloseEndpoint(), do.SetTimer("closing", CLOSING_SECONDS)]

    def _screen_failed(self, event: e.ScreenFailed) -> list[Effect]:
        told = f"screen reset by an internal error ({event.times} so far); the recorded output is whole"
        return [do.Mark(told, "screen"), do.Note("session.screen_reset", "system", "", "failed", f"{event.where}; {event.times} so far")]

    def _endpoint_closed(self, event: e.EndpointClosed) -> list[Effect]:
        if event.error:
            return self._end_now(Ending("endpoint-lost", event.error))
        if event.signal:
            return self._end_now(Ending("signal", f"The program ended by signal {event.signal}.", None, event.signal))
        return self._end_now(Ending("exit", "", event.status or 0))

    def _closing_done(self, event: e.EndpointClosed) -> list[Effect]:
        del event
        return self._end_now(self.ending or Ending("exit", ""))

    def _closing_timer(self, event: e.TimerFired) -> list[Effect]:
        return self._end_now(self.ending or Ending("exit", "")) if event.name == "closing" else []

    def _end_now(self, ending: Ending) -> list[Effect]:
        hang_up: list[Effect] = [do.CloseEndpoint()] if self.state is State.CONNECTING else []
        if self.state in (State.RUNNING, State.PAUSED):
            hang_up += self._echo_over()
        self.state = State.CLOSED
        self.ending = ending
        return [*hang_up, do.Finish(ending.code, ending.text, ending.status, ending.signal)]
