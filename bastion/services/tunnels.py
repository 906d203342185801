"""TCP tunnels that a rule allows: from the bastion itself, or through an endpoint. Each is decided, bounded and audited.

Never listens, and never goes where no rule may send it: to this host, its neighbours on the wire, or a metadata service.

Theory of operation. A name is resolved here, each address is judged, and the one that was judged is dialled: no second
look-up can give another. Through an endpoint it is that machine that resolves; unless it is this very host, its own
network is its own affair, and a rule still has to name the destination.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from bastion.core.access.decision import Decision, Grant, SessionFacts, Terms, TunnelFacts, Verdict
from bastion.core.access.destinations import never
from bastion.core.access.networks import read_address
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Conflict, Denied, Unavailable
from bastion.core.text import safe_text

if TYPE_CHECKING:
    from bastion.core.access.endpoint import Endpoint, Login
    from bastion.core.identity import Identity
    from bastion.services.gatekeeper import Gatekeeper
    from bastion.services.ports import Auditing, Clock, Secret, Users

ACTION: Final = "forward"
MOST: Final = 64  # tunnels of one person: a browser behind -D has some thirty
_LONGEST_HOST: Final = 255


class TunnelEvents(Protocol):
    """What the far side of a tunnel tells. Called on the loop, never blocking."""

    def output(self, data: bytes) -> None:
        """Bytes came."""

    def ended(self) -> None:
        """The far side sends no more."""

    def closed(self) -> None:
        """It is gone. Called once, last."""

    def drained(self) -> None:
        """More may be written."""


class TunnelChannel(Protocol):
    """The far side of a tunnel."""

    def write(self, data: bytes) -> bool:
        """Send bytes; False asks to stop until `drained`."""

    def write_eof(self) -> None:
        """Say that no more follows."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Read again."""

    def close(self) -> None:
        """Hang up."""


class Wires(Protocol):
    """TCP, and TCP through endpoints."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host; `Unavailable` when it has none."""

    def is_own(self, address: str) -> bool:
        """Return whether that is an address of this host."""

    async def connect(self, address: str, port: int, events: TunnelEvents) -> TunnelChannel:
        """Connect; `Unavailable` says why not."""

    async def through(
        self, grant: Grant, host: str, port: int, events: TunnelEvents, unlock: Callable[[], Awaitable[Secret | None]]
    ) -> TunnelChannel:
        """Connect from an endpoint; `Unavailable` says why not."""


