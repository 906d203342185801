"""How this node is doing: what an admin asks first when something is slow. Never changes anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bastion.services.tasks import running

if TYPE_CHECKING:
    from collections.abc import Callable

    from bastion.services.auditor import Auditor
    from bastion.services.harvest import Lag as Behind
    from bastion.services.live.registry import Live
    from bastion.services.ports import Clock
    from bastion.services.pulse import Lag, Pulse


class Node:
    """One node's vital signs. `connections` returns (all, not logged in); `disk` (free, total) bytes for recordings."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        pulse: Pulse,
        live: Live,
        auditor: Auditor,
        connections: Callable[[], tuple[int, int]],
        disk: Callable[[], tuple[int, int]],
        memory: Callable[[], int],
        lag: Callable[[], Behind] | None = None,
    ) -> None:
        self._name = name
        self._clock = clock
        self._pulse = pulse
        self._live = live
        self._auditor = auditor
        self._connections = connections
        self._disk = disk
        self._memory = memory
        self._behind = lag
        self._started = clock.monotonic()

    def status(self) -> dict[str, object]:
        """Return the vital signs as plain values: seconds, bytes, counts."""
        connections, unauthenticated = self._connections()
        free, total = self._disk()
        pulse = self._pulse
        return {
            "name": self._name,
            "uptime": round(self._clock.monotonic() - self._started, 1),
            "sessions": len(self._live.actors()),
            "connections": connections,
            "unauthenticated": unauthenticated,
            "tasks": len(running()),
            "memory": self._memory(),
            "audit": {"waiting": self._auditor.waiting, "healthy": self._auditor.healthy, "lost": self._auditor.lost},
            "search_index": self._behind()._asdict() if self._behind is not None else {"lines": 0, "recordings": 0},
            "recordings_disk": {"free": free, "total": total},
            "loop_lag": {
                "last_minute": _lag(pulse.recent),
                "worst": _lag(pulse.worst),
                "worst_own": _lag(pulse.worst_own),
                "alarms": pulse.alarms,
            },
        }


def _lag(lag: Lag) -> dict[str, object]:
    return {
        "at": lag.at,
        "seconds": round(lag.seconds, 3),
        "own": round(lag.own, 3),
        "cpu": round(lag.cpu, 3),
        "stolen": round(lag.stolen, 3),
        "where": lag.where,
    }
