"""Skip-ahead: in a long backlog, text that can only scroll away is passed over without being drawn.

Never changes what is seen in the end: screen, scrollback, pen and cursor are those of drawing it all.

Why that is exact. Take a stretch of output in which nothing stands but text, CR LF, and sequences that act
within the cursor's row or on the pen, while the cursor is in the last row and the whole screen scrolls. Each
CR LF then scrolls by one and leaves the cursor at the start of the last row. So whatever stands before
the last screenful of CR LFs has left the screen for the scrollback. What it does beyond that is to change the pen,
which is worked out from the colour sequences alone. The rows it sends to the scrollback are kept as bytes,
and drawn on a one-row screen should somebody look.

Where lines end in a bare LF (a terminal in raw mode) the cursor keeps its column: with nothing but ASCII, LF, CR and
colours it is what was printed since the last CR, modulo the width. NUL does nothing, wherever the cursor is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from bastion.core.terminal.canvas import GHOST
from bastion.core.terminal.line import Packed, filled
from bastion.core.terminal.screen import Screen
from bastion.core.terminal.scrollback import Passed
from bastion.core.terminal.sgr import select
from bastion.core.terminal.stream import Stream
from bastion.core.terminal.style import Style

WINDOW: Final = 1 << 19
"""Bytes looked at in one go: 1 to 6 ms."""
WORTHWHILE: Final = 8192
"""Fewer bytes are as quickly drawn."""
TAIL_MAX: Final = 1 << 16
PASSED_MAX: Final = 1 << 19
"""Bytes kept instead of scrollback rows; with longer lines than that makes, nothing is skipped."""

_STOPS: Final = tuple(bytes([code]) for code in (0x0B, 0x0C, *range(0x0E, 0x1B), *range(0x1C, 0x20)))
"""Control characters that may do more than to act in the row. Looking for one is as quick as memchr."""
_FAR: Final = re.compile(rb"\x1b(?!\[[0-;]{0,64}+m|\[\d{0,4}[KCDGXP@`]|\(B)")
"""Sequences that may. It begins with a literal, which lets the engine race to it, as do those below."""
_ODD: Final = (re.compile(rb"\x1b\[[0-;]{0,64}+[^m]"), re.compile(rb"\x1b[^\[]"))
"""All sequences that are no colours, in two searches that take half the time of one."""
_C1: Final = re.compile(rb"\xc2[\x80-\x9f]")
_SGR: Final = re.compile(rb"\x1b\[([\d;:]{0,64})m")
_RESETS: Final = (b"\x1b[0m", b"\x1b[m", b"\x1b[0;")
_BARE: Final = bytes([0x00, 0x07, 0x0A, 0x0D, 0x1B, *range(0x20, 0x7F)])
"""What may stand in lines that end in a bare LF, so that columns can be counted."""
_NOT_BARE: Final = re.compile(rb"[^\x00\x07\n\r\x1b -~]")
_FAR_BARE: Final = re.compile(rb"\x1b(?!\[[0-;]{0,64}+m|\[\d?K|\(B)")
_UNPRINTED: Final = re.compile(rb"\x1b(?:\[[0-;]{0,64}+m|\[\d?K|\(B)")
_SAMPLE: Final = 8192
_KINDS: Final = 12
_NO_COLUMN: Final = b"\x00\x07\n\r"
_NOT_TEXT: Final = re.compile(rb"\x1b(?:\[[\d;:]*[@-~]|\(B)|[\x00-\x08\x0e-\x1f\x7f]")
_LINE_END: Final = b"\r\n"


def possible(screen: Screen, stream: Stream) -> bool:
    """Return whether output could be skipped in this state."""
    return (
        screen.y == screen.bottom == screen.lines - 1
        and screen.top == 0
        and screen.plain
        and screen.autowrap
        and not screen.reverse_wrap
        and not stream.unfinished
    )


def _safe_end(window: bytes) -> int:
    """Return where something stands that could act beyond the row, or where the last whole line ends."""
    end = len(window)
    for stop in _STOPS:
        at = window.find(stop, 0, end)
        if at >= 0:
            end = at
    if b"\x1b" in window and any(odd.search(window, 0, end) for odd in _ODD):
        match = _FAR.search(window, 0, end)
        if match:
            end = match.start()
    match = None if window.isascii() else _C1.search(window, 0, end)
    if match:
        end = match.start()
    return window.rfind(b"\n", 0, end) + 1


class _Plain(NamedTuple):
    """What is known of lines that end in bare LFs: the few sequences in them, and how many columns they print in all."""

    sequences: tuple[bytes, ...]
    printed: int

    def count(self, data: bytes) -> int:
        """Return how many columns some of it prints."""
        silent = data.count(b"\n") + data.count(b"\0") + data.count(b"\x07")
        return len(data) - silent - sum(len(each) * data.count(each) for each in self.sequences)


def _plain(lines: bytes) -> _Plain | None:
    """Return what is known where all escapes are a few sequences of colours, and there is no CR.

    Counting four of them takes a third of the time of looking at each place. None begins another: all end in a letter.
    """
    known = tuple(set(_UNPRINTED.findall(lines[:_SAMPLE])))
    if len(known) > _KINDS or b"\r" in lines:
        return None
    found = [lines.count(each) for each in known]
    if sum(found) != lines.count(b"\x1b"):
        return None
    return _Plain(known, _Plain((), 0).count(lines) - sum(len(each) * many for each, many in zip(known, found, strict=True)))


def _bare_end(window: bytes, *, plain: bool) -> int:
    """Return up to where columns can be counted, at the end of a line."""
    end = len(window)
    if window.translate(None, _BARE):
        match = _NOT_BARE.search(window)
        if match:
            end = match.start()
    match = _FAR_BARE.search(window, 0, end) if not plain and b"\x1b" in window else None
    if match:
        end = match.start()
    return window.rfind(b"\n", 0, end) + 1


def _column_after(screen: Screen, x: int, data: bytes) -> int:
    """Return the column after lines that end in bare LFs, `x` before them; the width where a wrap is pending."""
    last = data.rfind(b"\r") + 1
    if last:
        x, data = 0, data[last:]
    return _moved(screen, x, len(_UNPRINTED.sub(b"", data).translate(None, _NO_COLUMN)))


def _moved(screen: Screen, x: int, count: int) -> int:
    return (x + count - 1) % screen.columns + 1 if count else x


def _pen_after(pen: Style, data: bytes) -> Style:
    """Return the pen once the colour sequences in the data have acted."""
    if b"\x1b" not in data:
        return pen
    last_reset = -1
    for reset in _RESETS:
        last_reset = max(last_reset, data.rfind(reset, last_reset + 1))
    if last_reset >= 0:
        data = data[last_reset:]
        pen = select(pen, "")
    for body in _SGR.findall(data):
        pen = select(pen, body.decode("ascii"))
    return pen


def _back(data: bytes, count: int, start: int, end: int, mark: bytes) -> int:
    """Return where the text after the `count`th line end from the end begins, -1 if there are fewer."""
    for _ in range(count):
        end = data.rfind(mark, start, end)
        if end < 0:
            return -1
    return end + len(mark)


def _renderer(screen: Screen, data: bytes, pen: Style, x: int) -> Callable[[], list[Packed]]:
    columns, lines, limit, tabstops = screen.columns, screen.lines, screen.scrollback.limit, set(screen.tabstops)
    newline = screen.newline

    def render() -> list[Packed]:
        # Two rows, since erasing can undo the wrap of the row above.
        scratch = Screen(columns, min(lines, 2), limit)
        scratch.tabstops = tabstops
        scratch.newline = newline
        scratch.set_pen(pen)
        scratch.x, scratch.y = x, scratch.bottom
        scratch.rows = [GHOST] * scratch.bottom + [filled(columns, scratch.blank)]
        stream = Stream(scratch)
        stream.feed_bytes(data)
        for line in scratch.rows[:-1]:
            scratch.leave(line)
        return scratch.scrollback.rows()

    return render


def skip(screen: Screen, stream: Stream, window: bytes) -> int:
    """Pass over what can be passed over at the window's start; return the bytes that were dealt with."""
    if window[:1] == b"\0" and not stream.unfinished:
        nothing = len(window) - len(window.lstrip(b"\0"))
        if nothing >= WORTHWHILE:
            return nothing
    if not possible(screen, stream):
        return 0
    if _LINE_END in window[:_SAMPLE]:
        done = _skip(screen, stream, window, _safe_end(window), _LINE_END, None)
        if done:
            return done
    window = window[: window.rfind(b"\n") + 1]
    plain = _plain(window)
    end = _bare_end(window, plain=plain is not None)
    return _skip(screen, stream, window, end, b"\n", plain if end == len(window) else None)


