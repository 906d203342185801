"""Local endpoints: a command on this host in a PTY (a demo shell, a serial console), or on pipes. No shell line, ever.

The command sees a small environment of its own, nothing of the server's.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import pwd
import signal
import struct
import termios
from typing import Any, Final, cast

from bastion.core.access.decision import Grant
from bastion.core.errors import Unavailable
from bastion.core.values import Size
from bastion.services.ports import ChannelRequest, EndpointChannel, EndpointEvents
from bastion.services.tasks import spawn

READ_BYTES: Final = 64 * 1024
WRITE_BYTES: Final = 256 * 1024
SHELLS: Final = ("sh", "ash", "bash", "dash", "fish", "ksh", "zsh")
SFTP_SERVERS: Final = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")
LAST_READS: Final = 64  # what a program wrote just before it ended is still in the PTY


async def dial_local(grant: Grant, request: ChannelRequest, events: EndpointEvents, home: str) -> EndpointChannel:
    """Start the endpoint's command. Raises `Unavailable` when it cannot be started."""
    endpoint = grant.endpoint
    command = [*endpoint.command]
    if request.subsystem:
        command = _server(request.subsystem, endpoint.name)
    elif request.command is not None and os.path.basename(command[-1]) not in SHELLS:  # noqa: PTH119 - it is no path of ours
        raise Unavailable("endpoint.no_exec", f"{endpoint.name} is a program, not a shell: it takes no command. Leave it out.")
    if request.command is not None and not request.subsystem:
        command = [*endpoint.command, "-c", request.command.decode("utf-8", "surrogateescape")]
    try:
        if request.term:
            return await _Terminal.start(command, request, events, _environment(request), home)
        return await _Pipes.start(command, events, _environment(request), home)
    except OSError as error:
        raise Unavailable(
            "endpoint.unreachable", f"{endpoint.name} could not be started: {(error.strerror or str(error)).lower()}."
        ) from error


def _server(subsystem: str, name: str) -> list[str]:
    """Return the host's own server program for a subsystem: sshd would start the same."""
    found = next((path for path in SFTP_SERVERS if os.access(path, os.X_OK)), None) if subsystem == "sftp" else None
    if found is None:
        raise Unavailable("endpoint.no_subsystem", f"{name} has no {subsystem} server here.")
    return [found]


def _environment(request: ChannelRequest) -> dict[str, str]:
    account = pwd.getpwuid(os.getuid())
    found = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "SHELL": account.pw_shell or "/bin/sh",
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        **dict(request.environment),
    }
    if request.term:
        found["TERM"] = request.term
    return found


def _ending(code: int) -> tuple[int | None, str | None]:
    if code >= 0:
        return code, None
    with contextlib.suppress(ValueError):
        return None, signal.Signals(-code).name.removeprefix("SIG")
    return 128 - code, None


