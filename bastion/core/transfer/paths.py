"""Names of files as policy sees them: without `.` and `..`, absolute and below the login's home. Never touches a file.

Paths are names. Where a link on the endpoint leads is known to the endpoint alone.
"""

from __future__ import annotations

import posixpath
from typing import Final

from bastion.core.transfer.deeds import Place

MAX_PATH: Final = 4096


def text(raw: bytes) -> str:
    """Return a name from outside as text; bytes that are no UTF-8 are kept as surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def place(path: str, home: str | None, *, tilde: bool = False) -> Place:
    """Return a path in each spelling that is known: from the root, and from the home (`~/...`).

    `tilde`: the path goes through a shell, which knows `~`; to SFTP that is a name like any other.
    """
    shown = path or "."
    if tilde and (shown == "~" or shown.startswith("~/")):
        path = shown[2:] or "."
    elif tilde and shown.startswith("~"):
        return Place(shown, (), complete=False)  # somebody else's home: only the endpoint knows where that is
    else:
        path = shown
    if path.startswith("/"):
        whole = "/" + posixpath.normpath(path).lstrip("/")
        return Place(shown, (whole, *_below(whole, home)), complete=home is not None)
    if home is not None:
        whole = "/" + posixpath.normpath(posixpath.join(home, path)).lstrip("/")
        return Place(shown, (whole, *_below(whole, home)))
    inner = posixpath.normpath(path)
    if inner == ".." or inner.startswith("../"):
        return Place(shown, (), complete=False)
    return Place(shown, ("~" if inner == "." else f"~/{inner}",), complete=False)


def _below(whole: str, home: str | None) -> tuple[str, ...]:
    if home is None or home == "/":
        return ()
    home = home.rstrip("/")
    if whole == home:
        return ("~",)
    return (f"~{whole[len(home) :]}",) if whole.startswith(f"{home}/") else ()
