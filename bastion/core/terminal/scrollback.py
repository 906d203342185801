"""The rows that left the top of the main screen: bounded, small, and read only when asked for.

Never draws: rows come packed, or as a `Passed` stretch of output whose rows are worked out when
somebody looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from bastion.core.terminal.line import Line, Packed, pack


class Passed(NamedTuple):
    """Output that was skipped: at least `least` rows, which `render` returns, oldest first."""

    least: int
    render: Callable[[], list[Packed]]


class Scrollback:
    """At most `limit` rows, the newest last."""

    __slots__ = ("_items", "_passed", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._items: deque[Packed | Passed] = deque()
        self._passed = 0

    def push(self, line: Line) -> None:
        """Add a row that left the screen."""
        items = self._items
        items.append(pack(line))
        if len(items) > self.limit:
            if self._passed:
                self._trim()
            else:
                items.popleft()

    def push_passed(self, passed: Passed) -> None:
        """Add a stretch of output whose rows need not be known yet."""
        self._items.append(passed)
        self._passed += 1
        self._trim()

    def extend(self, rows: list[Packed]) -> None:
        """Add rows at rest, oldest first."""
        self._items.extend(rows)
        self._trim()

    def _trim(self) -> None:
        """Drop from the old end what the newer rows alone already push out."""
        items, limit = self._items, self.limit
        if not self._passed:
            while len(items) > limit:
                items.popleft()
            return
        size = sum(item.least if isinstance(item, Passed) else 1 for item in items)
        while items:
            oldest = items[0]
            least = oldest.least if isinstance(oldest, Passed) else 1
            if size - least < limit and (size <= limit or least > 1):
                break
            items.popleft()
            size -= least
            self._passed -= isinstance(oldest, Passed)

    def _settle(self) -> None:
        """Work out what was put off."""
        if self._passed:
            rows: list[Packed] = []
            for item in self._items:
                if isinstance(item, Passed):
                    rows += item.render()
                else:
                    rows.append(item)
            self._items = deque(rows[-self.limit :] if self.limit else ())
            self._passed = 0

    def __len__(self) -> int:
        self._settle()
        return len(self._items)

    def rows(self, count: int | None = None) -> list[Packed]:
        """Return the newest `count` rows (all by default), oldest first."""
        self._settle()
        rows = [item for item in self._items if isinstance(item, Packed)]
        return rows if count is None else rows[max(0, len(rows) - count) :]

    def pop(self) -> Packed:
        """Take back the newest row. There must be one."""
        self._settle()
        item = self._items.pop()
        assert isinstance(item, Packed)  # noqa: S101 - _settle left nothing else
        return item

    def clear(self) -> None:
        """Forget all."""
        self._items.clear()
        self._passed = 0
