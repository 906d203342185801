"""SSH endpoints: one connection a session, the host key pinned, the secret unlocked late and forgotten early."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import asyncssh

from bastion.core.access.decision import Grant
from bastion.core.access.endpoint import Endpoint, HostKey, HostKeyVerdict, judge_host_key
from bastion.core.errors import Unavailable
from bastion.core.text import safe_text
from bastion.core.values import Size
from bastion.services.ports import ChannelRequest, EndpointChannel, EndpointEvents, Secret
from bastion.wire.client import ClientConnection, ConnectTimeoutError, connect
from bastion.wire.limits import TerminalSize
from bastion.wire.options import client_options
from bastion.wire.sessions import ClientSession, Exit

CONNECT_SECONDS: Final = 10.0
LOGIN_SECONDS: Final = 20.0
CERTIFICATE_MINUTES: Final = 5  # long enough for a slow login, too short to be worth stealing
SCANNED: Final = ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512")


class _Far(asyncssh.SSHClient):
    """The client side of one connection: remembers the key that was presented, never accepts an unknown one."""

    def __init__(self) -> None:
        self.presented: asyncssh.SSHKey | None = None
        self.password: str | None = None

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """Called only for keys that are not pinned: remember it and refuse."""
        del host, addr, port
        self.presented = key
        return False

    def kbdint_auth_requested(self) -> str | None:
        """Many appliances ask for the password by keyboard-interactive."""
        return "" if self.password is not None else None

    def kbdint_challenge_received(self, name: str, instructions: str, lang: str, prompts: Any) -> Any:
        """Answer one hidden prompt that asks for a password, and nothing else: endpoints are not trusted."""
        del name, instructions, lang
        if not prompts:
            return []
        password, self.password = self.password, None
        if password is None or len(prompts) != 1 or prompts[0][1] or "assword" not in prompts[0][0]:
            return None
        return [password]


class _Relay(ClientSession):
    """One channel on an endpoint (implements EndpointChannel)."""

    def __init__(self, events: EndpointEvents) -> None:
        self._events = events
        self._connection: ClientConnection | None = None
        self._gone = False
        self._how: Exit | None = None

    def bind(self, connection: ClientConnection) -> None:
        """Keep the connection that this channel is the only one of."""
        self._connection = connection

    def _hand_over(self, data: bytes, datatype: int | None) -> None:
        """Output came; taken here and not in `output_received`, since each call on this way counts."""
        self._events.output(data, stderr=datatype is not None)

    def exited(self, result: Exit) -> None:
        """The far program said how it ended."""
        self._how = result

    def closed(self, exc: Exception | None) -> None:
        """The channel is gone: tell it once."""
        if self._gone:
            return
        self._gone = True
        how = self._how
        if how is not None:
            self._events.closed(how.status, how.signal or None, "")
        elif exc is not None:
            self._events.closed(None, None, f"The endpoint was lost: {_lost(exc)}.")
        else:
            self._events.closed(0, None, "")
        if self._connection is not None:
            self._connection.close()

    def eof(self) -> bool:
        """The far side sends no more; our input may still be wanted."""
        return True

    def writable_changed(self, writable: bool) -> None:  # noqa: FBT001 - the base class says so
        """More may be sent."""
        if writable:
            self._events.drained()


class _Channel:
    """What a session holds of a relay."""

    def __init__(self, relay: _Relay, connection: ClientConnection) -> None:
        self._relay = relay
        self._connection = connection

    def write(self, data: bytes) -> bool:
        """Send bytes."""
        self._relay.write(data)
        return self._relay.writable

    def write_eof(self) -> None:
        """No more input."""
        self._relay.write_eof()

    def resize(self, size: Size) -> None:
        """Change the PTY's size."""
        self._relay.resize(TerminalSize(*size))

    def signal(self, name: str) -> None:
        """Send a signal or a break."""
        channel = self._relay._channel  # noqa: SLF001 - our own subclass
        if channel is None:
            return
        if name == "BREAK":
            self._relay.channel.send_break(500)
        else:
            self._relay.channel.send_signal(name)

    def pause(self) -> None:
        """Stop reading."""
        self._relay.pause_input()

    def resume(self) -> None:
        """Read again."""
        self._relay.resume_input()

    def close(self) -> None:
        """Hang up."""
        self._connection.abort()


