"""Addresses and networks that people come from. Never resolves a name."""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from bastion.core.access.source import shown

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def read_address(text: str) -> Address | None:
    """Return the address, None when the text is none. IPv4 written as IPv6 is IPv4; a zone (`%eth0`) is left out."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def read_network(text: str) -> Network:
    """Read `10.0.0.0/8` or one address; raises `ValueError` with a sentence that says what may have been meant."""
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"'{shown(text)}' is not a network; write it like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7") from None
    raise ValueError(f"'{shown(text)}' has bits set outside its mask; did you mean '{meant}'?")
