"""Patterns of secrets, compiled by RE2: its time is linear, so no pattern and no output can hang a session.

Never holds a secret itself. The syntax is RE2's (no backreferences, no lookaround).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, cast

import re2

from bastion.core.errors import Misconfigured
from bastion.core.recording.mask import Rules, Searcher

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN: Final = re.compile(r"[A-Za-z0-9_ =:@%&<>~`'\",;/-]+")
_REPEATS: Final = "*?{"
_MEMORY: Final = 8 << 20


def mask_rules(patterns: Sequence[str]) -> Rules:
    """Return what masks look for. Raises `Misconfigured` for a pattern that RE2 cannot take."""
    try:
        return _rules(patterns)
    except ValueError as error:
        raise Misconfigured("settings.invalid", f"recording.mask: {error}.") from error


def _rules(patterns: Sequence[str]) -> Rules:
    for pattern in patterns:
        found = _compiled(pattern)
        if found.search(b"", 0) is not None:
            raise ValueError(f"the pattern {pattern!r} matches nothing at all, so it would match everywhere")
    whole = _compiled("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None
    return Rules(whole, tuple(_start(pattern) for pattern in patterns), _any_of)


def _compiled(pattern: str) -> Searcher:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    options.encoding = re2.Options.Encoding.LATIN1
    try:
        return cast("Searcher", re2.compile(pattern.encode(), options))
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"the pattern {pattern!r} cannot be used: {reason}") from None


def _any_of(literals: Sequence[bytes]) -> Searcher:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    return cast("Searcher", re2.compile(b"|".join(b"".join(b"\\x%02x" % byte for byte in one) for one in literals), options))


def _start(pattern: str) -> bytes:
    """Return the literal text, in lower case, that every match begins with; b"" when that cannot be told at a glance."""
    pattern = pattern.removeprefix("(?i)")
    found = _PLAIN.match(pattern)
    if found is None or "|" in pattern:
        return b""
    text = found[0]
    following = pattern[len(text) : len(text) + 1]
    return (text[:-1] if following and following in _REPEATS else text).lower().encode()
