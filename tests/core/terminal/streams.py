"""Made-up terminal output: everything the grammar allows, and some that it does not.

Never the same as what real programs send; that is the corpus' part.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import strategies as st

from bastion.core.terminal import Terminal

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
"""Multiplies the number of examples."""

_words = st.sampled_from(
    ["a", "hello", "x" * 30, "é", "中文", "日", "e\u0301", "\u0301", "😀", "👩\u200d💻", "─│┌", "ｱ", "\u00a0", "\u009b", "~"]
)
_number = st.one_of(st.sampled_from(["", "0", "1", "2", "3", "7", "24", "80", "99999999999"]), st.integers(0, 300).map(str))
_parameters = st.lists(_number, max_size=4).map(";".join)
_sgr = st.sampled_from(
    ["", "0", "1", "2;3", "4", "4:3", "7", "8", "9", "53", "31", "97", "42", "101", "38;5;9", "38;5;200", "48;2;1;2;3", "38:2::9:8:7",
     "58:5:4", "22;24", "39;49", "0;1;33;44", "38;5", "48;9;1", "21"]
).map("\x1b[{}m".format)  # fmt: skip
_csi = st.builds(
    "\x1b[{}{}{}{}".format,
    st.sampled_from(["", "", "", "", "", "?", ">", "<", "="]),
    _parameters,
    st.sampled_from(["", "", "", "", "", " ", "!", "$"]),
    st.sampled_from("@ABCDEFGHIJKLMPSTXZ`abcdefghlnpqrstu"),
)
_modes = st.builds(
    "\x1b[{}{}{}".format,
    st.sampled_from(["?", "?", "?", ""]),
    st.sampled_from(["1", "4", "5", "6", "7", "12", "20", "25", "45", "47", "1000", "1002", "1006", "1004", "1047", "1048", "1049", "2004", "2026"]),
    st.sampled_from("hl"),
)  # fmt: skip
_escapes = st.sampled_from(
    ["\x1b" + rest for rest in ("7", "8", "D", "E", "M", "H", "c", "=", ">", "N", "O", "n", "o", "(0", "(B", ")0", "*0", "#8", "%G")]
)
_controls = st.sampled_from(["\r\n", "\r\n", "\r", "\n", "\b", "\t", "\x0b", "\x0e", "\x0f", "\x07", "\x00", "\x7f", "\x18"])
_strings = st.builds(
    "\x1b{}{}{}".format,
    st.sampled_from("]P_^X"),
    st.sampled_from(["0;title", "2;é中", "8;;https://example.org/a", "8;;", "8;;javascript:x", "52;c;aGk=", "4;1;?", "q#0~~", ""]),
    st.sampled_from(["\x07", "\x1b\\", "\x18", ""]),
)
_broken = st.sampled_from(
    ["\x1b", "\x1b[", "\x1b[3\n2", "\x1b[?", "\x1b[1;2\x1b", "\x1b(", "\x1b[" + "1" * 300, "\x1b[" + "1;" * 300 + "m", "\x1b]0;"]
)

pieces = st.one_of(_words, _words, _words, _sgr, _csi, _modes, _escapes, _controls, _controls, _strings, _broken).map(
    lambda text: text.encode()
)
raw = st.one_of(pieces, pieces, pieces, st.binary(max_size=4))
outputs = st.lists(raw, max_size=60).map(b"".join)
sizes = st.sampled_from([(80, 24), (20, 5), (10, 3), (7, 1), (2, 2), (1, 1), (132, 40)])


def state(terminal: Terminal) -> dict[str, Any]:
    """Everything that the future depends on or anybody can see."""
    screen = terminal.screen
    rows = terminal.snapshot().rows
    return {
        "rows": rows,
        "cursor": (screen.x, screen.y),
        "pen": screen.pen,
        "sets": (screen.sets, screen.left, screen.shift),
        "modes": (terminal.modes, screen.mode, screen.insert, screen.newline, screen.autowrap),
        "margins": (screen.top, screen.bottom, screen.origin),
        "tab stops": screen.tabstops,
        "titles": (screen.title, screen.icon_name),
        "alternate": screen.on_alternate,
        "saved": (screen.saved, screen.other_saved),
        "other rows": [line.row(screen.columns) for line in screen.other] if screen.other else None,
        "keyboards": (screen.kitty, screen.other_kitty),
        "faults": terminal.faults,
    }


def differing(one: Terminal, two: Terminal) -> list[str]:
    """Name what two terminals differ in."""
    first, second = state(one), state(two)
    return [f"{name}: {first[name]} and {second[name]}" for name in first if first[name] != second[name]]
