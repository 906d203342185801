"""Modes, character sets, the saved cursor, the alternate screen and reset.

Never answers a program: reports are asked of the real terminal, which sees the same bytes.
"""

from __future__ import annotations

from typing import Any, Final

from bastion.core.terminal import charsets
from bastion.core.terminal.canvas import Saved
from bastion.core.terminal.editing import Editor
from bastion.core.terminal.line import Line, filled
from bastion.core.terminal.sgr import transitions
from bastion.core.terminal.style import PLAIN, Style, intern

IRM: Final = 4
LNM: Final = 20
DECCKM: Final = 1
DECSCNM: Final = 5
DECOM: Final = 6
DECAWM: Final = 7
DECTCEM: Final = 25
REVERSE_WRAP: Final = 45
DECNKM: Final = 66
FOCUS: Final = 1004
BRACKETED_PASTE: Final = 2004
SYNCHRONIZED: Final = 2026
MOUSE: Final = (9, 1000, 1002, 1003)
MOUSE_ENCODINGS: Final = (1005, 1006, 1015, 1016)
ALTERNATE: Final = (47, 1047, 1049)
SAVE_CURSOR: Final = 1048
REMEMBERED: Final = frozenset((DECCKM, DECSCNM, 12, DECNKM, FOCUS, 1007, BRACKETED_PASTE, SYNCHRONIZED, 2031, 2048))
"""Private modes that change nothing on the screen, and are kept to be told to viewers' terminals."""

KITTY_DEPTH: Final = 16
TITLE_MAX: Final = 1024
LINK_MAX: Final = 2048
_SHIFT: Final = 5  # pyte keeps a private mode as its number shifted by this


