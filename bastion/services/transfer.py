"""A transfer session's relay: bytes pass between client and endpoint, and what they do to files is asked, told, written down.

Never changes the bytes of a file, and never lets a packet pass that its protocol's reader did not understand.

It stands where the session's endpoint stands: to the session it is the dialer, the channel and the endpoint's events, so
limits, pauses, revocation and listing work as for any session. The cast of such a session has one line for each deed
instead of the files' bytes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, cast

from bastion.core.access.decision import FileFacts, SessionFacts, Verdict
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Ended
from bastion.core.text import safe_text
from bastion.core.transfer.deeds import Broken, Deed, Done, Effect, Place, Reading, Ruling, Tell, ToClient, ToEndpoint
from bastion.core.transfer.sftp import Sftp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bastion.core.access.decision import Grant
    from bastion.core.transfer.rcp import Command
    from bastion.core.values import Size
    from bastion.services.gatekeeper import Gatekeeper
    from bastion.services.ports import Auditing, ChannelRequest, Clock, Dialer, EndpointChannel, EndpointEvents, Secret, SessionRecord
    from bastion.services.recorder import Recording

_SHOWN: Final = 300  # characters of a path in the cast; the audit has all of it


class DeedsOnly:
    """A session's recording without the files' bytes (stands for `Recording`; the relay writes the lines itself)."""

    def __init__(self, recording: Recording) -> None:
        self.__dict__["recording"] = recording

    def __getattr__(self, name: str) -> Any:
        return getattr(self.recording, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self.recording, name, value)

    def output(self, data: bytes, at: float) -> None:
        """Leave it out: it is a protocol with files in it."""

    def input(self, data: bytes, at: float, by: str) -> None:
        """Leave it out."""


class Relay:
    """One transfer session's far side (implements Dialer, EndpointChannel and EndpointEvents)."""

    def __init__(
        self,
        dialer: Dialer,
        grant: Grant,
        record: SessionRecord,
        recording: Recording,
        policies: Gatekeeper,
        auditor: Auditing,
        clock: Clock,
        scp: Command | None,
    ) -> None:
        self._dialer = dialer
        self._grant = grant
        self._record = record
        self._recording = recording
        self._policies = policies
        self._auditor = auditor
        self._clock = clock
        self._now = clock.monotonic
        self._reading: Reading = Sftp(self._ask, hashlib.sha256) if scp is None else scp.reading(self._ask, hashlib.sha256)
        self._events: EndpointEvents | None = None
        self._channel: EndpointChannel | None = None
        self._ahead: list[bytes] = []  # for the endpoint, from before its channel was handed to us
        self._full = False
        self._over = False
        self._failed = False  # the cast cannot be written: nothing passes any more
        self._eof_due = False
        self._broken = ""

    @property
    def quiet(self) -> Recording:
        """Return what the session records on."""
        return cast("Recording", DeedsOnly(self._recording))

    # ------------------------------------------------------------ Dialer

    async def dial(
        self, grant: Grant, request: ChannelRequest, events: EndpointEvents, unlock: Callable[[], Awaitable[Secret | None]]
    ) -> EndpointChannel:
        """Dial, and stand in between."""
        self._events = events
        channel = self._channel = await self._dialer.dial(grant, request, self, unlock)
        ahead, self._ahead = self._ahead, []
        for data in ahead:
            self._full = not channel.write(data)
        if self._over:
            channel.close()
        return self

    async def scan(self, host: str, port: int, timeout: float) -> Any:
        """Nothing of a transfer's: dial only."""
        return await self._dialer.scan(host, port, timeout)

    # ------------------------------------------------------------ EndpointChannel

    def write(self, data: bytes) -> bool:
        """Take the client's bytes."""
        if not self._over:
            self._perform(self._reading.from_client(data, self._now()))
        return not self._full and self._reading.wants_more

    def write_eof(self) -> None:
        """No more comes from the client; what it sent ahead of its turn goes first."""
        self._eof_due = self._reading.holds and not self._over
        if self._channel is not None and not self._eof_due:
            self._channel.write_eof()

    def resize(self, size: Size) -> None:
        """Nothing: there is no terminal."""

    def signal(self, name: str) -> None:
        """Send a signal on."""
        if self._channel is not None:
            self._channel.signal(name)

    def pause(self) -> None:
        """Stop reading from the endpoint."""
        if self._channel is not None:
            self._channel.pause()

    def resume(self) -> None:
        """Read again."""
        if self._channel is not None:
            self._channel.resume()

    def close(self) -> None:
        """Hang up; what was under way is written down as cut off."""
        self._end()
        if self._channel is not None:
            self._channel.close()

    # ------------------------------------------------------------ EndpointEvents

    def output(self, data: bytes, *, stderr: bool = False) -> None:
        """Take the endpoint's bytes."""
        if self._over:
            return
        if stderr:
            self._put(data)
            self._to_client(data, stderr=True)
            return
        held = not self._reading.wants_more
        self._perform(self._reading.from_endpoint(data, self._now()))
        if self._eof_due:
            self.write_eof()
        if held and not self._full and self._reading.wants_more and self._events is not None:
            self._events.drained()

    def closed(self, status: int | None, signal: str | None, error: str) -> None:
        """The endpoint ended."""
        self._end()
        if self._events is not None:
            self._events.closed(status, signal, self._broken or error)

    def drained(self) -> None:
        """The endpoint took what it was sent."""
        self._full = False
        if self._reading.wants_more and self._events is not None:
            self._events.drained()

    # ------------------------------------------------------------ what the reader says

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case ToEndpoint(data):
                    self._to_endpoint(data)
                case ToClient(data):
                    self._to_client(data)
                case Tell(text):
                    self._to_client(f"bastion: {safe_text(text)}\n".encode(), stderr=True)
                case Done(deed):
                    self._write_down(deed)
                case Broken(who, reason):
                    self._break(who, reason)

    def _to_endpoint(self, data: bytes) -> None:
        if self._failed:
            return
        if self._channel is None:
            self._ahead.append(data)
        elif not self._channel.write(data):
            self._full = True

    def _to_client(self, data: bytes, *, stderr: bool = False) -> None:
        if self._events is not None and not self._failed:
            self._events.output(data, stderr=stderr)

    def _break(self, who: str, reason: str) -> None:
        side = "client" if who == "client" else f"endpoint {self._grant.endpoint.name}"
        self._broken = f"The {side} broke the {self._record.kind} protocol: {reason}. The channel was ended."
        self._audit("transfer.broken", "failed", self._broken, {})
        self._put(f"{self._broken}\r\n".encode())
        self.close()

    def _end(self) -> None:
        if not self._over:
            effects = self._reading.ended(self._now())
            self._perform(effects)
            self._over = True

    # ------------------------------------------------------------ policy

    def _ask(self, direction: str, place: Place) -> Ruling:
        file = FileFacts(direction, place.path, place.spellings, complete=place.complete)
        grant = self._grant
        facts = SessionFacts(owner_id=grant.identity.user_id, owner=grant.identity.name, running=True, file=file)
        (action,) = grant.capabilities
        decision = self._policies.decide(grant.identity, action, grant.endpoint, login=grant.login.name, session=facts, explain=0)
        return Ruling(decision.verdict is Verdict.ALLOW, decision.reason, decision.most_bytes)

    # ------------------------------------------------------------ writing down

    def _write_down(self, deed: Deed) -> None:
        """Put a deed into cast and audit. When the cast cannot be written the session ends, and nothing more passes."""
        digest = deed.digest.hexdigest() if deed.digest is not None else ""
        self._put(_line(deed, digest).encode("utf-8", "backslashreplace"))
        data: dict[str, object] = {"path": _plain(deed.path)}
        if deed.to:
            data["to"] = _plain(deed.to)
        if deed.size is not None:
            data |= {"bytes": deed.size, "sha256": digest or None, "seconds": round(deed.seconds, 3)}
            if deed.first:
                data["from"] = deed.first
        self._audit(f"file.{deed.what}", deed.result, deed.reason, data | dict(deed.more))

    def _audit(self, code: str, result: str, reason: str, data: dict[str, object]) -> None:
        record = self._record
        self._auditor.record(
            AuditEvent(code, self._clock.now(), record.user, record.source, record.endpoint, record.id, result, _plain(reason), data)
        )

    def _put(self, data: bytes) -> None:
        if self._failed:
            return
        try:
            self._recording.output(data, self._now())
        except Ended as error:
            self._failed = True
            self._recording.on_failure(error)


def _plain(text: str) -> str:
    r"""Return a name as text that any store takes; bytes that are no UTF-8 become `\xNN`."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _line(deed: Deed, digest: str) -> str:
    """Return a deed as a line of the cast."""
    path = safe_text(_plain(deed.path), _SHOWN) + (f" -> {safe_text(_plain(deed.to), _SHOWN)}" if deed.to else "")
    parts = []
    if deed.size is not None:
        parts.append(f"{deed.size} bytes" + (f" from {deed.first}" if deed.first else "") + f" in {deed.seconds:.1f} s")
        parts.append(f"sha256 {digest}" if digest else "no sha256: the parts came out of order")
    parts += [f"{name} {value}" for name, value in deed.more]
    if deed.result != "ok":
        parts.append(f"{deed.result.upper()}: {safe_text(_plain(deed.reason))}")
    return f"{deed.what.replace('-', ' ')} {path}" + (f"  ({', '.join(parts)})" if parts else "") + "\r\n"
