"""What every connection of the SSH door needs, outer and inner ones. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from bastion.core.identity import Identity
from bastion.frontends.ssh.certifier import Certifier
from bastion.frontends.ssh.channel import Run
from bastion.services.jump import Jump
from bastion.services.login import Login
from bastion.services.ports import Auditing, Clock
from bastion.services.tunnels import Tunnels
from bastion.wire.limits import Limits


class Present(Protocol):
    """A connection that has logged in."""

    identity: Identity | None

    def put_out(self, reason: str) -> None:
        """End it, telling the client why."""


@dataclass(frozen=True, slots=True)
class Inner:
    """What the inner servers of `ssh -J` need."""

    jump: Jump
    tunnels: Tunnels
    certifier: Certifier
    limits: Limits


@dataclass(frozen=True, slots=True)
class Door:
    """What every connection needs."""

    login: Login
    run: Run
    auditor: Auditing
    clock: Clock
    inner: Inner | None = None
    """Where `ssh -J` ends; None where that is off."""
    is_open: list[bool] = field(default_factory=lambda: [True])
    inside: set[Present] = field(default_factory=set)
