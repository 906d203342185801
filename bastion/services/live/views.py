"""What others see of a live session: values for lists, menus and JSON. Never the session itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bastion.core.session.participants import Role
from bastion.core.values import Size

if TYPE_CHECKING:
    from bastion.core.session.session import Session
    from bastion.services.ports import SessionRecord


@dataclass(frozen=True, slots=True)
class Invitation:
    """Somebody asked into one session, as viewer or controller, until then (seconds since the epoch)."""

    user_id: str
    name: str
    role: Role
    until: float
    by: str


@dataclass(frozen=True, slots=True)
class ParticipantView:
    """One person in a session, as listed."""

    id: str
    name: str
    role: str
    source: str
    joined_at: float
    size: Size
    controls: bool
    attached: bool


@dataclass(frozen=True, slots=True)
class SessionView:
    """A live session, as listed."""

    id: str
    kind: str
    owner: str
    owner_id: str
    endpoint: str
    login: str
    state: str
    started_at: float
    size: Size
    title: str
    participants: tuple[ParticipantView, ...]
    bytes_out: int
    detached: bool
    labels: tuple[tuple[str, str], ...] = ()
    command: str = ""
    joinable: bool = False
    """Whether the person this was made for may join now."""
    invited: str = ""
    """The role they were invited as, if they were."""


def view_of(
    record: SessionRecord, session: Session, title: str, bytes_out: int, offset: float, labels: tuple[tuple[str, str], ...]
) -> SessionView:
    """Return how a session is listed now. `offset`: what makes the session's clock seconds since the epoch."""
    people = tuple(
        ParticipantView(
            person.id,
            person.name,
            person.role.value,
            person.source,
            person.joined_at + offset,
            person.size,
            person.id == session.control.holder,
            person.attached,
        )
        for person in session.people.values()
    )
    return SessionView(
        id=record.id,
        kind=record.kind,
        owner=record.user,
        owner_id=record.user_id,
        endpoint=record.endpoint,
        login=record.login,
        state=session.state.value,
        started_at=record.started_at,
        size=session.size,
        title=title,
        participants=people,
        bytes_out=bytes_out,
        detached=not session.people[session.owner].attached,
        labels=labels,
        command=record.command,
    )
