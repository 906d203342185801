"""More ports: what is known of recordings besides their bytes. As in `ports`, backends plug in and tests plug in fakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bastion.core.recording.glean import Mark
from bastion.core.recording.search import Found, IndexState, Portion, Wanted


@dataclass(frozen=True, slots=True)
class RecordingNote:
    """What somebody wrote to a recording. Never changed."""

    session_id: str
    at: float
    by: str
    text: str


class Annotations(Protocol):
    """Tags and notes that people give to recordings."""

    async def tag(self, session_id: str, add: Sequence[str], remove: Sequence[str], by: str, at: float) -> Sequence[str]:
        """Add and take away tags; return those it has then, sorted. What it has already, or has not, stays so."""

    async def tags(self, session_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Return the tags of each of these that has any, sorted."""

    async def all_tags(self) -> Sequence[str]:
        """Return every tag in use, sorted."""

    async def note(self, note: RecordingNote) -> None:
        """Keep a note."""

    async def notes(self, session_id: str) -> Sequence[RecordingNote]:
        """Return a recording's notes, oldest first."""


class SearchIndex(Protocol):
    """The lines of all recordings. Derived: it can be made again from the casts."""

    async def add(self, portions: Sequence[Portion]) -> None:
        """Store the portions with their marks, all or nothing: after a crash each mark still fits its lines."""

    async def unfinished(self) -> Mapping[str, Mark]:
        """Return the recordings of which more follows, with the place to go on."""

    async def known(self, sessions: Sequence[str]) -> frozenset[str]:
        """Return which of these have any portion."""

    async def endpoints(self) -> frozenset[str]:
        """Return the names of all endpoints that recordings here are of."""

    async def find(self, wanted: Wanted) -> Found:
        """Look for a text."""

    async def remove(self, session: str) -> None:
        """Forget a recording's lines."""

    async def state(self) -> IndexState:
        """Return how large it is."""
