"""No byte of a peer acts on the terminal that reads the log, and none can pose as a line of it."""

from __future__ import annotations

import logging
import sys

import pytest

from bastion.backends.metrics.log import FORMAT, SafeFormatter

HOSTILE = "x\x1b]0;pwn\x07\x1b[2J\n2026-01-01 00:00:00,000 INFO bastion forged\r\x9b31m\u202e\x00"


def raised(text: str) -> object:
    try:
        raise ValueError(text)
    except ValueError:
        return sys.exc_info()


@pytest.mark.parametrize("where", ["message", "argument", "exception", "stack"])
def test_hostile_text_is_escaped_wherever_it_is_in_a_record(where: str) -> None:
    record = logging.LogRecord(
        "bastion.x", logging.ERROR, "f.py", 1, HOSTILE if where == "message" else "%s",
        () if where == "message" else (HOSTILE if where == "argument" else "m",),
        raised(HOSTILE) if where == "exception" else None, sinfo=HOSTILE if where == "stack" else None,
    )  # fmt: skip
    line = SafeFormatter(FORMAT).format(record)
    assert not set(line) & {chr(c) for c in [*range(10), *range(11, 32), *range(127, 160), 0x202E]}
    first, *rest = line.split("\n")
    assert all(one.startswith("  | ") for one in rest)
    assert "forged" in line
    assert bool(rest) == (where in {"exception", "stack"})
