"""Taking over a person's terminal for a full-screen picture, and giving it back as it was.

Never draws: `diff(None, …)` does, after `enter`. Restores modes, not what a session had set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bastion.core.terminal.caps import Caps
    from bastion.core.terminal.grid import Grid

# What a program that died may have left on: application keys, mouse, focus reports, paste marks,
# insert mode, origin mode, other character sets. Off is how every shell expects them.
_CALM: Final = "\x1b[?1l\x1b>\x1b[4l\x1b[?6l\x1b(B\x0f\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?2004l"
_CALM_OLD: Final = "\x1b[?1l\x1b>\x1b[4l\x1b[?6l\x1b(B\x0f"
# And what only a raw terminal keeps: reverse video, no wrapping, synchronised output, keys told in another way.
_OFF: Final = "\x1b(B\x1b)B\x0f\x1b[20l\x1b[?5;45;66;2026l\x1b[?7;25h\x1b[>4m\x1b[=0u\x1b[0 q\x1b[m"


def enter(caps: Caps, *, paste: bool = False) -> bytes:
    """Return what opens a blank full screen: alternate where there is one, calm modes, cursor home.

    `paste`: ask for marks around pasted text, so that a pasted line end chooses nothing.
    """
    parts = ["\x1b[?1049h" if caps.alternate else ""]
    parts.append(calm(caps).decode())
    if caps.titles:
        parts.append("\x1b[22;2t")
    if paste and caps.paste:
        parts.append("\x1b[?2004h")
    parts.append("\x1b[m\x1b[?25h\x1b[H\x1b[2J")
    return "".join(parts).encode()


def leave(caps: Caps, last: Grid | None = None) -> bytes:
    """Return what undoes `enter`; `last` is the picture shown last, whose cursor shape is undone."""
    parts = [calm(caps).decode()]
    if last is not None and last.cursor_shape and caps.cursor_shapes:
        parts.append("\x1b[0 q")
    if caps.titles:
        parts.append("\x1b[23;2t")
    parts.append("\x1b[m\x1b[?25h")
    parts.append("\x1b[?1049l" if caps.alternate else "\x1b[H\x1b[2J")
    return "".join(parts).encode()


def settle(caps: Caps, *, alternate: bool = True) -> bytes:
    """Return what takes away all that a program may have set, wherever its output stopped.

    An unfinished sequence is cancelled (CAN), the main screen shown (`alternate` False: it is shown already, and
    the cursor stays), modes, margins, pen and cursor as in a fresh terminal. What is on the screen stays.
    """
    if not caps.alternate:
        return b"\x18" + calm(caps) + b"\x1b[?7h\x1b[?25h\x1b[m"
    # Margins home the cursor: what restores it comes after (leaving the alternate screen does)
    before, after = ("", "\x1b[?1049l") if alternate else ("\x1b7", "\x1b8")
    return f"\x18{before}{calm(caps).decode()}{after}{_OFF}".encode()


def page(lines: int) -> bytes:
    """Return what scrolls a terminal's screen away into its scrollback: blank, cursor at home, nothing lost."""
    return b"\x1b[m\x1b[%dH" % lines + b"\n" * lines + b"\x1b[H"


def give_back(caps: Caps, *, alternate: bool, in_line: bool) -> bytes:
    """Return what leaves a program behind that goes on without this terminal.

    `alternate`: it is on the alternate screen; `in_line`: its cursor does not stand at a line's start.
    """
    if alternate and caps.alternate:
        return calm(caps) + b"\x1b[?25h\x1b[?1049l" + _OFF.encode()
    off = _OFF.encode() if caps.alternate else b"\x1b[m\x1b(B\x1b[?25h"
    # margins and origin mode move the cursor home when they go
    return b"\x1b7" + calm(caps) + b"\x1b8" + off + (b"\r\n" if in_line else b"")


def calm(caps: Caps) -> bytes:
    """Return what switches off every mode that a program may have left on, and the margins."""
    margins = "\x1b[r" if caps.scroll_region else ""
    return (margins + (_CALM if caps.alternate else _CALM_OLD)).encode()
