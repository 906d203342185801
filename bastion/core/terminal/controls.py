"""Control sequences: from the text of one to the call it makes on a screen.

Never keeps state and never raises on what an endpoint sends: what is unknown or malformed does nothing.

Each distinct text is understood once; the answer, a function and its arguments, is kept in a bounded
table that all terminals share. A function may return the effort it took, in rows touched, where that can
be large; None means little.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from bastion.core.terminal import charsets
from bastion.core.terminal.modes import Moded
from bastion.core.terminal.sgr import follow
from bastion.core.terminal.strings import STARTS, string

Call = Callable[..., "int | None"]
Action = tuple[Call, Any, Any, tuple[Any, ...]]
"""A function, its first two arguments (None where there is none) and those beyond."""

VALUE_MAX: Final = 9999
_DIGITS_MAX: Final = 4
CSI_MAX: Final = 256  # longer sequences are passed over; tmux keeps 64 bytes of parameters

_CSI: Final = re.compile(r"([<=>?]?)([\d;:]*)([ -/]*)([@-~])")
_SGR: Final = re.compile(r"(?:\x1b\[[\d;:]{0,254}m)+")
_CSI_SURELY_CUT: Final = CSI_MAX + 64  # an unfinished one is only this long where the tokenizer gave up
_SGR_RUN_MAX: Final = 1024
_NO_REGION: Final = re.compile(r"\d*;0+")  # a bottom that is 0, and not left out, makes no region
_C0: Final = re.compile(r"[\x00-\x1f]")
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f]")


def nothing(_screen: Moded) -> None:
    """Do nothing: understood, or not, and without effect on the screen."""


def action(call: Call, *arguments: Any) -> Action:
    """Return the call of a function with these arguments, after the screen."""
    one, two, *more = (*arguments, None, None)[: max(2, len(arguments))]
    return (call, one, two, tuple(more))


def act(screen: Moded, what: Action) -> int:
    """Make the call; return the effort."""
    call, one, two, more = what
    return call(screen, *(argument for argument in (one, two) if argument is not None), *more) or 0


NOTHING: Final[Action] = action(nothing)


def repeat(_screen: Moded, _count: int = 1, *_: int) -> None:
    """Mark REP, which the stream does itself, since it knows what was drawn before."""


def overlong(_screen: Moded) -> None:
    """Mark a CSI sequence that is too long to be kept, and whose end is still to come."""


def _select(screen: Moded, token: str) -> None:
    screen.pen, screen.transitions = follow(screen.pen, token)


def _parameters(text: str) -> list[int]:
    values = []
    for part in text.split(";"):
        digits = part.partition(":")[0].lstrip("0")
        values.append(min(int(digits), VALUE_MAX) if len(digits) <= _DIGITS_MAX and digits else VALUE_MAX * bool(digits))
    return values


def _designate(which: str, name: str) -> Call:
    at = "()*+".index(which)
    name = charsets.known(name)

    def call(screen: Moded) -> None:
        if screen.sets[at] != name:  # most say once more that G0 is ASCII
            screen.define_charset(name, which)

    return call


def _set_private(screen: Moded, *modes: int) -> int:
    return screen.set_mode(*modes, private=True)


def _reset_private(screen: Moded, *modes: int) -> int:
    return screen.reset_mode(*modes, private=True)


def _cursor_style(screen: Moded, shape: int = 0, *_: int) -> None:
    if shape <= 6:  # noqa: PLR2004 - the shapes there are
        screen.cursor_shape = shape


def _application_keypad(screen: Moded) -> None:
    screen.keypad = True


def _numeric_keypad(screen: Moded) -> None:
    screen.keypad = False


def _modify_keys(screen: Moded, resource: int = 0, value: int | None = None, *_: int) -> None:
    if resource in (0, 4):
        screen.modify_keys = value


def _push_keyboard(screen: Moded, flags: int = 0, *_: int) -> None:
    screen.push_keyboard(flags)


def _pop_keyboard(screen: Moded, count: int = 1, *_: int) -> None:
    screen.pop_keyboard(count or 1)


def _set_keyboard(screen: Moded, flags: int = 0, how: int = 1, *_: int) -> None:
    screen.set_keyboard(flags, how or 1)


def _save(screen: Moded, *parameters: int) -> None:
    if parameters == (0,):  # with parameters it would set left and right margins
        screen.save_cursor()


def _reset(screen: Moded) -> int:
    screen.reset()
    return screen.lines


ALL: Final = 32  # parameters; each function takes the first so many

_FINAL: Final[dict[str, tuple[Call, int]]] = {
    "@": (Moded.insert_characters, 1),
    "A": (Moded.cursor_up, 1),
    "B": (Moded.cursor_down, 1),
    "C": (Moded.cursor_forward, 1),
    "D": (Moded.cursor_back, 1),
    "E": (Moded.cursor_down1, 1),
    "F": (Moded.cursor_up1, 1),
    "G": (Moded.cursor_to_column, 1),
    "H": (Moded.cursor_position, 2),
    "I": (Moded.tab, 1),
    "J": (Moded.erase_in_display, 1),
    "K": (Moded.erase_in_line, 1),
    "L": (Moded.insert_lines, 1),
    "M": (Moded.delete_lines, 1),
    "P": (Moded.delete_characters, 1),
    "S": (Moded.scroll_up, 1),
    "X": (Moded.erase_characters, 1),
    "Z": (Moded.back_tab, 1),
    "`": (Moded.cursor_to_column, 1),
    "a": (Moded.cursor_forward, 1),
    "b": (repeat, 1),
    "d": (Moded.cursor_to_line, 1),
    "e": (Moded.cursor_down_absolute, 1),
    "f": (Moded.cursor_position, 2),
    "g": (Moded.clear_tab_stop, 1),
    "h": (Moded.set_mode, ALL),
    "l": (Moded.reset_mode, ALL),
    "r": (Moded.set_margins, 2),
    "s": (_save, ALL),
    "u": (Moded.restore_cursor, 0),
    "?J": (Moded.erase_in_display, 1),
    "?K": (Moded.erase_in_line, 1),
    "?h": (_set_private, ALL),
    "?l": (_reset_private, ALL),
    "!p": (Moded.soft_reset, 0),
    " q": (_cursor_style, ALL),
    ">m": (_modify_keys, ALL),
    ">u": (_push_keyboard, ALL),
    "<u": (_pop_keyboard, ALL),
    "=u": (_set_keyboard, ALL),
}

_ESCAPES: Final[dict[str, Action]] = {
    "7": action(Moded.save_cursor),
    "8": action(Moded.restore_cursor),
    "D": action(Moded.linefeed),
    "E": action(Moded.next_line),
    "H": action(Moded.set_tab_stop),
    "M": action(Moded.reverse_index),
    "N": action(Moded.single_shift, 2),
    "O": action(Moded.single_shift, 3),
    "n": action(Moded.lock_shift, 2),
    "o": action(Moded.lock_shift, 3),
    "c": action(_reset),
    "=": action(_application_keypad),
    ">": action(_numeric_keypad),
    "#8": action(Moded.alignment_display),
}

_CONTROLS: Final[dict[str, Action]] = {
    "\x08": action(Moded.backspace),
    "\t": action(Moded.tab),
    "\n": action(Moded.linefeed),
    "\x0b": action(Moded.linefeed),
    "\x0c": action(Moded.linefeed),
    "\r": action(Moded.carriage_return),
    "\x0e": action(Moded.shift_out),
    "\x0f": action(Moded.shift_in),
    "\r\n": action(Moded.next_line),
}


def _csi(body: str) -> Action:
    match = _CSI.fullmatch(body)
    if match is None:
        return NOTHING
    prefix, digits, between, final = match.groups()
    if final == "S" and prefix == "?":
        return NOTHING
    if final == "T" and not prefix and not between:
        # With five parameters it would be mouse highlighting.
        return action(Moded.scroll_down, *_parameters(digits)) if ";" not in digits else NOTHING
    if prefix + between + final not in _FINAL:
        return NOTHING
    if prefix + between + final == "r" and _NO_REGION.fullmatch(digits):
        digits = ""
    call, takes = _FINAL[prefix + between + final]
    return action(call, *_parameters(digits)[:takes])


def unfinished(token: str) -> bool:
    """Return whether a control, the last there is, is only the beginning of one."""
    if token[0] != "\x1b":
        return False
    if len(token) == 1:
        return True
    if token[1] == "[":
        return len(token) == 2 or not "@" <= token[-1] <= "~"  # noqa: PLR2004 - ESC [
    return token[-1] < "0" or token[-1] == "\x7f"


def understand(token: str) -> Action:
    """Return what a control character or an ESC or CSI sequence asks for."""
    if token[0] != "\x1b":
        return _CONTROLS.get(token, NOTHING)
    if token[1:2] == "[" and len(token) > _CSI_SURELY_CUT and unfinished(token):
        return action(overlong)
    body = token[1:]
    if _UNSEEN.search(body):
        return _interrupted(body)
    if body[:1] == "[":
        return _csi(body[1:]) if len(body) <= CSI_MAX else NOTHING
    if len(body) == 2 and body[0] in "()*+":  # noqa: PLR2004 - an intermediate and a final
        return action(_designate(body[0], body[1]))
    return _ESCAPES.get(body, NOTHING)


def act_within(screen: Moded, body: str) -> None:
    """Let the control characters act that stand within a sequence."""
    for char in _C0.findall(body):
        act(screen, _CONTROLS.get(char, NOTHING))


def _interrupted(body: str) -> Action:
    """Control characters within a sequence act at once; then the sequence acts without them."""
    rest = _UNSEEN.sub("", body)
    after = understand("\x1b" + rest) if rest and len(body) <= CSI_MAX else NOTHING

    def call(screen: Moded) -> int:
        act_within(screen, body)
        return act(screen, after)

    return action(call)


_TABLE_LIMIT: Final = 16_384


class Actions(dict[str, Action]):
    """What each text does, worked out when first met. Bounded: emptied when full."""

    def __missing__(self, token: str) -> Action:
        if token[0] == "\x1b":
            if len(token) <= _SGR_RUN_MAX and _SGR.fullmatch(token):
                return action(_select, token)  # kept in the graph of styles
            if token[1:2] in STARTS:
                return action(string, token)
        meaning = understand(token)
        if len(self) >= _TABLE_LIMIT:
            self.clear()
        self[token] = meaning
        return meaning


ACTIONS: Final = Actions()
