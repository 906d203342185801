"""Which sessions live here. Finds them by id or prefix; never ends one by itself."""

from __future__ import annotations

from collections.abc import Callable

from bastion.core.errors import Conflict, Missing
from bastion.core.identity import Identity
from bastion.services.live.actor import SessionActor
from bastion.services.live.views import SessionView


class Live:
    """The live sessions of this node."""

    def __init__(self) -> None:
        self._actors: dict[str, SessionActor] = {}
        self.on_invite: Callable[[SessionActor, Identity, str], None] | None = None
        """Who hears of invitations made by the chord."""
        self.on_add: Callable[[SessionActor], None] | None = None
        """Who hears of each new session."""

    def add(self, actor: SessionActor) -> None:
        """List a session."""
        if self.on_invite is not None:
            actor.on_invite = self.on_invite
        self._actors[actor.id] = actor
        if self.on_add is not None:
            self.on_add(actor)

    def remove(self, actor: SessionActor) -> None:
        """List it no more."""
        self._actors.pop(actor.id, None)

    def actors(self) -> list[SessionActor]:
        """Return all of them."""
        return list(self._actors.values())

    def views(self) -> list[SessionView]:
        """Return how they are listed, oldest first."""
        return [actor.view() for actor in self._actors.values()]

    def find(self, prefix: str) -> SessionActor:
        """Return the session whose id starts so; `Missing` for none, `Conflict` when several do."""
        found = [actor for key, actor in self._actors.items() if prefix and key.startswith(prefix)]
        if not found:
            raise Missing("session.unknown", f"No live session starts with {prefix[:40]!a}. `sessions` lists them.")
        if len(found) > 1:
            raise Conflict("session.ambiguous", f"{len(found)} live sessions start with {prefix[:40]!a}: give more of the id.")
        return found[0]

    def of_user(self, user_id: str) -> list[SessionActor]:
        """Return the sessions somebody started."""
        return [actor for actor in self._actors.values() if actor.record.user_id == user_id]
