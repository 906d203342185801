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


class _Lines:
    """Output on its way to whole lines."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._size = 0
        self._began = 0

    def take(self, event: Event) -> Iterator[str]:
        *whole, rest = event.data.split("\n")
        for piece in whole:
            self._hold(piece, event.time)
            yield self._line()
        self._hold(rest, event.time)
        if self._size > MAX_LINE:
            yield self._line()

    def rest(self) -> Iterator[str]:
        """Yield what stands in a line that did not end."""
        if plain("".join(self._held)):
            yield self._line()

    def _hold(self, piece: str, time: int) -> None:
        if not self._held:
            self._began = time
        if piece:
            self._held.append(piece)
            self._size += len(piece)

    def _line(self) -> str:
        text = plain("".join(self._held))
        self._held, self._size = [], 0
        return f"{clock_text(self._began)}  {text}"


def transcript(events: Iterable[Event]) -> Iterator[str]:
    """Yield lines `time  text`: output lines as they end, `-- marker`, `name> typed`."""
    output = _Lines()
    for event in events:
        if event.code == "o":
            yield from output.take(event)
            continue
        if event.code == "x":
            yield from output.rest()
        yield f"{clock_text(event.time)}  {_aside(event)}"
    yield from output.rest()


def _aside(event: Event) -> str:
    """Return what is told of something that is no output."""
    text = safe_text(event.data, MAX_LINE)
    if event.code == "i":
        return f"{safe_text(event.by) or 'input'}> {text}"
    kinds = {"r": "size ", "x": "exit "}
    return f"-- {kinds.get(event.code, '')}{text}"
