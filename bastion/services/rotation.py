"""Rotates a stored key: make a new one, install it, test it, switch to it, take the old one off the endpoint.

Never leaves a login without a key that works: until the switch the old one does, from then on the new one, and the switch is one
write to the store. Whatever an interrupted rotation left on the endpoint is taken off by the next one: lines of ours bear a mark.
"""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from bastion.core.access.decision import Grant, Terms
from bastion.core.access.endpoint import Endpoint, Login
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import BastionError, Invalid, Unavailable
from bastion.core.text import safe_text
from bastion.services.inventory import SECRET_COLUMN
from bastion.services.ports import ChannelRequest, Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from bastion.core.identity import Identity
    from bastion.services.ports import Auditing, Clock, Credentials, Dialer, Endpoints, Vault

MARK: Final = "bastion-credential-"
"""How the comment of a key begins that we installed; endpoint, login and credential follow."""
KEYS_FILE: Final = "~/.ssh/authorized_keys"
STEP_SECONDS: Final = 30.0
_MOST_OUTPUT: Final = 4096


class KeyMaker(Protocol):
    """Makes and reads private keys, which needs a library."""

    def make(self, comment: str) -> tuple[Secret, str]:
        """Return a new pair: (private key, public line)."""

    def public_of(self, private: Secret) -> str:
        """Return the public line of a private key."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a command on the endpoint came to."""

    status: int | None
    output: str


class _Listener:
    """Collects what one command says (implements EndpointEvents)."""

    def __init__(self) -> None:
        self._said = b""
        self.done: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()

    def output(self, data: bytes, *, stderr: bool = False) -> None:
        """Keep the beginning of it."""
        del stderr
        self._said = (self._said + data)[:_MOST_OUTPUT]

    def closed(self, status: int | None, signal: str | None, error: str) -> None:
        """It is over."""
        if not self.done.done():
            text = safe_text((error or self._said.decode(errors="replace")).strip().replace("\n", "; "), 300)
            self.done.set_result(_Answer(status if not signal and not error else None, text))

    def drained(self) -> None:
        """Nothing is written."""


