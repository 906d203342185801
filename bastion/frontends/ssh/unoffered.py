"""What clients ask for and never get, in a sentence: stock ssh hides most refusals, so the next session says it. Decides nothing."""

from __future__ import annotations

from typing import Final

SENTENCES: Final = {
    "auth-agent-req@openssh.com": "Agent forwarding (ssh -A) is not offered: nobody on an endpoint gets to use your keys. ssh -J needs none.",
    "x11-req": "X11 forwarding (ssh -X, -Y) is not offered.",
    "tcpip-forward": "Remote forwarding (ssh -R) is not offered: nothing listens here or on endpoints for you.",
    "streamlocal-forward@openssh.com": "Remote forwarding (ssh -R) is not offered: nothing listens here or on endpoints for you.",
}


class Unoffered:
    """Sentences that a connection still has to be told, each once."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._told: set[str] = set()

    def note(self, request: str) -> None:
        """Keep what is to be said of a refused request."""
        sentence = SENTENCES.get(request)
        if sentence is not None and sentence not in self._told:
            self._told.add(sentence)
            self._waiting.append(sentence)

    def take(self) -> bytes:
        """Return what is to be said now, and forget it."""
        waiting, self._waiting = self._waiting, []
        return "".join(f"bastion: {sentence}\r\n" for sentence in waiting).encode()
