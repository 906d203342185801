"""Records sessions: opens casts, keeps them durable beside the loop, and decides what a failure means.

Never shows anything and never waits for the disk on a session's path: a line is one `write`, `fdatasync` is a thread's.

Strict (the default): the first failure raises `Ended`, and so does every call after it; the session ends. Best-effort:
the session goes on, what is missing is counted, audited as `recording.gap`, and marked in the cast when it works again.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Ended, Unavailable
from bastion.core.recording import keyframes, track
from bastion.core.recording.asciicast import header
from bastion.core.recording.keyframes import Due, Keyframe
from bastion.core.recording.mask import Rules
from bastion.core.recording.track import MARKER, Entry
from bastion.services.sealing import CastSeal, self_test
from bastion.services.veil import Veil

if TYPE_CHECKING:
    from bastion.core.access.decision import Terms
    from bastion.core.audit.checkpoint import Signer
    from bastion.core.values import Size
    from bastion.services.ports import Clock
    from bastion.services.record_ports import Recordings, RecordingWriter

STRICT: Final = "strict"
BEST_EFFORT: Final = "best-effort"
SYNC_SECONDS: Final = 1.0
"""Unless a setting says otherwise: a power cut may take this much and the time of one tick."""
_THREADS: Final = 8  # a disk takes many syncs at once in about the time of one
_SIDES: Final = 256  # side entries that wait for the tick; a disk that slow loses the oldest of them
LOW_WATER_BYTES: Final = 1 << 30
LOW_WATER_SHARE: Final = 0.05

Report = Callable[[AuditEvent], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose session is recorded: what the header and the audit say of it."""

    session: str
    user: str
    endpoint: str
    login: str
    size: Size
    term: str = ""
    command: str = ""
    source: str = ""
    tags: tuple[str, ...] = ()


