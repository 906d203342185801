"""The policy in force: loaded at start, taken up again when its files change. Never replaced by a bad one.

`epoch` rises by one each time the policy's meaning changes; whoever holds a decision asks again then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, ParamSpec, Protocol

from bastion.core.access.policy import Policy
from bastion.core.access.source import PolicyWarning
from bastion.core.errors import Misconfigured

P = ParamSpec("P")
_LOG: Final = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
"""A change is taken up after two equal looks, so within about a second: revocation has two in all."""


class PolicySource(Protocol):
    """Where a policy is kept. Both methods may block and are called in a thread."""

    def load(self) -> tuple[Policy, list[PolicyWarning]]:
        """Return the policy and warnings; raises `Misconfigured`."""

    def fingerprint(self) -> object:
        """Return a value that differs once something changed."""


@dataclass(frozen=True, slots=True)
class Reload:
    """What came of a reload. `refused` is why the last good policy stayed; `changed`: the meaning is another one."""

    epoch: int
    changed: bool
    warnings: tuple[PolicyWarning, ...] = ()
    refused: Misconfigured | None = None


class Policies:
    """Holds the policy in force. Made by `start`, so there is none without a valid policy."""

    def __init__(self, source: PolicySource, policy: Policy, warnings: list[PolicyWarning], seen: object) -> None:
        self._source = source
        self._policy = policy
        self._changed: list[Callable[[Policy, int], None]] = []
        self._reloaded: list[Callable[[Reload], None]] = []
        self._one_at_a_time = asyncio.Lock()  # a command and the watch may reload at once; the newer must win
        self._loaded = seen
        self._last_look = seen
        self.epoch = 1
        self.last = Reload(1, changed=True, warnings=tuple(warnings))

    @classmethod
    async def start(cls, source: PolicySource) -> Policies:
        """Load the first policy; raises `Misconfigured`, and then the server does not start."""
        seen = await asyncio.to_thread(source.fingerprint)  # before loading: a change in between is seen again
        policy, warnings = await asyncio.to_thread(source.load)
        return cls(source, policy, warnings, seen)

    @property
    def current(self) -> Policy:
        """Return the policy in force."""
        return self._policy

    def on_change(self, callback: Callable[[Policy, int], None]) -> None:
        """Have `callback(policy, epoch)` called on the loop after each change of meaning."""
        self._changed.append(callback)

    def on_reload(self, callback: Callable[[Reload], None]) -> None:
        """Have `callback(reload)` called after each reload, also a refused one: to audit it and say it loudly."""
        self._reloaded.append(callback)

    async def reload(self) -> Reload:
        """Load again now. A bad policy is refused and reported; the last good one stays in force."""
        async with self._one_at_a_time:
            seen = await asyncio.to_thread(self._source.fingerprint)
            try:
                policy, warnings = await asyncio.to_thread(self._source.load)
            except Misconfigured as error:
                self.last = Reload(self.epoch, changed=False, refused=error)
            else:
                changed = await asyncio.to_thread(policy.__ne__, self._policy)  # thousands of rules: not on the loop
                self._policy = policy  # also when it means the same: its lines may have moved
                self.epoch += changed
                self.last = Reload(self.epoch, changed, tuple(warnings))
            self._loaded = seen
            report = self.last
            if report.changed:
                for tell in self._changed:
                    _guarded(tell, self._policy, self.epoch)
            for hear in self._reloaded:
                _guarded(hear, report)
            return report

    async def poll(self) -> Reload | None:
        """Look once; reload when the files changed and have rested since the last look (a half-written file has not)."""
        look = await asyncio.to_thread(self._source.fingerprint)
        rested, self._last_look = look == self._last_look, look
        if look == self._loaded or not rested:
            return None
        return await self.reload()

    async def watch(self, interval: float = POLL_SECONDS) -> None:
        """Look every `interval` seconds until cancelled."""
        while True:
            await asyncio.sleep(interval)
            await self.poll()


def _guarded(call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a listener. One that fails is logged and keeps no other from hearing of a revocation."""
    try:
        call(*args, **kwargs)
    except Exception:  # noqa: BLE001 - whatever it is, it is the listener's and is logged with its trace
        _LOG.exception("a listener of the policy failed")
