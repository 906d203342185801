"""Who comes and goes in a session: joins, returns, leaves, is put out, and what of it everybody is told.

Never decides who may: rights were asked of policy before the event was made, and travel with the participant.
"""

from __future__ import annotations

from dataclasses import replace

from bastion.core.session import effects as do
from bastion.core.session import events as e
from bastion.core.session.chord import ChordReader
from bastion.core.session.effects import Effect
from bastion.core.session.keyboard import Keyboard
from bastion.core.session.participants import Participant, Role
from bastion.core.session.state import Ending
from bastion.core.values import Size

_HOW = {"session.kicked": "was sent out by {}", "session.uninvited": "is no longer invited", "session.revoked": "may no longer be here"}


class Stays(Keyboard):
    """The stays of people in a session."""

    # ------------------------------------------------------------ sizes

    def _resized(self, event: e.Resized) -> list[Effect]:
        before = self.people.get(event.participant)
        if before is None or not self._note_size(event):
            return []
        who = self.people[before.id]
        if self.control.holder != who.id and (self.takes_sizes or who.id != self.owner):
            return self._too_small(who) if self._fits(before.size) else []
        got_bytes = self.takes_sizes or before.size == self.size
        resized = self._take_size(who)
        shown = [self._show(who)] if self.control.holder == who.id and got_bytes != (who.size == self.size or self.takes_sizes) else []
        holder = self._present(self.control.holder or "")
        if resized and holder is not None and holder.id != who.id:
            shown = [self._show(holder)]
        return [*resized, *shown]

    def _fits(self, size: Size) -> bool:
        """Return whether a window of that size can show the whole screen."""
        return size.columns >= self.size.columns and size.lines >= self.size.lines

    def _too_small(self, who: Participant) -> list[Effect]:
        """Tell the holder that somebody sees only a part."""
        holder = self.control.holder
        if holder is None or holder == who.id or self._fits(who.size):
            return []
        return [do.Notify((holder,), f"{who.name} looks on; their window ({who.size}) shows a part of this screen ({self.size}).")]

    def _note_size(self, event: e.Resized) -> bool:
        who = self.people.get(event.participant)
        if who is None:
            return False
        self.people[who.id] = replace(who, size=event.size)
        return True

    # ------------------------------------------------------------ people

    def _joined(self, event: e.Joined) -> list[Effect]:
        who = event.participant
        if not self.interactive:
            return [do.Dismiss(who.id, "session.no_screen", "That session has no terminal, so there is nothing to look at.")]
        if sum(person.attached for person in self.people.values()) >= self.terms.max_participants:
            return [do.Dismiss(who.id, "session.full", f"That session is full: {self.terms.max_participants} take part.")]
        self.people[who.id] = who
        self._readers[who.id] = ChordReader(self._chord)
        comes = "looks on" if who.role is Role.VIEWER else f"joined as {who.role.value}"
        types = self.control.types(who)
        return [
            do.Mark(f"{who.name} joined as {who.role.value}", "join", who.name),
            do.Note("session.joined", who.name, who.id, "ok", who.role.value),
            do.ShowRendered(who.id),
            do.Notify(self._others(who.id), f"{who.name} {comes}" + (", and types too." if types else ".")),
            *([do.Notify((who.id,), "Typing is shared here: what you type is sent.")] if types else ()),
            *self._too_small(who),
        ]

    def _reattached(self, event: e.Reattached) -> list[Effect]:
        old = self.people.pop(self.owner)
        self._readers.pop(old.id, None)
        self._prompts.pop(old.id, None)
        who = replace(event.participant, id=old.id, attached=True)
        self.people[old.id] = who
        self._readers[old.id] = ChordReader(self._chord)
        how = f"moved from {old.source} to {who.source}" if old.attached else "is back"
        effects: list[Effect] = [
            do.SetTimer("detached", None),
            do.Mark(f"{who.name} {how}", "join", who.name),
            do.Note("session.attached", who.name, "", "ok", how if old.attached else ""),
            do.Notify(self._others(who.id), f"{who.name} {how}."),
        ]
        if self.control.holder in (None, old.id):
            self.control.move(old.id, event.at)
            resized = self._take_size(who)
            effects += [self._show(who), *resized]
        else:
            effects.append(do.ShowRendered(old.id))
        return effects

    def _left(self, event: e.Left) -> list[Effect]:
        who = self.people.get(event.participant)
        return self._go(who, "lost", event.reason, event.at) if who and who.attached else []

    def _go(self, who: Participant, code: str, reason: str, at: float) -> list[Effect]:
        """Let one go: the owner detaches (or ends it), anybody else is out."""
        self._prompts.pop(who.id, None)
        if who.id == self.owner:
            if not self.interactive or self.terms.detach_seconds <= 0:
                return self._close(Ending("owner-left", reason or f"{who.name} left."), at)
            self.people[who.id] = replace(who, attached=False)
            effects: list[Effect] = [
                do.Mark(f"{who.name} detached", "leave", who.name),
                do.Note("session.detached", who.name, "", "ok", code),
            ]
            effects.append(do.SetTimer("detached", self.terms.detach_seconds))
            if self.control.holder == who.id:
                self.control.move(None, at)
            if code != "lost":
                minutes = max(1, round(self.terms.detach_seconds / 60))
                effects.append(
                    do.Dismiss(who.id, "session.detached", f"Detached. The session goes on for {minutes} min; attach brings it back.")
                )
            else:
                effects.append(do.Dismiss(who.id, "session.lost", ""))
            return effects
        return self._out(who, do.Dismiss(who.id, "session.left", reason), at, code=code, how="left")

    def _out(self, who: Participant, dismissal: do.Dismiss, at: float, *, code: str, how: str, by: str = "") -> list[Effect]:
        """Take somebody who is not the owner out; their keyboard goes to the owner."""
        del self.people[who.id]
        self._readers.pop(who.id, None)
        self._prompts.pop(who.id, None)
        if self.control.asking == who.id:
            self.control.asking = None
        if self._floor is not None:
            self._floor.gone(who.id)
        note = do.Note("session.left", by or who.name, who.name if by else who.id, "ok", code)
        effects: list[Effect] = [do.Mark(f"{who.name} {how}", "leave", who.name), note, dismissal]
        if self.control.holder == who.id:
            owner = self.people[self.owner]
            effects += self._move(owner if owner.attached else None, "system", at, gone=who)
        effects.append(do.Notify((), f"{who.name} {how}."))
        return effects

    def _put_out(self, event: e.PutOut) -> list[Effect]:
        who = self.people.get(event.participant)
        if who is None or who.id == self.owner:
            return []
        how = _HOW.get(event.code, "was put out").format(event.by)
        return self._out(who, do.Dismiss(who.id, event.code, event.text), event.at, code=event.code, how=how, by=event.by)

    def _reassessed(self, event: e.Reassessed) -> list[Effect]:
        who = self._present(event.participant)
        if who is None or (who.role, who.rights) == (event.role, event.rights):
            return []
        self.people[who.id] = now = replace(who, role=event.role, rights=event.rights)
        if who.id == self.owner:
            return []  # what they may do beyond typing; nobody else sees that
        effects: list[Effect] = [do.Note("session.role", "system", who.name, "ok", event.role.value)]
        if who.role is not event.role:
            effects += [do.Mark(f"{who.name} is {event.role.value} now"), do.Notify((), f"{who.name} is {event.role.value} now.")]
        if not event.rights & {"control", "moderate"}:
            if self.control.asking == who.id:
                self.control.asking = None
            if self.control.holder == who.id:
                owner = self.people[self.owner]
                effects += self._move(owner if owner.attached else None, "system", event.at)
                effects.append(do.Notify((who.id,), "Policy no longer lets you type in this session."))
        if self._floor is not None and not self.control.types(now):
            self._floor.gone(who.id)
        return effects

    def _told(self, event: e.Told) -> list[Effect]:
        return [*([do.Mark(event.text)] if event.marked else ()), do.Notify(event.to, event.text)]
