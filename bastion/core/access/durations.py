"""Lengths of time as policies write them: `90s`, `30m`, `8h`, `1h30m`, `2d`. Never bare numbers."""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_FORM: Final = re.compile(r"(?:([0-9]{1,4})d)?(?:([0-9]{1,5})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,7})s)?")


def parse_duration(text: str) -> float:
    """Return seconds, or raise `ValueError` with a sentence that says the form."""
    found = _FORM.fullmatch(text)
    if not text or found is None:
        raise ValueError(f"{text[:32]!a} is not a length of time; write it like 30m, 8h, 1h30m or 2d")
    return float(sum(int(count) * _SECONDS[unit] for count, unit in zip(found.groups(), "dhms", strict=True) if count))


def show_duration(seconds: float) -> str:
    """Return the shortest spelling that `parse_duration` reads back (whole seconds)."""
    left, parts = int(seconds), []
    for unit, size in _SECONDS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
