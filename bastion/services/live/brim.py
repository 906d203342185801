"""How large one recording may become. Never drops a byte: people are warned, then the session ends with the reason.

A cast is not continued in further parts: readers open it by range and it is packed after its end, so nothing here needs
small files. A limit exists for the runaway output alone, and parts would only let that fill the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WARN_AT: Final = (80, 95)
"""Percent of the limit at which everybody in the session is told."""


class Brim:
    """Watches one cast's length against `limit` (bytes). `warn` and `end` get a sentence."""

    def __init__(self, limit: int, warn: Callable[[str], None], end: Callable[[str], None]) -> None:
        self._limit = limit
        self._warn = warn
        self._end = end
        self._steps: Sequence[int] = [limit * percent // 100 for percent in WARN_AT]
        self.next = self._steps[0]
        """The length from which on `reached` must be called."""

    def reached(self, length: int) -> None:
        """Warn or end, and set `next` anew."""
        size = f"{self._limit / (1 << 30):.1f} GiB" if self._limit >= 1 << 30 else f"{max(1, self._limit >> 20)} MiB"
        if length >= self._limit:
            self.next = 1 << 62
            self._end(
                f"The recording reached its limit of {size}; all of it is kept. Sessions with more output need a higher recording.largest."
            )
            return
        self.next = next((step for step in self._steps if step > length), self._limit)
        self._warn(f"This session's recording has {100 * length // self._limit}% of its {size}; at the limit the session ends.")
