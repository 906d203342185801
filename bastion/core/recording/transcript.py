"""A recording as plain lines with times and names: for programs, screen readers and terminals that draw nothing.

Never passes on a control sequence: what an endpoint wrote is stripped and then made safe.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bastion.core.recording.lines import GAP, Budget, Line, Rows, ScreenLines
from bastion.core.recording.playback import clock_text
from bastion.core.recording.reader import parse_size
from bastion.core.terminal import Terminal
from bastion.core.text import safe_text
from bastion.core.values import Size

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
_SWITCH: Final = re.compile(r"\x1b\[\?(?:\d{1,4};){0,8}(?:1049|1047|47)(?:;\d{1,4}){0,8}([hl])")
_CUT: Final = re.compile(r"\x1b(?:\[(?:\?[\d;]{0,48})?)?\Z")  # a switch that the end of an event may have cut
_BACKSPACED: Final = re.compile(r"[^\x08]\x08")
_USUAL: Final = Size(80, 24)
_ALL: Final = 10**9  # lines: a transcript leaves nothing out
_LONGEST_SWITCH: Final = 64
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

    def take(self, time: int, data: str) -> Iterator[str]:
        *whole, rest = data.split("\n")
        for piece in whole:
            self._hold(piece, time)
            yield self._line()
        self._hold(rest, time)
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


class _FullScreen:
    """A program that has the screen for itself: what comes to stand there, told once, picture by picture."""

    def __init__(self, size: Size, time: int) -> None:
        self._terminal = Terminal(*size, history=0)
        self._terminal.feed(b"\x1b[?1049h")
        self._lines = ScreenLines(Budget(rate=_ALL, burst=_ALL))
        self._time = time

    def take(self, data: str, time: int) -> Iterator[str]:
        """Draw more; tell what stood there long enough to be seen before."""
        if time - self._time >= GAP:
            yield from self.picture()
        self._time = time
        self._terminal.feed(data.encode())

    def resize(self, size: Size) -> None:
        """Take another size."""
        self._terminal.resize(*size)

    def picture(self) -> Iterator[str]:
        """Tell what stands there now and did not before."""
        rows = Rows(self._terminal.texts(), self._terminal.cursor[1], alternate=True)
        yield from self._told(self._lines.picture(self._time, rows, (), ""))

    def close(self) -> Iterator[str]:
        """Tell the rest."""
        yield from self.picture()
        yield from self._told(self._lines.close())

    def _told(self, lines: list[Line]) -> Iterator[str]:
        for line in sorted(lines, key=lambda line: line.row):
            yield f"{clock_text(line.time)}  | {safe_text(line.text, MAX_LINE)}"


class _Output:
    """All output: lines as they end, and between them the pictures of full-screen programs."""

    def __init__(self, size: Size) -> None:
        self._size = size
        self._lines = _Lines()
        self._full: _FullScreen | None = None
        self._cut = ""

    def take(self, event: Event) -> Iterator[str]:
        """Tell what this output ends."""
        data = self._cut + event.data
        cut = _CUT.search(data, max(0, len(data) - _LONGEST_SWITCH))
        self._cut = data[cut.start() :] if cut else ""
        data = data[: len(data) - len(self._cut)]
        at = 0
        for switch in _SWITCH.finditer(data):
            yield from self._piece(data[at : switch.start()], event.time)
            at = switch.end()
            if (switch[1] == "h") != (self._full is not None):
                yield from self._switch(event.time)
        yield from self._piece(data[at:], event.time)

    def resize(self, size: Size) -> None:
        """Take another size."""
        self._size = size
        if self._full is not None:
            self._full.resize(size)

    def rest(self) -> Iterator[str]:
        """Tell what is not ended."""
        full, self._full = self._full, None
        if full is not None:
            yield from full.close()
        yield from self._lines.rest()

    def _piece(self, data: str, time: int) -> Iterator[str]:
        if not data:
            return
        if self._full is not None:
            yield from self._full.take(data, time)
        else:
            yield from self._lines.take(time, data)

    def _switch(self, time: int) -> Iterator[str]:
        if self._full is None:
            yield from self._lines.rest()
            self._full = _FullScreen(self._size, time)
            yield f"{clock_text(time)}  -- full screen"
        else:
            yield from self._full.close()
            self._full = None
            yield f"{clock_text(time)}  -- end of full screen"


def transcript(events: Iterable[Event], size: Size = _USUAL, since: int = 0) -> Iterator[str]:
    """Yield lines `time  text`: output lines as they end, `-- marker`, `name> typed`, `| what stood in a full-screen program`.

    What happened before `since` (microseconds) is drawn and not told.
    """
    return (line for time, line in _told(events, size) if time >= since)


def _told(events: Iterable[Event], size: Size) -> Iterator[tuple[int, str]]:
    """Yield each line with the time at which it was whole."""
    output = _Output(size)
    time = 0
    for event in events:
        time = event.time
        if event.code == "o":
            yield from ((time, line) for line in output.take(event))
            continue
        if event.code == "x":
            yield from ((time, line) for line in output.rest())
        elif event.code == "r" and (wanted := parse_size(event.data)) is not None:
            output.resize(wanted)
        yield time, f"{clock_text(time)}  {_aside(event)}"
    yield from ((time, line) for line in output.rest())


def _aside(event: Event) -> str:
    """Return what is told of something that is no output."""
    text = safe_text(event.data, MAX_LINE)
    if event.code == "i":
        return f"{safe_text(event.by) or 'input'}> {text}"
    kinds = {"r": "size ", "x": "exit "}
    return f"-- {kinds.get(event.code, '')}{text}"
