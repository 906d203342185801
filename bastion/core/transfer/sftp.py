"""SFTP read beside the relay: who opens, reads, writes, renames, removes what; policy asked before the endpoint hears of it.

Never answers for the endpoint but with a refusal, and never passes on a packet that it did not understand.

Theory of operation. Both streams are cut into packets; whole runs of them are passed on as they came, without a copy.
Each request is remembered by its number until its answer came, so the two cannot be taken for one another. What policy
denies gets an answer of ours at once. The first packets are ours to shape: the version is 3 for everybody, extensions
that are not understood here are not offered, and the endpoint is asked for the login's home, so that relative names
can be judged. Numbers, handles and lengths that cannot be right end the channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bastion.core.transfer import packets as p
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
    Ruling,
    Tell,
    ToClient,
    ToEndpoint,
)
from bastion.core.transfer.packets import Attributes, BadPacket, Fields, Frames, packets
from bastion.core.transfer.paths import MAX_PATH, place, text
from bastion.core.transfer.waiting import No, OpenFile, Wait

ENOUGH_WAITING: Final = 4096
"""Requests without an answer from which on the client's window is let run full."""
MOST_WAITING: Final = 128 * 1024
MOST_HANDLES: Final = 4096
TOLD: Final = 20
"""Refusals that are also said on standard error; some clients never read that."""
_MAX_HANDLE: Final = 256
_OUR_NUMBER: Final = b"\xff\xff\xff\xff"
_VERSION: Final = 3

_TWO: Final = {
    b"posix-rename@openssh.com": "renamed",
    b"hardlink@openssh.com": "linked",
}
_LOOKING: Final = frozenset(
    {b"statvfs@openssh.com", b"fstatvfs@openssh.com", b"limits@openssh.com", b"expand-path@openssh.com", b"home-directory",
     b"users-groups-by-id@openssh.com", b"fsync@openssh.com"}
)  # fmt: skip
_OFFERED: Final = _LOOKING | frozenset(_TWO) | {b"lsetstat@openssh.com"}
_ANSWERS: Final = {
    p.OPEN: (p.HANDLE,),
    p.OPENDIR: (p.HANDLE,),
    p.READ: (p.DATA,),
    p.READDIR: (p.NAME,),
    p.REALPATH: (p.NAME,),
    p.READLINK: (p.NAME,),
    p.LSTAT: (p.ATTRS,),
    p.STAT: (p.ATTRS,),
    p.FSTAT: (p.ATTRS,),
    p.EXTENDED: (p.EXTENDED_REPLY, p.NAME),
}


