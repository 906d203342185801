"""Who is here and who types: the keyboard, its hand-overs, questions of ours, and whose input is kept.

The half of a session that concerns people; `session` builds the rest on it. Never waits, never reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bastion.core.access.decision import Terms
from bastion.core.access.durations import show_duration
from bastion.core.session import effects as do
from bastion.core.session import events as e
from bastion.core.session.chord import ChordReader, show_chord
from bastion.core.session.control import Control
from bastion.core.session.echo import WAIT_SECONDS, Counted, EchoWatch, Stored
from bastion.core.session.effects import Effect
from bastion.core.session.floor import Floor
from bastion.core.session.participants import Participant
from bastion.core.session.prompt import LinePrompt
from bastion.core.session.state import Ending, State

CLOSING_SECONDS: Final = 2.0  # a far side that does not hang up by then is left


class Keyboard:
    """The people of a session and the one keyboard."""

    def __init__(self, owner: Participant, terms: Terms, *, interactive: bool, chord: int | None) -> None:
        self.state = State.PENDING
        self.owner = owner.id
        self.terms = terms
        self.interactive = interactive
        self.people: dict[str, Participant] = {owner.id: owner}
        self.control = Control(owner.id, terms.handover, shared=terms.typing == "shared" and interactive)
        self.last_input = 0.0
        self.ending: Ending | None = None
        self.paused_by = ""
        self.holding = False
        """Paused with its output held: only moderators see what comes."""
        self.size = owner.size
        self.takes_sizes = True
        """Whether the endpoint takes the size of who gets the keyboard; else it keeps the owner's."""
        self._chord = chord if interactive else None
        self.chord_name = show_chord(chord)
        self._readers: dict[str, ChordReader] = {owner.id: ChordReader(self._chord)}
        self._prompts: dict[str, LinePrompt] = {}
        self._echo = EchoWatch() if terms.record_input and interactive else None
        self._floor = Floor() if self.control.shared else None
        self._typist = ""

    def _present(self, key: str) -> Participant | None:
        """Return the participant if they are here (a detached owner is not)."""
        who = self.people.get(key)
        return who if who is not None and who.attached else None

    def _others(self, but: str) -> tuple[str, ...]:
        """Return the ids of those attached, without `but`. An empty tuple would mean all, so nobody is `("",)`."""
        return tuple(person.id for person in self.people.values() if person.attached and person.id != but) or ("",)

    def typists(self) -> tuple[str, ...]:
        """Return the ids of those whose keys are the endpoint's now, who has the keyboard first."""
        holder = self.control.holder
        found = [holder] if holder is not None else []
        if self.control.shared:
            found += [one.id for one in self.people.values() if one.id != holder and one.attached and self.control.types(one)]
        return tuple(found)

    # ------------------------------------------------------------ the keyboard

    def _control_requested(self, event: e.ControlRequested) -> list[Effect]:
        who = self._present(event.participant)
        if who is None:
            return []
        if refusal := self.control.refusal_to_ask(who):
            return [do.Notify((who.id,), refusal), do.Note("control.requested", who.name, "", "denied", refusal)]
        self.control.asking = who.id
        holder = self.people.get(self.control.holder or "")
        effects: list[Effect] = [do.Note("control.requested", who.name)]
        if holder is None:
            effects.append(do.Notify((who.id,), "Nobody has the keyboard: take it with t."))
        else:
            effects.append(do.Notify((holder.id,), f"{who.name} asks for the keyboard: {self.chord_name} g gives it."))
            effects.append(do.Notify((who.id,), f"{holder.name} was asked for the keyboard."))
        return effects

    def _control_given(self, event: e.ControlGiven) -> list[Effect]:
        by = self._present(event.by)
        if by is None:
            return []
        to = self._present(event.to or self.control.asking or "")
        if refusal := self.control.refusal_to_give(by, to):
            return [do.Notify((by.id,), refusal), do.Note("control.given", by.name, "", "denied", refusal)]
        return self._move(to, by.name, event.at)

    def _control_taken(self, event: e.ControlTaken) -> list[Effect]:
        by = self._present(event.by)
        if by is None:
            return []
        if refusal := self.control.refusal_to_take(by):
            return [do.Notify((by.id,), refusal), do.Note("control.taken", by.name, "", "denied", refusal)]
        before = self.people.get(self.control.holder or "")
        owner = self.people[self.owner]
        effects = self._move(by, by.name, event.at)
        if by.id != owner.id and "moderate" in by.rights and "moderate" not in owner.rights:
            self.control.taken_over = by.name
            if self._floor is not None:
                self._floor.clear()  # typed by those who may no longer
        why = f" ({event.reason})" if event.reason else ""
        if before is not None and before.attached and before.id != by.id:
            chord = self.chord_name
            way = f"Ask for it with {chord} r." if before.id != owner.id or self.control.taken_over else f"{chord} t takes it back."
            effects.append(do.Notify((before.id,), f"{by.name} took the keyboard from you{why}. {way}"))
        return effects

    def _move(self, to: Participant | None, by: str, at: float, gone: Participant | None = None) -> list[Effect]:
        """Move the lease. Everything that was typed before this event has been sent; nothing after it will be."""
        before = self.people.get(self.control.holder or "")
        self.control.move(to.id if to else None, at)
        former = before or gone
        names = f"{former.name if former else 'nobody'} -> {to.name if to else 'nobody'}"
        mark = do.Mark(f"control: {names}", "control", to.name if to else "")
        effects: list[Effect] = [mark, do.Note("control.moved", by, to.name if to else "", "ok", names)]
        if self.terms.handback_seconds is not None:
            effects.append(do.SetTimer("handback", self.terms.handback_seconds if to is not None and to.id != self.owner else None))
        if before is not None and before.attached:
            effects.append(do.ShowRendered(before.id))
        if to is not None:
            resized = self._take_size(to)
            effects += [self._show(to), *resized]
            effects.append(do.Notify((to.id,), "You have the keyboard."))
            effects.append(do.Notify(self._others(to.id), f"{to.name} has the keyboard."))
        return effects

    def _show(self, who: Participant) -> Effect:
        """Return how the holder of the keyboard is shown the session."""
        return do.ShowRaw(who.id) if self.gets_bytes(who) else do.ShowRendered(who.id)

    def gets_bytes(self, who: Participant) -> bool:
        """Return whether they are shown the endpoint's bytes as they are; else pictures (of what is held, or of another size)."""
        if who.id != self.control.holder or (self.holding and "moderate" not in who.rights):
            return False
        return self.takes_sizes or who.size == self.size

    def _take_size(self, who: Participant) -> list[Effect]:
        if who.size == self.size or not (self.takes_sizes or who.id == self.owner):
            return []
        self.size = who.size
        return [do.RecordResize(who.size), do.ResizeEndpoint(who.size)]

    def _handed_back(self, at: float) -> list[Effect]:
        """The holder may have rested for too long: the keyboard goes back to the owner. Who took over keeps it."""
        limit, lease = self.terms.handback_seconds, self.control.lease
        if limit is None or lease is None or lease.holder == self.owner or self.control.taken_over:
            return []
        if self.state is State.PAUSED:
            return [do.SetTimer("handback", limit)]  # nobody could type
        left = max(self.last_input, lease.since) + limit - at
        if left > 0:
            return [do.SetTimer("handback", left)]
        owner, holder = self.people[self.owner], self.people[lease.holder]
        goes = f"goes back to {owner.name}" if owner.attached else f"is free, since {owner.name} is away"
        effects = self._move(owner if owner.attached else None, "system", at)
        return [*effects, do.Notify((), f"{holder.name} did not type for {show_duration(limit)}: the keyboard {goes}.")]

    # ------------------------------------------------------------ input of several at once

    def _spoken(self, at: float, data: bytes, who: Participant, floor: Floor) -> list[Effect]:
        """Return what sends input where several type: what belongs together stays whole, and who typed is marked."""
        effects = self._said(at, floor.typed(at, who.id, data))
        if floor.full(who.id):
            effects.append(do.HoldTyping(who.id))
        if floor.holds:
            effects.append(do.SetTimer("floor", floor.seconds_left(at)))
        return effects

    def _floor_free(self, at: float) -> list[Effect]:
        """The floor may be free: send what waited for that."""
        if self._floor is None or self.state is not State.RUNNING:
            return []
        effects = self._said(at, self._floor.due(at))
        if self._floor.holds:
            effects.append(do.SetTimer("floor", self._floor.seconds_left(at)))
        return [*effects, do.LetType()]

    def _said(self, at: float, turns: Sequence[tuple[str, bytes]]) -> list[Effect]:
        effects: list[Effect] = []
        for key, data in turns:
            who = self._present(key)
            if who is None or not self.control.types(who):
                continue
            if self._typist != key:
                self._typist = key
                effects.append(do.Mark(f"{who.name} types", "typing", who.name))
            effects += self._delivered(at, data, who)
        return effects

    # ------------------------------------------------------------ input that is kept

    def _sent(self, at: float, data: bytes, who: Participant) -> list[Effect]:
        """Return what sends input of somebody who may type."""
        if self._floor is not None:
            return self._spoken(at, data, who, self._floor)
        return self._delivered(at, data, who)

    def _delivered(self, at: float, data: bytes, who: Participant) -> list[Effect]:
        """Return what sends input, and keeps it where policy says so: at once, or when it is known to be echoed."""
        if not self.terms.record_input:
            return [do.ToEndpoint(data)]
        if self._echo is None:
            return [do.RecordInput(data, who.name), do.ToEndpoint(data)]
        waited = self._echo.waits
        kept = self._kept(self._echo.typed(at, data, who.name))
        timer: list[Effect] = [do.SetTimer("echo", WAIT_SECONDS)] if self._echo.waits and not waited else []
        return [*kept, *timer, do.ToEndpoint(data)]

    @staticmethod
    def _kept(found: Sequence[Stored | Counted]) -> list[Effect]:
        return [
            do.RecordInput(one.data, one.by)
            if isinstance(one, Stored)
            else do.Mark(f"{one.keys} {'key' if one.keys == 1 else 'keys'} by {one.by}, not echoed")
            for one in found
        ]

    def _echo_late(self, at: float) -> list[Effect]:
        """What was typed did not come back in time."""
        if self._echo is None:
            return []
        effects = self._kept(self._echo.expired(at))
        return [*effects, do.SetTimer("echo", WAIT_SECONDS)] if self._echo.waits else effects

    def _echo_over(self) -> list[Effect]:
        """Decide on all that was typed: the session ends."""
        return self._kept(self._echo.give_up()) if self._echo is not None else []

    # ------------------------------------------------------------ questions of ours

    def _ask_whom_to_invite(self, who: Participant) -> list[Effect]:
        if who.id != self.owner and "moderate" not in who.rights:
            reason = "Only the owner or a moderator invites."
            return [do.Notify((who.id,), reason), do.Note("session.invited", who.name, "", "denied", reason)]
        self._prompts[who.id] = LinePrompt("Invite (NAME [viewer|controller] [30m]):")
        return [do.Prompt(who.id, self._prompts[who.id].line)]

    def _answered(self, who: Participant, data: bytes) -> list[Effect]:
        """Take what was typed into a question; none of it is the endpoint's."""
        prompt = self._prompts[who.id]
        prompt.feed(data)
        if prompt.answer is None:
            return [do.Prompt(who.id, prompt.line)]
        del self._prompts[who.id]
        gone: list[Effect] = [do.Prompt(who.id, None)]
        return [*gone, do.InviteWanted(who.id, prompt.answer)] if prompt.answer else gone

    # ------------------------------------------------------------ the end

    def _close(self, ending: Ending, at: float) -> list[Effect]:
        del at
        self.state = State.CLOSING
        self.ending = ending
        return [
            *self._echo_over(),
            do.Mark(f"ended: {ending.text or ending.code}"),
            do.CloseEndpoint(),
            do.SetTimer("closing", CLOSING_SECONDS),
        ]
