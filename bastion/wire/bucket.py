"""Token bucket: how many events a second, and how many at once.

It never reads a clock; whoever asks says what time it is (monotonic seconds).
"""

from __future__ import annotations


class Bucket:
    """`burst` tokens, refilled at `rate` a second."""

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = now

    def take(self, now: float, cost: float = 1.0) -> bool:
        """Take a token; False when there is none left (and nothing is taken)."""
        if now > self._at:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
            self._at = now
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True

    def give(self, amount: float = 1.0) -> None:
        """Put tokens back, for an event that earned them."""
        self._tokens = min(self._burst, self._tokens + amount)

    @property
    def full(self) -> bool:
        """Whether nothing is owed, as of the last call."""
        return self._tokens >= self._burst

    def refilled(self, now: float) -> bool:
        """Whether it would be full by now, so that it may be forgotten."""
        return self._tokens + (now - self._at) * self._rate >= self._burst
