"""One audited fact. Knows nothing of chains or databases."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Who did what, from where, with what result and why.

    `code` is stable and dotted (`login.accepted`, `session.started`, `control.given`); `actor` is a user name or
    "system"; `subject` is what it was done to (endpoint, user, session id); `result` is "ok", "denied" or "failed".
    `at` is seconds since the epoch. `data` holds plain JSON values, never secrets.
    """

    code: str
    at: float
    actor: str = "system"
    source: str = ""
    subject: str = ""
    session: str = ""
    result: str = "ok"
    reason: str = ""
    data: dict[str, object] = field(default_factory=dict)