class Sftp:
    """One SFTP channel (implements `deeds.Reading`)."""

    def __init__(self, ask: Ask, digest: Callable[[], Digest]) -> None:
        self._ask = ask
        self._digest = digest
        self._client = Frames()
        self._endpoint = Frames()
        self._early = bytearray()  # what the client sent before it may: until our own question is answered
        self._begun = False
        self._ready = False
        self._version: bytes | None = None
        self._home: str | None = None
        self._waiting: dict[bytes, Wait] = {}
        self._handles: dict[bytes, OpenFile] = {}
        self._opening = 0
        self._told = 0
        self._out: list[Effect] = []
        self._over = False

    @property
    def wants_more(self) -> bool:
        """Return whether the client should go on sending now."""
        return len(self._waiting) < ENOUGH_WAITING and not self._early

    @property
    def holds(self) -> bool:
        """Return whether requests wait for the version."""
        return bool(self._early)

    # ------------------------------------------------------------ from the client

    def from_client(self, data: bytes, at: float) -> list[Effect]:
        """Take bytes of the client."""
        if self._over:
            return []
        self._out = []
        try:
            if self._begun and not self._ready:
                self._early += data
                if len(self._early) > 16 * p.MAX_PACKET:
                    raise BadPacket("requests before the version was answered")
            else:
                self._requests(data, at)
        except BadPacket as error:
            self._break("client", str(error))
        return self._out

    def _requests(self, data: bytes, at: float) -> None:
        whole = self._client.take(data)
        begin = 0
        for start, end in packets(whole):
            if not self._begun:
                self._init(whole, start, end)
                if end < len(whole):
                    self._early += whole[end:]
                return
            if not self._request(whole, start, end, at):  # not to be passed on: what came before it is
                if begin < start:
                    self._out.append(ToEndpoint(whole[begin:start]))
                begin = end
        if begin < len(whole):
            self._out.append(ToEndpoint(whole[begin:] if begin else whole))

    def _init(self, whole: bytes, start: int, end: int) -> None:
        if whole[start + 4] != p.INIT:
            raise BadPacket("no SFTP greeting")
        if Fields(whole, start + 5, end).uint32() < _VERSION:
            raise BadPacket("an SFTP version before 3")
        self._begun = True
        self._out.append(ToEndpoint(p.packet(p.INIT, _VERSION.to_bytes(4, "big"))))

    def _request(self, whole: bytes, start: int, end: int, at: float) -> bool:
        """Judge one request; return whether it is passed on."""
        kind = whole[start + 4]
        number = whole[start + 5 : start + 9]
        if len(number) < 4 or end - start < 9:  # noqa: PLR2004 - length, type, number
            raise BadPacket("a request without a number")
        if number in self._waiting:
            raise BadPacket("a request with the number of one that waits for its answer")
        if len(self._waiting) >= MOST_WAITING:
            raise BadPacket(f"more than {MOST_WAITING} requests at once")
        fields = Fields(whole, start + 9, end)
        try:
            if kind == p.WRITE:
                wait = self._write(fields)
            elif kind == p.READ:
                wait = self._read(fields)
            else:
                wait = self._other(kind, fields, at)
        except No as no:
            if no.deed is not None:
                self._done(no.deed)
                self._tell(f"{no.deed.path}: {no.reason}")
            self._answer(number, no.code, no.reason)
            return False
        self._waiting[number] = wait
        return True

    def _write(self, fields: Fields) -> Wait:
        file = self._handles.get(fields.string())
        offset = fields.uint64()
        data = fields.body()
        fields.end()
        if file is None or file.up is None:
            raise No(p.FAILURE, "That is no handle of a file that was opened for writing.")
        most = file.up.most
        if file.up.failed is not None and file.up.failed[0] == "denied":
            raise No(p.PERMISSION_DENIED, file.up.failed[1])
        reached = offset + len(data)
        if most is not None and reached > most:
            reason = _too_large(most)
            file.up.fail("denied", reason)
            self._tell(f"{file.up.path}: {reason}")
            raise No(p.PERMISSION_DENIED, reason)
        file.up.took(offset, data)
        return Wait(p.WRITE, file)

    def _read(self, fields: Fields) -> Wait:
        file = self._handles.get(fields.string())
        offset, size = fields.uint64(), fields.uint32()
        fields.end()
        if file is None or file.down is None:
            raise No(p.FAILURE, "That is no handle of a file that was opened for reading.")
        if file.down.failed is not None and file.down.failed[0] == "denied":
            raise No(p.PERMISSION_DENIED, file.down.failed[1])
        return Wait(p.READ, file, offset, size)

    def _other(self, kind: int, fields: Fields, at: float) -> Wait:  # noqa: C901, PLR0911, PLR0912 - one branch a request
        match kind:
            case p.OPEN:
                return self._open(fields, at)
            case p.CLOSE:
                handle = fields.string()
                fields.end()
                file = self._handles.pop(handle, None)
                if file is None:
                    raise No(p.FAILURE, "That is no open handle.")
                return Wait(p.CLOSE, file)
            case p.OPENDIR:
                self._path(fields)
                fields.end()
                return self._opened(Wait(p.OPENDIR, OpenFile(None, None, appending=False)))
            case p.LSTAT | p.STAT | p.REALPATH | p.READLINK:
                self._path(fields)
                fields.end()
                return Wait(kind)
            case p.FSTAT | p.READDIR:
                if self._handles.get(fields.string()) is None:
                    raise No(p.FAILURE, "That is no open handle.")
                fields.end()
                return Wait(kind)
            case p.SETSTAT:
                path = self._path(fields)
                return self._changing(kind, "changed", [(path, (UPLOAD,))], Attributes(fields))
            case p.FSETSTAT:
                return self._change_open(fields)
            case p.REMOVE | p.RMDIR:
                path = self._path(fields)
                fields.end()
                return self._changing(kind, "removed" if kind == p.REMOVE else "folder-removed", [(path, (UPLOAD,))])
            case p.MKDIR:
                path = self._path(fields)
                return self._changing(kind, "folder-made", [(path, (UPLOAD,))], Attributes(fields))
            case p.RENAME:
                old, new = self._path(fields), self._path(fields)
                fields.end()
                return self._changing(kind, "renamed", [(old, (UPLOAD, DOWNLOAD)), (new, (UPLOAD,))])
            case p.SYMLINK:
                target, link = self._path(fields), self._path(fields)  # OpenSSH's order, not the draft's
                fields.end()
                aim = target if target.startswith("/") else f"{link.rpartition('/')[0] or '.'}/{target}"
                return self._changing(kind, "linked", [(aim, (UPLOAD, DOWNLOAD)), (link, (UPLOAD,))])
            case p.EXTENDED:
                return self._extended(fields)
            case _:
                raise No(p.UNSUPPORTED, f"The bastion knows no SFTP request {kind}.")

    def _extended(self, fields: Fields) -> Wait:
        name = fields.string()
        if name in _TWO:
            old, new = self._path(fields), self._path(fields)
            fields.end()
            return self._changing(p.EXTENDED, _TWO[name], [(old, (UPLOAD, DOWNLOAD)), (new, (UPLOAD,))])
        if name == b"lsetstat@openssh.com":
            path = self._path(fields)
            return self._changing(p.EXTENDED, "changed", [(path, (UPLOAD,))], Attributes(fields))
        if name in _LOOKING:
            return Wait(p.EXTENDED)
        raise No(p.UNSUPPORTED, "The bastion does not know that SFTP extension.")

    # ------------------------------------------------------------ what policy is asked about

    def _open(self, fields: Fields, at: float) -> Wait:
        path, flags = self._path(fields), fields.uint32()
        changing = bool(flags & p.FLAGS_CHANGING)
        wanted = [UPLOAD] if changing else []
        if flags & p.FLAG_READ or not changing:
            wanted.append(DOWNLOAD)
        spot = place(path, self._home)
        rulings: dict[str, Ruling] = {}
        for direction in wanted:
            ruling = rulings[direction] = self._ask(direction, spot)
            if not ruling.allowed:
                deed = Deed(f"{direction}ed", path, result="denied", reason=ruling.reason)
                raise No(p.PERMISSION_DENIED, ruling.reason, deed)
        up = down = None
        if UPLOAD in rulings and rulings[UPLOAD].most is not None and flags & p.FLAG_APPEND:
            reason = "policy limits the size here, and how large a file becomes that is appended to cannot be seen; send it whole"
            raise No(p.PERMISSION_DENIED, reason, Deed("uploaded", path, result="denied", reason=reason))
        if UPLOAD in rulings:
            first = 0 if flags & p.FLAG_TRUNC else None  # emptied: only what is written from 0 on is in order
            up = Moving("uploaded", path, at, self._digest(), rulings[UPLOAD].most, first=first)
        if DOWNLOAD in rulings:
            down = Moving("downloaded", path, at, self._digest(), rulings[DOWNLOAD].most)
        return self._opened(Wait(p.OPEN, OpenFile(up, down, appending=bool(flags & p.FLAG_APPEND)), at=at))

    def _opened(self, wait: Wait) -> Wait:
        if len(self._handles) + self._opening >= MOST_HANDLES:
            raise No(p.FAILURE, f"At most {MOST_HANDLES} files may be open at once.")
        self._opening += 1
        return wait

    def _changing(self, kind: int, what: str, places: list[tuple[str, tuple[str, ...]]], attributes: Attributes | None = None) -> Wait:
        paths = [path for path, _ in places]
        deed = Deed(what, paths[0], paths[1] if len(paths) > 1 else "", more=attributes.told() if attributes else ())
        for path, directions in places:
            spot = place(path, self._home)
            for direction in directions:
                ruling = self._ask(direction, spot)
                too_large = attributes is not None and ruling.most is not None and (attributes.size or 0) > ruling.most
                if not ruling.allowed or too_large:
                    reason = ruling.reason if not ruling.allowed else _too_large(ruling.most or 0)
                    raise No(p.PERMISSION_DENIED, reason, Deed(what, deed.path, deed.to, "denied", reason, more=deed.more))
        return Wait(kind, deed=deed)

    def _change_open(self, fields: Fields) -> Wait:
        file = self._handles.get(fields.string())
        attributes = Attributes(fields)
        moving = None if file is None else file.up or file.down
        if moving is None:
            raise No(p.FAILURE, "That is no open handle.")
        return self._changing(p.FSETSTAT, "changed", [(moving.path, (UPLOAD,))], attributes)

    def _path(self, fields: Fields) -> str:
        raw = fields.string()
        if len(raw) > MAX_PATH or b"\0" in raw:
            raise BadPacket(f"a path of {len(raw)} bytes" if len(raw) > MAX_PATH else "a path with a NUL byte in it")
        return text(raw)

    def _answer(self, number: bytes, code: int, reason: str) -> None:
        """Answer ourselves; the endpoint never hears of that request."""
        self._out.append(ToClient(p.status(int.from_bytes(number, "big"), code, reason)))

    def _tell(self, words: str) -> None:
        self._told += 1
        if self._told <= TOLD:
            self._out.append(Tell(words))

    # ------------------------------------------------------------ from the endpoint

    def from_endpoint(self, data: bytes, at: float) -> list[Effect]:
        """Take bytes of the endpoint."""
        if self._over:
            return []
        self._out = []
        try:
            whole = self._endpoint.take(data)
            begin = 0
            for start, end in packets(whole):
                if not (self._reply(whole, start, end, at) if self._ready else self._greeted(whole, start, end, at)):
                    if begin < start:
                        self._out.append(ToClient(whole[begin:start]))
                    begin = end
            if begin < len(whole):
                self._out.append(ToClient(whole[begin:] if begin else whole))
        except BadPacket as error:
            self._break("endpoint", str(error))
        return self._out

    def _greeted(self, whole: bytes, start: int, end: int, at: float) -> bool:
        """Take the version, then the answer to our question; the client gets the version when both are there."""
        kind = whole[start + 4]
        if self._version is None:
            fields = Fields(whole, start + 5, end)
            if not self._begun or kind != p.VERSION or fields.uint32() != _VERSION:
                raise BadPacket("no SFTP version 3 where it was due")
            offered = b""
            while fields.left:
                name, value = fields.string(), fields.string()
                if name in _OFFERED:
                    offered += p.string(name) + p.string(value)
            self._version = p.packet(p.VERSION, _VERSION.to_bytes(4, "big"), offered)
            self._out.append(ToEndpoint(p.packet(p.REALPATH, _OUR_NUMBER, p.string(b"."))))
            return False
        if whole[start + 5 : start + 9] != _OUR_NUMBER or kind not in {p.NAME, p.STATUS}:
            raise BadPacket("an answer that nobody asked for")
        if kind == p.NAME:
            fields = Fields(whole, start + 9, end)
            home = fields.string() if fields.uint32() == 1 else b""
            if home.startswith(b"/") and len(home) <= MAX_PATH:
                self._home = text(home)
        self._ready = True
        self._out.append(ToClient(self._version))
        early, self._early = bytes(self._early), bytearray()
        if early:
            self._requests(early, at)
        return False

    def _reply(self, whole: bytes, start: int, end: int, at: float) -> bool:
        number = whole[start + 5 : start + 9]
        wait = self._waiting.pop(number, None)
        if wait is None or len(number) < 4:  # noqa: PLR2004
            raise BadPacket("an answer that nobody asked for")
        kind = whole[start + 4]
        if wait.kind in {p.OPEN, p.OPENDIR}:
            self._opening -= 1
        if kind == p.STATUS:
            fields = Fields(whole, start + 9, end)
            code = fields.uint32()
            said = text(fields.string()[:200]) if fields.left >= 4 else ""  # noqa: PLR2004
            self._status(wait, code, said, at)
            return True
        if kind not in _ANSWERS.get(wait.kind, ()):
            raise BadPacket(f"an answer of type {kind} to a request of type {wait.kind}")
        if kind == p.DATA:
            return self._read_data(number, wait, Fields(whole, start + 9, end))
        if kind == p.HANDLE:
            fields = Fields(whole, start + 9, end)
            handle = fields.string()
            fields.end()
            if not handle or len(handle) > _MAX_HANDLE or handle in self._handles or wait.file is None:
                raise BadPacket("a handle that is empty, too long or open already")
            self._handles[handle] = wait.file
        return True

    def _read_data(self, number: bytes, wait: Wait, fields: Fields) -> bool:
        data = fields.body()
        moving = wait.file.down if wait.file is not None else None
        if moving is None or len(data) > wait.size:
            raise BadPacket("more data than were asked for")
        if moving.most is not None and wait.offset + len(data) > moving.most:
            reason = _too_large(moving.most)
            if moving.failed is None:
                self._tell(f"{moving.path}: {reason}")
            moving.fail("denied", reason)
            self._answer(number, p.PERMISSION_DENIED, reason)
            return False
        moving.took(wait.offset, data)
        return True

    def _status(self, wait: Wait, code: int, said: str, at: float) -> None:
        reason = said or p.STATUSES.get(code, f"status {code}")
        file = wait.file
        if wait.deed is not None:
            deed = wait.deed
            self._done(deed if code == p.OK else Deed(deed.what, deed.path, deed.to, "failed", reason, more=deed.more))
        elif wait.kind == p.OPEN and file is not None and code != p.OK:
            for moving in (file.up, file.down):
                if moving is not None:
                    self._done(Deed(moving.what, moving.path, result="failed", reason=reason))
        elif wait.kind == p.WRITE and file is not None and file.up is not None and code != p.OK:
            file.up.fail("failed", reason)
        elif wait.kind == p.READ and file is not None and file.down is not None and code not in {p.OK, p.EOF}:
            file.down.fail("failed", reason)
        elif wait.kind == p.CLOSE and file is not None:
            if code != p.OK and file.up is not None:
                file.up.fail("failed", reason)
            self._closed(file, at)

    def _closed(self, file: OpenFile, at: float) -> None:
        for moving in (file.up, file.down):
            if moving is not None:
                # opened for both and used for one: only that one is worth a line
                other = file.down if moving is file.up else file.up
                if moving.size or moving.failed or other is None or not (other.size or other.failed):
                    self._done(moving.deed(at, *((("appended", True),) if file.appending and moving is file.up else ())))

    def _done(self, deed: Deed) -> None:
        self._out.append(Done(deed))

    # ------------------------------------------------------------ the end

    def ended(self, at: float) -> list[Effect]:
        """Take notice that nothing more comes."""
        self._out = []
        self._over = True
        closing = [wait.file for wait in self._waiting.values() if wait.kind == p.CLOSE and wait.file]
        for file in (*self._handles.values(), *closing):
            for moving in (file.up, file.down):
                if moving is not None:
                    moving.fail("failed", "cut off: the channel ended before the file was closed")
            self._closed(file, at)
        self._handles.clear()
        self._waiting.clear()
        return self._out

    def _break(self, who: str, reason: str) -> None:
        self._over = True
        self._out = [effect for effect in self._out if isinstance(effect, Done)]
        self._out.append(Broken(who, reason))


def _too_large(most: int) -> str:
    return f"policy allows files of at most {most} bytes here"
