"""Everybody in a session: bytes for who has the keyboard, pictures for the others, words of ours for each.

What the bastion says is out of band: an overlay on the terminal of who gets bytes, the status line of who gets
pictures, a line of its own where nothing can be drawn. It never reaches the endpoint or the recording.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from bastion.core.access.durations import show_duration
from bastion.core.identity import Identity
from bastion.core.session import effects as do
from bastion.core.session.captions import help_lines, status_line, wrapped
from bastion.core.session.session import Session
from bastion.core.session.state import State
from bastion.core.terminal.fullscreen import page, settle
from bastion.core.terminal.grid import Row
from bastion.core.terminal.paint import line
from bastion.core.terminal.style import REVERSE, style
from bastion.core.text import safe_text
from bastion.services.live.screen import LiveScreen
from bastion.services.live.seat import Seat

NOTICE_SECONDS: Final = 6.0
HELP_SECONDS: Final = 20.0
AGAIN_SECONDS: Final = 0.15  # output took the overlay away: it comes back when that pauses
THEIR_OWN_END: Final = frozenset({"exit", "signal", "session.lost"})  # the far program ended itself, or nobody is there
_BAR: Final = style(flags=REVERSE)
MOST_NOTICES: Final = 3  # at once; older ones give way
_ROWS_KEPT: Final = 64


class Audience:
    """The seats of one session."""

    def __init__(
        self,
        session: Session,
        endpoint: str,
        screen: LiveScreen | None,
        hold_back: Callable[[str], None],
        go_on: Callable[[str], None],
        now: Callable[[], float],
        ends_at: Callable[[], float | None],
    ) -> None:
        self._session = session
        self._endpoint = endpoint
        self._screen = screen
        self._hold_back = hold_back
        self._go_on = go_on
        self._now = now
        self._ends_at = ends_at
        self._ticking = False
        self._rows: dict[tuple[int, str], Row] = {}
        self._seats: dict[str, Seat] = {}

    def add(self, seat: Seat) -> None:
        """Put a seat there; an older one of the same participant is forgotten."""
        seat.on_drained = lambda: self._go_on(seat.participant)
        seat.on_read = lambda: self._close_panel(seat)
        seat.on_hidden = lambda: self._hide(seat)
        seat.on_shown = lambda: self._unhide(seat)
        seat.on_told = lambda text: self._tell(seat, [text], NOTICE_SECONDS)
        if self._screen is not None:
            seat.on_resized = partial(self._screen.window, seat.participant)
        self._seats[seat.participant] = seat

    def keys(self) -> list[str]:
        """Return who has a seat."""
        return list(self._seats)

    def identity_of(self, participant: str) -> Identity | None:
        """Return who sits there."""
        seat = self._seats.get(participant)
        return seat.console.identity if seat is not None else None

    # ------------------------------------------------------------ back-pressure

    def hold_typing(self, participant: str | None = None) -> None:
        """The endpoint takes no more: stop that one, or all who type."""
        for key in [participant] if participant else self._session.typists():
            seat = self._seats.get(key)
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

    def seat(self, participant: str) -> Seat | None:
        """Return the seat of a participant."""
        return self._seats.get(participant)

    def show_raw(self, effect: do.ShowRaw) -> None:
        """Bring a terminal to the screen as it is, then send bytes."""
        seat = self._seats.get(effect.participant)
        screen = self._screen
        if seat is None or screen is None:
            return

        def switch() -> None:
            who = self._session.people.get(seat.participant)
            if who is None or not self._session.gets_bytes(who) or seat.out.done() or seat.hidden:
                return
            screen.remove(seat.participant)
            seat.stop_pictures()
            if seat.caps.full_screen:
                seat.write(settle(seat.caps) + b"\x1b[H\x1b[2J" + screen.keyframe())
            seat.raw = seat.aligned = True
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

    def hold_output(self, effect: do.HoldOutput) -> None:
        """Show what comes to moderators only, or to everybody again."""
        if self._screen is not None:
            self._screen.hold(self._moderates if effect.on else None)

    def _moderates(self, participant: str) -> bool:
        who = self._session.people.get(participant)
        return who is not None and "moderate" in who.rights

    def pan(self, effect: do.Pan) -> None:
        """Move somebody's window onto the screen."""
        if self._screen is not None:
            self._screen.pan(effect.participant, effect.right, effect.down)

    def dismiss(self, effect: do.Dismiss) -> None:
        """Take a seat away."""
        seat = self._seats.pop(effect.participant, None)
        if seat is None:
            return
        self._lift(seat)
        if self._screen is not None:
            self._screen.remove(effect.participant)
            if seat.raw and effect.code not in THEIR_OWN_END:
                alternate, in_line = self._screen.left_behind()
                seat.give_back(alternate=alternate, in_line=in_line)
        self._go_on(effect.participant)
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
            if seat.raw and seat.caps.full_screen:
                seat.write(settle(seat.caps, alternate=self._screen.left_behind()[0]))
        seat.raw = False
        seat.stop_pictures()
        self._go_on(seat.participant)  # nobody waits for a window that is not looked at

    def _unhide(self, seat: Seat) -> None:
        """Show the session again as it is now."""
        session = self._session
        who = session.people.get(seat.participant)
        if who is not None and session.gets_bytes(who):
            self.show_raw(do.ShowRaw(seat.participant))
        elif session.state in (State.PENDING, State.CONNECTING):
            seat.raw = seat.participant == session.owner
        else:
            self.show_rendered(do.ShowRendered(seat.participant))

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
        who = self._session.people.get(effect.participant)
        if seat is not None and who is not None:
            self._tell(seat, help_lines(self._session, who, seat.size.columns), HELP_SECONDS, panel=True)

    def prompt(self, effect: do.Prompt) -> None:
        """Show a question of ours with its answer so far, until there is none."""
        seat = self._seats.get(effect.participant)
        if seat is None:
            return
        before, seat.prompt = seat.prompt, effect.text
        if not seat.caps.full_screen:
            if effect.text is not None and before is None:
                seat.console.write_error(f"\r\n[bastion] {safe_text(effect.text)}\r\n".encode())
            return
        self._say(seat)

    def show_people(self, effect: do.ShowPeople) -> None:
        """Show who is here: name, role, from where, since when, size, how far behind."""
        seat = self._seats.get(effect.participant)
        if seat is None:
            return
        session, now = self._session, self._now()
        typists = session.typists()
        lines = []
        for person in session.people.values():
            theirs = self._seats.get(person.id)
            lag = theirs.lag if theirs is not None else 0.0
            does = "detached" if not person.attached else "types" if person.id in typists else person.role.value
            since = show_duration(max(0.0, now - person.joined_at))
            behind = f"  {lag:.0f}s behind" if lag >= 1 else ""
            lines.append(f"{safe_text(person.name)}  {does}  from {safe_text(person.source)}  for {since}  {person.size}{behind}")
        fits = max(1, min(session.size.lines, seat.size.lines) - 1)
        if len(lines) > fits:
            lines = [*lines[: fits - 1], f"and {len(lines) - fits + 1} more"]
        self._tell(seat, lines, HELP_SECONDS, panel=True)

    def _tell(self, seat: Seat, words: list[str], seconds: float, *, panel: bool = False) -> None:
        if not seat.caps.full_screen:
            for text in words:
                seat.console.write_error(f"\r\n[bastion] {safe_text(text)}\r\n".encode())
            return
        lines = wrapped(words, seat.size.columns - 2)
        if panel or seat.panel_shown:
            seat.notices.clear()  # a panel stands alone
        seat.panel_shown = panel
        for token in [token for token, others in seat.notices.items() if others == lines]:
            del seat.notices[token]
        room = max(2, seat.size.lines // 3)
        while seat.notices and (len(seat.notices) >= MOST_NOTICES or sum(map(len, seat.notices.values())) + len(lines) > room):
            del seat.notices[next(iter(seat.notices))]
        token = object()
        seat.notices[token] = lines
        asyncio.get_running_loop().call_later(seconds, self._forget, seat, token)
        self._say(seat)

    def _forget(self, seat: Seat, token: object) -> None:
        if seat.notices.pop(token, None) is not None:
            self._say(seat)

    def _close_panel(self, seat: Seat) -> None:
        """Take the keys, or the people, away: something was typed."""
        seat.panel_shown = False
        seat.notices.clear()
        self._say(seat)

    def _say(self, seat: Seat) -> None:
        """Show what is to be said now."""
        self._lift(seat)
        if seat.rendered:
            self.refresh()
        else:
            self._draw(seat)

    def _draw(self, seat: Seat) -> None:
        """Put the overlay over a terminal that gets bytes: at the top, or at the bottom when the cursor is there."""
        screen = self._screen
        if screen is None or not seat.words or not seat.raw or seat.overlay or seat.out.done():
            return

        def put() -> None:
            if not seat.words or not seat.raw or seat.overlay or seat.out.done():
                return
            self._align(seat, screen)
            size = self._session.size
            rows = [line(size.columns, f" {safe_text(text)}", _BAR) for text in seat.words[: max(1, size.lines - 1)]]
            at = 0 if screen.cursor_line >= len(rows) else size.lines - len(rows)
            drawn = screen.overlay(rows, max(0, at))
            if drawn is None:
                asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._draw, seat)
                return
            seat.overlay = drawn.hide
            seat.write(drawn.show)

        screen.when_current(put)

    def _align(self, seat: Seat, screen: LiveScreen) -> None:
        """Bring a terminal whose screen was in use before the session began to where the session's screen is.

        Until something of ours is to be drawn it gets the endpoint's bytes and nothing else, as with plain ssh; what
        stood there before is scrolled away, not erased.
        """
        if not seat.aligned:
            seat.aligned = True
            seat.write(page(self._session.size.lines) + settle(seat.caps) + b"\x1b[H\x1b[2J" + screen.keyframe())

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
        words = seat.words
        left = self._seconds_left()
        text = words[0] if len(words) == 1 else status_line(session, self._endpoint, who, seat.size, left)
        return self._row(seat.size.columns, text)

    def _row(self, columns: int, text: str) -> Row:
        """Return a line of ours; many see the same one, thirty times a second."""
        found = self._rows.get((columns, text))
        if found is None:
            if len(self._rows) >= _ROWS_KEPT:
                self._rows.clear()
            found = self._rows[columns, text] = line(columns, f" {safe_text(text)}", _BAR)
        return found

    def panel(self, participant: str) -> tuple[Row, ...]:
        """Return several lines of ours, to stand over a viewer's picture."""
        seat = self._seats.get(participant)
        if seat is None or len(seat.words) < 2:  # noqa: PLR2004 - one line is the status line's
            return ()
        return tuple(self._row(seat.size.columns, text) for text in seat.words)

    def _seconds_left(self) -> float | None:
        """Return how long the session may go on; keeps what is shown of it current while somebody sees it."""
        ends = self._ends_at()
        if ends is None:
            return None
        left = max(0.0, ends - self._now())
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_later(left % 60 + 0.01, self._tick)
        return left

    def _tick(self) -> None:
        self._ticking = False
        self.refresh()
