"""A session's terminal: bytes and sizes in, pictures, keyframes and lines of text out.

Never waits and never looks at a clock: whoever owns it decides when and how much is parsed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from bastion.core.terminal.grid import Grid, Row
from bastion.core.terminal.keyframe import dump
from bastion.core.terminal.line import unpack
from bastion.core.terminal.modes import BRACKETED_PASTE, DECCKM, DECSCNM, FOCUS, SYNCHRONIZED
from bastion.core.terminal.screen import Screen
from bastion.core.terminal.skip import WINDOW, possible, skip
from bastion.core.terminal.stream import Stream

SLICE: Final = 16_384
"""Bytes parsed at a stretch."""
EFFORT: Final = 2048
"""Rows that one slice may touch in great moves (clearing, filling, scrolling) before it ends early."""
SKIP_FROM: Final = 32_768
"""Waiting bytes from which looking for what only scrolls by pays."""
STEP: Final = 2048
LINES_KEPT: Final = 20_000
"""Lines kept for search until somebody drains them."""
COLUMNS_MAX: Final = 1000
LINES_MAX: Final = 500
CELLS_MAX: Final = 200_000


def clamp(columns: int, lines: int) -> tuple[int, int]:
    """Return the size nearest to what was asked that a terminal may have."""
    columns = max(1, min(columns, COLUMNS_MAX))
    lines = max(1, min(lines, LINES_MAX))
    return columns, min(lines, max(1, CELLS_MAX // columns))


def _where(error: Exception) -> str:
    """Return kind and place of an error."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return f"{type(error).__name__} in {step.tb_frame.f_code.co_name}, line {step.tb_lineno}" if step else type(error).__name__


class Modes(NamedTuple):
    """Modes that change nothing in the cells. Numbers are the private modes' own, 0 where none is set."""

    application_cursor: bool
    application_keypad: bool
    bracketed_paste: bool
    focus: bool
    synchronized: bool
    mouse: int
    mouse_encoding: int
    kitty_keyboard: int
    modify_other_keys: int
    cursor_visible: bool
    cursor_shape: int
    reverse_video: bool


