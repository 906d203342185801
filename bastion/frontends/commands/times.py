"""Times as people write them in options. Never a clock of its own."""

from __future__ import annotations

from datetime import UTC, datetime

from bastion.core.access.durations import parse_duration
from bastion.core.errors import Invalid


def moment(text: str, now: float) -> float | None:
    """Return the time (seconds since the epoch) that an option names; None for none.

    `7d`, `90m`: so long ago. `2026-11-20`, `2026-11-20T10:00`: then, in UTC where no zone is named.
    """
    if not text:
        return None
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(
            "usage.time", f"{text[:32]!a} is no time: write how long ago (90m, 7d) or when (2026-11-20, 2026-11-20T10:00)."
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
