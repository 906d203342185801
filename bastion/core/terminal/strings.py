"""OSC, DCS, APC, PM and SOS strings: what their bodies mean to a screen.

Never answers, writes a clipboard or loads anything: but for titles and links a string is only counted.
"""

from __future__ import annotations

import re
from typing import Final

from bastion.core.terminal.modes import Moded

STRING_MAX: Final = 4096
"""Characters of a body that are kept; the rest is passed over."""

STARTS: Final = frozenset("]PX^_")
_BOTH, _ICON, _TITLE, _LINK = "0", "1", "2", "8"
_NOTED: Final = frozenset(("4", "7", "9", "10", "11", "12", "52", "104", "110", "111", "112", "133", "777", "1337"))
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def finish(screen: Moded, kind: str, body: str) -> None:
    """Do what a whole string asks; `kind` is the character after ESC."""
    if kind != "]":
        screen.noted[kind] = screen.noted.get(kind, 0) + 1
        return
    code, _, value = body.partition(";")
    if code in (_BOTH, _ICON, _TITLE):
        value = _UNSEEN.sub("", value)
        if code != _TITLE:
            screen.set_icon_name(value)
        if code != _ICON:
            screen.set_title(value)
    elif code == _LINK:
        _, separator, address = value.partition(";")
        screen.set_link(_UNSEEN.sub("", address) if separator else "")
    elif code in _NOTED:
        screen.noted[code] = screen.noted.get(code, 0) + 1


def string(screen: Moded, token: str) -> None:
    """Do what a string asks, given with its introducer and, if there, its terminator."""
    body = token[2:]
    if body.endswith("\x1b\\"):
        body = body[:-2]
    elif token[1] == "]" and body.endswith("\x07"):
        body = body[:-1]
    finish(screen, token[1], body[:STRING_MAX])
