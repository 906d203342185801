"""One participant's place in a session: their console, and whether they get bytes or pictures.

A seat for a viewer can show and can ask; nothing here writes to an endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from bastion.core.session import events as e
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.fullscreen import enter, leave
from bastion.core.terminal.grid import Grid, Row

if TYPE_CHECKING:
    from bastion.core.values import Size
    from bastion.services.console import Console
    from bastion.services.live.views import SessionView


class Seat:
    """A console connected to a session as one participant (implements ConsoleListener and Picture)."""

    def __init__(
        self,
        participant: str,
        console: Console,
        post: Callable[[e.Event], None],
        now: Callable[[], float],
        status: Callable[[str], Row | None],
    ) -> None:
        self.participant = participant
        self.console = console
        self.size: Size = console.size
        self.caps = Caps.of(console.term, console.environment.get("COLORTERM", ""), _locale(console.environment))
        self.raw = False
        self.rendered = False
        self.hidden = False
        """Another window of theirs is in front: nothing is sent until it is this one's turn again."""
        self.out: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
        self.endpoint_waits = False
        self.notice: list[str] = []
        self.overlay = b""
        """What takes the overlay away, while one is shown."""
        self._blocked = False
        self._post = post
        self._now = now
        self._status = status
        self.on_drained: Callable[[], None] = lambda: None
        self.on_hidden: Callable[[], None] = lambda: None
        self.on_shown: Callable[[], None] = lambda: None
        self.on_told: Callable[[str], None] = lambda text: None
        self.view: Callable[[], SessionView] | None = None
        """The session as it is listed now."""

    # ------------------------------------------------------------ from the person

    def typed(self, data: bytes) -> None:
        """Bytes came from the person."""
        self._post(e.InputReceived(self._now(), self.participant, data))

    def resized(self, size: Size) -> None:
        """Their window has another size."""
        self.size = size
        self._post(e.Resized(self._now(), self.participant, size))

    def signalled(self, name: str) -> None:
        """Their client sent a signal."""
        self._post(e.SignalReceived(self._now(), self.participant, name))

    def ended(self) -> None:
        """Their input is at its end."""
        self._post(e.InputEnded(self._now(), self.participant))

    def lost(self) -> None:
        """Their connection is gone."""
        self._post(e.Left(self._now(), self.participant, "The connection was lost."))

    def drained(self) -> None:
        """They took what they were sent."""
        self._blocked = False
        self.on_drained()

    # ------------------------------------------------------------ windows

    def hide(self) -> None:
        """Another window comes to the front: give the terminal back, blank or not, and send nothing."""
        self.on_hidden()
        self.hidden = True
        self._blocked = False

    def unhide(self) -> None:
        """This window is in front again: take its size, and show the session exactly as it is."""
        self.hidden = False
        if self.console.size != self.size:
            self.resized(self.console.size)
        self.on_shown()

    # ------------------------------------------------------------ to the person

    def write(self, data: bytes, *, stderr: bool = False) -> bool:
        """Send the endpoint's bytes as they are; False when the endpoint should wait."""
        ok = self.console.write_error(data) if stderr else self.console.write(data)
        if not ok:
            self._blocked = True
        return ok

    def ready(self) -> bool:
        """Return whether they took the last frame."""
        return not self._blocked and self.console.is_open

    def status(self) -> Row | None:
        """Return their status line."""
        return self._status(self.participant)

    def show(self, data: bytes) -> None:
        """Send a frame."""
        if not self.console.write(data):
            self._blocked = True

    def start_pictures(self) -> None:
        """Bring their terminal into the state that pictures are drawn on."""
        if not self.rendered:
            self.rendered = True
            self.console.write(enter(self.caps))

    def stop_pictures(self) -> None:
        """Give their terminal back as it was."""
        if self.rendered:
            self.rendered = False
            self.console.write(leave(self.caps))

    def dismiss(self, code: str, text: str) -> None:
        """End their stay; `out` tells whoever brought them."""
        self.console.detach()
        self.stop_pictures()
        if not self.out.done():
            self.out.set_result((code, text))


def _locale(environment: dict[str, str]) -> str:
    return environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG", "")
