"""`ssh -J bastion NAME`: which endpoint the inner connection ends at, and as which login.

Never opens anything: each session on the inner connection is decided anew, where it starts.
"""

from __future__ import annotations

import re
from typing import Final

from bastion.core.access.actions import ACTIONS
from bastion.core.access.decision import Verdict
from bastion.core.access.endpoint import Endpoint
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Denied, Invalid, Missing
from bastion.core.identity import Identity
from bastion.core.values import NAME, login_name
from bastion.services.gatekeeper import Gatekeeper
from bastion.services.ports import Auditing, Clock, Endpoints
from bastion.services.tunnels import Via

SSH_PORT: Final = 22
_NUMBERS: Final = re.compile(r"[0-9.]+")
_WAYS: Final = tuple(action.name for action in ACTIONS.values() if action.dials)


class Jump:
    """Answers the client that asks for a connection to an endpoint's name."""

    def __init__(self, endpoints: Endpoints, policies: Gatekeeper, auditor: Auditing, clock: Clock) -> None:
        self._endpoints = endpoints
        self._policies = policies
        self._auditor = auditor
        self._clock = clock

    async def named(self, host: str, port: int) -> Endpoint | None:
        """Return the endpoint that a client means by `host` and `port`: its name, at SSH's port or its own. Else None."""
        name = host.lower()
        found = await self._endpoints.get(name) if NAME.fullmatch(name) else None
        return found if found is not None and port in (SSH_PORT, found.port) else None

    def admit(self, identity: Identity, endpoint: Endpoint) -> None:
        """Write down that they go there; raise `Denied` or `Missing` where no way in is open to them."""
        logins: list[str | None] = [login.name for login in endpoint.logins] or [None]
        decisions = (self._policies.decide(identity, action, endpoint, login=login) for login in logins for action in _WAYS)
        if any(one.verdict is not Verdict.DENY for one in decisions):
            self._record("jump.opened", identity, endpoint.name, "ok", "")
            return
        decision = self._policies.decide(identity, "connect", endpoint)
        self._record("jump.refused", identity, endpoint.name, "denied", decision.reason)
        if decision.opens_at is None:
            raise self.unknown(endpoint.name)
        raise Denied("access.deny", f"connect on {endpoint.name}: {decision.reason}", decision.rule)

    @staticmethod
    def looks_like_a_name(host: str, port: int) -> bool:
        """Return whether they probably mean an endpoint, and no forwarding."""
        return port == SSH_PORT and NAME.fullmatch(host.lower()) is not None and _NUMBERS.fullmatch(host) is None

    async def via(self, identity: Identity, name: str, login: str | None) -> Via:
        """Return the endpoint and login that tunnels go through. Raises `Missing` or `Invalid`."""
        endpoint = await self._endpoints.get(name)
        if endpoint is None:
            self.missing(identity, name, SSH_PORT)
            raise self.unknown(name)
        found = endpoint.login(login)
        if found is None:
            raise Invalid("endpoint.no_login", f"{name} has no login {login or ''!a}.")
        return Via(endpoint, found)

    def unknown(self, name: str) -> Missing:
        """Return what somebody is told about a name that they cannot reach, whether it exists or not."""
        return Missing("endpoint.unknown", f"There is no endpoint {name[:64]!a} that you may reach. `ssh bastion ls` lists yours.")

    def missing(self, identity: Identity, host: str, port: int) -> None:
        """Write down that they asked for what is no endpoint's name."""
        self._record("jump.refused", identity, f"{host[:256]}:{port}", "denied", "no endpoint of that name")

    @staticmethod
    def login(identity: Identity, endpoint: Endpoint, user_name: str) -> str | None:
        """Return the login that the inner user name asks for; None is the first one. Raises `Invalid` for no name at all.

        One's own name on the bastion means no login in particular, unless the endpoint has one of that name. Names that
        the endpoint does not have are refused where the session starts, with those that it has.
        """
        if user_name == identity.name and endpoint.login(user_name) is None:
            return None
        return login_name(user_name)

    def _record(self, code: str, identity: Identity, subject: str, result: str, reason: str) -> None:
        self._auditor.record(AuditEvent(code, self._clock.now(), identity.name, identity.source, subject, result=result, reason=reason))