class Moded(Editor):
    """An editor with modes."""

    def __init__(self, columns: int, lines: int, history: int = 1000) -> None:
        super().__init__(columns, lines, history)
        self.noted: dict[str, int] = {}  # strings that were asked of a terminal and not acted on, by kind
        self.reset()

    def reset(self) -> None:
        """Return to the state of a new terminal, keeping only the size (RIS)."""
        self.rows = [Line() for _ in range(self.lines)]
        self.other: list[Line] | None = None  # the main screen's rows while the alternate is shown
        self.on_alternate = False
        self.scrollback.clear()
        self.x = self.y = 0
        self.top, self.bottom = 0, self.lines - 1
        self.set_pen(PLAIN)
        self.sets = [charsets.ASCII] * 4
        self.left = self.shift = 0
        self.autowrap = True
        self.insert = self.origin = self.newline = self.reverse_wrap = False
        self.refresh_plain()
        self.tabstops = self.default_tabstops()
        self.mode = {DECAWM << _SHIFT, DECTCEM << _SHIFT}
        self.mouse = self.mouse_encoding = 0
        self.keypad = False  # application keypad (DECKPAM)
        self.cursor_shape = 0
        self.modify_keys: int | None = None  # XTMODKEYS resource 4
        self.title = self.icon_name = ""
        self.saved: Saved | None = None  # of the screen on view
        self.other_saved: Saved | None = None  # of the other one
        self.kitty: list[int] = [0]
        self.other_kitty: list[int] = [0]

    def soft_reset(self) -> None:
        """Reset modes, margins and sets, but neither the screen nor, as most do, the pen (DECSTR)."""
        self.top, self.bottom = 0, self.lines - 1
        self.sets = [charsets.ASCII] * 4
        self.left = self.shift = 0
        self.autowrap = True
        self.insert = self.origin = False
        self.refresh_plain()
        self.mode |= {DECAWM << _SHIFT, DECTCEM << _SHIFT}
        self.mode -= {IRM, DECOM << _SHIFT, DECCKM << _SHIFT}
        self.keypad = False
        self.saved = None

    def set_pen(self, pen: Style) -> None:
        """Draw with this style from now on."""
        self.pen = pen
        self.transitions = transitions(pen)

    # -- modes ------------------------------------------------------------------------------------

    @property
    def cursor_visible(self) -> bool:
        """Return whether the cursor shows."""
        return DECTCEM << _SHIFT in self.mode

    def private(self, mode: int) -> bool:
        """Return whether a private mode is set."""
        return mode << _SHIFT in self.mode

    def set_mode(self, *modes: int, **kwargs: Any) -> int:  # type: ignore[override]
        """Set public modes, or private ones with `private=True`. Returns the rows touched."""
        return sum(self._switch(mode, on=True, private=bool(kwargs.get("private"))) for mode in modes)

    def reset_mode(self, *modes: int, **kwargs: Any) -> int:  # type: ignore[override]
        """Reset modes. Returns the rows touched."""
        return sum(self._switch(mode, on=False, private=bool(kwargs.get("private"))) for mode in modes)

    def _switch(self, mode: int, *, on: bool, private: bool) -> int:
        if private:
            return self._switch_private(mode, on=on)
        if mode == IRM:
            self.insert = on
            self.refresh_plain()
            self._note(IRM, on=on)
        elif mode == LNM:
            self.newline = on
            self._note(LNM, on=on)
        return 0

    def _note(self, key: int, *, on: bool) -> None:
        if on:
            self.mode.add(key)
        else:
            self.mode.discard(key)

    def _switch_private(self, mode: int, *, on: bool) -> int:  # noqa: C901 - one clause a mode
        if mode in REMEMBERED or mode == DECTCEM:
            self._note(mode << _SHIFT, on=on)
        elif mode == DECAWM:
            self.autowrap = on
            self._note(mode << _SHIFT, on=on)
        elif mode == DECOM:
            self.origin = on
            self._note(mode << _SHIFT, on=on)
            self.cursor_position()
        elif mode == REVERSE_WRAP:
            self.reverse_wrap = on
            self._note(mode << _SHIFT, on=on)
        elif mode in MOUSE:
            self.mouse = mode if on else 0
        elif mode in MOUSE_ENCODINGS:
            self.mouse_encoding = mode if on else 0
        elif mode == SAVE_CURSOR:
            if on:
                self.save_cursor()
            else:
                self.restore_cursor()
        elif mode in ALTERNATE:
            if on:
                self.enter_alternate(save=mode == ALTERNATE[-1])
            else:
                self.leave_alternate(restore=mode == ALTERNATE[-1])
            return self.lines
        return 0

    # -- the alternate screen ---------------------------------------------------------------------

    def enter_alternate(self, *, save: bool) -> None:
        """Show the alternate screen, cleared; `save` keeps the cursor of the screen left."""
        if save:
            self.save_cursor()
        if self.on_alternate:
            return
        self.on_alternate = True
        self.other = self.rows
        self.rows = [filled(self.columns, self.blank) for _ in range(self.lines)]
        self._swap()

    def leave_alternate(self, *, restore: bool) -> None:
        """Show the main screen again."""
        if self.on_alternate and self.other is not None:
            self.on_alternate = False
            self.rows = self.other
            self.other = None
            self._swap()
        if restore:
            self.restore_cursor()

    def _swap(self) -> None:
        self.saved, self.other_saved = self.other_saved, self.saved
        self.kitty, self.other_kitty = self.other_kitty, self.kitty
        if self.on_alternate:
            self.saved, self.kitty = None, [0]
        else:
            self.other_saved, self.other_kitty = None, [0]

    # -- the saved cursor -------------------------------------------------------------------------

    def save_cursor(self) -> None:
        """Keep cursor, pen, character sets and origin mode (DECSC), one set a screen."""
        sets = self.sets
        self.saved = Saved(
            min(self.x, self.columns - 1),
            self.y,
            self.pen,
            (sets[0], sets[1], sets[2], sets[3]),
            self.left,
            self.origin,
        )

    def restore_cursor(self) -> None:
        """Return to what was kept, or home with everything plain (DECRC)."""
        saved = self.saved or Saved()
        self.x = min(saved.x, self.columns - 1)
        self.y = min(saved.y, self.lines - 1)
        self.set_pen(saved.pen)
        self.sets = list(saved.sets)
        self.left = saved.left
        self.shift = 0
        self.origin = saved.origin
        self._note(DECOM << _SHIFT, on=saved.origin)
        self.refresh_plain()

    # -- character sets ---------------------------------------------------------------------------

    def define_charset(self, code: str, mode: str) -> None:
        """Make G0 `(`, G1 `)`, G2 `*` or G3 `+` the set of that name."""
        at = "()*+".find(mode)
        if at >= 0:
            self.sets[at] = charsets.known(code)
            self.refresh_plain()

    def lock_shift(self, which: int) -> None:
        """Use G0 to G3 from now on (SI, SO, LS2, LS3)."""
        self.left = which
        self.refresh_plain()

    def shift_in(self) -> None:
        """Use G0."""
        self.lock_shift(0)

    def shift_out(self) -> None:
        """Use G1."""
        self.lock_shift(1)

    def single_shift(self, which: int) -> None:
        """Use G2 or G3 for the next character alone."""
        self.shift = which
        self.refresh_plain()

    # -- titles, links, keyboards -----------------------------------------------------------------

    def set_title(self, param: str) -> None:
        """Set the window's title."""
        self.title = param[:TITLE_MAX]

    def set_icon_name(self, param: str) -> None:
        """Set the icon's name."""
        self.icon_name = param[:TITLE_MAX]

    def set_link(self, address: str) -> None:
        """Mark what is drawn from now on as a link; only the web's kind is kept, and none ends it."""
        fits = len(address) <= LINK_MAX and address.startswith(("http://", "https://"))
        self.set_pen(intern(self.pen._replace(link=address if fits else "")))

    def push_keyboard(self, flags: int) -> None:
        """Enter a mode of the kitty keyboard protocol."""
        if len(self.kitty) >= KITTY_DEPTH:
            del self.kitty[1]
        self.kitty.append(flags)

    def pop_keyboard(self, count: int) -> None:
        """Leave the latest modes of the kitty keyboard protocol."""
        del self.kitty[max(1, len(self.kitty) - count) :]
        if len(self.kitty) == 1 and count >= KITTY_DEPTH:
            self.kitty[0] = 0

    def set_keyboard(self, flags: int, how: int) -> None:
        """Set (1), add (2) or remove (3) flags of the present keyboard mode."""
        now = self.kitty[-1]
        self.kitty[-1] = {1: flags, 2: now | flags, 3: now & ~flags}.get(how, now)