class Recording:
    """One session's recording. The session calls it on the loop, before it shows anything."""

    def __init__(self, recorder: Recorder, writer: RecordingWriter | None, subject: Subject, mode: str, seal: CastSeal | None) -> None:
        self._recorder = recorder
        self._writer = writer
        self._seal = seal
        self._subject = subject
        if writer is not None and seal is not None:
            seal.take(writer.header)
            writer.on_written = seal.take
        self._strict = mode != BEST_EFFORT
        self._missing = 0  # bytes that no marker in the cast tells of yet
        self._gap = 0  # bytes missing since it last worked
        self.failure: Ended | None = None
        """Why a strict recording ended before its session."""
        self.on_failure: Callable[[Ended], None] = _nobody
        """Called on the loop when a strict recording fails beside a call (`fdatasync`), so idle sessions end too."""

        self._veil: Veil | None = recorder.veil()
        self._letting_go: asyncio.TimerHandle | None = None
        self._due = Due()
        self._sides: deque[Keyframe | Entry] = deque(maxlen=_SIDES)  # for the side files, written by the tick

    @property
    def writer(self) -> RecordingWriter | None:
        """The cast, or None where best-effort could not open one."""
        return self._writer

    def behind(self, now: float) -> bool:
        """Return whether the tick has something to do here; ends the stretch in hand when it is time for a seal."""
        writer = self._writer
        if writer is None:
            return False
        due = self._seal is not None and self._seal.due(now)
        return writer.changed or bool(self._sides) or due

    def keep_out(self, secret: bytes) -> None:
        """Mask this from now on, wherever output or typing holds it."""
        if self._veil is None:
            self._veil = Veil(self._recorder.rules)
        self._veil.learn(secret)

    def veiled(self, texts: Sequence[str]) -> Sequence[str]:
        """Return lines of its screen as they may be written down."""
        if self._veil is None or not texts:
            return texts
        return self._veil.text("\n".join(texts)).split("\n")

    def output(self, data: bytes, at: float) -> None:
        """Put output on file; only when this returned may it be shown. Strict: raises `Ended`.

        Where secrets are masked, a beginning of one may still wait (see `veil`).
        """
        veil = self._veil
        if veil is not None:
            data = veil.output(data, at)
            if veil.held:
                self._wait(veil)
            if not data:
                return
        self._put(data, at)

    def _put(self, data: bytes, at: float) -> None:
        writer = self._writer
        if writer is None or self._gap or self.failure is not None:
            self._go_on(lambda found: found.output(data, at), len(data), at)
            return
        try:
            writer.output(data, at)
        except OSError as error:
            self._failed(error, len(data))

    def _wait(self, veil: Veil) -> None:
        """Let go of what is held when its time is over."""
        if self._letting_go is None and (seconds := veil.wait(self._recorder.now())) is not None:
            self._letting_go = asyncio.get_running_loop().call_later(seconds, self._let_go, veil)

    def _let_go(self, veil: Veil) -> None:
        self._letting_go = None
        now = self._recorder.now()
        if veil.wait(now):  # more came meanwhile
            self._wait(veil)
            return
        try:
            self._flush(veil, now)
        except Ended as error:
            self.on_failure(error)

    def _flush(self, veil: Veil, at: float) -> None:
        if data := veil.flush_output():
            self._put(data, at)
        for by, typed in veil.flush_typed():
            self._go_on(lambda writer, by=by, typed=typed: writer.input(typed, at, by), len(typed), at)  # type: ignore[misc]

    def input(self, data: bytes, at: float, by: str) -> None:
        """Put what `by` typed on file. Strict: raises `Ended`."""
        if self._veil is not None:
            data = self._veil.typed(data, at, by)
            self._wait(self._veil)
            if not data:
                return
        self._go_on(lambda writer: writer.input(data, at, by), len(data), at)

    def resize(self, size: Size, at: float) -> None:
        """Put a change of size on file. Strict: raises `Ended`."""
        if self._veil is not None and self._veil.held:
            self._put(self._veil.flush_output(), at)
        self._due.resized()
        self._go_on(lambda writer: writer.resize(size, at), 1, at)

    def marker(self, text: str, at: float, *, kind: str = MARKER, who: str = "") -> None:
        """Put a marker on file, and who it is about into the participants track. Strict: raises `Ended`.

        `kind`: "join", "leave", "control" (`who` holds the keyboard now, "" nobody), "pause", "resume"...
        """
        if self._veil is not None:
            text = self._veil.text(text)
        self._go_on(lambda writer: writer.marker(text, at), 1, at)
        if self._writer is not None:
            self._sides.append(Entry(self._writer.time, kind, who, text))

    def place(self) -> tuple[int, bool, bool]:
        """Return the cast's length, whether the last output is in it byte for byte, and whether the end of that waits still."""
        writer, veil = self._writer, self._veil
        if writer is None or not self._strict or self.failure is not None or (veil is not None and veil.masked):
            return 0, False, False
        return writer.length, writer.faithful, not writer.between_characters or (veil is not None and veil.held)

    def chunks(self, offset: int) -> Iterator[bytes]:
        """Return the cast's bytes from an offset on."""
        return self._recorder.chunks(self._subject.session, offset)

    @property
    def keyframe_due(self) -> bool:
        """Whether a keyframe is wanted now. Ask when the session's terminal has parsed all that was recorded."""
        writer = self._writer
        if writer is None or self._gap or self.failure is not None or not writer.between_characters:
            return False
        if self._veil is not None and self._veil.held:  # the screen shows more than is recorded
            return False
        return self._due.now(writer.time, writer.length)

    def keyframe(self, size: Size, screen: bytes) -> None:
        """Keep the screen as it is after all that was recorded: `Terminal.dump() + Terminal.pending`. Cheap."""
        writer = self._writer
        if writer is not None:
            self._due.made(writer.time, writer.length)
            self._sides.append(Keyframe(writer.time, writer.length, size, screen, writer.author))

    async def close(self, status: int | None, at: float) -> None:
        """Complete the recording, in a thread. Never raises: the session is over; a failure here is audited."""
        self._recorder.forget(self)
        if self._letting_go is not None:
            self._letting_go.cancel()
        if self._veil is not None:
            with suppress(Ended):
                self._flush(self._veil, at)
        if self._writer is None:
            return
        try:
            await asyncio.to_thread(self._close, self._writer, status, at)
        except OSError as error:
            if self.failure is None:  # else it was said before
                self._report("recording.failed", "failed", error)
        else:
            if self._seal is not None:
                self._report("recording.sealed", "ok", None, digest=self._seal.digest, bytes=self._writer.length)
            self._recorder.complete(self._subject.session)

    def sync(self) -> OSError | None:
        """Make it durable, seal it and write its side files; called in the recorder's thread. Returns what went wrong."""
        writer = self._writer
        if writer is None:
            return None
        try:
            if writer.changed:
                writer.sync()
            if self._seal is not None:
                self._seal.write()
        except OSError as error:
            return error
        self._write_sides()
        return None

    def _write_sides(self) -> None:
        """Write side files, in a thread. They are derived: when they cannot be written they are made later."""
        with suppress(OSError):
            while self._sides:
                side = self._sides.popleft()
                if isinstance(side, Entry):
                    self._recorder.append_side(self._subject.session, track.FILE, track.line(side))
                elif self._veil is not None and self._veil.shows(side.screen):
                    continue  # one is made later from what was recorded
                elif record := keyframes.pack(side):
                    self._recorder.append_side(self._subject.session, keyframes.FILE, record)

    def _close(self, writer: RecordingWriter, status: int | None, at: float) -> None:
        self._write_sides()
        try:
            writer.end(status, at)
            if self._seal is not None:
                self._seal.end()
        finally:
            writer.close("failed" if self.failure else "closed")

    def sync_failed(self, error: OSError) -> None:
        """Take notice, on the loop, that the disk did not keep what the kernel took."""
        if self._strict:
            with suppress(Ended):
                self._failed(error, 0)
            if self.failure is not None:
                self.on_failure(self.failure)
        else:
            self._report("recording.sync_failed", "failed", error)

    def _go_on(self, write: Callable[[RecordingWriter], None], size: int, at: float) -> None:
        if self.failure is not None:
            raise self.failure
        if self._writer is None:
            self._missing += size
            return
        try:
            if self._missing:
                self._writer.marker(f"recording gap: {self._missing} bytes are missing", at)
                self._missing = 0
            write(self._writer)
        except OSError as error:
            self._failed(error, size)
            return
        if self._gap:
            self._report("recording.resumed", "ok", None, missing=self._gap)
            self._gap = 0

    def _failed(self, error: OSError, size: int) -> None:
        if self._strict:
            if self.failure is None:
                self.failure = Ended("recording.failed", f"Recording failed: {reason(error)}. Session ended by policy.", str(error))
                self._report("recording.failed", "failed", error)
            raise self.failure from error
        if not self._gap:
            self._report("recording.gap", "failed", error)
        self._missing += max(1, size)
        self._gap += max(1, size)

    def _report(self, code: str, result: str, error: OSError | None, **data: object) -> None:
        why = reason(error) if error is not None else ""
        self._recorder.report(self._subject, code, result, why, dict(data))


