"""The gate: who may connect at all, decided before anything is spent on a connection.

It never touches a socket, a clock or chance: time and a random number arrive as arguments.

Theory of operation. A connection is *unauthenticated* from `admit` until `authenticated` or `left`.
`left` says how it ended; a bad ending adds a penalty to the source. A penalty does nothing until it
adds up to `penalty_min`; then the source is refused until it has run out (this is sshd's rule).
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bastion.wire.bucket import Bucket

if TYPE_CHECKING:
    from bastion.wire.events import Code
    from bastion.wire.limits import Limits


class Ending(Enum):
    """How a connection that never logged in ended."""

    NO_AUTH = "no_auth"
    AUTH_FAILED = "auth_failed"
    INVALID_USER = "invalid_user"
    GRACE = "grace"


@dataclass(slots=True)
class _Penalty:
    until: float
    active: bool = False


def source_of(address: str) -> str:
    """The source an address belongs to: the IPv4 address or the IPv6 /64. Anything else as it is."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(ip) >> 64 << 64)) + "/64"
    return str(ip)


class Gate:
    """Counts, rates and penalties for one listener. Owned by one event loop; no locks."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[str, int] = {}
        self._total = 0
        self._pending = 0
        self._rates: OrderedDict[str, Bucket] = OrderedDict()
        self._penalties: OrderedDict[str, _Penalty] = OrderedDict()
        self._exempt = tuple(ipaddress.ip_network(n) for n in limits.exempt_networks)

    @property
    def unauthenticated(self) -> int:
        """Connections that have not logged in now."""
        return self._total

    def _is_exempt(self, source: str) -> bool:
        if not self._exempt:
            return False
        try:
            ip = ipaddress.ip_address(source.partition("/")[0])
        except ValueError:
            return False
        return any(ip in network for network in self._exempt)

    def admit(self, source: str, now: float, chance: float, share_of_files: float) -> Code | None:
        """Let a new connection in (None) or say why not.

        `chance` is a random number in [0, 1), `share_of_files` the part of open files in use.
        """
        limits = self._limits
        if share_of_files >= limits.open_files_share:
            return "refused.open_files"
        if not self._is_exempt(source):
            if self._penalised(source, now):
                return "refused.penalty"
            if not self._rate(source, now):
                return "refused.rate"
            if self._waiting.get(source, 0) >= limits.unauthenticated_per_source:
                return "refused.source"
        if self._total >= limits.unauthenticated:
            return "refused.unauthenticated"
        span = limits.unauthenticated - limits.early_drop_from
        if span > 0 and chance < (self._total - limits.early_drop_from + 1) / (span + 1):
            return "refused.early_drop"
        self._waiting[source] = self._waiting.get(source, 0) + 1
        self._total += 1
        return None

    def authenticated(self, source: str) -> None:
        """An admitted connection has logged in."""
        self._total -= 1
        left = self._waiting.get(source, 0) - 1
        if left > 0:
            self._waiting[source] = left
        else:
            self._waiting.pop(source, None)

    def left(self, source: str, ending: Ending, now: float) -> None:
        """An admitted connection ended without a login."""
        self.authenticated(source)
        if not self._is_exempt(source):
            self._punish(source, ending, now)

    def pending(self) -> bool:
        """Take one of the places with the longer grace; False when all are taken."""
        if self._pending >= self._limits.login_pending:
            return False
        self._pending += 1
        return True

    def no_longer_pending(self) -> None:
        """Give that place back."""
        self._pending -= 1

    def _rate(self, source: str, now: float) -> bool:
        bucket = self._rates.get(source)
        if bucket is None:
            bucket = Bucket(self._limits.connection_rate, self._limits.connection_burst, now)
            self._rates[source] = bucket
            while len(self._rates) > 1:
                oldest = next(iter(self._rates))
                if len(self._rates) <= self._limits.penalty_sources and not self._rates[oldest].refilled(now):
                    break
                del self._rates[oldest]
        self._rates.move_to_end(source)
        return bucket.take(now)

    def _punish(self, source: str, ending: Ending, now: float) -> None:
        limits = self._limits
        seconds = {
            Ending.NO_AUTH: limits.penalty_no_auth,
            Ending.AUTH_FAILED: limits.penalty_auth_failed,
            Ending.INVALID_USER: limits.penalty_invalid_user,
            Ending.GRACE: limits.penalty_grace,
        }[ending]
        penalty = self._penalties.pop(source, None) or _Penalty(now)
        penalty.until = min(max(penalty.until, now) + seconds, now + limits.penalty_max)
        penalty.active = penalty.active or penalty.until - now >= limits.penalty_min
        self._penalties[source] = penalty
        while len(self._penalties) > limits.penalty_sources:
            self._penalties.popitem(last=False)

    def _penalised(self, source: str, now: float) -> bool:
        penalty = self._penalties.get(source)
        if penalty is None:
            return False
        if penalty.until <= now:
            del self._penalties[source]
            return False
        return penalty.active
