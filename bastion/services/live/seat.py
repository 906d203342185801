"""One participant's place in a session: their console, and whether they get bytes or pictures.

A seat for a viewer can show and can ask; nothing here writes to an endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from bastion.core.session import events as e
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.fullscreen import enter, give_back, leave
from bastion.core.terminal.grid import Row

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
        typed: Callable[[str, bytes], None],
        now: Callable[[], float],
        status: Callable[[str], Row | None],
        panel: Callable[[str], tuple[Row, ...]],
        *,
        links: bool = False,
    ) -> None:
        self.participant = participant
        self.console = console
        self.size: Size = console.size
        self.caps = Caps.of(console.term, console.environment.get("COLORTERM", ""), _locale(console.environment), links=links)
        self.raw = False
        self.aligned = False
        """Whether their terminal is known to stand where the session's screen stands."""
        self.rendered = False
        self.hidden = False
        """Another window of theirs is in front: nothing is sent until it is this one's turn again."""
        self.out: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
        self.endpoint_waits = False
        self.notices: dict[object, list[str]] = {}
        """What is said to them now, oldest first, each in lines of their width."""
        self.panel_shown = False
        """Whether what is said is a panel (keys, people), which goes away with the next key."""
        self.prompt: str | None = None
        """What they are asked, with what they answered so far; stands above notices."""
        self.overlay = b""
        """What takes the overlay away, while one is shown."""
        self._blocked_at: float | None = None
        self._post = post
        self._typed = typed
        self._now = now
        self._status = status
        self._panel = panel
        self.on_drained: Callable[[], None] = lambda: None
        self.on_read: Callable[[], None] = lambda: None
        self.on_hidden: Callable[[], None] = lambda: None
        self.on_shown: Callable[[], None] = lambda: None
        self.on_told: Callable[[str], None] = lambda _: None
        self.view: Callable[[], SessionView] | None = None
        """The session as it is listed now."""
        self.on_resized: Callable[[Size], None] = lambda _: None

    # ------------------------------------------------------------ from the person

    def typed(self, data: bytes) -> None:
        """Bytes came from the person."""
        if self.panel_shown:
            self.on_read()
        self._typed(self.participant, data)

    def resized(self, size: Size) -> None:
        """Their window has another size."""
        self.size = size
        self.on_resized(size)
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
        self._blocked_at = None
        self.on_drained()

    # ------------------------------------------------------------ windows

    def hide(self) -> None:
        """Another window comes to the front: give the terminal back, blank or not, and send nothing."""
        self.on_hidden()
        self.hidden = True
        self._blocked_at = None

    def unhide(self) -> None:
        """This window is in front again: take its size, and show the session exactly as it is."""
        self.hidden = False
        if self.console.size != self.size:
            self.resized(self.console.size)
        self.on_shown()

    # ------------------------------------------------------------ to the person

    def write(self, data: bytes, *, stderr: bool = False) -> bool:
        """Send the endpoint's bytes as they are; False when the endpoint should wait. Nothing once they are out."""
        if self.out.done():
            return True
        ok = self.console.write_error(data) if stderr else self.console.write(data)
        if not ok:
            self._block()
        return ok

    def ready(self) -> bool:
        """Return whether they took the last frame."""
        return self._blocked_at is None and self.console.is_open and not self.out.done()

    def _block(self) -> None:
        if self._blocked_at is None:
            self._blocked_at = self._now()

    @property
    def lag(self) -> float:
        """Return for how many seconds they have not taken what they were sent; 0 when they keep up."""
        return 0.0 if self._blocked_at is None else self._now() - self._blocked_at

    @property
    def words(self) -> list[str]:
        """Return what is to be said to them now, in lines."""
        if self.prompt is None:
            return [text for lines in self.notices.values() for text in lines]
        most = self.size.columns - 2
        return [self.prompt if len(self.prompt) <= most else f"<{self.prompt[1 - most :]}"]

    def status(self) -> Row | None:
        """Return their status line."""
        return self._status(self.participant)

    def panel(self) -> tuple[Row, ...]:
        """Return lines of ours over the picture."""
        return self._panel(self.participant)

    def show(self, data: bytes) -> None:
        """Send a frame; nothing once they are out."""
        if not self.out.done() and not self.console.write(data):
            self._block()

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

    def give_back(self, *, alternate: bool, in_line: bool) -> None:
        """Undo on their terminal what the program did that they leave behind."""
        if self.raw and self.console.is_open:
            self.console.write(give_back(self.caps, alternate=alternate, in_line=in_line))

    def dismiss(self, code: str, text: str) -> None:
        """End their stay; `out` tells whoever brought them."""
        self.console.detach()
        self.stop_pictures()
        if not self.out.done():
            self.out.set_result((code, text))


def _locale(environment: dict[str, str]) -> str:
    return environment.get("LC_ALL") or environment.get("LC_CTYPE") or environment.get("LANG", "")