class SshDialer:
    """Dials SSH endpoints. `user_ca` is the file of the key that signs certificates for logins of method "ca"."""

    def __init__(
        self, user_ca: Path, connect_timeout: float = CONNECT_SECONDS, login_timeout: float = LOGIN_SECONDS, keepalive: float = 8.0
    ) -> None:
        self._keepalive = keepalive
        self._user_ca = user_ca
        self._connect_timeout = connect_timeout
        self._login_timeout = login_timeout

    @property
    def timeouts(self) -> tuple[float, float]:
        """Return seconds until an endpoint must be reached, and until it must have let us in."""
        return self._connect_timeout, self._login_timeout

    def _certified(self, grant: Grant) -> Any:
        """Make a key for this one connection and a certificate that is good for minutes (OpenSSH PROTOCOL.certkeys)."""
        try:
            authority = asyncssh.read_private_key(self._user_ca)
        except (OSError, asyncssh.KeyImportError) as error:
            raise Unavailable("endpoint.credential", "The bastion's user CA cannot be read.", str(error)) from error
        key = asyncssh.generate_private_key("ssh-ed25519")
        certificate = authority.generate_user_certificate(
            key,
            key_id=f"bastion session {grant.session or 'none'} of {grant.identity.name} on {grant.endpoint.name}",
            principals=[grant.login.name],
            valid_after="-1m",  # clocks differ a little
            valid_before=f"+{CERTIFICATE_MINUTES}m",
            permit_x11_forwarding=False,
            permit_agent_forwarding=False,
            permit_port_forwarding=False,
            permit_user_rc=False,
        )
        return (key, certificate)

    async def dial(
        self,
        grant: Grant,
        request: ChannelRequest,
        events: EndpointEvents,
        unlock: Callable[[], Awaitable[Secret | None]],
    ) -> EndpointChannel:
        """Open a channel. Raises `Unavailable` with one sentence for people."""
        endpoint = grant.endpoint
        until = asyncio.get_running_loop().time() + self._login_timeout
        connection = await self.connect(grant, unlock)
        relay = _Relay(events)
        try:
            async with asyncio.timeout_at(until):
                await connection.start_session(
                    lambda: relay,
                    command=request.command.decode("utf-8", "surrogateescape") if request.command is not None else None,
                    subsystem=request.subsystem or None,
                    term=request.term or None,
                    size=TerminalSize(*request.size),
                    env={key.encode(): value.encode() for key, value in request.environment},
                )
        except TimeoutError as error:
            connection.abort()
            raise Unavailable(
                "endpoint.timeout", f"{endpoint.name} let us in, but opened no session within {self._login_timeout:g} s."
            ) from error
        except (asyncssh.Error, OSError) as error:
            connection.abort()
            raise Unavailable("endpoint.refused", f"{endpoint.name} opened no session: {safe_text(str(error))[:200]}.") from error
        except BaseException:
            connection.abort()
            raise
        relay.bind(connection)
        return _Channel(relay, connection)

    async def connect(self, grant: Grant, unlock: Callable[[], Awaitable[Secret | None]]) -> ClientConnection:
        """Connect and log in, without opening anything. Raises `Unavailable` with one sentence for people."""
        endpoint = grant.endpoint
        if not endpoint.host_keys:
            raise Unavailable(
                "endpoint.host_key_unknown",
                f"No host key is pinned for {endpoint.name}. An admin pins it: endpoint accept-key {endpoint.name}",
            )
        far = _Far()
        options = await self._options(grant, far, unlock)
        try:
            return await self._connected(endpoint, far, options, asked=grant.login.method == "ask")
        finally:
            far.password = None

    async def _options(self, grant: Grant, far: _Far, unlock: Callable[[], Awaitable[Secret | None]]) -> Any:
        endpoint, login = grant.endpoint, grant.login
        secret = await unlock()
        keys: list[Any] = [self._certified(grant)] if login.method == "ca" else []
        password = None
        if secret is not None:
            if login.method == "key":
                try:
                    keys = [asyncssh.import_private_key(secret.reveal())]
                except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
                    raise Unavailable("endpoint.credential", f"The stored key for {endpoint.name} cannot be read.") from error
            else:
                password = secret.reveal().decode()
                far.password = password
        return self._client_options(endpoint, login.name, keys, password)

    def _client_options(self, endpoint: Endpoint, user_name: str, keys: Sequence[Any] = (), password: str | None = None) -> Any:
        """Options that trust what is pinned for this endpoint, and ask it for nothing else."""
        pinned = [asyncssh.import_public_key(key.public) for key in endpoint.pinned]
        authorities = [asyncssh.import_public_key(key.public) for key in endpoint.authorities]
        options = client_options(
            user_name,
            known_hosts=(pinned, authorities, []),
            client_keys=keys,
            password=password,
            host_key_alias=endpoint.certified_name if authorities else None,
            legacy=endpoint.legacy,
            keepalive=self._keepalive,
            login_timeout=self._login_timeout,
        )
        wanted = {algorithm for key in pinned for algorithm in key.sig_algorithms}
        options.server_host_key_algs = [
            name for name in options.server_host_key_algs if _encoded(name) in wanted or (authorities and b"-cert-v01@" in _encoded(name))
        ] or list(options.server_host_key_algs)
        return options

    async def verify(self, endpoint: Endpoint, timeout: float) -> None:
        """Come up to the login, which proves the host key, and go."""
        far = _Far()
        options = self._client_options(endpoint, "bastion-test")
        try:
            connection = await connect(endpoint.host, endpoint.port, lambda: far, options, timeout=timeout)
        except asyncssh.PermissionDenied:
            return  # it knows nobody of that name, and has proven who it is by then
        except asyncssh.HostKeyNotVerifiable as error:
            raise _untrusted(endpoint, far, error) from error
        except asyncssh.KeyExchangeFailed as error:
            raise _no_common(endpoint, error) from error
        except TimeoutError as error:
            raise Unavailable("endpoint.timeout", f"{endpoint.name} did not answer within {timeout:g} s.") from error
        except (asyncssh.Error, OSError, ValueError) as error:
            raise _unreachable(endpoint, error) from error
        connection.abort()

    async def _connected(self, endpoint: Endpoint, far: _Far, options: Any, *, asked: bool) -> ClientConnection:
        name = f"{endpoint.name} ({endpoint.address})"
        try:
            return await connect(
                endpoint.host, endpoint.port, lambda: far, options, timeout=self._login_timeout, connect_timeout=self._connect_timeout
            )
        except ConnectTimeoutError as error:
            raise Unavailable("endpoint.timeout", f"{name} cannot be reached: no answer within {self._connect_timeout:g} s.") from error
        except TimeoutError as error:
            raise Unavailable("endpoint.timeout", f"{name} did not let us in within {self._login_timeout:g} s.") from error
        except asyncssh.HostKeyNotVerifiable as error:
            raise _untrusted(endpoint, far, error) from error
        except asyncssh.PermissionDenied as error:
            what = "the password that you typed" if asked else "the stored credential of its login. An admin can replace it"
            raise Unavailable("endpoint.auth_failed", f"{name} refused {what}.", str(error)) from error
        except asyncssh.KeyExchangeFailed as error:
            raise _no_common(endpoint, error) from error
        except (asyncssh.Error, OSError, ValueError) as error:
            raise _unreachable(endpoint, error) from error

    async def scan(self, host: str, port: int, timeout: float) -> Sequence[HostKey]:
        """Return the host keys a machine presents, one of each kind; `Unavailable` when it presents none."""
        found: list[HostKey] = []
        failure = ""
        for algorithm in SCANNED:
            try:
                async with asyncio.timeout(timeout):
                    key = await asyncssh.get_server_host_key(
                        host, port, server_host_key_algs=[algorithm], config=None, client_version="Bastion"
                    )
            except TimeoutError:
                failure = f"no answer within {timeout:g} s"
                break
            except asyncssh.KeyExchangeFailed:
                continue
            except (OSError, asyncssh.Error) as error:
                failure = _reason(error)
                break
            if key is not None:
                public = key.export_public_key().decode().strip()
                found.append(HostKey(key.get_algorithm(), " ".join(public.split()[:2]), key.get_fingerprint()))
        if not found:
            raise Unavailable("endpoint.unreachable", f"{host}:{port} presented no host key: {failure or 'none that we accept'}.")
        return found


