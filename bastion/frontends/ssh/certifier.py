"""Host certificates for names behind the bastion, made when they are needed. Never shows a private key."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncssh

from bastion.wire.limits import Limits
from bastion.wire.options import server_options

VALID_HOURS: Final = 24
RENEW_SECONDS: Final = 12 * 3600.0
KEPT: Final = 512  # names whose options are kept; making one costs a signature, about 0.3 ms


@dataclass(frozen=True, slots=True)
class _Made:
    options: asyncssh.SSHServerConnectionOptions
    until: float


class Certifier:
    """The inner servers' host keys: the bastion's own, with a certificate of its host CA for each endpoint's name."""

    def __init__(self, host_key: Path, host_ca: Path, limits: Limits) -> None:
        self._key = asyncssh.read_private_key(host_key)
        self._authority = asyncssh.read_private_key(host_ca)
        self._limits = limits
        self._made: OrderedDict[str, _Made] = OrderedDict()

    def options(self, name: str) -> asyncssh.SSHServerConnectionOptions:
        """Return a server's options for that name, with a certificate that has half its life before it."""
        made = self._made.pop(name, None)
        if made is None or made.until < time.monotonic():
            certificate = self._authority.generate_host_certificate(
                self._key, key_id=f"{name} through the bastion", principals=[name], valid_after="-1h", valid_before=f"+{VALID_HOURS}h"
            )
            pairs = asyncssh.load_keypairs([(self._key, certificate)])
            made = _Made(server_options(pairs, limits=self._limits), time.monotonic() + RENEW_SECONDS)
        self._made[name] = made
        if len(self._made) > KEPT:
            self._made.popitem(last=False)
        return made.options
