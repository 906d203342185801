"""Sessions: base classes for byte streams with back-pressure in both directions, on either side.

They never lose the order of what came (data, stderr, end, exit) and never let a hook's exception past its channel.

Theory of operation. What one read from the network brought is collected and handed over once, when the
read is parsed. `pause_input` holds the rest back, in the end at the peer, since the window closes.
While `writable` is False the peer or the kernel takes no more: pause whoever feeds you.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import asyncssh

from bastion.wire.limits import TerminalSize

if TYPE_CHECKING:
    from collections.abc import Callable

    from bastion.wire.channels import ClientChannel, ServerChannel, TCPChannel, WireChannel

_LOG: Final = logging.getLogger("bastion.wire")
_STDERR: Final = asyncssh.EXTENDED_DATA_STDERR
EXIT_FAULT: Final = 70
"""Exit status of a session whose code failed (EX_SOFTWARE)."""


@dataclass(frozen=True)
class Exit:
    """How a remote command ended: a status, or a signal."""

    status: int | None = None
    signal: str = ""
    core_dumped: bool = False
    message: str = ""


class _ByteSession:
    """What both sides share: collecting, pausing, and keeping faults in place.

    Names that begin with an underscore are ours: a subclass that takes one for itself breaks this.
    """

    _channel: WireChannel | None = None
    _parts: list[tuple[bytes, int | None]] | None = None
    _scheduled = False
    _input_paused = False
    _write_waiters: list[asyncio.Future[None]] | None = None
    writable = True
    """Whether more may be written; changes are told by `writable_changed`."""

    # --- for subclasses to fill in ---

    def opened(self) -> None:
        """The channel is there."""

    def closed(self, exc: Exception | None) -> None:
        """The channel is gone; called exactly once, after everything that came on it."""

    def eof(self) -> bool:
        """The peer sends no more. Return True to keep our own direction open (a half-close)."""
        return False

    def writable_changed(self, writable: bool) -> None:
        """More may be written again, or must not for now."""

    # --- for subclasses to use ---

    def write(self, data: bytes) -> None:
        """Send bytes; nothing happens when the channel is closing."""
        channel = self._channel
        if channel is not None and channel._send_state == "open":
            channel.write(data)

    def write_eof(self) -> None:
        """Send no more; what the peer sends still arrives."""
        if self._channel is not None:
            self._channel.write_eof()

    async def drain(self) -> None:
        """Wait until more may be written. Returns at once when the channel is gone."""
        if self.writable or self._channel is None:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._write_waiters = [*(self._write_waiters or ()), waiter]
        await waiter

    def pause_input(self) -> None:
        """Take no more from the peer for now."""
        if not self._input_paused and self._channel is not None:
            self._input_paused = True
            self._channel.pause_reading()

    def resume_input(self) -> None:
        """Go on taking; what was held back comes first."""
        if self._input_paused and self._channel is not None:
            self._input_paused = False
            self._deliver()
            if not self._input_paused and self._channel is not None:
                self._channel.resume_reading()

    def guarded(self, hook: Callable[..., Any], *args: Any) -> Any:
        """Call a hook; an exception ends this channel, is logged, and goes no further (None is returned)."""
        try:
            return hook(*args)
        except Exception as fault:
            self._fault(fault)
            return None

    # --- asyncssh's side ---

    def connection_made(self, chan: Any) -> None:
        self._channel = chan
        self.guarded(self.opened)

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        parts = self._parts
        if parts is None:
            channel = self._channel
            if channel is not None and not self._input_paused:
                connection = channel._conn
                if connection is not None and connection.last_of_read:
                    try:
                        self._hand_over(data, datatype)
                    except Exception as fault:
                        self._fault(fault)
                    return
            parts = self._parts = []
        parts.append((data, datatype))
        if not self._scheduled and not self._input_paused:
            self._schedule()

    def _schedule(self) -> None:
        channel = self._channel
        if channel is None:
            return
        self._scheduled = True
        connection = channel._conn
        if connection is None or not connection.deliver_after_parse(self._deliver):
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        """Hand over what was collected, as one piece where it is of one kind."""
        self._scheduled = False
        parts = self._parts
        if not parts or self._input_paused:
            return
        self._parts = None
        if len(parts) == 1:
            self.guarded(self._hand_over, *parts[0])
            return
        start = 0
        for at in range(1, len(parts) + 1):
            if at == len(parts) or parts[at][1] != parts[start][1]:
                self.guarded(self._hand_over, b"".join([data for data, _ in parts[start:at]]), parts[start][1])
                start = at
                if self._input_paused and at < len(parts):
                    # Paused by the hook: the rest waits, before anything that comes later.
                    self._parts = [*parts[at:], *(self._parts or [])]
                    return

    def _hand_over(self, data: bytes, datatype: int | None) -> None:
        raise NotImplementedError

    def _deliver_all(self) -> None:
        """Hand over everything, paused or not: nothing more can come."""
        paused, self._input_paused = self._input_paused, False
        self._deliver()
        self._input_paused = paused or self._input_paused

    def eof_received(self) -> bool:
        self._deliver_all()
        return bool(self.guarded(self.eof))

    def pause_writing(self) -> None:
        self.writable = False
        self.guarded(self.writable_changed, False)

    def resume_writing(self) -> None:
        self.writable = True
        self._wake_writers()
        self.guarded(self.writable_changed, True)

    def _wake_writers(self) -> None:
        waiters, self._write_waiters = self._write_waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._deliver_all()
        self._channel = None
        self._wake_writers()
        self.guarded(self.closed, exc)

    def _fault(self, fault: Exception) -> None:
        if self._channel is not None:
            self._channel.fault(fault)
        else:
            _LOG.error("fault in a closed session", exc_info=fault)


class ServerSession(_ByteSession, asyncssh.SSHServerSession[bytes]):
    """A session that a client opened. Answer the requests, then talk bytes."""

    term = ""
    """The terminal's type, "" without a terminal."""
    size = TerminalSize(80, 24)
    """The terminal's size now; changes are told by `resized`."""
    _resize_scheduled = False

    @property
    def channel(self) -> ServerChannel:
        """The channel. Raises BrokenPipeError when it is gone."""
        if self._channel is None:
            raise BrokenPipeError("Session is closed")
        return cast("ServerChannel", self._channel)

    def pty(self, modes: dict[int, int]) -> bool:
        """A terminal is asked for; `term` and `size` are set. True grants it."""
        return True

    def shell(self) -> bool:
        """A shell is asked for."""
        return False

    def exec(self, command: str) -> bool:
        """A command is asked for, as it was typed."""
        return False

    def subsystem(self, name: str) -> bool:
        """A subsystem is asked for."""
        return False

    def started(self) -> None:
        """The request was granted and the client knows: begin."""

    def input_received(self, data: bytes) -> None:
        """What the client typed or sent, in order, coalesced."""

    def resized(self, size: TerminalSize) -> None:
        """The terminal has another size; at most once for each turn of the loop."""

    def signalled(self, name: str) -> None:
        """A signal by its SSH name, without SIG."""

    def break_asked(self, msec: int) -> bool:
        """A break of so many milliseconds (at most 3,000)."""
        return False

    def write_stderr(self, data: bytes) -> None:
        """Send bytes to the client's stderr."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write(data, _STDERR)

    def exit(self, status: int) -> None:
        """End with an exit status, after everything that was written."""
        if self._channel is not None:
            self.channel.exit(status)

    def exit_signal(self, signal: str, core_dumped: bool, message: str) -> None:
        """End as by a signal, after everything that was written."""
        if self._channel is not None:
            self.channel.exit_with_signal(signal, core_dumped, message)

    def _hand_over(self, data: bytes, datatype: int | None) -> None:
        self.input_received(data)

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        self.term, self.size = term_type, TerminalSize(*term_size)
        return self.guarded(self.pty, dict(term_modes)) is True

    def shell_requested(self) -> bool:
        return self.guarded(self.shell) is True

    def exec_requested(self, command: str) -> bool:
        return self.guarded(self.exec, command) is True

    def subsystem_requested(self, subsystem: str) -> bool:
        return self.guarded(self.subsystem, subsystem) is True

    def session_started(self) -> None:
        self.guarded(self.started)

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        self.size = TerminalSize(width, height, pixwidth, pixheight)
        if not self._resize_scheduled:
            self._resize_scheduled = True
            asyncio.get_running_loop().call_soon(self._tell_size)

    def _tell_size(self) -> None:
        self._resize_scheduled = False
        if self._channel is not None:
            # What was typed before the change is handed over before it.
            self._deliver()
            self.guarded(self.resized, self.size)

    def signal_received(self, signal: str) -> None:
        self._deliver()
        self.guarded(self.signalled, signal)

    def break_received(self, msec: int) -> bool:
        return self.guarded(self.break_asked, msec) is True

    def _fault(self, fault: Exception) -> None:
        channel = self._channel
        if channel is not None and not channel.is_closing() and self.channel._session_started:
            channel._send_request(b"exit-status", EXIT_FAULT.to_bytes(4, "big"))
        super()._fault(fault)


class ClientSession(_ByteSession, asyncssh.SSHClientSession[bytes]):
    """A session that we opened on an endpoint."""

    exit: Exit | None = None
    """How the remote command ended, once it has said so."""
    _eof_seen = False
    _exit_told = False

    @property
    def channel(self) -> ClientChannel:
        """The channel. Raises BrokenPipeError when it is gone."""
        if self._channel is None:
            raise BrokenPipeError("Session is closed")
        return cast("ClientChannel", self._channel)

    def started(self) -> None:
        """The endpoint has granted the session."""

    def output_received(self, data: bytes, stderr: bool) -> None:
        """Output, in order, coalesced; stdout and stderr told apart."""

    def exited(self, result: Exit) -> None:
        """The remote command ended; everything it wrote was handed over before."""

    def resize(self, size: TerminalSize) -> None:
        """Tell the endpoint the terminal's new size."""
        if self._channel is not None:
            self.channel.change_terminal_size(*size)

    def _hand_over(self, data: bytes, datatype: int | None) -> None:
        self.output_received(data, datatype == _STDERR)

    def session_started(self) -> None:
        self.guarded(self.started)

    def exit_status_received(self, status: int) -> None:
        self._exited(Exit(status=status))

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._exited(Exit(signal=signal, core_dumped=core_dumped, message=msg))

    def _exited(self, result: Exit) -> None:
        self.exit = result
        self._tell_exit(self._eof_seen)

    def _tell_exit(self, ended: bool) -> None:
        # sshd reports the exit when the process is gone, while its last output is still on the way.
        if ended and self.exit is not None and not self._exit_told:
            self._exit_told = True
            self.guarded(self.exited, self.exit)

    def eof_received(self) -> bool:
        keep_open = super().eof_received()
        self._eof_seen = True
        self._tell_exit(True)
        return keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self._deliver_all()
        self._tell_exit(True)
        super().connection_lost(exc)


class TCPSession(_ByteSession, asyncssh.SSHTCPSession[bytes]):
    """A direct-tcpip channel as a byte stream."""

    _eof_seen = False
    _wrote_eof = False

    @property
    def channel(self) -> TCPChannel:
        """The channel. Raises BrokenPipeError when it is gone."""
        if self._channel is None:
            raise BrokenPipeError("Session is closed")
        return cast("TCPChannel", self._channel)

    def started(self) -> None:
        """The channel is open in both directions."""

    def input_received(self, data: bytes) -> None:
        """What came, in order, coalesced."""

    def _hand_over(self, data: bytes, datatype: int | None) -> None:
        self.input_received(data)

    def session_started(self) -> None:
        self.guarded(self.started)

    def write_eof(self) -> None:
        """Send no more. When the peer has ended as well, the channel is closed."""
        self._wrote_eof = True
        super().write_eof()
        self._close_if_over()

    def eof_received(self) -> bool:
        if not super().eof_received():
            self._wrote_eof = True
        self._eof_seen = True
        self._close_if_over()
        return True

    def _close_if_over(self) -> None:
        # A session's command ends with its channel; here only the two ends say that it is over.
        if self._eof_seen and self._wrote_eof and self._channel is not None:
            self._channel.close()