class Rotation:
    """The use case `credential rotate`."""

    def __init__(
        self,
        endpoints: Endpoints,
        credentials: Credentials,
        vault: Vault,
        dialer: Dialer,
        keys: KeyMaker,
        auditor: Auditing,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._endpoints = endpoints
        self._credentials = credentials
        self._vault = vault
        self._dialer = dialer
        self._keys = keys
        self._auditor = auditor
        self._clock = clock
        self._new_id = new_id

    async def rotate(self, by: Identity, endpoint: Endpoint, login_name: str | None, file: str, say: Callable[[str], None]) -> str:
        """Give that login a new key; return its public line. `say` is told each step. What raises left the old key in force."""
        login = endpoint.login(login_name)
        if login is None:
            known = ", ".join(each.name for each in endpoint.logins) or "none"
            raise Invalid("endpoint.no_login", f"{endpoint.name} has no login {(login_name or '')[:64]!a}; it has: {known}.")
        if login.method != "key" or login.credential_id is None:
            raise Invalid(
                "credential.rotate",
                f"{login.name} on {endpoint.name} is unlocked by method '{login.method}'; only stored keys are rotated here"
                + (", certificates are new for each session anyway." if login.method == "ca" else "."),
            )
        if not file or "\n" in file or "\0" in file or file.startswith("-"):
            raise Invalid("credential.file", "That is no file name for authorized keys.")
        old = await self._secret(login.credential_id)
        old_blob = self._keys.public_of(old).split()[1]
        new_id = self._new_id()
        mark = f"{MARK}{endpoint.id}-{login.name.encode().hex()}-"
        new, public = self._keys.make(f"{mark}{new_id}")
        fresh = replace(login, credential_id=new_id)
        await self._credentials.add(new_id, "key", self._vault.seal(new, row=new_id, column=SECRET_COLUMN), self._clock.now())
        self._note(by, endpoint, "made", say, f"made     a new key for {login.name}@{endpoint.name}")
        try:
            await self._run(by, endpoint, login, old, _install(public, file))
            self._note(by, endpoint, "installed", say, f"installed it in {safe_text(file, 80)}")
            await self._run(by, endpoint, fresh, new, "true")
            self._note(by, endpoint, "tested", say, "tested   it opens the endpoint")
        except BastionError as error:
            await self._undo(by, endpoint, login, old, public, mark, file)
            await self._credentials.remove(new_id)
            self._note(by, endpoint, "given-up", say, "", error.public)
            raise
        await self._endpoints.save(replace(endpoint, logins=tuple(fresh if each.name == login.name else each for each in endpoint.logins)))
        self._note(by, endpoint, "switched", say, "switched to it; from now on sessions use it")
        try:
            await self._run(by, endpoint, fresh, new, _take_off(old_blob, public, mark, file))
        except BastionError as error:
            self._note(by, endpoint, "old-stays", say, "", error.public)
            raise Unavailable(
                "credential.old_stays",
                f"The new key is in force, but the old one could not be taken off {endpoint.name}: {error.public} Rotate again later, "
                "which takes off what is left.",
            ) from error
        await self._credentials.remove(login.credential_id)
        self._note(by, endpoint, "removed", say, "removed  the old key")
        return public

    async def _secret(self, credential_id: str) -> Secret:
        _, sealed = await self._credentials.get(credential_id)
        return self._vault.open(sealed, row=credential_id, column=SECRET_COLUMN)

    async def _undo(self, by: Identity, endpoint: Endpoint, login: Login, old: Secret, public: str, mark: str, file: str) -> None:
        """Take the new key off again where that is still possible; the next rotation does it otherwise."""
        try:
            await self._run(by, endpoint, login, old, _take_off(public.split()[1], self._keys.public_of(old), mark, file))
        except BastionError:
            return

    async def _run(self, by: Identity, endpoint: Endpoint, login: Login, secret: Secret, command: str) -> None:
        """Run one command with that key; `Unavailable` when it does not end well."""

        async def unlock() -> Secret:
            return secret

        listener = _Listener()
        grant = Grant(by, endpoint, login, frozenset({"admin.endpoint"}), "", Terms())
        channel = await self._dialer.dial(grant, ChannelRequest(command=command.encode()), listener, unlock)
        try:
            async with asyncio.timeout(STEP_SECONDS):
                answer = await listener.done
        except TimeoutError as error:
            raise Unavailable("credential.step", f"{endpoint.name} did not finish within {STEP_SECONDS:g} s.") from error
        finally:
            channel.close()
        if answer.status != 0:
            raise Unavailable("credential.step", f"{endpoint.name} answered {answer.status}: {answer.output or 'nothing'}.")

    def _note(self, by: Identity, endpoint: Endpoint, step: str, say: Callable[[str], None], text: str, failure: str = "") -> None:
        if text:
            say(text)
        event = AuditEvent(
            "credential.rotation", self._clock.now(), by.name, by.source, endpoint.name, result="failed" if failure else "ok",
            reason=failure or step, data={"step": step},
        )  # fmt: skip
        self._auditor.record(event)


def _file(name: str) -> str:
    """Return a file name as one shell word; a home in front stays one."""
    return "~/" + shlex.quote(name[2:]) if name.startswith("~/") else shlex.quote(name)


def _install(public: str, file: str) -> str:
    """Return the command that appends a key on a line of its own."""
    return (
        f'umask 077; f={_file(file)}; mkdir -p "$(dirname "$f")" && touch "$f" && '
        f'{{ [ -z "$(tail -c 1 "$f")" ] || echo >> "$f"; }} && printf \'%s\\n\' {shlex.quote(public)} >> "$f"'
    )


def _take_off(blob: str, keep: str, mark: str, file: str) -> str:
    """Return the command that takes a key, and whatever else of ours but `keep`, out of the file in one move."""
    kept = keep.split()[1]
    script = "index($0, keep) {print; next} index($0, blob) || index($0, mark) {next} {print}"
    return (
        f'f={_file(file)}; t="$f.bastion"; cp -p "$f" "$t" && awk -v keep={shlex.quote(kept)} -v blob={shlex.quote(blob)} '
        f'-v mark={shlex.quote(mark)} {shlex.quote(script)} "$f" > "$t" && mv "$t" "$f"'
    )
