"""Waiting for what another process does, where no event can be had: look often, give up late, say what was seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


def until(look: Callable[[], _T], what: str, seconds: float = 20, every: float = 0.03) -> _T:
    """Return what `look` returns once that is true."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what} (last seen: {found!r})")
        time.sleep(every)