class Recorder:
    """Opens recordings and keeps all of them durable with one tick. `report` takes audit events and must not block."""

    def __init__(
        self,
        recordings: Recordings,
        clock: Clock,
        report: Report,
        signer: Signer | None = None,
        *,
        closed: Callable[[str], None] | None = None,
        low_water_bytes: int = LOW_WATER_BYTES,
        low_water_share: float = LOW_WATER_SHARE,
        sync_seconds: float = SYNC_SECONDS,
        rules: Rules | None = None,
        masks_credentials: bool = True,
    ) -> None:
        self._recordings = recordings
        self._clock = clock
        self._emit = report
        self._signer = signer
        self._closed = closed
        if signer is not None:
            self_test(signer)
        self.rules = rules or Rules()
        self.masks_credentials = masks_credentials
        """Whether what unlocks an endpoint is kept out of its sessions' recordings."""
        self._sync_seconds = sync_seconds
        self._low_water = (low_water_bytes, low_water_share)
        self._open: set[Recording] = set()
        self._stopped = asyncio.Event()

    def now(self) -> float:
        """Return the time that casts are stamped with."""
        return self._clock.monotonic()

    def veil(self) -> Veil | None:
        """Return what masks a new recording; None where nothing is to be masked yet."""
        return Veil(self.rules) if self.rules.pattern is not None else None

    def veiled(self, text: str) -> str:
        """Return a text (a command, a title) as it may be written down."""
        veil = self.veil()
        return text if veil is None else veil.text(text)

    async def open(self, subject: Subject, terms: Terms) -> Recording:
        """Return a new recording. Strict: `Unavailable` when there is no room or it cannot be made, so no session."""
        strict = terms.recording != BEST_EFFORT
        writer: RecordingWriter | None = None
        try:
            writer = await asyncio.to_thread(self._create, subject)
        except OSError as error:
            self.report(subject, "recording.failed", "failed", reason(error), {})
            if strict:
                raise Unavailable("recording.failed", f"Recording refused: {reason(error)}.", str(error)) from error
        except Unavailable as error:
            self.report(subject, error.code, "denied" if strict else "failed", error.public, {})
            if strict:
                raise
            with suppress(OSError):
                writer = await asyncio.to_thread(self._create, subject, check_room=False)
        seal = None
        if writer is not None and self._signer is not None:
            seal = CastSeal(self._recordings, subject.session, self._signer, self._clock.monotonic())
        recording = Recording(self, writer, subject, terms.recording, seal)
        self._open.add(recording)
        return recording

    def _create(self, subject: Subject, *, check_room: bool = True) -> RecordingWriter:
        if check_room:
            self.check_room()
        started_at = self._clock.now()
        fields = header(
            size=subject.size,
            term=subject.term,
            started_at=started_at,
            session=subject.session,
            user=subject.user,
            endpoint=subject.endpoint,
            login=subject.login,
            command=subject.command,
            title=f"{subject.user} on {subject.endpoint} as {subject.login}",
            tags=subject.tags,
        )
        return self._recordings.create(subject.session, fields, started_at, self._clock.monotonic())

    def least_free(self) -> int:
        """Return how many bytes must stay free for a session to begin."""
        return max(self._low_water[0], int(self._recordings.free()[1] * self._low_water[1]))

    def check_room(self) -> None:
        """Raise `Unavailable` (`recording.low_water`) when too little space is left to start something."""
        free, _ = self._recordings.free()
        least = self.least_free()
        if free < least:
            raise Unavailable(
                "recording.low_water",
                f"Recording refused: only {_amount(free)} free in the recordings folder, {_amount(least)} must stay free. "
                "Ask an admin to make room.",
            )

    async def recover(self) -> Sequence[str]:
        """Close what a crash left open, as interrupted; return the sessions' ids. Call it before the doors open."""
        ids = await asyncio.to_thread(self._recordings.unfinished)
        closed = []
        for session_id in ids:
            try:
                digest = await asyncio.to_thread(self._close_interrupted, session_id)
                closed.append(session_id)
                result, why = "ok", ""
            except OSError as error:
                result, why, digest = "failed", reason(error), ""
            data: dict[str, object] = {"digest": digest} if digest else {}
            self._emit(AuditEvent("recording.interrupted", self._clock.now(), session=session_id, result=result, reason=why, data=data))
        return closed

    def _close_interrupted(self, session_id: str) -> str:
        if self._signer is None:
            self._recordings.close_interrupted(session_id)
            return ""
        seal = CastSeal(self._recordings, session_id, self._signer, self._clock.monotonic())
        self._recordings.close_interrupted(session_id, lambda: seal.resume(end=True))
        return seal.digest

    async def run(self) -> None:
        """Force all casts to the disk each `sync_seconds`, in a thread, until `stop`. To be spawned once."""
        while not self._stopped.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), self._sync_seconds)
            await self.sync()
        await self.sync()

    async def sync(self) -> None:
        """Force what changed to the disk now."""
        now = self._clock.monotonic()
        wanted = [recording for recording in self._open if recording.behind(now)]
        if not wanted:
            return
        shares = [wanted[share::_THREADS] for share in range(min(_THREADS, len(wanted)))]
        results = await asyncio.gather(*(asyncio.to_thread(_sync_all, share) for share in shares))
        for share, errors in zip(shares, results, strict=True):
            for recording, error in zip(share, errors, strict=True):
                if error is not None:
                    recording.sync_failed(error)

    def stop(self) -> None:
        """End `run` after a last sync."""
        self._stopped.set()

    def chunks(self, session_id: str, offset: int) -> Iterator[bytes]:
        """Return the cast's bytes from an offset on."""
        return self._recordings.chunks(session_id, offset)

    def append_side(self, session_id: str, name: str, data: bytes) -> None:
        """Append to a recording's side file; called in a thread."""
        self._recordings.append_side(session_id, name, data)

    def complete(self, session_id: str) -> None:
        """Tell whoever wants to know (`closed`) that a recording is complete: it may be indexed, packed, moved."""
        if self._closed is not None:
            self._closed(session_id)

    def forget(self, recording: Recording) -> None:
        """Stop syncing a recording; it closes itself durably."""
        self._open.discard(recording)

    def report(self, subject: Subject, code: str, result: str, why: str, data: dict[str, object]) -> None:
        """Audit something about a recording."""
        self._emit(AuditEvent(code, self._clock.now(), subject.user, subject.source, subject.endpoint, subject.session, result, why, data))


def _sync_all(recordings: Sequence[Recording]) -> list[OSError | None]:
    return [recording.sync() for recording in recordings]


def _nobody(_: Ended) -> None:
    return


def reason(error: OSError) -> str:
    """Return the system's words for an error, as they fit into a sentence."""
    return (os.strerror(error.errno) if error.errno else str(error)).lower()


def _amount(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size >> 20} MiB"
