"""The windows of one person on one terminal: several sessions and the menu, one of them in front.

Never copies a byte: what runs in the front window writes to the real console and is typed to by it directly.

Theory of operation: each window's program gets a `WindowConsole`. The one in front has the real console's own `write`;
the others' writes are dropped, which loses nothing: a session follows its own screen and sends a keyframe of it when
it comes to the front again, and what draws itself (menu, list) waits for its turn and draws anew. Number 0 is the menu.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from bastion.core.errors import BastionError, Conflict
from bastion.core.session.chord import CHORD, show_chord
from bastion.core.text import safe_text
from bastion.services.console import Console
from bastion.services.live.views import SessionView
from bastion.services.tasks import spawn
from bastion.services.window_console import WindowConsole

MOST: Final = 32
MENU: Final = 0
_LIST: Final = -1
Program = Callable[[Console], Awaitable[int]]
Own = Callable[["Windows", Console], Awaitable[int]]
"""The menu, or the list, which returns the number chosen (a negative one to go back)."""


@dataclass(frozen=True, slots=True)
class WindowRow:
    """A window, as listed. `session` is None for the menu and while a session is being opened."""

    number: int
    name: str
    session: SessionView | None
    current: bool
    active: bool
    """Something was shown there since it was last in front."""


@dataclass(slots=True, eq=False)
class _Window:
    number: int
    name: str
    console: WindowConsole
    program: Program
    shown_bytes: int = 0
    """Bytes its session had written when it was last in front."""

    @property
    def session(self) -> SessionView | None:
        seat = self.console.seat
        return seat.view() if seat is not None and seat.view is not None and not seat.out.done() else None


class Windows:
    """The windows on one console."""

    def __init__(self, console: Console, menu: Own, chooser: Own, chord: int = CHORD) -> None:
        self.chord = show_chord(chord)
        """The key that speaks to the bastion, as people call it."""
        self._real = console
        self._menu: Program = lambda console: menu(self, console)
        self._chooser: Program = lambda console: chooser(self, console)
        self._windows: dict[int, _Window] = {}
        self._recent: list[int] = []
        """Numbers of the windows behind the front one, the one left last at the end."""
        self._front: _Window | None = None
        self._main: _Window | None = None
        self._status = 0
        self._failed: Exception | None = None
        self._said: list[str] = []
        self._last_words: list[str] = []
        """For the terminal as it is left."""
        self._own_page = False
        """Whether the terminal's main screen holds what sessions wrote, and no longer what stood there before."""
        self._gone = False
        self._done = asyncio.Event()

    async def run(self, program: Program | None, name: str = "", *, fresh: bool = True) -> int:
        """Run a program in the first window (None: the menu) until the last one ended; return the first one's status.

        `fresh`: it begins on a blank page (what stood on the terminal is scrolled away, not erased).
        Raises what the first one raised when nothing else was open by then.
        """
        first = self._make(MENU, "menu", self._menu) if program is None else self._make(1, name, program)
        self._main = first
        self._start(first, fresh=fresh and program is not None)
        await self._done.wait()
        if first.console.signal:
            self._real.exit_signal(first.console.signal)
        if self._failed is not None:
            raise self._failed
        for text in self._last_words:
            self._real.write_error(f"\r\n{safe_text(text)}\r\n".encode())
        return self._status

    # ------------------------------------------------------------ for the menu and the list

    def open(self, program: Program, name: str, *, fresh: bool = True) -> None:
        """Open a window in front that runs this. Raises `Conflict` when there are too many."""
        if len(self._windows) >= MOST:
            raise Conflict("windows.too_many", f"You have {MOST} windows open, which is the limit. Close one first.")
        number = next(number for number in range(1, MOST + 2) if number not in self._windows)
        self._start(self._make(number, name, program), fresh=fresh)

    async def turn(self) -> str:
        """Wait until the menu is in front (or they are gone); return what happened meanwhile."""
        menu = self._windows.get(MENU)
        if menu is not None:
            await menu.console.in_front.wait()
        return self.take()

    def take(self) -> str:
        """Return what happened in other windows since the last call."""
        said, self._said = self._said, []
        return "  ".join(said)

    @property
    def sessions(self) -> list[WindowRow]:
        """Return the windows with sessions."""
        return [row for row in self.rows() if row.number != MENU]

    def rows(self) -> list[WindowRow]:
        """Return all windows, by number."""
        front = self._front
        if front is not None and front.number == _LIST:
            front = self._windows[self._recent[-1]] if self._recent else None
        rows = []
        for number, window in sorted(self._windows.items()):
            if number != _LIST:
                session = window.session
                active = window is not front and session is not None and session.bytes_out > window.shown_bytes
                rows.append(WindowRow(number, window.name, session, window is front, active))
        return rows

    def back(self) -> bool:
        """Leave the window in front for the one before it; False when there is none."""
        if not self._recent:
            return False
        self._show(self._windows[self._recent[-1]])
        return True

    # ------------------------------------------------------------ keys after the chord

    def command(self, key: str, rest: bytes = b"") -> None:
        """Do what a key means; what was typed after it goes to the window that is in front then."""
        numbers = [number for number in sorted(self._windows) if number > MENU]
        here = self._front.number if self._front is not None else MENU
        match key:
            case "c":
                self._go(MENU)
            case "n" | "p" if numbers and numbers != [here]:
                step = 1 if key == "n" else -1
                at = numbers.index(here) + step if here in numbers else (0 if key == "n" else -1)
                self._go(numbers[at % len(numbers)])
            case "n" | "p":
                self._tell(f"There is no other window. {self.chord} c opens the menu for one.")
            case "s":
                if here != _LIST:
                    self._start(self._make(_LIST, "windows", self._chooser))
            case "D":
                self._leave()
                return
            case _ if key.isdigit():
                self._go(int(key))
            case _:
                self._tell(f"No such key. {self.chord} ? shows those there are.")
        if rest and self._front is not None:
            self._front.console.give_back(rest)

    def _go(self, number: int) -> None:
        window = self._windows.get(number)
        if window is not None:
            self._show(window)
        elif number == MENU:
            self._start(self._make(MENU, "menu", self._menu))
        else:
            self._tell(f"There is no window {number}. {self.chord} s lists those there are.")

    def _tell(self, text: str) -> None:
        seat = self._front.console.seat if self._front is not None else None
        if seat is not None and not seat.out.done():
            seat.on_told(text)
        else:
            self._said.append(text)

    def _leave(self) -> None:
        """Leave everything: sessions of theirs go on detached."""
        count = len([number for number in self._windows if number > MENU])
        if count:
            self._last_words = [
                f"Left {count} windows. `attach`, or the menu, brings your sessions back."
                if count > 1
                else "Detached. `attach` brings it back."
            ]
        front = self._front
        if front is not None and front.session is not None:  # what draws itself gives the terminal back itself
            front.console.hide()
        self.lost()

    # ------------------------------------------------------------ one in front

    def _make(self, number: int, name: str, program: Program) -> _Window:
        window = self._windows[number] = _Window(number, name, WindowConsole(self, self._real), program)
        return window

    def _start(self, window: _Window, *, fresh: bool = False) -> None:
        self._show(window, fresh=fresh)
        spawn(f"window-{window.number}", self._run(window))

    def _show(self, window: _Window, *, fresh: bool = False) -> None:
        before = self._front
        if before is window:
            return
        if before is not None:
            before.console.hide()
            self._seen(before)
            if before.number in self._windows:
                self._recent.append(before.number)
        self._recent = [number for number in self._recent if number != window.number]
        self._front = window
        again, self._own_page = fresh and self._own_page, self._own_page or fresh
        window.console.show(fresh=fresh and not again)
        if again and window.console.full_screen:
            self._real.write(b"\x1b[m\x1b[H\x1b[2J")  # what another session left there; its screen is kept

    def _seen(self, window: _Window) -> None:
        session = window.session
        window.shown_bytes = session.bytes_out if session is not None else 0

    def lost(self) -> None:
        """The connection is gone: every session is left as it is."""
        self._gone = True
        for window in list(self._windows.values()):
            window.console.lose()

    # ------------------------------------------------------------ the end of one

    async def _run(self, window: _Window) -> None:
        status = 0
        failed: Exception | None = None
        try:
            status = await window.program(window.console.as_console)
        except BastionError as error:
            failed, status = error, error.exit_code
        except Exception as error:  # noqa: BLE001 - a bug in one window leaves the others; the caller reports it if it was the only one
            failed, status = error, 70
        self._ended(window, status, failed)

    def _ended(self, window: _Window, status: int, failed: Exception | None) -> None:
        del self._windows[window.number]
        self._recent = [number for number in self._recent if number != window.number]
        was_in_front = self._front is window
        if was_in_front:
            window.console.hide()
            self._front = None
        if window is self._main:
            self._status = status
        if not self._real.is_open:
            self.lost()
        if self._gone:
            if not self._windows:
                self._done.set()
            return
        if window.number == _LIST:
            self._after_list(status)
        else:
            self._after(window, status, failed, was_in_front=was_in_front)

    def _after(self, window: _Window, status: int, failed: Exception | None, *, was_in_front: bool) -> None:
        """Go on without a window: to the menu it was opened from, to the session before it, or to the end of all."""
        text = self._how(window, status, failed)
        only_menu = set(self._windows) <= {MENU} and self._main is not self._windows.get(MENU)
        if not self._windows or (only_menu and was_in_front):
            self._finish(window, text, failed)
            return
        if failed is not None and not isinstance(failed, BastionError):
            asyncio.get_running_loop().call_exception_handler({"message": f"window {window.name!a} crashed", "exception": failed})
        if window.number != MENU:
            self._said.append(text)
        if not was_in_front:
            return
        menu = self._windows.get(MENU)
        if menu is not None and menu is self._main:
            self._show(menu)
        else:
            before = [number for number in self._recent if number > MENU] or list(self._windows)
            self._show(self._windows[before[-1]])
            if self._said:
                self._tell(self.take())

    def _after_list(self, chosen: int) -> None:
        window = self._windows.get(chosen)
        if window is None and chosen == MENU:
            self._go(MENU)
            return
        if window is None:
            window = self._windows.get(self._recent[-1]) if self._recent else next(iter(self._windows.values()), None)
        if window is not None:
            self._show(window)
        else:  # all ended while the list was shown
            self._done.set()

    def _finish(self, window: _Window, text: str, failed: Exception | None) -> None:
        """Close the last window: nothing but the menu is left, and nobody looks at that."""
        if window is self._main:
            self._failed = failed
        elif failed is not None and text:
            self._last_words.append(text)
        menu = self._windows.get(MENU)
        if menu is not None:
            menu.console.lose()
            return
        self._done.set()

    @staticmethod
    def _how(window: _Window, status: int, failed: Exception | None) -> str:
        if isinstance(failed, BastionError):
            return f"{window.name}: {failed.public}"
        if failed is not None:
            return f"{window.name}: something went wrong here, and it is ours."
        seat = window.console.seat
        code, text = seat.out.result() if seat is not None and seat.out.done() else ("", "")
        if code in ("session.detached", "session.moved") and text:
            return f"{window.name}: {text[:1].lower()}{text[1:]}"
        return f"{window.name}: ended" + (f" with exit status {status}." if status else ".")
