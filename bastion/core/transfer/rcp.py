"""The old scp: its command recognised exactly, its protocol (rcp's, as OpenSSH's `scp -O` speaks it) read beside the relay.

A command that is more than `scp -t PATH` or `scp -f PATH` with scp's own flags is no scp here, whatever it begins with: it
is an ordinary command. What is one is spelled anew, so nothing of the client's spelling reaches a shell.

Theory of operation. The side with the files (the source) sends lines, `T` times, `C` a file, `D` into a folder, `E` out of
it, each answered by the other side (the sink) with a zero byte or an error line; after a `C` line was answered by zero, exactly
so many bytes follow, and a zero. So at each moment exactly one side may speak, and what does not fit ends the channel.
A denied file is answered in the sink's name to the source, which leaves it out, and told to a client that is the sink.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bastion.core.transfer.deeds import (
    DOWNLOAD,
    UPLOAD,
    Ask,
    Broken,
    Deed,
    Digest,
    Done,
    Effect,
    Moving,
    Place,
    Reading,
    Ruling,
    ToClient,
    ToEndpoint,
)
from bastion.core.transfer.packets import BadPacket
from bastion.core.transfer.paths import place, text

MAX_LINE: Final = 8 * 1024
MAX_DEPTH: Final = 256
_AHEAD: Final = 64 * 1024  # sent before an answer that is due; nobody's scp does more than a line
_FLAGS: Final = frozenset(b"vrpdq")
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+:@%,=-")
_WILD: Final = frozenset(b"*?")
_FILE: Final = re.compile(rb"([CD])([0-7]{4}) ([0-9]{1,19}) ([^\n/]+)")
_TIMES: Final = re.compile(rb"T[0-9]{1,20} [0-9]{1,6} [0-9]{1,20} [0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Command:
    """An old scp's command. `path`: text with wildcards as it is, quotes taken off; `wild`: the endpoint expands it."""

    upload: bool
    path: str
    wild: bool
    folder: bool
    recursive: bool
    safe: bytes

    def reading(self, ask: Ask, digest: Callable[[], Digest]) -> Reading:
        """Return the reader of its protocol."""
        return Rcp(self, ask, digest)


def read_command(raw: bytes) -> Command | None:
    """Return the old scp that this command is, or None when it is anything else."""
    words = _words(raw)
    if words is None or len(words) < 3 or words[0] != [(b"s", False), (b"c", False), (b"p", False)]:  # noqa: PLR2004
        return None
    plain = [b"".join(byte for byte, _ in word) for word in words]
    flags = bytearray()
    at = 1
    while at < len(words) and plain[at].startswith(b"-") and plain[at] != b"--":
        if len(plain[at]) < 2:  # noqa: PLR2004 - a lone "-" is a file's name
            break
        flags += plain[at][1:]
        at += 1
    if at < len(words) and plain[at] == b"--":
        at += 1
    modes = [flag for flag in flags if flag in b"tf"]
    if len(modes) != 1 or any(flag not in _FLAGS for flag in flags if flag not in b"tf") or len(words) != at + 1:
        return None
    target = words[at]
    path = plain[at]
    if not path:
        return None
    wild = any(byte in b"*?" and not quoted for byte, quoted in target)
    said = b"".join(bytes((flag,)) for flag in b"vrpdq" if flag in flags) + bytes(modes)
    safe = b"scp -" + b" -".join(said[n : n + 1] for n in range(len(said))) + (b" -- " if path.startswith(b"-") else b" ") + _quoted(target)
    return Command(modes[0] == ord("t"), text(path), wild, ord("d") in flags, ord("r") in flags, safe)


_Word = list[tuple[bytes, bool]]


