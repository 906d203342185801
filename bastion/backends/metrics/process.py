"""What this process and its loop's thread use, as Linux tells. Never guesses: what cannot be read is 0."""

from __future__ import annotations

import os
import time
from typing import Final

from bastion.services.pulse import Usage

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_NANO: Final = 1e-9


def thread_usage() -> Usage:
    """Return what the calling thread used so far. `schedstat`: nanoseconds running, nanoseconds waiting to run."""
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:  # noqa: PTH123 - ten times a second: Path costs as much again
            ran, waited, *_ = file.read().split()
        return Usage(int(ran) * _NANO, int(waited) * _NANO)
    except (OSError, ValueError):
        return Usage(time.thread_time(), 0.0)


def memory() -> int:
    """Return the resident memory in bytes."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - as above
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return 0
