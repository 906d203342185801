"""The control lease: who may type, who asks for it, and how it changes hands.

Rules: one holder or none; the holder or a moderator gives it; the owner takes it back; a moderator forces it;
a holder who goes leaves it to the owner, or to nobody when the owner is away. Where policy forbids handing over,
only the owner and moderators ever hold it. A moderator who took over keeps the owner out until it is given back.
Where policy has typing shared, controllers type beside the holder (whose window gives the size), unless somebody took
over. Never sends a byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bastion.core.session.participants import ControlLease, Participant, Role

_MAY_TYPE = frozenset({"control", "moderate"})


@dataclass(slots=True)
class Control:
    """The lease and the one who asks for it. `refusal_*` answer "" or why not, for people."""

    owner: str
    handover: bool = True
    shared: bool = False
    lease: ControlLease | None = None
    taken_over: str = ""
    """Who keeps the owner out: the name of the moderator who took over, "" when nobody did."""
    asking: str | None = None
    history: list[tuple[float, str | None]] = field(default_factory=list)

    @property
    def holder(self) -> str | None:
        """Return the id of the participant who may type."""
        return self.lease.holder if self.lease else None

    def move(self, to: str | None, at: float) -> None:
        """Give the lease to `to` (None: nobody)."""
        self.lease = ControlLease(to, at) if to else None
        self.taken_over = ""
        if self.asking == to:
            self.asking = None
        self.history.append((at, to))
        del self.history[:-1000]  # a bound; the recording's markers keep every change

    def _may_hold(self, who: Participant) -> bool:
        """Return whether `who` may ever hold it."""
        if not self.handover:
            return who.id == self.owner or "moderate" in who.rights
        return who.id == self.owner or bool(who.rights & _MAY_TYPE)

    def types(self, who: Participant) -> bool:
        """Return whether what `who` types now is the endpoint's."""
        if self.holder == who.id:
            return True
        return self.shared and not self.taken_over and who.role is not Role.VIEWER and self._may_hold(who)

    def refusal_to_ask(self, who: Participant) -> str:
        """Say why `who` may not ask for the keyboard."""
        if self.holder == who.id:
            return "You have the keyboard."
        if self.types(who):
            return "Typing is shared here: you need not ask, only type."
        if not self._may_hold(who):
            return "You look on here: policy does not let you take the keyboard of this session."
        return ""

    def refusal_to_give(self, by: Participant, to: Participant | None) -> str:
        """Say why `by` may not give the keyboard to `to`."""
        if by.id != self.holder and "moderate" not in by.rights:
            return "You do not have the keyboard, so you cannot give it away."
        if to is None:
            return "Nobody asks for the keyboard. They ask with r."
        if to.id == self.holder:
            return f"{to.name} has the keyboard already."
        if not self._may_hold(to):
            return f"Policy does not let {to.name} type in this session."
        return ""

    def refusal_to_take(self, by: Participant) -> str:
        """Say why `by` may not take the keyboard without being given it."""
        if by.id == self.holder:
            return "You have the keyboard."
        if "moderate" in by.rights:
            return ""
        if self.taken_over:
            return f"{self.taken_over} took over and has not given the keyboard back. Ask for it with r."
        if by.id == self.owner:
            return ""
        if self.holder is None and self._may_hold(by):
            return ""
        return "Only the owner takes the keyboard back, or a moderator. Ask for it with r."
