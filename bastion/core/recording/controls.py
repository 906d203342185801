"""The player's keys: what each does, as one table that the player obeys and its help page shows.

Never acts on anything itself.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Control(NamedTuple):
    """One thing the player does. `keys` as `core.keys` names them; `shown` and `text` are for the help page."""

    action: str
    keys: tuple[str, ...]
    shown: str
    text: str


DIGITS: Final = tuple("0123456789")

CONTROLS: Final = (
    Control("toggle", (" ",), "space", "play or pause; again from 0"),
    Control("faster", ("+", "=", ">"), "+", "faster"),
    Control("slower", ("-", "_", "<"), "-", "slower"),
    Control("back", ("left",), "←", "5 seconds back"),
    Control("on", ("right",), "→", "5 seconds on"),
    Control("far_back", ("shift-left",), "shift ←", "a minute back"),
    Control("far_on", ("shift-right",), "shift →", "a minute on"),
    Control("tenth", DIGITS, "0 … 9", "to that tenth of it"),
    Control("home", ("home",), "Home", "to the start"),
    Control("end", ("end",), "End", "the end; follow what is live"),
    Control("mark_before", ("[",), "[", "to the marker before"),
    Control("mark_after", ("]",), "]", "to the next marker"),
    Control("step", (".",), ".", "one screen change on"),
    Control("step_back", (",",), ",", "one screen change back"),
    Control("search", ("/",), "/", "find a text on the screens"),
    Control("find_after", ("n",), "n", "find the next"),
    Control("find_before", ("N",), "N", "find the one before"),
    Control("scroll_back", ("pageup",), "PgUp", "what scrolled by before"),
    Control("scroll_on", ("pagedown",), "PgDn", "back down"),
    Control("gaps", ("s",), "s", "skip or show idle time"),
    Control("wall", ("w",), "w", "time of day, with zone"),
    Control("input", ("i",), "i", "what was typed, and by whom"),
    Control("link", ("y",), "y", "print a command to open here"),
    Control("pan_up", ("up", "k"), "↑ k", "small window: up"),
    Control("pan_down", ("down", "j"), "↓ j", "down"),
    Control("pan_left", ("h",), "h", "left"),
    Control("pan_right", ("l",), "l", "right"),
    Control("pan_home", ("f",), "f", "follow the cursor"),
    Control("stop", ("escape",), "Esc", "stop looking; close"),
    Control("help", ("?",), "?", "these keys"),
    Control("quit", ("q", "Q", "ctrl-c", "ctrl-d"), "q", "leave"),
)

_ACTIONS: Final = {key: control.action for control in CONTROLS for key in control.keys}


def action(key: str) -> str:
    """Return the action of a key; "" for one that does nothing."""
    return _ACTIONS.get(key, "")
