"""Packs recordings when their sessions are over: one at a time, in one thread of low priority. Never touches a live one.

What waits is known by the store alone, so a crash forgets nothing: the next start goes on where this one stopped.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from bastion.core.errors import BastionError

if TYPE_CHECKING:
    from bastion.services.ports import Clock, Recordings

LOOK_SECONDS: Final = 10.0
NICENESS: Final = 15
_RETRY_SECONDS: Final = 600.0

_log = logging.getLogger("bastion.recordings")


class Packer:
    """Packs what was complete for `after` seconds, with zstd's `level` (0: leaves all plain)."""

    def __init__(self, recordings: Recordings, clock: Clock, *, level: int, after: float, look: float = LOOK_SECONDS) -> None:
        self._recordings = recordings
        self._clock = clock
        self._level = level
        self._after = after
        self._look = look
        self._stopped = asyncio.Event()
        self._stopping = False
        self._retry: dict[str, float] = {}  # what failed, and when it may be tried again

    async def run(self) -> None:
        """Look for work until `stop`. To be spawned once."""
        with ThreadPoolExecutor(1, "packer", initializer=_step_back) as thread:
            while not self._stopped.is_set():
                await self._work(thread)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopped.wait(), min(self._look, max(self._after, 0.1)))

    def stop(self) -> None:
        """End `run` after the frame in hand; what is half packed is plain still."""
        self._stopping = True
        self._stopped.set()

    async def _work(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        try:
            waiting = await loop.run_in_executor(thread, self._recordings.to_pack)
        except OSError as error:
            _log.error("what waits to be packed cannot be read: %s", error)
            return
        for session_id, since in waiting:
            now = self._clock.now()
            if self._stopping:
                return
            if now - since < self._after or now < self._retry.get(session_id, 0.0):
                continue
            try:
                await loop.run_in_executor(thread, self._recordings.pack, session_id, self._level, self._goes_on)
                self._retry.pop(session_id, None)
            except (OSError, BastionError) as error:  # it is plain still, and complete
                self._retry[session_id] = now + _RETRY_SECONDS
                _log.error("the recording of session %s cannot be packed, it stays as it is: %s", session_id, error)

    def _goes_on(self) -> bool:
        return not self._stopping


def _step_back() -> None:
    """Let everything else go first. The compressor works outside the interpreter's lock, so nobody waits for a slow thread."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
