"""Small values that many rooms share: names, sizes, addresses. Knows no rule of the product."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from bastion.core.errors import Invalid

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LOGIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@\\$-]{0,63}")
TERM: Final = re.compile(r"[A-Za-z0-9._+-]{1,64}")
LABEL_KEY: Final = re.compile(r"[a-z0-9][a-z0-9._/-]{0,62}")

# xterm's own limits are far lower; these bound memory of a screen model
MAX_COLUMNS: Final = 1000
MAX_LINES: Final = 500
MAX_CELLS: Final = 200_000


class Size(NamedTuple):
    """A terminal's size in cells."""

    columns: int
    lines: int

    @classmethod
    def clamp(cls, columns: int, lines: int) -> Size:
        """Return the nearest size we support; 0 means unknown and becomes 80 x 24 (as `ssh -tt` sends it)."""
        columns = 80 if columns <= 0 else min(columns, MAX_COLUMNS)
        lines = 24 if lines <= 0 else min(lines, MAX_LINES)
        return cls(columns, min(lines, max(1, MAX_CELLS // columns)))

    def __str__(self) -> str:
        return f"{self.columns}x{self.lines}"


class Target(NamedTuple):
    """What an SSH user name asks for: `alice`, `alice%web01`, `alice%deploy@web01` (`:` stands for `%`)."""

    user: str
    endpoint: str | None = None
    login: str | None = None


def user_name(text: str) -> str:
    """Return the account name `text` spells, or raise `Invalid`."""
    if not NAME.fullmatch(text):
        raise Invalid(
            "name.invalid",
            f"{text[:64]!a} is not a user name: use 1 to 64 of a-z, 0-9, '.', '_', '-', starting with a letter or digit.",
        )
    return text


def endpoint_name(text: str) -> str:
    """Return the endpoint name `text` spells, or raise `Invalid`."""
    if not NAME.fullmatch(text):
        raise Invalid(
            "name.invalid",
            f"{text[:64]!a} is not an endpoint name: use 1 to 64 of a-z, 0-9, '.', '_', '-', starting with a letter or digit.",
        )
    return text


def login_name(text: str) -> str:
    """Return the login on an endpoint that `text` spells, or raise `Invalid`."""
    if not LOGIN.fullmatch(text):
        raise Invalid("name.invalid", f"{text[:64]!a} is not a login name.")
    return text


def parse_target(text: str) -> Target:
    """Read an SSH user name. Raises `Invalid` when a part of it is no name."""
    user, separator, rest = text.partition("%")
    if not separator:
        user, separator, rest = text.partition(":")
    if not separator:
        return Target(user_name(user))
    login, at, endpoint = rest.rpartition("@")
    return Target(user_name(user), endpoint_name(endpoint), login_name(login) if at else None)


def terminal_type(text: str) -> str:
    """Return TERM if it is one, else `xterm`: it goes to endpoints and into recordings."""
    return text if TERM.fullmatch(text) else "xterm"