def _skip(screen: Screen, stream: Stream, window: bytes, end: int, mark: bytes, plain: _Plain | None) -> int:
    """Pass over lines that all end in `mark`, up to `end`."""
    start = window.find(mark, 0, end) + len(mark)
    seen = _back(window, screen.lines + 1, start, end, mark)  # from here on it is drawn
    if seen - start < WORTHWHILE or end - seen > TAIL_MAX or start < len(mark):
        return 0
    kept = seen
    limit = screen.scrollback.limit
    if not screen.on_alternate and limit:
        kept = max(start, _back(window, limit + 1, start, seen, mark))
        if seen - kept > PASSED_MAX:
            return 0
    stream.feed_bytes(window[:start])
    if not possible(screen, stream) or stream.held:
        return start  # the first line held a surprise
    x = at_seen = 0
    if mark != _LINE_END and not screen.newline:
        if plain is not None:
            x = _moved(screen, screen.x, plain.printed - plain.count(window[:start]) - plain.count(window[kept:]))
        else:
            x = _column_after(screen, screen.x, window[start:kept])
        at_seen = _column_after(screen, x, window[kept:seen])
    if not screen.on_alternate:
        _keep(screen, window[start:kept], window[kept:seen], x)
    screen.set_pen(_pen_after(screen.pen, window[start:seen]))
    screen.rows = [GHOST] * (screen.lines - 1) + [filled(screen.columns, screen.blank)]
    screen.x = at_seen
    stream.feed_bytes(window[seen:end])
    return end


def _keep(screen: Screen, gone: bytes, kept: bytes, x: int) -> None:
    """Send the rows on view to the scrollback, and after them what is passed over; the kept part begins in column `x`."""
    for line in screen.rows[:-1]:
        screen.leave(line)
    if screen.left_text is not None:
        text = _NOT_TEXT.sub(b"", gone + kept).decode("utf-8", "replace")
        screen.left_text += [line.rstrip() for line in text.split("\n")[:-1]]
    if kept:
        pen = _pen_after(screen.pen, gone)
        screen.scrollback.push_passed(Passed(kept.count(b"\n"), _renderer(screen, kept, pen, x)))
