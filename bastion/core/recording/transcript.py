"""A recording as plain lines with times and names: for programs, screen readers and terminals that draw nothing.

Never passes on a control sequence: what an endpoint wrote is stripped and then made safe.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bastion.core.recording.playback import clock_text
from bastion.core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bastion.core.recording.reader import Event

MAX_LINE: Final = 64 * 1024
"""Characters of one output line that are kept before it is broken."""

_SEQUENCE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)"  # OSC and the other strings
    r"|\x1b[ -/]*[0-~]"  # two or three characters
    r"|[\x00-\x07\x0b\x0c\x0e-\x1f\x7f]"  # controls that write nothing (BS, TAB, CR are dealt with)
)
_BACKSPACED: Final = re.compile(r"[^\x08]\x08")
_BACKSPACES: Final = 200  # rounds of erasing; a line of nothing else would take forever


def stripped(text: str) -> str:
    """Return output without its control sequences (but with CR, LF, TAB and BS): for looking, not for showing."""
    return _SEQUENCE.sub("", text)


def plain(line: str) -> str:
    """Return what one line of output says, without what moved or coloured it."""
    line = stripped(line)
    if "\r" in line:
        line = next((part for part in reversed(line.split("\r")) if part), "")
    for _ in range(_BACKSPACES):
        if "\b" not in line:
            break
        line = _BACKSPACED.sub("", line).lstrip("\b")
    return safe_text(line.replace("\b", "").replace("\t", "    "), MAX_LINE).rstrip()


def transcript(events: Iterable[Event]) -> Iterator[str]:
    """Yield lines `time  text`: output lines as they end, `-- marker`, `name> typed`."""
    held: list[str] = []
    size = 0
    began = 0
    for event in events:
        if event.code == "o":
            whole = event.data.split("\n")
            for piece in whole[:-1]:
                held.append(piece)
                yield f"{clock_text(began if size else event.time)}  {plain(''.join(held))}"
                held, size = [], 0
            if not size:
                began = event.time
            held.append(whole[-1])
            size += len(whole[-1])
            if size > MAX_LINE:
                yield f"{clock_text(began)}  {plain(''.join(held))}"
                held, size = [], 0
        elif event.code == "i":
            yield f"{clock_text(event.time)}  {safe_text(event.by) or 'input'}> {safe_text(event.data, MAX_LINE)}"
        elif event.code == "m":
            yield f"{clock_text(event.time)}  -- {safe_text(event.data)}"
        elif event.code == "r":
            yield f"{clock_text(event.time)}  -- size {safe_text(event.data)}"
        elif event.code == "x":
            if rest := plain("".join(held)):
                yield f"{clock_text(began)}  {rest}"
            held, size = [], 0
            yield f"{clock_text(event.time)}  -- exit {safe_text(event.data)}"
    if rest := plain("".join(held)):
        yield f"{clock_text(began)}  {rest}"