class Terminal:
    """Everything one session's terminal needs. Sizes are in cells, positions from 0."""

    def __init__(self, columns: int, lines: int, *, history: int = 1000, searchable: bool = False) -> None:
        columns, lines = clamp(columns, lines)
        self.screen = Screen(columns, lines, history)
        self.stream = Stream(self.screen)
        self.faults = 0  # exceptions that reset the screen
        self.fault = ""  # where the latest came from, in our own words: nothing of what an endpoint sent
        self._waiting: deque[bytes | tuple[int, int]] = deque()
        self._backlog = 0
        self._look_again = 0  # the offset from which skipping is tried anew
        self.offset = 0  # bytes parsed so far
        self.lines_lost = 0  # of `drain_lines`, when nobody drained them in time
        self._left: deque[tuple[int, str]] = deque(maxlen=LINES_KEPT)
        self._drained: list[str] = []
        if searchable:
            self.screen.left_text = []

    # -- in ---------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Parse bytes now, after all that waits."""
        self.catch_up()
        for at in range(0, len(data), SLICE):
            self._parse(data[at : at + SLICE])
            self._finish()

    def push(self, data: bytes) -> None:
        """Let bytes wait for `advance`."""
        if data:
            self._waiting.append(data)
            self._backlog += len(data)

    def unpush(self, size: int) -> bool:
        """Take the last `size` bytes back, with changes of size among them, unless some are parsed already; return whether."""
        waiting = self._waiting
        if size > self._backlog:
            return False
        self._backlog -= size
        while size > 0:
            item = waiting.pop()
            if isinstance(item, bytes):
                if len(item) > size:
                    waiting.append(item[: len(item) - size])
                size -= len(item)
        return True

    def push_resize(self, columns: int, lines: int) -> None:
        """Let a change of size wait for its turn among the bytes; of several in a row the last counts."""
        if self._waiting and isinstance(self._waiting[-1], tuple):
            self._waiting.pop()
        self._waiting.append((columns, lines))

    @property
    def backlog(self) -> int:
        """Return the bytes that wait, with what a call of `advance` left half done. 0: all is on the screen."""
        return self._backlog + self.stream.held

    def advance(self, limit: int = SLICE) -> int:
        """Parse at most about that many of the waiting bytes; return how many were taken.

        A call that meets something slow ends early, and the next goes on there (and may take 0 bytes).
        Where much waits, bytes that only scroll by are taken beyond the limit, since they cost little.
        """
        if self.stream.held:
            self._guard(lambda: self.stream.go_on(EFFORT))
            return 0
        if self._backlog >= SKIP_FROM and self.offset >= self._look_again:
            if possible(self.screen, self.stream) or self._nothing_waits():
                skipped = self._skip()
                if skipped:
                    return skipped
                self._look_again = self.offset + SLICE
            else:
                limit = min(limit, STEP)  # once the cursor is at the bottom it may be
        waiting = self._waiting
        taken = 0
        while waiting and taken < limit:
            item = waiting.popleft()
            if isinstance(item, tuple):
                self._resize(*item)
                continue
            room = min(limit - taken, SLICE)
            if len(item) > room:
                waiting.appendleft(item[room:])
                item = item[:room]
            taken += len(item)
            self._backlog -= len(item)
            self._parse(item)
            if self.stream.held:
                break
        return taken

    def _nothing_waits(self) -> bool:
        """Return whether NULs come next, which do nothing anywhere."""
        first = self._waiting[0]
        return isinstance(first, bytes) and first[:1] == b"\0" and not self.stream.unfinished

    def _skip(self) -> int:
        """Pass over what can be passed over of the waiting bytes; return how many."""
        waiting = self._waiting
        parts: list[bytes] = []
        size = 0
        while waiting and size < WINDOW and isinstance(item := waiting[0], bytes):
            parts.append(item)
            size += len(item)
            waiting.popleft()
        window = parts[0] if len(parts) == 1 else b"".join(parts)
        taken = 0
        try:
            taken = skip(self.screen, self.stream, window[:WINDOW] if size > WINDOW else window)
        except Exception as error:  # noqa: BLE001 - as in `_parse`
            self.give_up(error)
            taken = min(size, WINDOW)
        if taken < size:
            waiting.appendleft(window[taken:])
        self._backlog -= taken
        self.offset += taken
        if self.screen.left_text:
            self._collect()
        return taken

    def catch_up(self) -> None:
        """Parse all that waits."""
        while self._waiting or self.stream.held:
            self.advance(SLICE)

    def resize(self, columns: int, lines: int) -> None:
        """Change the size now, after all that waits."""
        self.catch_up()
        self._resize(columns, lines)

    def _resize(self, columns: int, lines: int) -> None:
        columns, lines = clamp(columns, lines)
        self._guard(lambda: self.screen.resize(lines, columns))

    def _parse(self, data: bytes) -> None:
        try:
            self.stream.feed_bytes(data, EFFORT)
        except Exception as error:  # noqa: BLE001 - whatever an endpoint's bytes broke, it is this screen alone
            self.give_up(error)
        self.offset += len(data)
        if self.screen.left_text:
            self._collect()

    def _collect(self) -> None:
        """Take over the lines that left the screen, with the offset after which they were gone."""
        lines, self.screen.left_text = self.screen.left_text or [], []
        lost = len(self._left) + len(lines) - LINES_KEPT
        self.lines_lost += max(0, lost)
        self._left.extend((self.offset, line) for line in lines)

    def _finish(self) -> None:
        while self.stream.held:
            self._guard(lambda: self.stream.go_on(EFFORT))

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - as in `_parse`
            self.give_up(error)

    def give_up(self, error: Exception) -> None:
        """Start anew with an empty screen, since that error was met with what is on this one."""
        self.faults += 1
        self.fault = _where(error)
        self.stream.reset()
        self.screen.reset()

    # -- out --------------------------------------------------------------------------------------

    def snapshot(self) -> Grid:
        """Return what the screen shows; rows unchanged since the last snapshot are the same objects."""
        return self.screen.snapshot()

    @property
    def pending(self) -> bytes:
        """Return the bytes of an unfinished sequence or character."""
        return self.stream.pending

    def dump(self, *, with_input: bool = True) -> bytes:
        """Return a keyframe: bytes that bring a fresh terminal of this size to the same state.

        Followed by `pending` and the bytes to come it has the same future. `with_input=False` is for
        those who only look on: no mouse, paste, focus or keyboard modes. Waiting bytes are not in it.
        """
        try:
            return dump(self.screen, last=self.stream.last, with_input=with_input)
        except Exception as error:  # noqa: BLE001 - as in `_parse`
            self.give_up(error)
            return dump(self.screen, with_input=with_input)

    @property
    def modes(self) -> Modes:
        """Return what the program asked of the keyboard, the mouse and the cursor."""
        screen = self.screen
        return Modes(
            application_cursor=screen.private(DECCKM),
            application_keypad=screen.keypad,
            bracketed_paste=screen.private(BRACKETED_PASTE),
            focus=screen.private(FOCUS),
            synchronized=screen.private(SYNCHRONIZED),
            mouse=screen.mouse,
            mouse_encoding=screen.mouse_encoding,
            kitty_keyboard=screen.kitty[-1],
            modify_other_keys=screen.modify_keys or 0,
            cursor_visible=screen.cursor_visible,
            cursor_shape=screen.cursor_shape,
            reverse_video=screen.private(DECSCNM),
        )

    @property
    def columns(self) -> int:
        """Return the width."""
        return self.screen.columns

    @property
    def lines(self) -> int:
        """Return the height."""
        return self.screen.lines

    @property
    def cursor(self) -> tuple[int, int]:
        """Return the cursor's column and row."""
        return min(self.screen.x, self.screen.columns - 1), self.screen.y

    @property
    def title(self) -> str:
        """Return the window's title."""
        return self.screen.title

    @property
    def alternate(self) -> bool:
        """Return whether the alternate screen is shown."""
        return self.screen.on_alternate

    def drain_lines(self) -> list[tuple[int, str]]:
        """Return the lines that left the screen or changed on it since the last call, for search.

        Each comes with the offset of parsed bytes by which it was there. Only a searchable terminal has them.
        A row that changes twice between calls is told once.
        """
        if self.screen.left_text is None:
            return []
        lines = list(self._left)
        self._left.clear()
        now = [line.text() for line in self.screen.rows]
        before = self._drained
        lines += [
            (self.offset, text) for at, text in enumerate(now) if text and (at >= len(before) or before[at] != text) and text not in before
        ]
        self._drained = now
        return lines

    def collect_lines(self, *, wanted: bool) -> None:
        """From now on keep the texts of rows that leave at the top for `departed`, or stop keeping them."""
        if wanted != (self.screen.left_text is not None):
            self.screen.left_text = [] if wanted else None
            self._left.clear()

    def departed(self) -> list[str]:
        """Return the texts of the rows that left at the top since the last call, oldest first."""
        texts = [text for _, text in self._left]
        self._left.clear()
        return texts

    def texts(self) -> list[tuple[str, bool]]:
        """Return what each row says, without trailing blanks, and whether it goes on in the row below."""
        return [("".join(line.chars).rstrip(" "), line.wrapped) for line in self.screen.rows]

    def scrollback(self, count: int | None = None) -> list[Row]:
        """Return the newest rows that left the main screen, oldest first, each as wide as it was."""
        return [(line := unpack(packed)).row(max(len(line.chars), 1)) for packed in self.screen.history(count)]
