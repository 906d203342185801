"""The five families of expected failure. Never one enum for everything, never caught and ignored.

Each carries a stable `code` for programs (`access.denied.no_rule`), a `public` sentence for the person, and a
private `detail` for the log. Doors map families to exit codes once (README, exit codes).
"""

from __future__ import annotations

from typing import ClassVar


class BastionError(Exception):
    """A failure that was foreseen. `exit_code` is what every door returns for it."""

    exit_code: ClassVar[int] = 70

    def __init__(self, code: str, public: str, detail: str = "") -> None:
        super().__init__(public)
        self.code = code
        self.public = public
        self.detail = detail


class Denied(BastionError):
    """The person may not do this; `public` names the rule and what would help."""

    exit_code = 77


class Invalid(BastionError):
    """What was asked makes no sense as it stands; `public` says what would."""

    exit_code = 64


class Missing(Invalid):
    """There is no such thing (a kind of Invalid, with its own exit code)."""

    exit_code = 66


class Misconfigured(Invalid):
    """A file the operator wrote is wrong; `public` names file and line."""

    exit_code = 78


class Conflict(BastionError):
    """It cannot be done now because of something else that is so; trying later may work."""

    exit_code = 69


class Unavailable(BastionError):
    """Something this needs does not answer."""

    exit_code = 69


class Ended(Unavailable):
    """The bastion ended a session; `public` says why."""

    exit_code = 75


class Corrupt(BastionError):
    """Stored data is not what was written."""

    exit_code = 65
