"""Whether a real terminal shows from a keyframe what ours shows. Never a judge of who is right where they differ otherwise."""

from __future__ import annotations

from collections.abc import Iterator

from bastion.core.terminal import Terminal
from bastion.core.terminal.describe import describe
from tests.core.terminal import judge
from tests.lab.screens import Shown, TmuxScreen, XtermScreen

_ERASED = (" ", "", "d", "")
"""What tmux and xterm tell of a cell that was only erased, whatever its colour."""


def differing(terminal: Terminal, shown: Shown, untold: str) -> list[str]:
    """Name what a real terminal shows otherwise than ours."""
    wrong = []
    ours = describe(terminal.snapshot(), alternate=terminal.alternate)
    for y, (row, other) in enumerate(zip(ours["cells"], shown.cells, strict=True)):
        for x, (mine, theirs) in enumerate(zip(map(_plain(untold), row), map(_plain(untold), other), strict=True)):
            if mine != theirs and not (mine[0] == " " and theirs == _ERASED):
                wrong.append(f"cell {x},{y} is {theirs}, not {mine}")
    screen = terminal.screen
    x, y = min(screen.x, screen.columns - 1), screen.y
    told = (min(shown.cursor[0], screen.columns - 1), shown.cursor[1])  # tmux tells of a pending wrap as one column more
    if told not in {(x, y), (x, y - screen.top * screen.origin)}:  # in origin mode xterm counts from the margin, tmux does not
        wrong.append(f"cursor at {told}, not {(x, y)}")
    if shown.alternate is not terminal.alternate:
        wrong.append(f"alternate screen: {shown.alternate}")
    return wrong


def _plain(untold: str):  # type: ignore[no-untyped-def]
    def plain(cell: list[str]) -> judge.Cell:
        text, fg, bg, flags = cell
        return judge.canonical((text, fg, bg, "".join(flag for flag in flags if flag not in untold)))

    return plain


def prefixes(name: str, every: int = 1000) -> Iterator[tuple[int, Terminal]]:
    """Feed a recorded stream; yield at each so many bytes, and after each change of size."""
    recorded = judge.stream(name)
    terminal = Terminal(recorded.columns, recorded.lines)
    resizes = list(recorded.resizes)
    done = 0
    for stop in sorted({*range(every, len(recorded.data), every), *(offset for offset, _, _ in resizes), len(recorded.data)}):
        terminal.feed(recorded.data[done:stop])
        done = stop
        while resizes and resizes[0][0] == stop:
            terminal.resize(*resizes.pop(0)[1:])
        yield stop, terminal


def rebuilt(terminal: Terminal, screen: TmuxScreen | XtermScreen) -> list[str]:
    """Name what that terminal shows from the keyframe otherwise than ours."""
    return differing(terminal, screen.show(terminal.dump()), screen.untold)