def _encoded(name: object) -> bytes:
    return name if isinstance(name, bytes) else str(name).encode()


def _unreachable(endpoint: Endpoint, error: Exception) -> Unavailable:
    # A server that has none of the wanted host keys hangs up without saying so
    hint = " It may have no host certificate, which its pinned host CA asks for." if _only_certified(endpoint, error) else ""
    return Unavailable(
        "endpoint.unreachable", f"{endpoint.name} ({endpoint.address}) cannot be reached: {_reason(error)}.{hint}", str(error)
    )


def _only_certified(endpoint: Endpoint, error: Exception) -> bool:
    hung_up = isinstance(error, ConnectionResetError | asyncssh.ConnectionLost | asyncssh.DisconnectError)
    return hung_up and bool(endpoint.authorities) and not endpoint.pinned


def _no_common(endpoint: Endpoint, error: Exception) -> Unavailable:
    name = f"{endpoint.name} ({endpoint.address})"
    text = f"{name} offers only algorithms that are no longer safe: {safe_text(str(error))[:200]}"
    return Unavailable("endpoint.algorithms", text, str(error))


def _untrusted(endpoint: Endpoint, far: _Far, error: Exception) -> Unavailable:
    key = far.presented
    if key is None and endpoint.authorities:
        return Unavailable(
            "endpoint.host_key_changed",
            f"The host certificate of {endpoint.name} is not good: {_reason(error).lower()}. Not connected: somebody may be in between. "
            f"It must be of a pinned host CA and name {endpoint.certified_name}; an admin changes that: endpoint accept-key {endpoint.name} --reason TEXT",
        )
    if key is None:
        return Unavailable("endpoint.host_key_changed", f"{endpoint.name} presented no host key that is pinned. It was not connected.")
    public = " ".join(key.export_public_key().decode().split()[:2])
    verdict = judge_host_key(endpoint.host_keys, key.get_algorithm(), public)
    pinned = ", ".join(pin.fingerprint + (" (CA)" if pin.is_authority else "") for pin in endpoint.host_keys)
    if verdict is HostKeyVerdict.TRUSTED:
        return Unavailable("endpoint.unreachable", f"{endpoint.name} could not be verified.")
    return Unavailable(
        "endpoint.host_key_changed",
        f"The host key of {endpoint.name} CHANGED: pinned {pinned}, presented {key.get_fingerprint()}. "
        f"Not connected: somebody may be in between. If the machine was reinstalled, an admin accepts it: endpoint accept-key {endpoint.name} --reason TEXT",
    )


def _lost(error: Exception) -> str:
    """Return how a connection went that had been open."""
    text = safe_text(str(error))[:200].rstrip(".")
    return "it no longer answers" if "keepalive" in text else text[:1].lower() + text[1:] or "connection closed"


def _reason(error: BaseException) -> str:
    """Return the system's words; asyncio's own ("Connect call failed", "Multiple exceptions") hide the cause."""
    if isinstance(error, OSError):
        number = error.errno or int((re.findall(r"\[Errno (\d+)\]", str(error)) or ["0"])[-1])
        if isinstance(error, socket.gaierror) and error.strerror:
            return str(error.strerror).lower()
        if number > 0:
            return os.strerror(number).lower()
    return safe_text(str(error))[:200].rstrip(".") or type(error).__name__
