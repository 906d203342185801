"""What of a session must not reach the disk: masks its output and what is typed on their way into the recording.

Never changes what people see, and never delays it: live, everything is shown at once; only the recording waits while
the last bytes could be the beginning of a secret (at most `PATIENCE` seconds after the last of them, at most 1 KiB). A
crash in that moment loses those bytes of the recording: a beginning of a secret is not written early to spare them.
"""

from __future__ import annotations

from typing import Final

from bastion.core.recording.mask import Mask, Rules

PATIENCE: Final = 2.0
"""Seconds that the beginning of a known secret waits for its next byte: people type one in less."""
SHORT_PATIENCE: Final = 0.1
"""Seconds for what patterns hold, which is more often innocent: a program writes its line in less."""


class Veil:
    """The masks of one session: one for output, one for each person's typing."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._secrets: list[bytes] = []
        self._output = Mask((), rules)
        self._typing: dict[str, Mask] = {}
        self._since = 0.0

    def learn(self, secret: bytes) -> None:
        """Keep this secret out from now on."""
        self._secrets.append(secret)
        for mask in (self._output, *self._typing.values()):
            mask.learn(secret)

    @property
    def held(self) -> bool:
        """Whether some output waits."""
        return self._output.held > 0

    @property
    def masked(self) -> int:
        """How many secrets were masked in output."""
        return self._output.masked

    def output(self, data: bytes, at: float) -> bytes:
        """Return what may be recorded now."""
        self._since = at
        return self._output.feed(data)

    def typed(self, data: bytes, at: float, by: str) -> bytes:
        """Return what may be recorded now of what `by` typed."""
        self._since = at
        if by not in self._typing:
            self._typing[by] = Mask(self._secrets, self._rules)
        return self._typing[by].feed(data)

    def wait(self, now: float) -> float | None:
        """Return the seconds until what is held must be let go; None when nothing is held."""
        held = [mask for mask in (self._output, *self._typing.values()) if mask.held]
        if not held:
            return None
        patience = PATIENCE if any(mask.holds_literal for mask in held) else SHORT_PATIENCE
        return max(0.0, self._since + patience - now)

    def flush_typed(self) -> list[tuple[str, bytes]]:
        """Let go of what was typed, and by whom."""
        return [(by, data) for by, mask in self._typing.items() if (data := mask.flush())]

    def flush_output(self) -> bytes:
        """Let go of the output alone."""
        return self._output.flush()

    def text(self, text: str) -> str:
        """Return a sentence without secrets."""
        return self._output.text(text)

    def shows(self, screen: bytes) -> bool:
        """Return whether a screen shows a secret, so that it must not be kept."""
        return self._output.shows(screen)
