"""Recordings as folders `ROOT/YYYY/MM/DD/ID/`, one per session. Never follows a link, never overwrites a cast.

Theory of operation: `ROOT/.open/ID` holds the folder's path while its cast is being written, so a start after a
crash finds what was cut off without walking years of folders. A live cast is locked (flock): other processes leave
it alone. When it is complete that note moves to `ROOT/.pack/ID`, and goes when the cast is packed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from bastion.backends.recordings import packed, safe
from bastion.backends.recordings.envelope import Envelope, Identities
from bastion.backends.recordings.mend import mend
from bastion.backends.recordings.opening import opened_cast, reader
from bastion.backends.recordings.packed import CAST, ENCRYPTED, PACKED
from bastion.backends.recordings.sides import DecryptedSide, SideFile
from bastion.backends.recordings.writer import CastWriter
from bastion.core.errors import Conflict, Corrupt, Invalid, Misconfigured, Missing
from bastion.core.recording import keyframes, meta, track
from bastion.core.recording.meta import Meta
from bastion.services.record_ports import Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

META: Final = "meta.json"
RECIPIENTS: Final = "recipients.txt"
DERIVED: Final = (keyframes.FILE,)
REPEATING: Final = (track.FILE,)
"""Side files that tell something of what a cast holds."""

_OPEN: Final = ".open"
_PACK: Final = ".pack"
_TRASH: Final = ".trash"
_META_BYTES: Final = 64 * 1024
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_SIDE: Final = re.compile(r"[a-z]{1,20}(\.[a-z]{1,10})?")
_DAY: Final = re.compile(r"\d{4}/\d{2}/\d{2}")


class RecordingFolder:
    """The `Recordings` port on a local folder. `root` is made (0700) when it is missing; `Misconfigured` when it cannot be."""

    def __init__(self, root: str, recipients: Sequence[str] = (), identities: Identities | None = None) -> None:
        """`recipients`: whom finished recordings are encrypted to; `Misconfigured` when one is no age key. `identities` open such."""
        self.root = os.path.abspath(root)
        try:
            self._envelope = Envelope(recipients) if recipients else None
        except ValueError as error:
            raise Misconfigured("settings.invalid", f"recording.encrypt_to: {error}.") from error
        self.identities = identities
        try:
            os.makedirs(self.root, mode=0o700, exist_ok=True)
        except OSError as error:
            why = "it is not a folder" if isinstance(error, FileExistsError) else str(error.strerror).lower()
            raise Misconfigured("recordings.folder", f"paths.recordings: {self.root} cannot be used: {why}.", str(error)) from error

    def create(self, session_id: str, header: Mapping[str, object], started_at: float, at: float) -> CastWriter:
        """Open a new cast. `OSError` when it cannot be made (EEXIST: that id has one).

        Nothing waits for the disk here, where a person waits to be connected: the first `sync` makes the folders
        and the note in `.open` durable together with the cast.
        """
        parts = [*datetime.fromtimestamp(started_at, UTC).strftime("%Y/%m/%d").split("/"), _checked(session_id)]
        with safe.folder(self.root, [_OPEN], create=True) as unfinished:
            note = safe.opened(unfinished, session_id, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                os.write(note, "/".join(parts).encode())
            finally:
                os.close(note)
        with safe.folder(self.root, parts, create=True) as directory:
            descriptor = safe.opened(directory, CAST, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                writer = CastWriter(descriptor, header, at, partial(self._finish, session_id, parts), partial(self._sync_folders, parts))
            except OSError:
                os.close(descriptor)
                raise
        return writer

    def path(self, session_id: str) -> str | None:
        """Return where the cast of that session is, packed or plain, or None."""
        parts = self._find(session_id)
        if parts is None:
            return None
        paths = [os.path.join(self.root, *parts, name) for name in (CAST, PACKED, ENCRYPTED)]
        return next((path for path in paths if os.path.lexists(path)), paths[0])

    def chunks(self, session_id: str, offset: int = 0) -> Iterator[bytes]:
        """Yield the plain cast's bytes from `offset` on, as far as they are written now. `Missing`, `Corrupt`."""
        parts = self._find(session_id)
        if parts is None:
            raise Missing("recording.missing", "There is no recording of that session.", session_id)
        try:
            with safe.folder(self.root, parts) as directory:
                return opened_cast(directory, offset, self.identities)
        except OSError as error:
            raise Corrupt("recording.unreadable", "The recording is not a regular file that can be read.", str(error)) from error

    def raw(self, session_id: str) -> Iterator[bytes]:
        """Yield the cast as it lies on the disk: packed, encrypted or plain. `Missing`, `Corrupt`."""
        path = self.path(session_id)
        if path is None:
            raise Missing("recording.missing", "There is no recording of that session.", session_id)
        try:
            with safe.folder(os.path.dirname(path), []) as directory:
                return reader(safe.opened(directory, os.path.basename(path), os.O_RDONLY), 0)
        except OSError as error:
            raise Corrupt("recording.unreadable", "The recording is not a regular file that can be read.", str(error)) from error

    def to_pack(self) -> Sequence[tuple[str, float]]:
        """Return what is complete and not packed: session ids, and since when (seconds since the epoch)."""
        found = []
        with safe.folder(self.root, [_PACK], create=True) as directory:
            for name in sorted(os.listdir(directory)):
                if _ID.fullmatch(name):
                    with suppress(FileNotFoundError):
                        found.append((name, os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime))
        return found

    def pack(self, session_id: str, level: int, go_on: Callable[[], bool] = lambda: True) -> tuple[int, int] | None:
        """Pack a complete recording; return its bytes (plain, packed). None when there was nothing to do, or not all done.

        `level` is zstd's, 0 leaves it plain for good. `OSError`: it stays plain, and is waiting still.
        """
        parts = self._noted(_PACK, session_id)
        result = None
        if parts is not None and (level > 0 or self._envelope is not None):
            with suppress(FileNotFoundError), safe.folder(self.root, parts) as directory:
                packed.clear(directory)
                length = packed.pack(directory, max(1, level), go_on, self._envelope)
                if length is None:
                    return None
                if self._envelope is not None:
                    self._encrypt_sides(directory, self._envelope)
                known = self._read_meta(directory)
                stored = "zstd" if self._envelope is None else "age"
                safe.write_whole(directory, META, meta.spelled(replace(known, stored=stored, packed=length)))
                result = (known.bytes, length)
        if result is not None and self._envelope is not None:
            return result  # the note stays until `packed_and_signed`
        self.packed_and_signed(session_id)
        return result

    def packed_and_signed(self, session_id: str) -> None:
        """Forget that a recording waits to be packed."""
        with safe.folder(self.root, [_PACK], create=True) as directory, suppress(FileNotFoundError):
            os.unlink(_checked(session_id), dir_fd=directory)

    def _encrypt_sides(self, directory: int, envelope: Envelope) -> None:
        """Encrypt the side files that repeat what the cast holds; keyframes go, they are made again by who can read it."""
        for name in (*DERIVED, *REPEATING):
            with suppress(FileNotFoundError):
                descriptor = safe.opened(directory, name, os.O_RDONLY)
                with os.fdopen(descriptor, "rb") as file:
                    if name in REPEATING:
                        safe.write_whole(directory, f"{name}.age", envelope.encrypt(file.read()))
                os.unlink(name, dir_fd=directory)
        safe.write_whole(directory, RECIPIENTS, "".join(f"{one}\n" for one in envelope.recipients).encode())

    def is_encrypted(self, session_id: str) -> str:
        """Return whom a recording is encrypted to, in a few words; "" when it is not, or there is none."""
        parts = self._find(session_id)
        if parts is None:
            return ""
        with safe.folder(self.root, parts) as directory:
            names = os.listdir(directory)
            if CAST in names or PACKED in names or ENCRYPTED not in names:
                return ""
            if RECIPIENTS not in names:
                return "keys that are not named"
            descriptor = safe.opened(directory, RECIPIENTS, os.O_RDONLY)
            with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
                return ", ".join(line.strip()[:80] for line in file.readlines(4096))

    def unlocked(self, identity: bytes) -> RecordingFolder:
        """Return these recordings as somebody with that age identity can read them; kept in memory only. `Invalid`."""
        return RecordingFolder(self.root, identities=Identities(identity))

    def meta(self, session_id: str) -> Meta | None:
        """Return how a recording ended and is kept; None while it is live. `Corrupt`; FileNotFoundError without recording."""
        with safe.folder(self.root, self.found(session_id)) as directory:
            try:
                return self._read_meta(directory)
            except FileNotFoundError:
                return None

    def append_side(self, session_id: str, name: str, data: bytes) -> None:
        """Append to a side file with one write. `OSError` when it cannot be, FileNotFoundError without recording."""
        if self.identities is not None and self.is_encrypted(session_id):  # what is made of it must not lie beside it
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        with safe.folder(self.root, self.found(session_id)) as directory:
            descriptor = safe.opened(directory, _side(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                length = os.fstat(descriptor).st_size
                if os.write(descriptor, data) != len(data):
                    os.ftruncate(descriptor, length)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(descriptor)

    def cut_side(self, session_id: str, name: str, length: int) -> None:
        """Cut a side file that was damaged behind `length`."""
        with safe.folder(self.root, self.found(session_id)) as directory:
            descriptor = safe.opened(directory, _side(name), os.O_WRONLY)
            try:
                os.ftruncate(descriptor, length)
            finally:
                os.close(descriptor)

    def open_side(self, session_id: str, name: str) -> SideFile | DecryptedSide | None:
        """Open a side file for reading, decrypted where it is encrypted and `identities` open it; None when there is none."""
        try:
            with safe.folder(self.root, self.found(session_id)) as directory:
                try:
                    return SideFile(safe.opened(directory, _side(name), os.O_RDONLY))
                except FileNotFoundError:
                    if self.identities is None or name not in REPEATING:
                        return None
                    return DecryptedSide.opened(safe.opened(directory, f"{name}.age", os.O_RDONLY), self.identities)
        except OSError:
            return None  # side files are derived: what cannot be opened is made again

    def is_live(self, session_id: str) -> bool:
        """Return whether a process writes that cast now."""
        return self._is_written(_checked(session_id))

    def unfinished(self) -> Sequence[str]:
        """Return ids of casts that a crash left open; those that a process still writes are not among them."""
        with safe.folder(self.root, [_OPEN], create=True) as directory:
            names = sorted(os.listdir(directory))
        return [name for name in names if _ID.fullmatch(name) and not self._is_written(name)]

    def close_interrupted(self, session_id: str, then: Callable[[], None] | None = None) -> None:
        """Cut an unfinished cast after its last whole line, mark it interrupted, call `then` and close it."""
        parts = self._find(session_id)
        if parts is not None:
            with suppress(FileNotFoundError):
                with safe.folder(self.root, parts) as directory:
                    if META not in os.listdir(directory):  # else only the last steps of its close are missing
                        length = mend(directory, CAST, session_id)
                        self._write_meta(directory, "interrupted", length, None)
                if then is not None:
                    then()
        self._forget_unfinished(session_id)

    def stored(self) -> Iterator[Stored]:
        """Yield what every recording takes, by day; what goes meanwhile is left out."""
        for year in reversed(_numbers(self.root, 4)):
            for month in reversed(_numbers(os.path.join(self.root, year), 2)):
                for day in reversed(_numbers(os.path.join(self.root, year, month), 2)):
                    for name in sorted(_names(os.path.join(self.root, year, month, day))):
                        with suppress(OSError, Corrupt), safe.folder(self.root, [year, month, day, name]) as directory:
                            yield self._stored(directory, name, f"{year}-{month}-{day}")

    def _stored(self, directory: int, session_id: str, day: str) -> Stored:
        sizes = {name: os.stat(name, dir_fd=directory, follow_symlinks=False).st_size for name in os.listdir(directory)}
        cast = sizes.get(CAST)
        return Stored(session_id, day, sum(sizes.values()), self._read_meta(directory).bytes if cast is None else cast, packed=cast is None)

    def remove(self, session_id: str) -> int:
        """Take a recording away for good; return the bytes that are free now. `Missing`; `Conflict` while it is live.

        It is moved out of the way first, so that it is there whole or not at all; `empty_trash` ends what a crash cut off.
        """
        parts = self._find(session_id)
        if parts is None:
            raise Missing("recording.missing", "There is no recording of that session.", session_id)
        if self._unfinished_parts(session_id) is not None:
            raise Conflict("recording.live", "That recording is still being written: end its session first.")
        with (
            safe.folder(self.root, parts[:-1]) as day,
            safe.folder(self.root, [_TRASH], create=True) as trash,
            safe.folder(self.root, [_PACK], create=True) as notes,
        ):
            os.rename(session_id, session_id, src_dir_fd=day, dst_dir_fd=trash)
            os.fsync(day)
            with suppress(FileNotFoundError):
                os.unlink(session_id, dir_fd=notes)
        return self.empty_trash()

    def empty_trash(self) -> int:
        """Take away what was removed; return its bytes. Also to be called at start, after a crash."""
        size = 0
        for session_id in _names(os.path.join(self.root, _TRASH)):
            with safe.folder(self.root, [_TRASH]) as trash:
                with safe.folder(self.root, [_TRASH, session_id]) as directory:
                    for name in os.listdir(directory):
                        size += os.stat(name, dir_fd=directory, follow_symlinks=False).st_size
                        os.unlink(name, dir_fd=directory)
                os.rmdir(session_id, dir_fd=trash)
        return size

    def free(self) -> tuple[int, int]:
        """Return (free bytes, total bytes) of the file system that casts are kept on."""
        state = os.statvfs(self.root)
        return state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize

    # ------------------------------------------------------------ the inside

    def _find(self, session_id: str) -> list[str] | None:
        """Return the folder's parts. Years, months and days are tried newest first; there are few of each."""
        _checked(session_id)
        unfinished = self._unfinished_parts(session_id)
        if unfinished is not None:
            return unfinished
        for year in _numbers(self.root, 4):
            for month in _numbers(os.path.join(self.root, year), 2):
                for day in _numbers(os.path.join(self.root, year, month), 2):
                    parts = [year, month, day, session_id]
                    if any(os.path.lexists(os.path.join(self.root, *parts, name)) for name in (CAST, PACKED, ENCRYPTED)):
                        return parts
        return None

    def found(self, session_id: str) -> list[str]:
        """Return the parts of a recording's folder; FileNotFoundError."""
        parts = self._find(session_id)
        if parts is None:
            raise FileNotFoundError(errno.ENOENT, "no recording of that session", session_id)
        return parts

    def _unfinished_parts(self, session_id: str) -> list[str] | None:
        return self._noted(_OPEN, session_id)

    def _noted(self, where: str, session_id: str) -> list[str] | None:
        """Return the folder's parts as a note in `.open` or `.pack` has them."""
        try:
            with safe.folder(self.root, [where]) as directory:
                descriptor = safe.opened(directory, _checked(session_id), os.O_RDONLY)
                try:
                    text = os.read(descriptor, 200).decode("ascii", "replace")
                finally:
                    os.close(descriptor)
        except FileNotFoundError:
            return None
        day, _, name = text.rpartition("/")
        return text.split("/") if _DAY.fullmatch(day) and name == session_id else None

    def _is_written(self, session_id: str) -> bool:
        parts = self._unfinished_parts(session_id)
        if parts is None:
            return False
        try:
            with safe.folder(self.root, parts) as directory:
                descriptor = safe.opened(directory, CAST, os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _finish(self, session_id: str, parts: Sequence[str], state: str, length: int, status: int | None) -> None:
        """Write what completes a recording; its writer calls this."""
        with safe.folder(self.root, parts) as directory:
            self._write_meta(directory, state, length, status)
        self._forget_unfinished(session_id)

    def _sync_folders(self, parts: Sequence[str]) -> None:
        safe.sync_folders(self.root, parts)
        safe.sync_folders(self.root, [_OPEN])

    def _write_meta(self, directory: int, state: str, length: int, status: int | None) -> None:
        safe.write_whole(directory, META, meta.spelled(Meta(state, length, status)))

    def _read_meta(self, directory: int) -> Meta:
        descriptor = safe.opened(directory, META, os.O_RDONLY)
        try:
            return meta.parse(os.read(descriptor, _META_BYTES))
        finally:
            os.close(descriptor)

    def _forget_unfinished(self, session_id: str) -> None:
        """Move the note on: the recording is complete, and may be packed."""
        with (
            safe.folder(self.root, [_OPEN], create=True) as before,
            safe.folder(self.root, [_PACK], create=True) as after,
            suppress(FileNotFoundError),
        ):
            os.utime(_checked(session_id), dir_fd=before, follow_symlinks=False)
            os.rename(session_id, session_id, src_dir_fd=before, dst_dir_fd=after)


def _side(name: str) -> str:
    if not _SIDE.fullmatch(name) or name in (CAST, META, PACKED, ENCRYPTED):
        raise Invalid("recording.side", f"{name[:64]!a} is not the name of a side file.")
    return name


def _checked(session_id: str) -> str:
    if not _ID.fullmatch(session_id):
        raise Invalid("session.id", f"{session_id[:64]!a} is not a session id.")
    return session_id


def _numbers(path: str, digits: int) -> list[str]:
    try:
        names = os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted((name for name in names if len(name) == digits and name.isascii() and name.isdigit()), reverse=True)


def _names(path: str) -> list[str]:
    """Return the ids of the recordings in a folder."""
    try:
        return [name for name in os.listdir(path) if _ID.fullmatch(name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