def _words(raw: bytes) -> list[_Word] | None:  # noqa: C901, PLR0911, PLR0912 - a shell's quoting, each case once
    """Split as a shell would; None as soon as a shell would do anything but split and expand file names."""
    if len(raw) > MAX_LINE:
        return None
    words: list[_Word] = []
    word: _Word | None = None
    at = 0
    while at < len(raw):
        byte = raw[at]
        if byte in b" ":
            if word is not None:
                words.append(word)
            word = None
            at += 1
            continue
        word = [] if word is None else word
        if byte == ord("'"):
            end = raw.find(b"'", at + 1)
            if end < 0:
                return None
            word += [(raw[n : n + 1], True) for n in range(at + 1, end)]
            at = end + 1
        elif byte == ord('"'):
            at += 1
            while at < len(raw) and raw[at] != ord('"'):
                if raw[at] in b"$`!":
                    return None
                if raw[at] == ord("\\") and raw[at + 1 : at + 2] in (b"\\", b'"', b"$", b"`"):
                    at += 1
                word.append((raw[at : at + 1], True))
                at += 1
            if at >= len(raw):
                return None
            at += 1
        elif byte == ord("\\"):
            if at + 1 >= len(raw) or raw[at + 1] == ord("\n"):
                return None
            word.append((raw[at + 1 : at + 2], True))
            at += 2
        elif byte in _PLAIN or byte in _WILD or byte >= 0x80 or byte == ord("~"):  # noqa: PLR2004 - UTF-8
            word.append((raw[at : at + 1], False))
            at += 1
        else:
            return None
    if word is not None:
        words.append(word)
    if any(byte in b"\n\r\0" for word in words for byte, _ in word) or not all(_one_tilde(word) for word in words):
        return None
    return words


def _one_tilde(word: _Word) -> bool:
    """Return whether a tilde in front is surely a home, as in `~/` or `~name/`: quoted or half quoted is for shells to judge."""
    if not word or word[0][0] != b"~":
        return True
    end = next((at for at, (byte, _) in enumerate(word) if byte == b"/"), len(word))
    return not any(quoted for _, quoted in word[: end + 1])


def _quoted(word: _Word) -> bytes:
    """Spell a word so that a shell takes it as it is, but for the wildcards and the tilde that stood open."""
    out = bytearray()
    inside = False
    for at, (byte, quoted) in enumerate(word):
        plain = byte[0] in _PLAIN or (not quoted and (byte[0] in _WILD or (byte == b"~" and at == 0)))
        if inside and (plain or byte == b"'"):
            out += b"'"
            inside = False
        elif not inside and not plain and byte != b"'":
            out += b"'"
            inside = True
        out += b"\\'" if byte == b"'" else byte
    return bytes(out) + (b"'" if inside else b"")


class _At(Enum):
    """Where the conversation stands."""

    GREETING = "the sink's first zero"
    LINE = "a line of the source"
    ANSWER = "the sink's answer to a line"
    DATA = "a file's bytes"
    DATA_END = "the source's zero behind a file"
    RECEIPT = "the sink's answer to a file"
    OVER = "nothing more"


