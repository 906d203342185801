"""What somebody typed, split into words as a shell would; `connect NAME -- COMMAND` keeps its tail untouched.

Never expands anything: `$`, `*` and backticks are plain characters here.
"""

from __future__ import annotations

import shlex
from typing import Final

from bastion.core.errors import Invalid

MAX_LINE: Final = 64 * 1024  # the longest command line that is looked at
_TAIL: Final = b" -- "
KEY_STARTS: Final = ("ssh-", "ecdsa-", "sk-")
"""How a public key begins: where a key or a file may stand, it is the key itself."""


def split_command(raw: bytes) -> tuple[list[str], bytes | None]:
    """Return (words, tail). `tail` is what follows the first ` -- ` of a `connect`, byte for byte.

    Raises `Invalid` with a sentence that says what to mend.
    """
    head, separator, tail = raw.partition(_TAIL)
    if separator and head.split(None, 1)[:1] == [b"connect"]:
        return split_line(head), tail if tail.strip() else None
    return split_line(raw), None


def split_line(raw: bytes) -> list[str]:
    """Return the words of `raw`. Raises `Invalid` for a line too long, not UTF-8, or with an open quote."""
    if len(raw) > MAX_LINE:
        raise Invalid("command.too_long", f"A command line may have {MAX_LINE} bytes; this one has {len(raw)}.")
    if b"\0" in raw:
        raise Invalid("command.nul", "A command line may not contain a NUL byte.")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise Invalid("command.encoding", f"The command line is not UTF-8 (byte {error.start + 1}).") from None
    try:
        return shlex.split(text, comments=False, posix=True)
    except ValueError as error:
        wrong = "a backslash at its end" if "escape" in str(error) else "a quote that is never closed"
        raise Invalid("command.quoting", f"The command line has {wrong}.") from None


def join_words(words: list[str]) -> bytes:
    """Return one command line that `split_command` splits into the same words again."""
    return shlex.join(words).encode("utf-8", "surrogateescape")
