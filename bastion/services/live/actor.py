"""The owner of one live session: takes events, asks the Session, does what it says. Decides nothing.

`inbox` has them handled one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from bastion.core.access.decision import Grant, SessionFacts, Terms
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Ended
from bastion.core.identity import Identity
from bastion.core.session import effects as do
from bastion.core.session import events as e
from bastion.core.session.deadline import WARN_SECONDS, Deadline
from bastion.core.session.participants import Participant, Role
from bastion.core.session.session import Session
from bastion.core.session.state import State
from bastion.services.console import Console
from bastion.services.live.audience import Audience
from bastion.services.live.brim import Brim
from bastion.services.live.inbox import Inbox
from bastion.services.live.ledger import Ledger
from bastion.services.live.reading import ScreenReader
from bastion.services.live.screen import LiveScreen, Ties
from bastion.services.live.seat import Seat
from bastion.services.live.views import Invitation, SessionView, view_of
from bastion.services.live.world import World
from bastion.services.ports import (
    ChannelRequest,
    EndpointChannel,
    Farewell,
    ParticipantRecord,
    Secret,
    SessionRecord,
)
from bastion.services.recorder import Recording
from bastion.services.tasks import spawn

LONELY_BYTES_A_SECOND: Final = 1_000_000
"""How fast a session that nobody sees may write: a flood left behind fills no disk overnight, and its program lives."""


def _nobody_invites(actor: SessionActor, identity: Identity, line: str) -> None:
    del actor, identity, line


class SessionActor:
    """One live session (implements EndpointEvents)."""

    def __init__(
        self,
        world: World,
        grant: Grant,
        record: SessionRecord,
        session: Session,
        request: ChannelRequest,
        recording: Recording,
        unlock: Callable[[], Awaitable[Secret | None]],
        on_finish: Callable[[SessionActor], None],
    ) -> None:
        self.id = record.id
        self.grant = grant
        self.session = session
        self.record = record
        self.done: asyncio.Future[do.Finish] = asyncio.get_running_loop().create_future()
        self._world = world
        self._now = world.clock.monotonic
        self._request = request
        self._recording = recording
        self._brim = Brim(world.largest, self._warn, self._end_full) if world.largest else None
        recording.on_failure = lambda error: self.post(e.RecordingFailed(self._now(), error.public))
        self._unlock = unlock
        self._on_finish = on_finish
        self._channel: EndpointChannel | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._early: list[Callable[[], None]] = []
        self._stays: dict[str, ParticipantRecord] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.window_ends = grant.expires_at
        """When the time window that allows this session closes (seconds since the epoch); kept current by revocation."""
        self._deadline = Deadline()
        self.invitations: dict[str, Invitation] = {}
        """Who was asked in, by user id."""
        self.barred: set[str] = set()
        """User ids of those who were sent out; an invitation lets them in again."""
        self.on_invite: Callable[[SessionActor, Identity, str], None] = _nobody_invites
        self._ledger = Ledger(f"ledger-{record.id}")
        self._waits_for: set[str] = set()
        self._reader = ScreenReader(world.harvest, record, recording, session)
        ties = Ties(lambda: recording.keyframe_due, recording.keyframe, self._hold_for_screen, self._screen_failed, self._reader, recording)
        self._screen = LiveScreen(session.size, ties) if session.interactive else None
        self._audience = Audience(session, grant.endpoint.name, self._screen, self._hold_back, self._go_on, self._now, self._ends_at)
        self._bytes_out = 0
        self._bytes_in = 0
        self._last_seat = 1
        self._stays_ever = 0
        effects: dict[type, Callable[..., None]] = {
            do.Dial: self._dial,
            do.ToEndpoint: lambda effect: self._to_endpoint(effect.data),
            do.HoldTyping: lambda effect: self._audience.hold_typing(effect.participant),
            do.LetType: lambda _: self._audience.let_type(),
            do.EndInput: self._end_input,
            do.SignalEndpoint: self._signal_endpoint,
            do.ResizeEndpoint: self._resize_endpoint,
            do.CloseEndpoint: self._close_endpoint,
            do.RecordOutput: self._record_output,
            do.RecordInput: self._record_input,
            do.RecordResize: self._record_resize,
            do.Mark: self._mark,
            do.Show: self._audience.show,
            do.ShowRaw: self._audience.show_raw,
            do.ShowRendered: self._audience.show_rendered,
            do.Notify: self._audience.notify,
            do.Dismiss: self._dismiss,
            do.ShowHelp: self._audience.show_help,
            do.Window: self._audience.window,
            do.ShowPeople: self._audience.show_people,
            do.Prompt: self._audience.prompt,
            do.Pan: self._audience.pan,
            do.HoldOutput: self._audience.hold_output,
            do.InviteWanted: self._invite_wanted,
            do.SetTimer: self._set_timer,
            do.Note: self._note,
            do.Finish: self._finish,
        }
        self._inbox = Inbox(
            session, recording, self._screen, self._audience, effects, self._to_endpoint, self._hold_back, self._now, self._crashed
        )
        self.post = self._inbox.post

    def _crashed(self, error: Exception) -> None:
        self._audit("session.crashed", "system", result="failed", reason=f"{type(error).__name__}: {error}")
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": f"session {self.id} crashed", "exception": error})
        self.session.state = State.CLOSED
        self._close_endpoint(do.CloseEndpoint())
        self._finish(do.Finish("crash", "An internal error ended this session."))

    # ------------------------------------------------------------ from the endpoint (EndpointEvents)

    def output(self, data: bytes, *, stderr: bool = False) -> None:
        """Bytes came from the endpoint."""
        if self._channel is None:  # it spoke before `dial` returned: its turn comes right after it opened
            self._early.append(lambda: self.output(data, stderr=stderr))
            return
        self._bytes_out += len(data)
        self._inbox.output(data, stderr=stderr)
        if self._brim is not None and (writer := self._recording.writer) is not None and writer.length >= self._brim.next:
            self._brim.reached(writer.length)
        if self.session.lonely:
            self._hold_back("lonely")
            asyncio.get_running_loop().call_later(len(data) / LONELY_BYTES_A_SECOND, self._go_on, "lonely")

    def closed(self, status: int | None, signal: str | None, error: str) -> None:
        """The far side ended."""
        if self._channel is None and self.session.state is State.CONNECTING:
            self._early.append(lambda: self.closed(status, signal, error))
            return
        self._channel = None
        self.post(e.EndpointClosed(self._now(), status, signal, error))

    def drained(self) -> None:
        """The endpoint took what it was sent."""
        self._audience.let_type()

    # ------------------------------------------------------------ people come

    def invitation(self, identity: Identity) -> Invitation | None:
        """Return that person's invitation, while it holds."""
        found = self.invitations.get(identity.user_id)
        return found if found is not None and self._world.clock.now() < found.until else None

    def facts(self, identity: Identity, action: str = "join") -> SessionFacts:
        """Return what policy may know of this session when it decides about that person.

        One invited as viewer counts as invited for looking on only.
        """
        invitation = self.invitation(identity) if self.grant.terms.viewers == "invited" else None
        invited = invitation is not None and (action == "join" or (action == "control" and invitation.role is Role.CONTROLLER))
        return SessionFacts(owner_id=self.record.user_id, owner=self.record.user, invited=invited)

    @property
    def looked_at_by(self) -> float | None:
        """Return when this session must be looked at for the first time, since the epoch: its end, or the first warning."""
        longest = self.grant.terms.max_seconds
        ends = [] if longest is None else [self.record.started_at + longest]
        ends += [] if self.window_ends is None else [self.window_ends]
        return max(min(ends) - WARN_SECONDS[0], self.record.started_at + 1) if ends else None

    def _ends_at(self) -> float | None:
        """Return when this session must end at the latest, on the monotonic clock."""
        closes = None if self.window_ends is None else self.window_ends - self._world.clock.now() + self._now()
        ends = [one for one in (closes, self.session.ends_at) if one is not None]
        return min(ends, default=None)

    def remind(self) -> float | None:
        """Tell everybody that the end is near where it is time for that; return when to call again, since the epoch."""
        at, ends = self._now(), self._ends_at()
        if not self.session.interactive:
            return None  # a command's output is nobody's but its own
        if self.session.state in (State.PENDING, State.CONNECTING):
            return self.looked_at_by and max(self.looked_at_by, self._world.clock.now() + 1)
        if left := self._deadline.warning(at, ends):
            why = "the longest time that policy allows is over" if ends == self.session.ends_at else "its time window closes"
            self.post(e.Told(at, f"This session ends in {left}: then {why}."))
        again = self._deadline.next(at, ends)
        return None if again is None else again - at + self._world.clock.now()

    def rebind(self, terms: Terms) -> None:
        """Take up what policy says now about who may be here; all else stays as it was granted."""
        bound = replace(self.grant.terms, joinable=terms.joinable, viewers=terms.viewers, handover=terms.handover)
        self.grant = replace(self.grant, terms=bound)
        self.session.control.handover = terms.handover

    def present(self, user_id: str) -> list[tuple[Participant, Identity]]:
        """Return the stays of that person here, and who they were proven to be."""
        people = [person for person in self.session.people.values() if person.user_id == user_id and person.attached]
        return [(person, identity) for person in people if (identity := self.identity_of(person.id)) is not None]

    def begin(self) -> None:
        """Write the session down as pending, before anybody waits for it."""
        self._save()

    def start(self, console: Console) -> Seat:
        """Begin, with the owner's console."""
        seat = self._seat(self.session.owner, console)
        seat.raw = True  # theirs from the first byte on: nothing is cleared, as with plain ssh
        self._remember(self.session.people[self.session.owner])
        console.attach(seat)
        self.post(e.Started(self._now()))
        return seat

    def join(self, console: Console, role: Role, rights: frozenset[str]) -> Seat:
        """Let somebody in whose right was checked; `seat.out` tells how their stay ended."""
        self._last_seat += 1
        who = self._person(f"p{self._last_seat}", console, role, rights)
        seat = self._seat(who.id, console)
        self._remember(who)
        self.post(e.Joined(self._now(), who))
        if not seat.out.done():
            console.attach(seat)
        return seat

    def reattach(self, console: Console) -> Seat:
        """Bring the owner back to their session; where they are attached elsewhere, it moves here and that place is told."""
        owner = self.session.people[self.session.owner]
        if owner.attached:
            self._dismiss(do.Dismiss(owner.id, "session.moved", f"You went on with this session from {console.identity.source}."))
        who = self._person(owner.id, console, owner.role, owner.rights)
        seat = self._seat(who.id, console)
        self._remember(who)
        self.post(e.Reattached(self._now(), who))
        if not seat.out.done():
            console.attach(seat)
        return seat

    def identity_of(self, participant: str) -> Identity | None:
        """Return who sits there, as they proved themselves."""
        return self._audience.identity_of(participant)

    def _person(self, key: str, console: Console, role: Role, rights: frozenset[str]) -> Participant:
        identity = console.identity
        return Participant(key, identity.user_id, identity.name, role, identity.source, self._now(), console.size, rights)

    def _seat(self, key: str, console: Console) -> Seat:
        seat = Seat(
            key, console, self.post, self._inbox.typed, self._now, self._audience.status, self._audience.panel, links=self._world.links
        )
        seat.view = self.view
        self._audience.add(seat)
        return seat

    # ------------------------------------------------------------ effects: the endpoint

    def _dial(self, effect: do.Dial) -> None:
        del effect
        self.session.dialled()
        self._dialling = spawn(f"dial-{self.id}", self._dial_out())

    async def _dial_out(self) -> None:
        request = replace(self._request, size=self.session.size)
        try:
            channel = await self._world.dialer.dial(self.grant, request, self, self._unlock)
        except BastionError as error:
            self.post(e.EndpointFailed(self._now(), error.code, error.public))
            return
        except Exception as error:  # noqa: BLE001 - a bug in a dialler ends this session, not the person's wait
            self._inbox.crash(error)
            return
        finally:
            self._dialling = None
        if self.session.state is not State.CONNECTING:
            channel.close()
            return
        self._channel = channel
        self.post(e.EndpointOpened(self._now()))
        self._audience.let_type()  # who typed too much ahead; if the endpoint is full by now, the next write says so again
        early, self._early = self._early, []
        for event in early:
            event()

    def _to_endpoint(self, data: bytes) -> None:
        if self._channel is None:
            return
        self._bytes_in += len(data)
        if not self._channel.write(data):
            self._audience.hold_typing()

    def _end_input(self, effect: do.EndInput) -> None:
        del effect
        if self._channel is not None:
            self._channel.write_eof()

    def _signal_endpoint(self, effect: do.SignalEndpoint) -> None:
        if self._channel is not None:
            self._channel.signal(effect.name)

    def _resize_endpoint(self, effect: do.ResizeEndpoint) -> None:
        if self._channel is not None:
            self._channel.resize(effect.size)
        if self._screen is not None:
            self._screen.resize(effect.size)

    def _close_endpoint(self, effect: do.CloseEndpoint) -> None:
        del effect
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self._channel is not None:
            self._channel.close()

    def _hold_back(self, reason: str) -> None:
        """Stop reading from the endpoint until every reason to wait is gone."""
        if not self._waits_for and self._channel is not None:
            self._channel.pause()
        self._waits_for.add(reason)

    def _go_on(self, reason: str) -> None:
        if reason in self._waits_for:
            self._waits_for.discard(reason)
            if not self._waits_for and self._channel is not None:
                self._channel.resume()

    def _hold_for_screen(self, on: bool) -> None:  # noqa: FBT001 - a tie of the screen
        (self._hold_back if on else self._go_on)("screen")

    def _screen_failed(self, times: int, where: str) -> None:
        self.post(e.ScreenFailed(self._now(), times, where))

    # ------------------------------------------------------------ effects: the recording

    def _record_output(self, effect: do.RecordOutput) -> None:
        self._recording.output(effect.data, self._now())
        if self._screen is not None:
            self._screen.push(effect.data)

    def _warn(self, text: str) -> None:
        """Tell everybody, and mark it in the recording."""
        with suppress(Ended):  # the next output says so
            self._recording.marker(text, self._now())
        self._audience.notify(do.Notify((), text))

    def _end_full(self, text: str) -> None:
        self.post(e.EndRequested(self._now(), "system", "recording-full", text))

    def _record_input(self, effect: do.RecordInput) -> None:
        self._recording.input(effect.data, self._now(), effect.by)
        self._reader.typed(effect.data, effect.by)

    def _record_resize(self, effect: do.RecordResize) -> None:
        self._recording.resize(effect.size, self._now())

    def _mark(self, effect: do.Mark) -> None:
        self._recording.marker(effect.text, self._now(), kind=effect.kind, who=effect.who)

    def _dismiss(self, effect: do.Dismiss) -> None:
        stay = self._stays.pop(effect.participant, None)
        if stay is not None:
            self._save_stay(replace(stay, left_at=self._world.clock.now(), reason=effect.code))
        self._audience.dismiss(effect)

    def _invite_wanted(self, effect: do.InviteWanted) -> None:
        identity = self.identity_of(effect.participant)
        if identity is not None:
            self.on_invite(self, identity, effect.line)

    # ------------------------------------------------------------ effects: time, audit, end

    def _set_timer(self, effect: do.SetTimer) -> None:
        old = self._timers.pop(effect.name, None)
        if old is not None:
            old.cancel()
        if effect.seconds is not None:
            name = effect.name
            loop = asyncio.get_running_loop()
            self._timers[name] = loop.call_later(effect.seconds, lambda: self.post(e.TimerFired(self._now(), name)))

    def _note(self, effect: do.Note) -> None:
        if effect.code == "session.running":
            self.record = replace(self.record, state="running")
            self._save()
        self._audit(effect.code, effect.actor, result=effect.result, reason=effect.reason, subject=effect.subject)

    def _audit(self, code: str, actor: str, *, result: str = "ok", reason: str = "", subject: str = "") -> None:
        data = self._amounts() if code == "session.ended" else {}
        subject = subject or self.record.endpoint
        event = AuditEvent(code, self._world.clock.now(), actor, self.record.source, subject, self.id, result, reason, data)
        self._world.auditor.record(event)

    def _amounts(self) -> dict[str, object]:
        resets = self._screen.faults if self._screen is not None else 0
        return {"bytes_out": self._bytes_out, "bytes_in": self._bytes_in, **({"screen_resets": resets} if resets else {})}

    def _finish(self, effect: do.Finish) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._screen is not None:
            self._screen.close()
        self._reader.close(None)
        at = self._now()
        self._ledger.add(lambda: self._recording.close(effect.status, at))
        self.record = replace(
            self.record,
            state="closed",
            ended_at=self._world.clock.now(),
            reason=effect.code,
            exit_status=effect.status,
            bytes_out=self._bytes_out,
            bytes_in=self._bytes_in,
        )
        self._save()
        result = "ok" if effect.code in ("exit", "signal", "owner-left", "killed", "cancelled") else "failed"
        self._audit("session.ended", "system", result=result, reason=f"{effect.code}: {effect.text}" if effect.text else effect.code)
        if self.session.interactive and not self.session.people[self.session.owner].attached:
            text = effect.text or f"It ended with exit status {effect.status or 0}."
            farewell = Farewell(self.id, self.record.user_id, self.record.endpoint, self._world.clock.now(), text)
            self._ledger.add(lambda: self._world.sessions.save_farewell(farewell))
        for key in self._audience.keys():  # noqa: SIM118 - it is no dict; a copy
            self._dismiss(do.Dismiss(key, effect.code, effect.text))
        self._on_finish(self)
        if not self.done.done():
            self.done.set_result(effect)

    # ------------------------------------------------------------ the store, and lists

    def _save(self) -> None:
        record = self.record
        self._ledger.add(lambda: self._world.sessions.save(record))

    def _save_stay(self, stay: ParticipantRecord) -> None:
        self._ledger.add(lambda: self._world.sessions.save_participant(stay))

    async def saved(self) -> None:
        """Wait until what is known of this session is in the store."""
        await self._ledger.written()

    def _remember(self, who: Participant) -> None:
        self._stays_ever += 1
        stay = ParticipantRecord(self.id, f"{who.id}.{self._stays_ever}", who.name, who.role.value, who.source, self._world.clock.now())
        self._stays[who.id] = stay
        self._save_stay(stay)

    def view(self) -> SessionView:
        """Return how this session is listed now."""
        title = self._screen.title if self._screen else ""
        offset = self._world.clock.now() - self._now()
        return view_of(self.record, self.session, title, self._bytes_out, offset, self.grant.endpoint.labels)