class Rcp:
    """One old scp (implements `deeds.Reading`)."""

    def __init__(self, command: Command, ask: Ask, digest: Callable[[], Digest]) -> None:
        self._command = command
        self._ask = ask
        self._digest = digest
        self._direction = UPLOAD if command.upload else DOWNLOAD
        self._state = _At.GREETING
        self._source = bytearray()
        self._sink = bytearray()
        self._folders: list[str] = []
        self._line = b""
        self._left = 0
        self._moving: Moving | None = None
        self._out: list[Effect] = []
        self._broken = False

    @property
    def wants_more(self) -> bool:
        """Return whether the client should go on sending now."""
        return not (self._command.upload and len(self._source) >= MAX_LINE)

    @property
    def holds(self) -> bool:
        """Return whether lines wait for the endpoint's answer to those before."""
        return self._command.upload and bool(self._source) and self._state in {_At.GREETING, _At.ANSWER, _At.RECEIPT}

    def from_client(self, data: bytes, at: float) -> list[Effect]:
        """Take bytes of the client."""
        return self._take("client", data, at, source=self._command.upload)

    def from_endpoint(self, data: bytes, at: float) -> list[Effect]:
        """Take bytes of the endpoint."""
        return self._take("endpoint", data, at, source=not self._command.upload)

    def _take(self, who: str, data: bytes, at: float, *, source: bool) -> list[Effect]:
        if self._broken:
            return []
        self._out = []
        try:
            if source and self._state is _At.DATA and not self._source and len(data) <= self._left:
                self._data(data)  # the common case: nothing but a file's bytes
            else:
                (self._source if source else self._sink).extend(data)
            self._go_on(at)
        except BadPacket as error:
            self._broken = True
            self._out = [effect for effect in self._out if isinstance(effect, Done)]
            self._out.append(Broken(who, str(error)))
        return self._out

    def _go_on(self, at: float) -> None:
        """Let whoever's turn it is speak, as long as something is there."""
        while True:
            before = (len(self._source), len(self._sink), self._state)
            if self._state in {_At.GREETING, _At.ANSWER, _At.RECEIPT}:
                self._answered(at)
            elif self._state is _At.LINE:
                self._said(at)
            elif self._state is _At.DATA:
                self._data(b"")
            elif self._state is _At.DATA_END:
                self._data_ended()
            if (len(self._source), len(self._sink), self._state) == before:
                break
        if self._state in {_At.LINE, _At.DATA, _At.DATA_END} and self._sink:
            self._spoke_unasked()
        if self._state is _At.OVER and self._source:
            raise BadPacket("bytes behind a fatal error")
        if len(self._source) > _AHEAD or len(self._sink) > MAX_LINE:
            raise BadPacket("bytes that were not its turn to send")

    # ------------------------------------------------------------ the source

    def _said(self, at: float) -> None:
        if self._source and self._source[0] not in b"CDET\x01\x02":
            raise BadPacket("a line that is none of C, D, E and T")
        line = self._cut(self._source)
        if line is None:
            return
        kind = line[:1]
        if kind in {b"\x01", b"\x02"}:  # an error line: told, and answered by nobody
            self._to_sink(line)
            if kind == b"\x02":
                self._state = _At.OVER
            return
        body = line[:-1]
        if kind == b"T" and _TIMES.fullmatch(body):
            self._pass_on(line)
        elif kind == b"E" and body == b"E":
            if not self._folders:
                raise BadPacket("the end of a folder that was not begun")
            self._folders.pop()
            self._pass_on(line)
        elif found := _FILE.fullmatch(body):
            if found[4] in {b".", b".."} or b"\0" in found[4]:
                raise BadPacket("a file's name that is none")
            self._named(line, found[1] == b"D", int(found[3]), text(found[4]), at)
        else:
            raise BadPacket("a line that is none of C, D, E and T")

    def _named(self, line: bytes, folder: bool, size: int, name: str, at: float) -> None:  # noqa: FBT001
        places = self._places(name)
        path = places[0].path
        for spot in [] if folder and not self._command.upload else places:  # what is in a folder is asked about by itself
            ruling = self._ask(self._direction, spot)
            if ruling.allowed and not folder and ruling.most is not None and size > ruling.most:
                ruling = Ruling(allowed=False, reason=f"policy allows files of at most {ruling.most} bytes here")
            if not ruling.allowed:
                what = "folder-made" if folder and self._command.upload else f"{self._direction}ed"
                self._out.append(Done(Deed(what, path, result="denied", reason=ruling.reason)))
                self._refuse(f"{path}: {ruling.reason}")
                return
        if folder:
            if not self._command.recursive:
                raise BadPacket("a folder where none was asked for")
            if len(self._folders) >= MAX_DEPTH:
                raise BadPacket(f"folders within {MAX_DEPTH} folders")
            self._folders.append(path)
            if self._command.upload:
                self._out.append(Done(Deed("folder-made", path)))
        else:
            self._left = size
            self._moving = Moving(f"{self._direction}ed", path, at, self._digest(), None, first=0)
        self._pass_on(line)

    def _places(self, name: str) -> list[Place]:
        """Return which files it may be: the endpoint knows whether a target is a folder, we do not."""
        command = self._command
        if self._folders:
            return [place(f"{self._folders[-1]}/{name}", None, tilde=True)]
        if command.upload:
            inside = place(posixpath.join(command.path, name), None, tilde=True)
            if command.folder or command.path.endswith("/"):
                return [inside]
            return [place(command.path, None, tilde=True), inside]
        if not command.wild:
            return [place(command.path, None, tilde=True)]
        folder = posixpath.dirname(command.path)
        if any(wild in folder for wild in "*?"):
            return [Place(posixpath.join(folder, name), (), complete=False)]
        return [place(posixpath.join(folder, name), None, tilde=True)]

    def _refuse(self, reason: str) -> None:
        """Answer the source in the sink's name, and tell a client that is the sink."""
        said = b"\x01bastion: " + reason.encode("utf-8", "backslashreplace").replace(b"\n", b" ")[: MAX_LINE // 2] + b"\n"
        if self._command.upload:
            self._out.append(ToClient(said))
        else:
            self._out += [ToEndpoint(said), ToClient(said)]

    def _data(self, data: bytes) -> None:
        if not data:
            data = bytes(self._source[: self._left])
            del self._source[: self._left]
        if data and self._moving is not None:
            self._moving.took(self._moving.size, memoryview(data))
            self._left -= len(data)
            self._to_sink(data)
        if not self._left:
            self._state = _At.DATA_END

    def _data_ended(self) -> None:
        if not self._source:
            return
        if self._source[0] == 0:
            del self._source[:1]
            self._to_sink(b"\0")
        else:
            if self._source[0] not in {1, 2}:
                raise BadPacket("more bytes than the file was said to have")
            line = self._cut(self._source)
            if line is None:
                return
            if self._moving is not None:
                self._moving.fail("failed", text(line[1:-1])[:200])
            self._to_sink(line)
        self._state = _At.RECEIPT

    # ------------------------------------------------------------ the sink

    def _answered(self, at: float) -> None:
        if not self._sink:
            return
        if self._sink[0] == 0:
            del self._sink[:1]
            self._to_source(b"\0")
            good, said = True, ""
        else:
            if self._sink[0] not in {1, 2}:
                raise BadPacket("an answer that is none (does the login's shell print something at its start?)")
            line = self._cut(self._sink)
            if line is None:
                return
            self._to_source(line)
            good, said = False, text(line[1:-1])[:200]
            if line[:1] == b"\x02":
                self._finish(at, said)
                self._state = _At.OVER
                return
        state, kind = self._state, self._line[:1]
        self._state = _At.LINE
        if state is _At.RECEIPT:
            self._finish(at, said)
        elif state is _At.ANSWER and kind == b"C":
            if good:
                self._state = _At.DATA
            else:
                self._finish(at, said)
        elif state is _At.ANSWER and kind == b"D" and not good:
            self._folders.pop()

    def _spoke_unasked(self) -> None:
        """A sink may say that it gives up at any time; nothing else."""
        if self._sink[0] not in {1, 2}:
            raise BadPacket("an answer that nothing was asked for")
        line = self._cut(self._sink)
        if line is not None:
            self._to_source(line)
            self._state = _At.OVER

    def _finish(self, at: float, said: str) -> None:
        if self._moving is not None:
            if said:
                self._moving.fail("failed", said)
            self._out.append(Done(self._moving.deed(at)))
            self._moving = None

    # ------------------------------------------------------------ passing on

    def _cut(self, buffer: bytearray) -> bytes | None:
        end = buffer.find(b"\n")
        if end < 0 or end >= MAX_LINE:
            if len(buffer) >= MAX_LINE:
                raise BadPacket(f"a line of more than {MAX_LINE} bytes")
            return None
        line = bytes(buffer[: end + 1])
        del buffer[: end + 1]
        return line

    def _pass_on(self, line: bytes) -> None:
        self._line = line
        self._to_sink(line)
        self._state = _At.ANSWER

    def _to_sink(self, data: bytes) -> None:
        self._out.append(ToEndpoint(data) if self._command.upload else ToClient(data))

    def _to_source(self, data: bytes) -> None:
        self._out.append(ToClient(data) if self._command.upload else ToEndpoint(data))

    def ended(self, at: float) -> list[Effect]:
        """Take notice that nothing more comes."""
        self._out = []
        self._finish(at, "cut off: the channel ended before the file was whole")
        return self._out
