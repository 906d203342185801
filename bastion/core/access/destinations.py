"""Where tunnels may go: patterns of host and port, and addresses that no rule opens. Never resolves a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

from bastion.core.access.glob import MAX_PATTERN, Glob
from bastion.core.access.networks import Address, Network, read_address, read_network
from bastion.core.access.source import shown

_HOST: Final = re.compile(r"[A-Za-z0-9*?_][A-Za-z0-9._*?-]{0,252}")
_PORTS: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_LAST_PORT: Final = 65535
_NAT64: Final = IPv6Network("64:ff9b::/96")
_SITE_LOCAL: Final = IPv6Network("fec0::/10")
_METADATA: Final = {IPv6Address("fd00:ec2::254"), IPv4Address("100.100.100.200"), IPv4Address("168.63.129.16")}
"""Clouds' metadata services outside the link-local networks."""


@dataclass(frozen=True, slots=True)
class Destination:
    """`HOST:PORT` of a rule: a name, a glob or a network, with a port, a range (80-90) or `*`."""

    text: str
    host: Glob | Network
    first: int
    last: int

    def matches(self, host: str, address: Address | None, port: int) -> bool:
        """Return whether it covers that host (as it was typed), at that address (as far as known) and port."""
        if not self.first <= port <= self.last:
            return False
        if isinstance(self.host, Glob):
            return self.host.matches(host.lower().rstrip("."))
        return address is not None and address.version == self.host.version and address in self.host


def read_destination(text: str) -> Destination:
    """Read one entry of `to:`. Raises `ValueError` with a sentence that says what would do."""
    host, colon, ports = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if host.startswith("[") and "]/" in host:  # [2001:db8::]/32:443
        bare = host[1:].replace("]", "", 1)
    if not colon or not bare or len(text) > MAX_PATTERN or (":" in bare and not host.startswith("[")):
        raise ValueError(
            f"'{shown(text)}' is no destination; write it like db01:5432, *.internal:80-90, 10.0.0.0/8:443 or [2001:db8::]/32:*"
        )
    found = _PORTS.fullmatch(ports)
    if ports != "*" and found is None:
        raise ValueError(f"'{shown(ports)}' is no port; write 443, 80-90 or *")
    first, last = (1, _LAST_PORT) if found is None else (int(found[1]), int(found[2] or found[1]))
    if not 0 < first <= last <= _LAST_PORT:
        raise ValueError(f"'{shown(ports)}' is no range of ports; they are 1 to 65535")
    if "/" in bare or read_address(bare) is not None:
        return Destination(text, read_network(bare), first, last)
    if not _HOST.fullmatch(bare):
        raise ValueError(f"'{shown(bare)}' is no host; write a name, a glob (*.internal) or a network (10.0.0.0/8)")
    return Destination(text, Glob(bare.lower()), first, last)


def never(address: Address) -> str:
    """Return why no tunnel from the bastion goes to that address, "" where a rule may allow it.

    What looks like one address and is another (IPv4 within IPv6, 6to4, NAT64, Teredo) is judged as what it is.
    """
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None and 0 < int(address) >> 1 < 1 << 31:  # ::a.b.c.d, as once was written
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return never(inner)
        if address in _SITE_LOCAL:
            return "site-local"
    if address in _METADATA:
        return "a metadata service"
    for name, holds in (
        ("loopback", address.is_loopback),
        ("link-local", address.is_link_local),
        ("unspecified", address.is_unspecified),
        ("multicast", address.is_multicast),
        ("reserved", address.is_reserved),
    ):
        if holds:
            return name
    return "this network" if isinstance(address, IPv4Address) and address.packed[0] == 0 else ""
