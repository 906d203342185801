"""What one session has to write to the store, in order, beside its bytes. Never holds the session up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from bastion.services.tasks import spawn


class Ledger:
    """Writes one after the other; a write that fails is reported and does not stop the next."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: deque[Callable[[], Awaitable[None]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, write: Callable[[], Awaitable[None]]) -> None:
        """Queue a write."""
        self._waiting.append(write)
        if self._task is None:
            self._task = spawn(self._name, self._run())

    async def written(self) -> None:
        """Wait until nothing waits."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._waiting:
                write = self._waiting.popleft()
                try:
                    await write()
                except Exception as error:  # noqa: BLE001 - the session goes on; the audit has its own, strict way
                    asyncio.get_running_loop().call_exception_handler({"message": f"{self._name}: a write failed", "exception": error})
        finally:
            self._task = None
