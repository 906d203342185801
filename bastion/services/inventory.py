"""Endpoints, their logins, credentials and pinned host keys: add, scan, accept, remove; every change audited.

Never decides who may do it, and never gives a secret to anybody but the dialler.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Protocol

from bastion.core.access.endpoint import AUTHORITY, Endpoint, HostKey, HostKeyVerdict, Login, judge_host_key
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Conflict, Invalid, Missing
from bastion.core.text import safe_text
from bastion.core.values import LABEL_KEY, NAME, endpoint_name, login_name
from bastion.services.people import read_public_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bastion.core.identity import Identity
    from bastion.services.ports import Auditing, Clock, Credentials, Endpoints, Scanner, Secret, Vault

SECRET_COLUMN: Final = "sealed"  # noqa: S105 - a column's name
"""The vault's column for credentials; the row is the credential's id. Sealing and opening must agree."""

SCAN_SECONDS: Final = 10.0
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._-]{1,15})?")
_MAX_LABELS: Final = 64
_MAX_LABEL_VALUE: Final = 256
_MAX_PASSWORD: Final = 1024


class PrivateKeys(Protocol):
    """Reads private keys, which needs a library."""

    def opened(self, private: Secret, passphrase: Secret) -> Secret:
        """Return the key without its passphrase; `Invalid` when that does not open it."""

    def public_of(self, private: Secret) -> str:
        """Return the public line; `Invalid` when it cannot be read or has a passphrase."""


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """What somebody asks to add. `method`: "key", "password", "ca", "ask" or "none" (kind local)."""

    name: str
    host: str = ""
    port: int = 22
    login: str = ""
    method: str = "none"
    secret: Secret | None = None
    host_keys: tuple[HostKey, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    description: str = ""
    kind: str = "ssh"
    command: tuple[str, ...] = ()
    legacy: bool = False


def read_address(text: str, usual: int = 22) -> tuple[str, int]:
    """Read `HOST`, `HOST:PORT`, `[IPV6]:PORT` or a bare IPv6 address; `usual` where no port is named. Raises `Invalid`."""
    host, port = text, str(usual)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or str(usual)
        if not bracket or (rest and not rest.startswith(":")):
            raise Invalid("address.invalid", f"'{safe_text(text, 80)}' is not an address: HOST, HOST:PORT or [IPV6]:PORT.")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not _HOST.fullmatch(host):
        raise Invalid("address.invalid", f"'{safe_text(text, 80)}' is not an address: HOST, HOST:PORT or [IPV6]:PORT.")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):  # noqa: PLR2004 - TCP's ports
        raise Invalid("address.port", f"'{safe_text(port, 20)}' is not a port: 1 to 65535.")
    return host, int(port)


def read_label(text: str) -> tuple[str, str]:
    """Read `KEY=VALUE`. Raises `Invalid`."""
    key, equals, value = text.partition("=")
    if not equals or not LABEL_KEY.fullmatch(key) or len(value) > _MAX_LABEL_VALUE or not value.isprintable():
        raise Invalid("label.invalid", f"'{safe_text(text, 80)}' is not a label: KEY=VALUE, with a key of a-z, 0-9, '.', '_', '/', '-'.")
    return key, value


def read_host_keys(text: str) -> tuple[HostKey, ...]:
    """Read host keys from `.pub` lines or `known_hosts` lines. Raises `Invalid`."""
    keys = []
    for raw in text.splitlines():
        words = raw.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 2 and not words[0].startswith(("ssh-", "ecdsa-", "sk-")):  # noqa: PLR2004 - hosts algorithm base64
            words = words[1:]
        key = read_public_key(" ".join(words[:2]))
        keys.append(HostKey(key.algorithm, key.public, key.fingerprint))
    if not keys:
        raise Invalid("host_key.none", "No host key in there: lines of a .pub or a known_hosts file are wanted.")
    return tuple(dict.fromkeys(keys))


def read_host_authorities(text: str) -> tuple[HostKey, ...]:
    """Read host CAs from `.pub` lines or `@cert-authority HOSTS KEY` lines. Raises `Invalid`."""
    lines = (line.split() for line in text.splitlines() if line.strip())
    plain = "\n".join(" ".join(words[2:] if words[0] == AUTHORITY else words) for words in lines)
    return tuple(replace(key, algorithm=AUTHORITY) for key in read_host_keys(plain))


class Inventory:
    """The use cases around endpoints."""

    def __init__(
        self,
        endpoints: Endpoints,
        credentials: Credentials,
        vault: Vault,
        dialer: Scanner,
        private_keys: PrivateKeys,
        auditor: Auditing,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._endpoints = endpoints
        self._credentials = credentials
        self._vault = vault
        self._dialer = dialer
        self._private_keys = private_keys
        self._auditor = auditor
        self._clock = clock
        self._new_id = new_id

    async def all(self) -> Sequence[Endpoint]:
        """Return every endpoint, by name."""
        return await self._endpoints.all()

    async def get(self, name: str) -> Endpoint:
        """Return the endpoint; `Missing` names the nearest one (callers hide those a person may not see)."""
        endpoint = await self._endpoints.get(name) if NAME.fullmatch(name) else None
        if endpoint is None:
            near = get_close_matches(name[:64], [one.name for one in await self._endpoints.all()], n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise Missing("endpoint.missing", f"There is no endpoint '{safe_text(name, 64)}'.{hint}")
        return endpoint

    async def scan(self, host: str, port: int) -> Sequence[HostKey]:
        """Return the host keys a machine presents now; `Unavailable` when it does not answer."""
        return await self._dialer.scan(host, port, SCAN_SECONDS)

    def opened(self, private: Secret, passphrase: Secret) -> Secret:
        """Return a private key without its passphrase, to be sealed; `Invalid` when that does not open it."""
        return self._private_keys.opened(private, passphrase)

    async def check(self, wanted: NewEndpoint) -> None:
        """Raise `Invalid` or `Conflict` for what can be known before anything is dialled or asked."""
        endpoint_name(wanted.name)
        if wanted.kind == "local":
            if not wanted.command:
                raise Invalid("endpoint.command", "A local endpoint needs a command to run.")
        else:
            login_name(wanted.login)
        if len(wanted.labels) > _MAX_LABELS:
            raise Invalid("label.too_many", f"An endpoint may have {_MAX_LABELS} labels.")
        if wanted.method in {"key", "password"}:
            self._check_secret(wanted)
        if await self._endpoints.get(wanted.name) is not None:
            raise Conflict("endpoint.exists", f"There is an endpoint '{wanted.name}' already.")

    def _check_secret(self, wanted: NewEndpoint) -> None:
        secret = wanted.secret.reveal() if wanted.secret else b""
        if not secret.strip():
            raise Invalid("credential.empty", f"The {wanted.method} on standard input is empty.")
        if wanted.method == "key" and wanted.secret:
            self._private_keys.public_of(wanted.secret)
        elif len(secret) > _MAX_PASSWORD or b"\n" in secret or b"\0" in secret:
            raise Invalid("credential.password", f"A password is one line of at most {_MAX_PASSWORD} bytes.")

    async def add(self, by: Identity | None, wanted: NewEndpoint) -> Endpoint:
        """Store an endpoint with its sealed credential. What raises leaves nothing behind."""
        await self.check(wanted)
        now = self._clock.now()
        who = by.name if by else "system"
        credential_id = None
        if wanted.secret is not None and wanted.method in {"key", "password"}:
            credential_id = self._new_id()
            sealed = self._vault.seal(wanted.secret, row=credential_id, column=SECRET_COLUMN)
            await self._credentials.add(credential_id, wanted.method, sealed, now)
        login = Login(wanted.login or "local", wanted.method, credential_id)
        endpoint = Endpoint(
            self._new_id(),
            wanted.name,
            wanted.kind,
            wanted.host,
            wanted.port,
            wanted.command,
            (login,),
            tuple(dict(wanted.labels).items()),
            safe_text(wanted.description, 200),
            tuple(replace(key, added_at=now, added_by=who) for key in wanted.host_keys),
            wanted.legacy,
            now,
        )
        try:
            await self._endpoints.add(endpoint)
        except Conflict:
            if credential_id is not None:
                await self._credentials.remove(credential_id)
            raise
        after = {
            "address": endpoint.address,
            "login": login.name,
            "method": login.method,
            "labels": dict(endpoint.labels),
            "host_keys": [key.fingerprint for key in endpoint.host_keys],
            "legacy": endpoint.legacy,
        }
        self._record(by, "endpoint.added", endpoint, {"after": after})
        return endpoint

    async def unlock(self, login: Login) -> Secret | None:
        """Return the secret of a login, for the dialler only; None where it has none. `Corrupt` when tampered with."""
        if login.credential_id is None:
            return None
        _, sealed = await self._credentials.get(login.credential_id)
        return self._vault.open(sealed, row=login.credential_id, column=SECRET_COLUMN)

    async def judge(self, endpoint: Endpoint) -> list[tuple[HostKey, HostKeyVerdict]]:
        """Return the host keys the endpoint presents now, each with what the pinned ones make of it."""
        seen = await self.scan(endpoint.host, endpoint.port)
        return [(key, judge_host_key(endpoint.host_keys, key.algorithm, key.public)) for key in seen]

    async def verify(self, endpoint: Endpoint) -> None:
        """Return when the endpoint answers with a trusted host key or certificate; `Unavailable` says why not."""
        await self._dialer.verify(endpoint, SCAN_SECONDS)

    async def may_accept(self, endpoint: Endpoint, keys: Sequence[HostKey]) -> None:
        """Raise `Invalid` where these keys are a change, which needs a reason."""
        pinned = {(key.algorithm, key.public) for key in endpoint.host_keys}
        if pinned and any((key.algorithm, key.public) not in pinned for key in keys):
            raise Invalid("host_key.reason", f"Say why the host key of {endpoint.name} changed: --reason TEXT. It is written down.")

    async def accept_keys(self, by: Identity | None, endpoint: Endpoint, keys: Sequence[HostKey], reason: str = "") -> Endpoint:
        """Pin these host keys (or CAs) instead of the former ones of the same algorithms. A change needs a reason."""
        if not reason.strip():
            await self.may_accept(endpoint, keys)
        if not keys:
            raise Invalid("host_key.none", "There is no host key to accept.")
        now = self._clock.now()
        who = by.name if by else "system"
        algorithms = {key.algorithm for key in keys}
        kept = [key for key in endpoint.host_keys if key.algorithm not in algorithms]
        changed = replace(endpoint, host_keys=(*kept, *(replace(key, added_at=now, added_by=who) for key in keys)))
        await self._endpoints.save(changed)
        data: dict[str, object] = {
            "before": {"host_keys": [key.fingerprint for key in endpoint.host_keys]},
            "after": {"host_keys": [key.fingerprint for key in changed.host_keys]},
        }
        self._record(by, "endpoint.host_keys", endpoint, data, safe_text(reason, 200))
        return changed

    async def remove(self, by: Identity | None, name: str) -> Endpoint:
        """Remove an endpoint and the credentials only it used."""
        endpoint = await self.get(name)
        await self._endpoints.remove(endpoint.id)
        before = {"address": endpoint.address, "labels": dict(endpoint.labels)}
        self._record(by, "endpoint.removed", endpoint, {"before": before})
        return endpoint

    def _record(self, by: Identity | None, code: str, endpoint: Endpoint, data: dict[str, object], reason: str = "") -> None:
        actor, source = (by.name, by.source) if by else ("system", "")
        self._auditor.record(
            AuditEvent(code, self._clock.now(), actor=actor, source=source, subject=endpoint.name, reason=reason, data=data)
        )
