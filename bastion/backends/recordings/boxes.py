"""An evidence pack as it lies there: a zip, or the folder somebody unpacked it to. Never trusts a name or a length in it."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Final

from bastion.core.errors import Corrupt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_CHUNK: Final = 64 * 1024
_MOST: Final = 1000  # files of a pack; ours have some fifteen


class ZipBox:
    """A pack as it was given out."""

    def __init__(self, path: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            raise Corrupt("verify.zip", "This is no whole zip: its end is missing or was changed.", str(error)) from error
        self._infos = self._zip.infolist()
        if len(self._infos) > _MOST:
            raise Corrupt("verify.zip", f"This is no evidence pack: it has {len(self._infos)} files.")

    def names(self) -> Sequence[str]:
        """Return the names of all files."""
        return [info.filename for info in self._infos]

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes. `Corrupt` when it cannot be unpacked."""
        info = next((info for info in self._infos if info.filename == name), None)
        if info is None:
            return
        try:
            with self._zip.open(info) as file:
                while data := file.read(_CHUNK):
                    yield data
        except (OSError, EOFError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
            raise Corrupt("verify.zip", f"{name} in the pack is damaged: it cannot be unpacked to its end.", str(error)) from error


class FolderBox:
    """A pack that was unpacked."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> Sequence[str]:
        """Return the names of all regular files; what else lies there is no part of a pack."""
        return sorted(each.name for each in self._path.iterdir() if each.is_file() and not each.is_symlink())

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes."""
        place = self._path / name
        if name != place.name or place.is_symlink() or not place.is_file():
            return
        with place.open("rb") as file:
            while data := file.read(_CHUNK):
                yield data
