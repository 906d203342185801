"""Tells the lines of a live session to the search index, from pictures of the screen that is followed anyway.

Never parses anything itself, and costs the hot path two comparisons: where output paused long enough for an eye, the place is
noted, and when the screen is parsed up to there (later, beside the session) its rows are looked at.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from bastion.core.recording.glean import PICTURE_MICROSECONDS, Mark
from bastion.core.recording.lines import GAP, Rows, ScreenLines, TypedLines, harmless
from bastion.services.harvest import Sheaf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bastion.core.recording.lines import Flood, Line
    from bastion.core.session.session import Session
    from bastion.core.terminal import Terminal
    from bastion.services.harvest import Harvest
    from bastion.services.ports import SessionRecord
    from bastion.services.recorder import Recording

MOST_PLACES: Final = 32
"""Places that wait; then parsing is asked for, however little it is."""


class Place(NamedTuple):
    """Where a picture is wanted: `shown` bytes of output; `time` (microseconds) and `length` of the cast there; who had control."""

    shown: int
    time: int
    length: int
    by: str = ""


class ScreenReader:
    """One session's reader. The session calls it on the loop."""

    def __init__(self, harvest: Harvest | None, record: SessionRecord, recording: Recording, session: Session) -> None:
        self._harvest = harvest
        self._sheaf = harvest.begin(record) if harvest else Sheaf("", "", "", 0.0)
        self._recording = recording
        self._writer = recording.writer if harvest else None
        self._session = session
        self._lines = ScreenLines()
        self._typed = TypedLines()
        self._mark = Mark()
        self._typed_until = 0
        self._late: asyncio.TimerHandle | None = None
        self._closed = False
        self._holder: str | None = None
        self._name = ""
        self._shown = 0
        self._last = Place(0, 0, 0)
        self._pictured = Place(0, -PICTURE_MICROSECONDS, 0)
        self.places: deque[Place] = deque()

    def pushed(self, data: bytes) -> bool:
        """Take note of output that was recorded and queued; return whether too many pictures wait."""
        writer = self._writer
        if writer is None:
            return False
        time = writer.time
        last = self._last
        if time - last.time >= GAP and last.shown and not harmless(data):
            self.places.append(last)
        self._shown += len(data)
        holder = self._session.control.holder
        if holder != self._holder:
            self._holder, self._name = holder, self._name_of(holder)
        self._last = Place(self._shown, time, writer.length, self._name)
        return len(self.places) > MOST_PLACES

    def next_place(self, parsed: int) -> int:
        """Return how many bytes may be parsed before a picture is wanted, given how many were; 0 for any number."""
        return max(1, self.places[0].shown - parsed) if self.places else 0

    def look(self, terminal: Terminal) -> None:
        """Take the pictures that were wanted up to where the terminal is now."""
        place = None
        while self.places and self.places[0].shown <= terminal.offset:
            place = self.places.popleft()
        if place is not None:
            self._picture(terminal, place)

    def current(self, terminal: Terminal) -> None:
        """Take a picture of a screen that shows all that was recorded; a moment later, when there was one just now.

        Whenever a keyframe is made there is a picture: what stands on one is always found.
        """
        if self._last.shown == self._pictured.shown:
            return
        if self._recording.keyframe_due or self._last.time - self._pictured.time >= PICTURE_MICROSECONDS:
            self._take(terminal)
        elif self._late is None:
            self._late = asyncio.get_running_loop().call_later(PICTURE_MICROSECONDS / 1e6, self._take_late, terminal)

    def _take_late(self, terminal: Terminal) -> None:
        self._late = None
        if not terminal.backlog:  # else one is taken when it is parsed
            self._take(terminal)

    def _take(self, terminal: Terminal) -> None:
        if self._last.shown > self._pictured.shown:
            self.places.clear()
            self._picture(terminal, self._last)

    def typed(self, data: bytes, by: str) -> None:
        """Take input that was recorded."""
        writer = self._writer
        if writer is None or not self._session.interactive:  # a command's cast is read when it is over
            return
        found = self._typed.take(writer.time, by, data.decode("utf-8", "replace"))
        self._typed_until = writer.length
        if found:
            self._mark = self._made(Place(0, self._mark.time, self._mark.offset))
            self._tell(found)

    def close(self, terminal: Terminal | None) -> None:
        """End: with the `terminal` when it shows all that was recorded, else the rest is read from the cast."""
        if self._closed or self._harvest is None:
            return
        self._closed = True
        if self._late is not None:
            self._late.cancel()
        if terminal is not None:
            self._take(terminal)
            self._tell([*self._lines.close(), *self._typed.close()], self._lines.floods())
        self._sheaf.held = None
        self._harvest.end(self._sheaf, done=terminal is not None and self._writer is not None)

    def _tell(self, lines: Sequence[Line], floods: Sequence[Flood] = ()) -> None:
        """Pass lines on as the recording may have them: known secrets are masked here, too."""
        if self._harvest is None:
            return
        texts = [line.text for line in lines]
        veiled = self._recording.veiled(texts)
        if veiled is not texts and len(veiled) == len(texts):
            lines = [line._replace(text=text) for line, text in zip(lines, veiled, strict=True)]
        self._harvest.told(self._sheaf, lines, floods, self._mark)

    def _made(self, place: Place) -> Mark:
        """Return the mark at a picture. What it holds of lines is written down, so it is masked as they are."""
        held = self._lines.held
        text = self._typed.held
        shown, typed = self._recording.veiled([held.text if held else "", text[2]])
        return Mark(place.length, place.time, shown, (text[0], text[1], typed), self._typed_until)

    def _name_of(self, participant: str | None) -> str:
        who = self._session.people.get(participant or "")
        return who.name if who is not None else ""

    def _picture(self, terminal: Terminal, place: Place) -> None:
        lines = self._lines
        left = terminal.departed() if lines.thirsty else None
        found = lines.picture(place.time, Rows(terminal.texts(), terminal.cursor[1], terminal.alternate), left, place.by)
        terminal.collect_lines(wanted=lines.thirsty)
        self._pictured = place
        self._mark = self._made(place)
        self._sheaf.held = lines.held._replace(text=self._mark.held) if lines.held else None
        self._tell(found, lines.floods() if lines.thirsty else ())
