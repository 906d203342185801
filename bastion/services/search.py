"""Finds what stood on screens and what was typed, in all recordings that a person may replay. Each search is audited.

Never shows a line of a recording that policy would not let that person replay, and never says that there is one.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Denied, Invalid
from bastion.core.recording.find import Finder
from bastion.core.recording.search import Found, Hit, IndexState, Wanted, spot
from bastion.services.indexing import Index
from bastion.services.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bastion.core.access.decision import Decision
    from bastion.core.identity import Identity
    from bastion.core.recording.search import Portion
    from bastion.services.gatekeeper import Gatekeeper
    from bastion.services.harvest import Harvest, Lag
    from bastion.services.ports import Auditing, Clock, Endpoints
    from bastion.services.record_ports import Recordings, SearchIndex

LONGEST: Final = 200
"""Characters of a text that is looked for."""
_NEAR: Final = 2_000_000  # microseconds around a hit in which its first moment is
_PIECES: Final = 64  # of a cast looked through for it


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found, how far the index lags, and how large it is."""

    found: Found
    lag: Lag
    state: IndexState


class Search:
    """The auditor's way from a text to the moments at which it stood there."""

    def __init__(
        self,
        index: SearchIndex,
        harvest: Harvest,
        recordings: Recordings,
        policies: Gatekeeper,
        endpoints: Endpoints,
        auditor: Auditing,
        clock: Clock,
    ) -> None:
        self._index = index
        self._harvest = harvest
        self._recordings = recordings
        self._policies = policies
        self._endpoints = endpoints
        self._auditor = auditor
        self._clock = clock

    async def find(self, identity: Identity, wanted: Wanted) -> Answer:
        """Look for a text where this person may. `wanted.endpoints`: those asked for, empty for all.

        `Invalid` for a text that cannot stand in a line, `Denied` when they may replay nothing there.
        """
        text = wanted.text
        if not text.strip() or len(text) > LONGEST or not text.isprintable():
            raise Invalid("search.text", f"Say what to look for: 1 to {LONGEST} characters of one line.")
        allowed = await self._allowed(identity, wanted.endpoints)
        wanted = replace(wanted, endpoints=allowed)
        waiting = [one for portion in list(self._harvest.waiting()) for one in _in_portion(portion, wanted)]
        found = await self._index.find(wanted)
        answer = Answer(_merged(found, waiting, wanted.limit), self._harvest.lag, await self._index.state())
        self._audit(identity, wanted, answer)
        return answer

    async def state(self) -> tuple[Lag, IndexState]:
        """Return what is not in the index yet, and how large it is."""
        return self._harvest.lag, await self._index.state()

    async def moment(self, hit: Hit) -> int:
        """Return the moment (microseconds) at which the hit's line came to stand there; near it when that cannot be found."""
        if hit.line.typed:
            return hit.line.time
        try:
            tape = await Tape.open(self._recordings, hit.session)
            return await asyncio.to_thread(self._moment, hit, tape)
        except BastionError:
            return hit.line.time

    # ------------------------------------------------------------ the inside

    def _moment(self, hit: Hit, tape: Tape) -> int:
        after = max(0, hit.line.time - _NEAR)
        index = Index(self._recordings, hit.session, tape.header)
        try:
            start = index.keyframe(after)
        finally:
            index.close()
        finder = Finder(tape.header, hit.line.text, after=after, start=start)
        found: int | None = None
        for number, data in enumerate(self._recordings.chunks(hit.session, start.offset if start else 0)):
            found = finder.feed(data)
            if found is not None or number >= _PIECES:
                break
        else:
            found = finder.close()
        return found if found is not None and found <= hit.line.time + _NEAR else hit.line.time

    async def _allowed(self, identity: Identity, asked: frozenset[str]) -> frozenset[str]:
        """Return the endpoints of which this person may replay recordings, among those asked for."""
        known = {one.name: one for one in await self._endpoints.all()}
        names = await self._index.endpoints() | {portion.endpoint for portion in self._harvest.waiting()}

        def decide(name: str) -> Decision:
            decision = self._policies.decide(identity, "search", known.get(name))
            return self._policies.decide(identity, "replay", known.get(name)) if decision.allowed else decision

        for name in asked:
            decision = decide(name)
            if not decision.allowed:
                raise Denied("access.denied", f"search: {decision.reason}", decision.rule)
        allowed = frozenset(name for name in asked or names if decide(name).allowed)
        if not allowed and not any(decide(name).allowed for name in known):
            decision = self._policies.decide(identity, "search")
            if decision.allowed:
                decision = self._policies.decide(identity, "replay")
            if not decision.allowed:
                raise Denied("access.denied", f"search: {decision.reason}", decision.rule)
        return allowed

    def _audit(self, identity: Identity, wanted: Wanted, answer: Answer) -> None:
        data: dict[str, object] = {"text": wanted.text, "found": len(answer.found.hits), "more": answer.found.more}
        data.update({name: value for name in ("user", "session", "since", "until", "typed") if (value := getattr(wanted, name))})
        self._auditor.record(AuditEvent("recording.searched", self._clock.now(), identity.name, identity.source, data=data))


def _in_portion(portion: Portion, wanted: Wanted) -> Iterable[Hit]:
    """Yield the hits among lines that are not in the index yet."""
    if portion.endpoint not in wanted.endpoints or wanted.user not in {"", portion.user} or wanted.session not in {"", portion.session}:
        return
    text = wanted.text if wanted.case else wanted.text.casefold()
    for line in portion.lines:
        where = spot(line.text, text, case=wanted.case)
        if where is None or (wanted.typed is not None and wanted.typed != line.typed):
            continue
        hit = Hit(portion.session, portion.user, portion.endpoint, portion.started_at, line, *where)
        if (wanted.since is None or hit.at >= wanted.since) and (wanted.until is None or hit.at < wanted.until):
            yield hit


def _merged(found: Found, waiting: list[Hit], limit: int) -> Found:
    """Return both together, each line once: what waited may have been written meanwhile."""
    unique = {(hit.session, hit.line.time, hit.line.row, hit.line.text): hit for hit in [*found.hits, *waiting]}
    hits = sorted(unique.values(), key=lambda hit: hit.at, reverse=True)
    return Found(hits[:limit], found.more or len(hits) > limit, found.back_to)
