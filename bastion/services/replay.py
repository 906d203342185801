"""Brings a recording to a person: as a cast file, as a transcript, or played on their terminal.

Never loads a recording whole, and never lets what an endpoint wrote reach a terminal as it is. Who may see which
recording is decided by whoever calls this.
"""

from __future__ import annotations

import asyncio
from copy import copy
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

from bastion.core.errors import Invalid, Unavailable
from bastion.core.recording.convert import to_v2
from bastion.core.recording.playback import exact_text
from bastion.core.recording.reader import V2, V3, read
from bastion.core.recording.transcript import transcript
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.svg import svg
from bastion.services.indexing import Index
from bastion.services.player import Player
from bastion.services.sealing import verify
from bastion.services.stage import Stage
from bastion.services.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bastion.core.audit.checkpoint import Verifier
    from bastion.core.recording.seal import Verdict
    from bastion.services.console import Console
    from bastion.services.ports import Clock
    from bastion.services.record_ports import Recordings

_LINES: Final = 500  # of a converted cast or a transcript, made in one go beside the loop


def _ignore(_: int) -> None:
    return


class Replay:
    """The auditor's door to recordings."""

    def __init__(self, recordings: Recordings, clock: Clock, verifier: Verifier | None = None, *, links: bool = False) -> None:
        self._links = links  # that programs marked: whether the player shows them
        self._recordings = recordings
        self._clock = clock
        self._verifier = verifier

    async def encrypted_to(self, session_id: str) -> str:
        """Return whom a recording is encrypted to; "" when everybody who may see it can read it."""
        return await asyncio.to_thread(self._recordings.is_encrypted, session_id)

    def unlocked(self, identity: bytes) -> Replay:
        """Return the same door for somebody with that age identity; it is held in memory as long as this is. `Invalid`."""
        made = copy(self)
        made.__dict__["_recordings"] = self._recordings.unlocked(identity)
        return made

    async def verify(self, session_id: str, *, digest: str = "", count: Callable[[int], None] = _ignore) -> Verdict:
        """Check a recording against its seals, and the last of them against `digest` (from the audit log, where it is known).

        `count` is told of bytes as they are checked, in a thread. `Missing`; `Unavailable` where nothing is sealed.
        """
        if self._verifier is None:
            raise Unavailable("verify.no_key", "Recordings are not sealed here.")
        return await verify(self._recordings, session_id, self._verifier, digest=digest, count=count)

    async def cast(self, session_id: str, console: Console, *, version: int = V3) -> None:
        """Send the cast, v3 as it was recorded or converted to v2. `Missing`, `Corrupt`; `Invalid` on a terminal."""
        if console.term:
            raise Invalid("cast.terminal", "A cast is a file, not for a terminal: leave -t out and write it to one (`> session.cast`).")
        if version not in (V2, V3):
            raise Invalid("cast.version", "Casts are given as version 2 or 3.")
        chunks = await asyncio.to_thread(self._recordings.chunks, session_id)
        await send(console, chunks if version == V3 else _joined(to_v2(chunks)))

    async def transcript(self, session_id: str, console: Console, *, since: int = 0) -> None:
        """Send the recording, from `since` (microseconds) on, as plain lines with times and names."""
        end = "\r\n" if console.term else "\n"
        chunks = await asyncio.to_thread(self._recordings.chunks, session_id)
        header, events, reader = await asyncio.to_thread(read, chunks)
        await send(console, _joined(f"{line}{end}".encode() for line in transcript(events, header.size, since)))
        for note in reader.notes:
            console.write_error(f"{note}{end}".encode())

    async def picture(self, session_id: str, console: Console, *, at: int | None = None) -> None:
        """Send the screen at that moment (microseconds; None: at the end) as SVG. `Missing`, `Corrupt`; `Invalid` on a terminal."""
        if console.term:
            raise Invalid("export.terminal", "A picture is a file, not for a terminal: leave -t out and write it to one (`> screen.svg`).")
        tape = await Tape.open(self._recordings, session_id)
        index = await asyncio.to_thread(Index, self._recordings, session_id, tape.header)
        try:
            while not index.complete:
                await asyncio.to_thread(index.step)
            stage = Stage(tape, index)
            await stage.go(index.duration if at is None else at, lambda: not console.is_open)
            caption = f"session {session_id} at {exact_text(stage.reached)}"
            if (started := tape.header.started_at) is not None:
                caption += datetime.fromtimestamp(started + stage.reached / 1e6, UTC).strftime(", %Y-%m-%d %H:%M:%S UTC")
            picture = await asyncio.to_thread(svg, stage.screen.snapshot(), caption)
        finally:
            index.close()
        await send(console, iter([picture.encode()]))

    async def play(
        self, session_id: str, console: Console, *, at: int = 0, speed: float = 1.0, needle: str = "", paused: bool = False
    ) -> None:
        """Play from `at` (microseconds) until the person quits; a transcript where nothing can be drawn.

        `needle` is marked where it stands; `paused`: stand still there.
        """
        caps = Caps.of(
            console.term,
            console.environment.get("COLORTERM", ""),
            console.environment.get("LC_ALL") or console.environment.get("LC_CTYPE") or console.environment.get("LANG", ""),
            links=self._links,
        )
        if not console.term or not caps.full_screen:
            end = "\r\n" if console.term else "\n"
            why = "a player needs a terminal (ssh -t)" if not console.term else "this terminal draws nothing"
            console.write_error(f"The transcript, since {why}:{end}".encode())
            await self.transcript(session_id, console, since=at)
            return
        tape = await Tape.open(self._recordings, session_id)
        index = await asyncio.to_thread(Index, self._recordings, session_id, tape.header)
        live = await asyncio.to_thread(self._recordings.is_live, session_id)
        stage = Stage(tape, index)
        player = Player(console, caps, stage, self._clock, self._recordings, at=at, speed=speed, live=live, needle=needle)
        if paused:
            player.stand_still()
        await player.run()


def _joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    source = iter(lines)
    while batch := b"".join(islice(source, _LINES)):
        yield batch


async def send(console: Console, pieces: Iterator[bytes]) -> None:
    """Write piece by piece, as fast as the person takes them; stop when they are gone."""
    while console.is_open:
        piece = await asyncio.to_thread(next, pieces, b"")
        if not piece:
            return
        if not console.write(piece):
            await console.drain()
