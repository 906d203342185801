"""Evidence packs: everything that proves one session, as a zip that is written while it is made.

Never holds a recording or a pack whole. Who may have one is decided by whoever calls this.
"""

from __future__ import annotations

import asyncio
import zipfile
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import chain as joined
from typing import TYPE_CHECKING, Final

import orjson

from bastion.core.audit import chain, checkpoint
from bastion.core.audit.chain import Link, canonical
from bastion.core.errors import Invalid, Unavailable
from bastion.core.recording import evidence, keyframes, seal, track
from bastion.core.recording.evidence import Listing, fact_line
from bastion.services.replay import send
from bastion.services.sealing import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bastion.core.audit.checkpoint import Signer
    from bastion.core.recording.seal import Verdict
    from bastion.services.console import Console
    from bastion.services.ports import AuditEntry, Auditing, AuditStore, Clock, SessionRecord, Sessions
    from bastion.services.record_ports import Recordings

MOST: Final = 50_000
"""Facts of one session; the newest, should there be more."""
_PIECE: Final = 64 * 1024
_SIDES: Final = (seal.FILE, keyframes.FILE, track.FILE)
_SEALED: Final = ("recording.sealed", "recording.interrupted")
_APPROVALS: Final = ("request.", "approval.", "access.")

File = tuple[str, "Iterable[bytes]"]


async def sealed_digest(audit: AuditStore, session_id: str) -> str:
    """Return the digest of a recording's last seal as the audit log has it; "" where it knows of none (yet)."""
    found: list[AuditEntry] = []
    for code in _SEALED:
        found += await audit.last(1, code=code, session=session_id)
    newest = max(found, key=lambda entry: entry.seq, default=None)
    digest = newest.event.data.get("digest") if newest is not None else None
    return digest if isinstance(digest, str) else ""


class Evidence:
    """Makes packs."""

    def __init__(
        self, recordings: Recordings, sessions: Sessions, audit: AuditStore, auditor: Auditing, signer: Signer, public: bytes, clock: Clock
    ) -> None:
        """`public`: the public key's file, as it is given to those who check."""
        self._recordings = recordings
        self._sessions = sessions
        self._audit = audit
        self._auditor = auditor
        self._signer = signer
        self._public = public
        self._clock = clock

    def unlocked(self, identity: bytes) -> Evidence:
        """Return the same for somebody with that age identity, whose packs hold what was encrypted as plain casts. `Invalid`."""
        recordings = self._recordings.unlocked(identity)
        return Evidence(recordings, self._sessions, self._audit, self._auditor, self._signer, self._public, self._clock)

    async def send(self, record: SessionRecord, console: Console, by: str, *, whole_chain: bool = False) -> Verdict:
        """Write the pack to standard output; return what a check of the recording said.

        `whole_chain` puts the audit log between the session's facts and the next signed head in, too: other people's
        facts with it. `Invalid` on a terminal, `Unavailable` while the session runs, `Missing`, `Corrupt`.
        """
        if console.term:
            raise Invalid("evidence.terminal", "A pack is a file, not for a terminal: leave -t out and write it to one (`> pack.zip`).")
        if await asyncio.to_thread(self._recordings.is_live, record.id):
            raise Unavailable("evidence.live", "That session still runs: its end is not sealed. Ask again when it is over.")
        await self._auditor.flush()
        facts = list(await self._audit.last(MOST, session=record.id))
        digest = await sealed_digest(self._audit, record.id)
        verdict = await verify(self._recordings, record.id, self._signer, digest=digest)
        heads = await self._heads(facts)
        until = next((point.seq for point in heads if facts and point.seq >= facts[-1].seq), 0)
        stretch = await self._stretch(facts, until) if whole_chain else []
        participants = [asdict(one) for one in await self._sessions.participants(record.id)]
        made = self._clock.now()
        files: list[File] = [
            ("README.txt", [self._readme(record, made, by, verdict, whole_chain=whole_chain).encode()]),
            ("session.json", [_json(_dated(asdict(record)) | {"decision": {"rule": record.rule, "result": "allow"}})]),
            ("participants.json", [_json([_dated(one) for one in participants])]),
            ("approvals.json", [_json([_fact(one) for one in facts if one.event.code.startswith(_APPROVALS)])]),
            (evidence.AUDIT, [fact_line(_link(one), one.previous) for one in facts]),
            (evidence.CHECKPOINTS, [point.line + b"\n" for point in heads]),
            ("verify.txt", [_report(verdict).encode()]),
            (evidence.KEY, [self._public]),
        ]
        if whole_chain:
            files.append((evidence.CHAIN, stretch))
        stamp = datetime.fromtimestamp(record.started_at, UTC)
        await send(console, zipped(joined(files, self._kept(record.id)), stamp, lambda noted: self._signed(noted, record, made, by)))
        return verdict

    def _kept(self, session_id: str) -> Iterator[File]:
        """Yield the recording and its side files, read as they are asked for."""
        yield evidence.CAST, self._recordings.chunks(session_id)
        for name in _SIDES:
            side = self._recordings.open_side(session_id, name)
            if side is not None:
                side.close()
                yield name, self._side(session_id, name)

    def _side(self, session_id: str, name: str) -> Iterator[bytes]:
        side = self._recordings.open_side(session_id, name)
        at = 0
        while side is not None:
            data = side.pread(_PIECE, at)
            if not data:
                side.close()
                return
            at += len(data)
            yield data

    def _signed(self, noted: Listing, record: SessionRecord, made: float, by: str) -> list[File]:
        manifest, signature = noted.manifest(record.id, _time(made), by, self._signer)
        return [(evidence.MANIFEST, [manifest]), (evidence.SIGNATURE, [signature])]

    async def _heads(self, facts: Sequence[AuditEntry]) -> list[checkpoint.Checkpoint]:
        """Return the signed heads from the last before the first fact to the first after the last one."""
        points = [point for line in await self._audit.signed() if (point := checkpoint.read(line)) is not None]
        if not facts:
            return points[-1:]
        first = max((at for at, point in enumerate(points) if point.seq < facts[0].seq), default=0)
        last = next((at for at, point in enumerate(points) if point.seq >= facts[-1].seq), len(points))
        return points[first : last + 1]

    async def _stretch(self, facts: Sequence[AuditEntry], until: int) -> list[bytes]:
        lines: list[bytes] = []
        if facts:
            async for entry in self._audit.entries(facts[0].seq - 1):
                lines.append(chain.encode_line(_link(entry)))
                if entry.seq >= max(until, facts[-1].seq):
                    break
        return lines

    def _readme(self, record: SessionRecord, made: float, by: str, verdict: Verdict, *, whole_chain: bool) -> str:
        title = f"Evidence of session {record.id}"
        text = evidence.README.format(
            session=record.id,
            rule="=" * len(title),
            user=record.user,
            endpoint=record.endpoint,
            login=record.login,
            source=record.source,
            started=_time(record.started_at),
            ended=_time(record.ended_at) if record.ended_at is not None else "(its end is not known)",
            made=_time(made),
            by=by,
            node=record.node,
            key=self._signer.key_id,
            chain="chain.jsonl, " if whole_chain else "",
        )
        return text if not verdict.finding else f"{text}\nWARNING: {verdict.finding}.\n"


