"""The program's log: one event is one line, and no byte from outside acts on the terminal that reads it.

Never trusts a message: names, versions and error texts of peers end up in messages and in tracebacks.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

from bastion.core.text import safe_text

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
_MESSAGE: Final = 4000
_LINE: Final = 1000


class SafeFormatter(logging.Formatter):
    """Escapes what acts or hides. A traceback's lines are marked, so that none can pose as an event."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging calls it so
        """Return the event's line."""
        return safe_text(super().formatMessage(record), _MESSAGE)

    def formatException(self, ei: object) -> str:  # noqa: N802
        """Return the traceback."""
        return _marked(super().formatException(ei))  # type: ignore[arg-type]

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        """Return a stack."""
        return _marked(super().formatStack(stack_info))


def _marked(text: str) -> str:
    # not splitlines(): that would take U+2028 and form feeds for line ends, too
    return "\n".join(f"  | {safe_text(line, _LINE)}" for line in text.split("\n"))


def set_up(level: str) -> None:
    """Log to standard error from `level` up ("info")."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter(FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