class _Terminal:
    """A command in a PTY (implements EndpointChannel)."""

    def __init__(self, master: int, process: asyncio.subprocess.Process, events: EndpointEvents) -> None:
        self._master = master
        self._process = process
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._open = True
        self._paused = False
        self._code: int | None = None
        os.set_blocking(master, False)
        self._loop.add_reader(master, self._readable)

    @classmethod
    async def start(cls, command: list[str], request: ChannelRequest, events: EndpointEvents, env: dict[str, str], home: str) -> _Terminal:
        """Start it; `setsid --ctty` makes the PTY its controlling terminal without code between fork and exec."""
        master, slave = os.openpty()
        try:
            _set_size(slave, request.size)
            process = await asyncio.create_subprocess_exec(
                "setsid", "--ctty", *command, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=home
            )
        except BaseException:
            os.close(master)
            raise
        finally:
            os.close(slave)
        terminal = cls(master, process, events)
        spawn("local-endpoint", terminal._wait())
        return terminal

    def write(self, data: bytes) -> bool:
        """Send bytes."""
        if not self._open:
            return True
        if not self._unsent:
            data = data[self._send(data) :]
            if data:
                self._loop.add_writer(self._master, self._writable)
        self._unsent += data
        return len(self._unsent) < WRITE_BYTES

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    def _writable(self) -> None:
        del self._unsent[: self._send(self._unsent)]
        if not self._unsent:
            self._loop.remove_writer(self._master)
            self._events.drained()

    def _readable(self) -> None:
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EIO:  # EIO: nobody has the other side open any more
                raise
            data = b""
        if data:
            self._events.output(data)
        else:
            self._loop.remove_reader(self._master)

    async def _wait(self) -> None:
        self._code = await self._process.wait()
        if not self._paused:
            self._finish()

    def _finish(self) -> None:
        """Read what the program wrote last, then tell how it ended (a child of it may keep the PTY open)."""
        for _ in range(LAST_READS):
            try:
                data = os.read(self._master, READ_BYTES)
            except OSError:
                break
            if not data:
                break
            self._events.output(data)
        self._shut()
        self._events.closed(*_ending(self._code or 0), "")

    def _shut(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._master)
            self._loop.remove_writer(self._master)
            os.close(self._master)

    def write_eof(self) -> None:
        """Send the terminal's end-of-file character."""
        self.write(b"\x04")

    def resize(self, size: Size) -> None:
        """Change the PTY's size; the kernel tells the program."""
        if self._open:
            _set_size(self._master, size)

    def signal(self, name: str) -> None:
        """Send a signal to the program's group; a break has no meaning here."""
        number = getattr(signal, f"SIG{name}", None)
        if number is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    def pause(self) -> None:
        """Stop reading; the PTY fills and the program waits."""
        if self._open and not self._paused:
            self._paused = True
            self._loop.remove_reader(self._master)

    def resume(self) -> None:
        """Read again."""
        if self._open and self._paused:
            self._paused = False
            if self._code is not None:
                self._finish()
            else:
                self._loop.add_reader(self._master, self._readable)

    def close(self) -> None:
        """Hang up: the program's group gets SIGHUP, then SIGKILL."""
        if self._process.returncode is None:
            self.signal("HUP")
            self._loop.call_later(1.0, self._kill)

    def _kill(self) -> None:
        if self._process.returncode is None:
            self.signal("KILL")


class _Pipes(asyncio.SubprocessProtocol):
    """A command on pipes: stdout and stderr apart, binary-clean (implements EndpointChannel)."""

    def __init__(self, events: EndpointEvents) -> None:
        self._events = events
        self._transport: asyncio.SubprocessTransport | None = None
        self._writable = True

    @classmethod
    async def start(cls, command: list[str], events: EndpointEvents, env: dict[str, str], home: str) -> _Pipes:
        """Start it in a session of its own."""
        loop = asyncio.get_running_loop()
        _, protocol = await loop.subprocess_exec(lambda: cls(events), *command, env=env, cwd=home, start_new_session=True)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._events.output(data, stderr=fd == 2)  # noqa: PLR2004 - standard error

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        code = self._transport.get_returncode() if self._transport else 0
        self._events.closed(*_ending(code or 0), "")

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._events.drained()

    def _pipe(self, fd: int) -> Any:
        return self._transport.get_pipe_transport(fd) if self._transport else None

    def write(self, data: bytes) -> bool:
        """Send bytes."""
        pipe = self._pipe(0)
        if pipe is not None and not pipe.is_closing():
            pipe.write(data)
        return self._writable

    def write_eof(self) -> None:
        """Close its standard input."""
        pipe = self._pipe(0)
        if pipe is not None:
            pipe.close()

    def resize(self, size: Size) -> None:
        """Pipes have no size."""

    def signal(self, name: str) -> None:
        """Send a signal to the program's group."""
        number = getattr(signal, f"SIG{name}", None)
        if number is not None and self._transport is not None and self._transport.get_returncode() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._transport.get_pid(), number)

    def pause(self) -> None:
        """Stop reading."""
        for fd in (1, 2):
            if (pipe := self._pipe(fd)) is not None:
                pipe.pause_reading()

    def resume(self) -> None:
        """Read again."""
        for fd in (1, 2):
            if (pipe := self._pipe(fd)) is not None:
                pipe.resume_reading()

    def close(self) -> None:
        """Hang up."""
        self.signal("HUP")
        if self._transport is not None:
            self._transport.close()


def _set_size(fd: int, size: Size) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size.lines, size.columns, 0, 0))