def zipped(files: Iterable[File], stamp: datetime, last: Callable[[Listing], Iterable[File]]) -> Iterator[bytes]:
    """Yield a zip of these files, and of those that `last` makes once the others are in. Nothing is held whole."""
    sink = _Sink()
    noted = Listing()
    date = (max(1980, stamp.year), stamp.month, stamp.day, stamp.hour, stamp.minute, stamp.second)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as out:  # type: ignore[call-overload]  # needs no more than `write`

        def put(name: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
            info = zipfile.ZipInfo(name, date)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o600 << 16
            with out.open(info, "w", force_zip64=name == evidence.CAST) as member:
                for data in chunks:
                    member.write(data)
                    if sink.size >= _PIECE:
                        yield sink.take()

        for name, chunks in files:
            yield from put(name, noted.noted(name, chunks))
        for name, chunks in last(noted):
            yield from put(name, chunks)
    yield sink.take()


class _Sink:
    """Where a zip is written to: bytes that wait to be sent on."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: `take` takes."""

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts, self.size = [], 0
        return data


def _link(entry: AuditEntry) -> Link:
    return Link(entry.seq, entry.hash, canonical(entry.event))


def _fact(entry: AuditEntry) -> dict[str, object]:
    return {"seq": entry.seq} | _dated(asdict(entry.event))


def _dated(fields: dict[str, object]) -> dict[str, object]:
    """Return the fields with moments as people and programs read them."""
    return {
        name: _time(value) if (name == "at" or name.endswith("_at")) and isinstance(value, int | float) else value
        for name, value in fields.items()
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n"


def _report(verdict: Verdict) -> str:
    if verdict.finding:
        return f"NOT as it was sealed: {verdict.finding}.\n"
    end = "" if verdict.ended else " Its end seal is missing: it was cut off there."
    return f"As it was sealed: {verdict.lines} lines, {verdict.bytes} bytes, {verdict.seals} seals, digest {verdict.digest}.{end}\n"
