"""Who moves data now: one look for everybody on the event loop, so that a flood knows whether it has neighbours.

It never holds anybody back itself; windows and turns do, by what it says.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

ALONE_AFTER: Final = 0.5
"""Seconds without anyone else's data before a channel counts as alone."""


class Channel(Protocol):
    """A channel, as far as it matters here."""

    _conn: Any


class Traffic:
    """Which channel moved data last, and since when it alone has."""

    __slots__ = ("changed", "owner")

    def __init__(self) -> None:
        self.owner: Channel | None = None
        self.changed = 0.0

    def note(self, owner: Channel, now: float) -> None:
        """Another channel than the one before moves data."""
        self.owner = owner
        self.changed = now

    def alone(self, owner: Channel, now: float) -> bool:
        """Return whether nobody but that channel moved data for a while."""
        return self.owner is owner and now - self.changed > ALONE_AFTER

    def alone_on(self, connection: object, now: float) -> bool:
        """Return whether one channel of that connection alone moved data for a while."""
        return self.owner is not None and self.owner._conn is connection and now - self.changed > ALONE_AFTER


TRAFFIC: Final = Traffic()
"""One for the process: a neighbour is anyone on the same event loop, whichever door he came through."""