class Tunnel:
    """One tunnel that lives. The client's side is `events`; `write` and the others go to the far side."""

    def __init__(self, identity: Identity, via: Grant | None, facts: TunnelFacts, terms: Terms, events: TunnelEvents, at: float) -> None:
        self.identity = identity
        self.via = via
        self.facts = facts
        self.terms = terms
        self.began = at
        self.moved_at = at
        self.bytes_in = 0
        self.bytes_out = 0
        self.reason = ""
        self.far: TunnelChannel | None = None
        self.gone: Callable[[Tunnel], None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self._events = events
        self._now = asyncio.get_running_loop().time

    # from the far side (TunnelEvents)

    def output(self, data: bytes) -> None:
        """Bytes for the client."""
        self.bytes_out += len(data)
        self.moved_at = self._now()
        self._events.output(data)

    def ended(self) -> None:
        """The far side sends no more."""
        self._events.ended()

    def drained(self) -> None:
        """More may be written."""
        self._events.drained()

    def closed(self) -> None:
        """The far side is gone: tell it once."""
        self.far = None
        gone, self.gone = self.gone, None
        if gone is not None:
            self._events.closed()
            gone(self)

    # from the client

    def write(self, data: bytes) -> bool:
        """Send bytes; False asks to stop until `drained`."""
        self.bytes_in += len(data)
        self.moved_at = self._now()
        return self.far.write(data) if self.far is not None else True

    def end(self, reason: str) -> None:
        """Hang up both sides."""
        self.reason = self.reason or reason
        if self.far is not None:
            self.far.close()
        self.closed()


@dataclass(frozen=True, slots=True)
class Via:
    """The endpoint and login that a tunnel goes through."""

    endpoint: Endpoint
    login: Login


class Tunnels:
    """Opens tunnels and ends them. `own_host`: rules may reach this very host, for trying out (never its own doors)."""

    def __init__(
        self,
        wires: Wires,
        policies: Gatekeeper,
        users: Users,
        auditor: Auditing,
        clock: Clock,
        unlock: Callable[[Login], Awaitable[Secret | None]],
        *,
        own_host: bool = False,
    ) -> None:
        self._wires = wires
        self._policies = policies
        self._users = users
        self._auditor = auditor
        self._clock = clock
        self._unlock = unlock
        self._own_host = own_host
        self._live: set[Tunnel] = set()
        self.doors: set[int] = set()
        """Ports that this bastion listens on."""

    async def open(self, identity: Identity, host: str, port: int, via: Via | None, events: TunnelEvents) -> Tunnel:
        """Open a tunnel. Raises `Denied`, `Conflict` or `Unavailable` with one sentence; each refusal is audited."""
        place = f"{host[:_LONGEST_HOST]}:{port}" + (f" through {via.endpoint.name}" if via else "")
        try:
            if sum(one.identity.user_id == identity.user_id for one in self._live) >= MOST:
                raise Conflict("forward.too_many", f"You have {MOST} tunnels open, which is the limit.")
            return await self._open(identity, host[:_LONGEST_HOST], port, via, events)
        except (Denied, Conflict, Unavailable) as error:
            result = "denied" if isinstance(error, Denied) else "failed"
            self._record("forward.refused" if result == "denied" else "forward.failed", identity, place, result, error.public)
            raise

    async def _open(self, identity: Identity, host: str, port: int, via: Via | None, events: TunnelEvents) -> Tunnel:
        anywhere = self._decide(identity, via, None)
        if anywhere.verdict is not Verdict.ALLOW:
            raise Denied("forward.denied", f"This bastion forwards no ports for you: {anywhere.reason}", anywhere.rule)
        if via is not None:
            return await self._through(identity, TunnelFacts(host, "", port), via, events)
        refusals: list[str] = []
        for address in await self._wires.resolve(host, port):
            facts = TunnelFacts(host, address, port)
            decision = self._decide(identity, None, facts)
            why = self._never(address, port)
            if decision.verdict is Verdict.ALLOW and not why:
                tunnel = Tunnel(identity, None, facts, decision.terms, events, asyncio.get_running_loop().time())
                tunnel.far = await self._wires.connect(address, port, tunnel)
                return self._begun(tunnel, decision)
            refusals.append(f"{address} is never reached through the bastion ({why})." if why else decision.reason)
        raise Denied("forward.denied", f"{host}:{port}: {refusals[0] if refusals else 'it has no address.'}")

    async def _through(self, identity: Identity, facts: TunnelFacts, via: Via, events: TunnelEvents) -> Tunnel:
        decision = self._decide(identity, via, facts)
        if decision.verdict is not Verdict.ALLOW:
            raise Denied("forward.denied", f"{facts.host}:{facts.port} through {via.endpoint.name}: {decision.reason}", decision.rule)
        if via.endpoint.kind != "ssh":
            raise Denied("forward.kind", f"{via.endpoint.name} is of the kind {via.endpoint.kind}: nothing can be forwarded through it.")
        if await self._is_this_host(via.endpoint) and (why := await self._never_from_here(facts)):
            raise Denied("forward.own", f"{facts.host}:{facts.port} through {via.endpoint.name} is this bastion's own host ({why}).")
        grant = Grant(identity, via.endpoint, via.login, frozenset({ACTION}), decision.rule, decision.terms, decision.valid_until)
        tunnel = Tunnel(identity, grant, facts, decision.terms, events, asyncio.get_running_loop().time())
        tunnel.far = await self._wires.through(grant, facts.host, facts.port, tunnel, lambda: self._unlock(via.login))
        return self._begun(tunnel, decision)

    async def _is_this_host(self, endpoint: Endpoint) -> bool:
        return any(self._wires.is_own(address) for address in await self._wires.resolve(endpoint.host, endpoint.port))

    async def _never_from_here(self, facts: TunnelFacts) -> str:
        try:
            addresses = await self._wires.resolve(facts.host, facts.port)
        except Unavailable:
            return ""  # what cannot be found from here is not here
        return next((why for one in addresses if (why := self._never(one, facts.port))), "")

    def _never(self, address: str, port: int) -> str:
        """Return why no rule opens that, "" where one may."""
        parsed = read_address(address)
        if parsed is None:
            return "no address"
        own = self._wires.is_own(address)
        if own and port in self.doors:
            return "a door of the bastion itself"
        if self._own_host and (own or parsed.is_loopback):
            return ""
        return never(parsed) or ("this host" if own else "")

    def _decide(self, identity: Identity, via: Via | None, facts: TunnelFacts | None, *, running: bool = False) -> Decision:
        session = SessionFacts(owner_id=identity.user_id, owner=identity.name, to=facts, running=running)
        login = via.login.name if via else None
        return self._policies.decide(identity, ACTION, via.endpoint if via else None, login=login, session=session)

    def _begun(self, tunnel: Tunnel, decision: Decision) -> Tunnel:
        if tunnel.far is None:
            raise Unavailable("forward.lost", f"{tunnel.facts.host}:{tunnel.facts.port} hung up at once.")
        tunnel.gone = self._gone
        self._live.add(tunnel)
        self._watch(tunnel, decision.valid_until)
        self._tell("forward.opened", tunnel, f"rule {decision.rule}")
        return tunnel

    # ------------------------------------------------------------ how they end

    def _watch(self, tunnel: Tunnel, valid_until: float | None) -> None:
        """End it when its time is over: the longest, the idle one, or the window's."""
        now = asyncio.get_running_loop().time()
        ends = [
            (tunnel.began + tunnel.terms.max_seconds, "max-time") if tunnel.terms.max_seconds else None,
            (tunnel.moved_at + tunnel.terms.idle_seconds, "idle") if tunnel.terms.idle_seconds else None,
            (now + valid_until - self._clock.now(), "window") if valid_until is not None else None,
        ]
        at, why = min((one for one in ends if one is not None), default=(0.0, ""))
        if not why:
            return
        if at <= now:
            tunnel.end(why)
        else:
            tunnel.timer = asyncio.get_running_loop().call_later(max(0.05, at - now), self._watch, tunnel, valid_until)

    def _gone(self, tunnel: Tunnel) -> None:
        self._live.discard(tunnel)
        if tunnel.timer is not None:
            tunnel.timer.cancel()
        self._tell("forward.closed", tunnel, tunnel.reason)

    async def look(self) -> None:
        """Decide every tunnel again: the policy changed, somebody was locked, or time has passed."""
        for tunnel in list(self._live):
            user = await self._users.by_id(tunnel.identity.user_id)
            if user is None or user.disabled:
                tunnel.end("revoked: the account was locked or removed")
                continue
            identity = replace(tunnel.identity, roles=user.roles)
            via = Via(tunnel.via.endpoint, tunnel.via.login) if tunnel.via else None
            decision = self._decide(identity, via, tunnel.facts, running=True)
            if decision.verdict is not Verdict.ALLOW:
                tunnel.end(f"revoked: {decision.reason}")

    def end_all(self, reason: str) -> None:
        """End every tunnel."""
        for tunnel in list(self._live):
            tunnel.end(reason)

    # ------------------------------------------------------------ audit

    def _tell(self, code: str, tunnel: Tunnel, reason: str) -> None:
        data: dict[str, object] = {"to": f"{tunnel.facts.host}:{tunnel.facts.port}", "address": tunnel.facts.address}
        if tunnel.via is not None:
            data |= {"through": tunnel.via.endpoint.name, "login": tunnel.via.login.name}
        if code == "forward.closed":
            seconds = round(asyncio.get_running_loop().time() - tunnel.began, 3)
            data |= {"bytes_in": tunnel.bytes_in, "bytes_out": tunnel.bytes_out, "seconds": seconds}
        subject = tunnel.via.endpoint.name if tunnel.via else str(data["to"])
        self._record(code, tunnel.identity, subject, "ok", reason, data)

    def _record(self, code: str, identity: Identity, subject: str, result: str, reason: str, data: dict[str, object] | None = None) -> None:
        event = AuditEvent(
            code, self._clock.now(), identity.name, identity.source, safe_text(subject, 300), "", result, safe_text(reason, 400), data or {}
        )
        self._auditor.record(event)
