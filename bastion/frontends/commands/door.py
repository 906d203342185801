"""One person at the tree: what they are shown, what they send, what they answer.

Never decides anything, and never shows a control character that came from outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from bastion.core.errors import Invalid
from bastion.frontends.commands.output import Row, as_json, brief, rfc3339, sentence, table

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bastion.core.identity import Identity
    from bastion.frontends.commands.desk import Desk
    from bastion.services.console import Console, ConsoleListener
    from bastion.services.windows import Windows

MAX_INPUT: Final = 64 * 1024  # a key or a password on standard input; nobody's key is longer
_MAX_ANSWER: Final = 64 * 1024
_CR: Final = 0x0D
_CTRL_C: Final = 0x03
_CTRL_D: Final = 0x04
_ERASE: Final = frozenset({0x08, 0x7F})


class Gone(Exception):
    """The person left, or pressed Ctrl-C at a question."""


async def _nobody(door: Door, words: list[str]) -> int:  # noqa: ARG001
    raise RuntimeError("this door has not passed the gate")


class Door:
    """What a command gets: the desk, who stands there, and their terminal."""

    def __init__(self, desk: Desk, console: Console, tail: bytes | None = None) -> None:
        self.desk = desk
        self.console = console
        self.tail = tail
        """What followed ` -- ` on a `connect`, exactly as typed."""
        self.again: Callable[[Door, list[str]], Awaitable[int]] = _nobody
        """Runs another command line of the same person through the gate, which sets this."""
        self.windows: Windows | None = None
        """The windows that this door's console is one of, if so."""
        self._ahead = b""

    def at(self, console: Console, windows: Windows | None = None) -> Door:
        """Return the same person's door at another console."""
        door = Door(self.desk, console, self.tail)
        door.again = self.again
        door.windows = windows
        return door

    @property
    def identity(self) -> Identity:
        """Return who this is."""
        return self.console.identity

    @property
    def terminal(self) -> bool:
        """Return whether a terminal is at the other end."""
        return bool(self.console.term)

    @property
    def width(self) -> int | None:
        """Return the window's columns, or None where nothing needs clipping."""
        return self.console.size.columns if self.terminal else None

    @property
    def colour(self) -> bool:
        """Return whether colours are welcome."""
        return self.terminal and self.console.term != "dumb" and not self.console.environment.get("NO_COLOR")

    def say(self, text: str) -> None:
        """Show a text of ours (already safe) on standard output."""
        self.console.write(self._bytes(text + "\n"))

    def warn(self, text: str) -> None:
        """Show a text on standard error, made safe."""
        self.console.write_error(self._bytes(sentence(text) + "\n"))

    async def send(self, data: bytes) -> None:
        """Send bytes as they are, at the speed of the reader. Raises `Gone` when they left."""
        if not self.console.is_open:
            raise Gone
        if not self.console.write(data):
            await self.console.drain()

    async def listing(self, heads: Sequence[str], rows: Sequence[Row], *, as_json_list: bool, empty: str = "") -> None:
        """Show a list: objects as JSON, or the columns `heads` (the keys to show) as a table."""
        if as_json_list:
            await self.send(self._bytes(as_json(list(rows)) + "\n"))
        elif not rows:
            self.warn(empty or "Nothing to list.")
        else:
            today = (rfc3339(self.desk.clock.now()) or "")[:10] if self.terminal else ""
            cells = [[brief(row.get(head), today) if today and head.endswith("at") else row.get(head) for head in heads] for row in rows]
            shown = table(heads, cells, width=self.width, colour=self.colour)
            await self.send(self._bytes(shown + "\n"))

    async def read_all(self, limit: int = MAX_INPUT) -> bytes:
        """Return all of standard input (at a terminal: up to Ctrl-D). Raises `Invalid` beyond `limit` bytes."""
        parts = bytearray()
        while data := await self._read():
            if self.terminal:
                data, left, _ = data.partition(bytes([_CTRL_D]))
                if _CTRL_C in data:
                    raise Gone
                parts += data.replace(b"\r", b"\n")
                if left:
                    break
            else:
                parts += data
            if len(parts) > limit:
                raise Invalid("input.too_long", f"Standard input may have {limit} bytes here.")
        return bytes(parts)

    async def ask(self, question: str, *, shown: bool = True) -> str:
        """Ask one line. `shown=False` for secrets. Raises `Gone` on Ctrl-C, Ctrl-D, or when nothing more comes."""
        if question:
            self.console.write_error(self._bytes(sentence(question)).rstrip(b"\r\n"))
        answer = bytearray()
        while data := await self._read():
            for index, byte in enumerate(data):
                if byte in b"\r\n":
                    self._ahead = data[index + 1 :].removeprefix(b"\n") if byte == _CR else data[index + 1 :]
                    self._echo(b"\r\n")
                    return answer.decode(errors="replace")
                self._edit(answer, byte, shown=shown)
        if answer and not self.terminal:
            return answer.decode(errors="replace")  # a last line without its end
        raise Gone

    async def _read(self) -> bytes:
        """Return what was read too far before, or wait for more."""
        ahead, self._ahead = self._ahead, b""
        return ahead or await self.console.read()

    def handover(self) -> Console:
        """Return the console for a service that reads it itself; what was read too far comes first."""
        ahead, self._ahead = self._ahead, b""
        return cast("Console", _Ahead(self.console, ahead)) if ahead else self.console

    def _edit(self, answer: bytearray, byte: int, *, shown: bool) -> None:
        """Put one typed byte into the answer."""
        if self.terminal and byte in {_CTRL_C, _CTRL_D}:
            self._echo(b"\r\n")
            raise Gone
        if self.terminal and byte in _ERASE:
            if answer:
                while answer and answer[-1] & 0xC0 == 0x80:  # noqa: PLR2004 - the rest of a UTF-8 character
                    answer.pop()
                del answer[-1:]
                self._echo(b"\b \b" if shown else b"")
        elif byte >= 0x20 and len(answer) < _MAX_ANSWER:  # noqa: PLR2004 - control characters are no answer
            answer.append(byte)
            self._echo(bytes([byte]) if shown else b"")

    async def confirm(self, what: str, *, yes: bool) -> None:
        """Ask whether to do `what` (it names what will be hit). Raises `Gone` for no, `Invalid` when nobody can answer."""
        if yes:
            return
        try:
            answer = await self.ask(f"{what} [y/N] ")
        except Gone:
            if self.terminal or not self.console.is_open:
                raise
            raise Invalid("confirm.missing", "Not confirmed, nothing was done: add --yes.") from None
        if self.terminal and self._ahead:
            self._ahead = b""
            self.warn("That looked like a paste; nothing was done.")
            raise Gone
        if answer.strip().lower() not in {"y", "yes"}:
            self.warn("Nothing was done.")
            raise Gone

    def _echo(self, data: bytes) -> None:
        if self.terminal and data:
            self.console.write(data)

    def _bytes(self, text: str) -> bytes:
        return (text.replace("\n", "\r\n") if self.terminal else text).encode(errors="replace")


class _Ahead:
    """A console to which some bytes were given back."""

    def __init__(self, console: Console, ahead: bytes) -> None:
        self._console = console
        self._ahead = ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(self._console, name)

    async def read(self) -> bytes:
        """Return the bytes given back, then what comes."""
        ahead, self._ahead = self._ahead, b""
        return ahead or await self._console.read()

    def attach(self, listener: ConsoleListener) -> None:
        """Push the bytes given back, then everything else."""
        ahead, self._ahead = self._ahead, b""
        if ahead:
            listener.typed(ahead)
        self._console.attach(listener)
