"""When people are told that their session will end: ten, five and one minute before. Never ends anything itself."""

from __future__ import annotations

import math
from typing import Final

WARN_SECONDS: Final = (600.0, 300.0, 60.0)
_MINUTE: Final = 60


class Deadline:
    """Remembers what was said about one end. Times are on one clock, whichever."""

    def __init__(self) -> None:
        self._told: float | None = None
        """The step that was told last; a later end forgets it."""

    def warning(self, at: float, ends: float | None) -> str:
        """Return how long is left if it is time to say so again, else ""."""
        step = None if ends is None else min((one for one in WARN_SECONDS if ends - at <= one), default=None)
        before, self._told = self._told, step
        if ends is None or step is None or ends <= at or (before is not None and before <= step):
            return ""
        left = ends - at
        return f"{math.ceil(left / _MINUTE)} min" if left > _MINUTE - 1 else f"{math.ceil(left)} s"

    def next(self, at: float, ends: float | None) -> float | None:
        """Return when to ask again."""
        return None if ends is None else min((ends - one for one in WARN_SECONDS if ends - one > at), default=None)
