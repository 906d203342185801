"""The host's own way to its running server: SSH on loopback with the operator's key. Never used for anything else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import asyncssh

from bastion.core.errors import Misconfigured, Unavailable
from bastion.wire.client import connect
from bastion.wire.limits import TerminalSize
from bastion.wire.options import client_options
from bastion.wire.sessions import ClientSession, Exit

ADDRESS_FILE: Final = "serving.json"
TIMEOUT: Final = 10.0
READ_BYTES: Final = 64 * 1024


class _Client(asyncssh.SSHClient):
    """Nothing is asked and nothing unknown is accepted."""


class _Stream(ClientSession):
    """Copies a session's output to our streams."""

    def __init__(self, stdout: BinaryIO, stderr: BinaryIO) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._how: Exit | None = None

    def output_received(self, data: bytes, stderr: bool) -> None:  # noqa: FBT001 - the base class says so
        """Write it out; a reader that went away ends us."""
        stream = self._stderr if stderr else self._stdout
        try:
            stream.write(data)
            stream.flush()
        except BrokenPipeError:
            self.channel.abort()

    def exited(self, result: Exit) -> None:
        """Remember how it ended."""
        self._how = result

    def closed(self, exc: Exception | None) -> None:
        """Tell the exit code."""
        if self.ended.done():
            return
        if self._how is None:
            self.ended.set_exception(Unavailable("link.lost", f"The connection to the server was lost{f': {exc}' if exc else ''}."))
        else:
            self.ended.set_result(self._how.status if self._how.status is not None else 70)


def write_address(home: Path, host: str, port: int) -> None:
    """Leave word in the home where the server listens, whole or not at all."""
    part = home / f".{ADDRESS_FILE}.{os.getpid()}"
    part.write_text(json.dumps({"host": host, "port": port, "pid": os.getpid()}))
    part.chmod(0o600)
    part.replace(home / ADDRESS_FILE)


def forget_address(home: Path) -> None:
    """Take the word back at the end."""
    with contextlib.suppress(OSError):
        (home / ADDRESS_FILE).unlink()


class Link:
    """Runs commands of the host's program in the running server."""

    def __init__(self, home: Path, user: str, key_file: str, host_key_file: str) -> None:
        self._home = home
        self._user = user
        self._key_file = key_file
        self._host_key_file = host_key_file

    async def run(self, command: str, stdin: BinaryIO, stdout: BinaryIO, stderr: BinaryIO, *, interactive: bool) -> int:
        """Run a command line there with these streams; return its exit code. `Unavailable` when no server runs."""
        host, port = self._address()
        options = client_options(self._user, known_hosts=([self._host_key()], [], []), client_keys=[self._key()])
        try:
            connection = await connect(host, port, _Client, options, timeout=TIMEOUT)
        except (OSError, TimeoutError) as error:
            raise Unavailable("link.no_server", f"No bastion serves {self._home}. Start it: bastion serve") from error
        except asyncssh.Error as error:
            raise Unavailable("link.refused", f"The running server did not let the operator in: {error}") from error
        stream = _Stream(stdout, stderr)
        size = TerminalSize(*shutil.get_terminal_size())
        try:
            await connection.start_session(
                lambda: stream,
                command=command or None,
                term=os.environ.get("TERM", "xterm") if interactive else None,
                size=size,
                env={key.encode(): value.encode() for key, value in os.environ.items() if key in ("LANG", "COLORTERM", "NO_COLOR")},
            )
            with _raw() if interactive else contextlib.nullcontext(), _input(stream, stdin), _sizes(stream, interactive):
                return await stream.ended
        finally:
            connection.close()

    def _address(self) -> tuple[str, int]:
        try:
            found = json.loads((self._home / ADDRESS_FILE).read_text())
            host = str(found["host"])
            return ("127.0.0.1" if host in ("0.0.0.0", "") else "::1" if host == "::" else host), int(found["port"])  # noqa: S104
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Unavailable("link.no_server", f"No bastion serves {self._home}. Start it: bastion serve") from error

    def _key(self) -> Any:
        try:
            return asyncssh.read_private_key(self._home / self._key_file)
        except (OSError, asyncssh.KeyImportError) as error:
            raise Misconfigured("link.key", f"{self._home / self._key_file} cannot be read: only the host's operator can.") from error

    def _host_key(self) -> Any:
        try:
            return asyncssh.read_public_key(self._home / self._host_key_file)
        except (OSError, asyncssh.KeyImportError) as error:
            raise Misconfigured("link.host_key", f"{self._home / self._host_key_file} cannot be read.") from error


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _unlocked(stdin: BinaryIO) -> Callable[[int], bytes]:
    """Return how to read without Python's lock on the stream: a thread that holds it when the program ends makes that a crash."""
    try:
        descriptor = stdin.fileno()
    except (OSError, AttributeError):
        return getattr(stdin, "read1", stdin.read)
    return lambda count: os.read(descriptor, count)


@contextlib.contextmanager
def _input(stream: _Stream, stdin: BinaryIO) -> Iterator[None]:
    """Copy standard input into the session, read by a thread: a file, a pipe and a terminal are alike to it."""
    read = _unlocked(stdin)
    loop = asyncio.get_running_loop()

    def copy() -> None:
        with contextlib.suppress(RuntimeError, OSError, ValueError):  # the loop is gone: so is whoever wanted it
            while data := read(READ_BYTES):
                asyncio.run_coroutine_threadsafe(send(data), loop).result()
            loop.call_soon_threadsafe(stream.write_eof)

    async def send(data: bytes) -> None:
        stream.write(data)
        await stream.drain()

    # A daemon, since a read from a terminal cannot be called back when the session ends first
    threading.Thread(target=copy, name="stdin", daemon=True).start()
    yield


@contextlib.contextmanager
def _sizes(stream: _Stream, interactive: bool) -> Iterator[None]:  # noqa: FBT001
    loop = asyncio.get_running_loop()
    if interactive:
        loop.add_signal_handler(signal.SIGWINCH, lambda: stream.resize(TerminalSize(*shutil.get_terminal_size())))
    try:
        yield
    finally:
        if interactive:
            loop.remove_signal_handler(signal.SIGWINCH)
