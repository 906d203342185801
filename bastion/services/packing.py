"""Packs recordings a while after their sessions are over, beside the server. Never touches a live one.

What waits is known by the store alone, so a crash forgets nothing: the next start goes on where this one stopped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final

from bastion.core.errors import BastionError
from bastion.services.sealing import sign_stored

if TYPE_CHECKING:
    from bastion.core.audit.checkpoint import Signer
    from bastion.services.ports import Clock
    from bastion.services.record_ports import Recordings

LOOK_SECONDS: Final = 10.0
_SHORTEST_LOOK: Final = 0.1
_RETRY_SECONDS: Final = 600.0

Pack = Callable[[Sequence[str]], Awaitable[dict[str, str]]]
"""Packs these sessions' recordings; returns which of them it could not, and why."""

_log = logging.getLogger("bastion.recordings")


class Packer:
    """Has `pack` take what was complete for `after` seconds."""

    def __init__(self, recordings: Recordings, clock: Clock, pack: Pack, *, after: float, signer: Signer | None = None) -> None:
        """`signer`: where recordings are encrypted, so that they can be checked by who cannot read them."""
        self._recordings = recordings
        self._clock = clock
        self._pack = pack
        self._signer = signer
        self._after = after
        self._retry: dict[str, float] = {}  # what failed, and when it may be tried again

    async def run(self) -> None:
        """Look for work until cancelled; what is half packed then is plain still."""
        while True:
            try:
                await self._work()
            except OSError as error:
                _log.error("recordings cannot be packed: %s", error)
            await asyncio.sleep(min(LOOK_SECONDS, max(self._after, _SHORTEST_LOOK)))

    async def _work(self) -> None:
        waiting = await asyncio.to_thread(self._recordings.to_pack)
        now = self._clock.now()
        due = [name for name, since in waiting if now - since >= self._after and now >= self._retry.get(name, 0.0)]
        if not due:
            return
        failed = await self._pack(due)
        if self._signer is not None:
            for name in due:
                if name not in failed:
                    await self._sign(name, self._signer)
        for name, why in failed.items():  # it is plain still, and complete
            self._retry[name] = now + _RETRY_SECONDS
            _log.error("the recording of session %s cannot be packed, it stays as it is: %s", name, why)

    async def _sign(self, name: str, signer: Signer) -> None:
        try:
            if not (await asyncio.to_thread(self._recordings.is_encrypted, name)):
                return
            await asyncio.to_thread(sign_stored, self._recordings, name, signer)
            await asyncio.to_thread(self._recordings.packed_and_signed, name)
        except BastionError as error:
            self._retry[name] = self._clock.now() + _RETRY_SECONDS
            _log.error("the encrypted recording of session %s cannot be signed: %s", name, error)
