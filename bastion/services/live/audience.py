"""Everybody in a session: bytes for who has the keyboard, pictures for the others, words of ours for each.

What the bastion says is out of band: an overlay on the terminal of who gets bytes, the status line of who gets
pictures, a line of its own where nothing can be drawn. It never reaches the endpoint or the recording.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from bastion.core.session import effects as do
from bastion.core.session.session import Session
from bastion.core.session.state import State
from bastion.core.terminal.fullscreen import settle
from bastion.core.terminal.grid import Row
from bastion.core.terminal.paint import line
from bastion.core.terminal.style import REVERSE, style
from bastion.core.text import safe_text
from bastion.services.live.screen import LiveScreen
from bastion.services.live.seat import Seat

NOTICE_SECONDS: Final = 6.0
HELP_SECONDS: Final = 20.0
AGAIN_SECONDS: Final = 0.15  # output took the overlay away: it comes back when that pauses
_BAR: Final = style(flags=REVERSE)
HELP: Final = (
    "Ctrl-] and then   d  leave (yours goes on, attach brings it back)   Ctrl-]  send it",
    "  r  ask for the keyboard   g  give it   t  take it   w  who is here",
    "  P  pause or resume   k  end for everybody   ?  this help",
    "  c  menu: another window   n p 0-9  switch   s  list them   D  leave them all",
)


class Audience:
    """The seats of one session."""

    def __init__(
        self,
        session: Session,
        endpoint: str,
        screen: LiveScreen | None,
        hold_back: Callable[[str], None],
        go_on: Callable[[str], None],
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._screen = screen
        self._hold_back = hold_back
        self._go_on = go_on
        self._seats: dict[str, Seat] = {}

    def add(self, seat: Seat) -> None:
        """Put a seat there; an older one of the same participant is forgotten."""
        seat.on_drained = lambda: self._go_on(seat.participant)
        seat.on_hidden = lambda: self._hide(seat)
        seat.on_shown = lambda: self._unhide(seat)
        seat.on_told = lambda text: self._tell(seat, [text], NOTICE_SECONDS)
        self._seats[seat.participant] = seat

    def keys(self) -> list[str]:
        """Return who has a seat."""
        return list(self._seats)

    # ------------------------------------------------------------ back-pressure

    def hold_typing(self) -> None:
        """The endpoint takes no more: stop who types."""
        seat = self._seats.get(self._session.control.holder or "")
        if seat is not None and not seat.endpoint_waits:
            seat.endpoint_waits = True
            seat.console.pause()

    def let_type(self) -> None:
        """The endpoint takes more again."""
        for seat in self._seats.values():
            if seat.endpoint_waits:
                seat.endpoint_waits = False
                seat.console.resume()

    # ------------------------------------------------------------ bytes and pictures

    def show(self, effect: do.Show) -> None:
        """Send the endpoint's bytes as they are."""
        seat = self._seats.get(effect.participant)
        if seat is None or not seat.raw:
            return
        if seat.overlay:
            self._lift(seat)
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._draw, seat)
        if not seat.write(effect.data, stderr=effect.stderr):
            self._hold_back(effect.participant)

    def show_raw(self, effect: do.ShowRaw) -> None:
        """Bring a terminal to the screen as it is, then send bytes."""
        seat = self._seats.get(effect.participant)
        screen = self._screen
        if seat is None or screen is None:
            return

        def switch() -> None:
            if self._session.control.holder != seat.participant or seat.out.done() or seat.hidden:
                return
            screen.remove(seat.participant)
            seat.stop_pictures()
            if seat.caps.full_screen:
                seat.write(settle(seat.caps) + b"\x1b[H\x1b[2J" + screen.keyframe())
            seat.raw = True
            self._draw(seat)

        screen.when_current(switch)

    def show_rendered(self, effect: do.ShowRendered) -> None:
        """Show pictures from now on."""
        seat = self._seats.get(effect.participant)
        if seat is None or self._screen is None:
            return
        self._lift(seat)
        seat.raw = False
        self._go_on(effect.participant)
        if seat.hidden:
            return
        seat.start_pictures()
        self._screen.add(effect.participant, seat)

    def dismiss(self, effect: do.Dismiss) -> None:
        """Take a seat away."""
        seat = self._seats.pop(effect.participant, None)
        if seat is None:
            return
        self._lift(seat)
        if self._screen is not None:
            self._screen.remove(effect.participant)
        self._go_on(effect.participant)
        if seat.raw and effect.code not in ("exit", "signal", "session.lost"):
            self._settle(seat)
        seat.dismiss(effect.code, effect.text)

    # ------------------------------------------------------------ windows

    def window(self, effect: do.Window) -> None:
        """Pass a key about windows to the console it was typed at."""
        seat = self._seats.get(effect.participant)
        if seat is not None and not seat.console.window_command(effect.key, effect.rest):
            self._tell(seat, ["There are no windows here: log in without a command, or with connect NAME."], NOTICE_SECONDS)
            if effect.rest:
                seat.typed(effect.rest)

    def _hide(self, seat: Seat) -> None:
        """Send nothing more to a seat, and leave its terminal without what the program had set on it."""
        self._lift(seat)
        if self._screen is not None:
            self._screen.remove(seat.participant)
        if seat.raw:
            seat.raw = False
            self._settle(seat)
        seat.stop_pictures()
        self._go_on(seat.participant)

    def _unhide(self, seat: Seat) -> None:
        """Show the session again as it is now."""
        if self._session.control.holder == seat.participant:
            self.show_raw(do.ShowRaw(seat.participant))
        elif self._session.state in (State.PENDING, State.CONNECTING):
            seat.raw = seat.participant == self._session.owner
        else:
            self.show_rendered(do.ShowRendered(seat.participant))

    def _settle(self, seat: Seat) -> None:
        """Leave a terminal that got bytes as a shell expects it: whatever ran there goes on without it."""
        if self._screen is not None and seat.caps.full_screen:
            seat.write(settle(seat.caps, alternate=self._screen.alternate))

    # ------------------------------------------------------------ words

    def notify(self, effect: do.Notify) -> None:
        """Tell some, or (an empty tuple) everybody."""
        for key in effect.participants or tuple(self._seats):
            seat = self._seats.get(key)
            if seat is not None:
                self._tell(seat, [effect.text], NOTICE_SECONDS)

    def show_help(self, effect: do.ShowHelp) -> None:
        """Show the keys."""
        seat = self._seats.get(effect.participant)
        if seat is not None:
            self._tell(seat, list(HELP), HELP_SECONDS)

    def _tell(self, seat: Seat, words: list[str], seconds: float) -> None:
        if not seat.caps.full_screen:
            for text in words:
                seat.console.write_error(f"\r\n[bastion] {safe_text(text)}\r\n".encode())
            return
        self._lift(seat)
        seat.notice = words
        asyncio.get_running_loop().call_later(seconds, self._forget, seat, words)
        if seat.rendered:
            self.refresh()
        else:
            self._draw(seat)

    def _forget(self, seat: Seat, words: list[str]) -> None:
        if seat.notice is not words:
            return
        seat.notice = []
        self._lift(seat)
        if seat.rendered:
            self.refresh()

    def _draw(self, seat: Seat) -> None:
        """Put the overlay over a terminal that gets bytes: at the top, or at the bottom when the cursor is there."""
        screen = self._screen
        if screen is None or not seat.notice or not seat.raw or seat.overlay or seat.out.done():
            return

        def put() -> None:
            if not seat.notice or not seat.raw or seat.overlay or seat.out.done():
                return
            rows = [line(self._session.size.columns, f" {text}", _BAR) for text in seat.notice]
            at = 0 if screen.cursor_line >= len(rows) else self._session.size.lines - len(rows)
            drawn = screen.overlay(rows, max(0, at))
            if drawn is None:
                asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._draw, seat)
                return
            seat.overlay = drawn.hide
            seat.write(drawn.show)

        screen.when_current(put)

    def _lift(self, seat: Seat) -> None:
        if seat.overlay:
            seat.write(seat.overlay)
            seat.overlay = b""

    def refresh(self) -> None:
        """Draw the viewers' pictures again soon: a status line changed."""
        if self._screen is not None:
            self._screen.refresh()

    def status(self, participant: str) -> Row | None:
        """Return a viewer's status line: a word of ours, or whose session this is and who types."""
        session = self._session
        seat = self._seats.get(participant)
        who = session.people.get(participant)
        if seat is None or who is None:
            return None
        holder = session.people.get(session.control.holder or "")
        owner = session.people[session.owner]
        state = " PAUSED " if session.state is State.PAUSED else " "
        text = "  ".join(seat.notice) or (
            f"{owner.name}@{self._endpoint}{state}{session.size} | {holder.name if holder else 'nobody'} types"
            f" | you: {who.role.value} | REC | Ctrl-] d leaves, ? help"
        )
        return line(seat.size.columns, f" {text}", _BAR)
