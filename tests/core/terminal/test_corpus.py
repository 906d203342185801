"""Streams of real programs show what the majority of tmux, libvterm and xterm shows."""

from __future__ import annotations

import pytest

from bastion.core.terminal import Terminal
from bastion.core.terminal.describe import describe
from tests.core.terminal import judge


@pytest.mark.parametrize("name", judge.names())
def test_each_checkpoint_shows_what_most_terminals_show(name: str) -> None:
    recorded = judge.stream(name)
    terminal = Terminal(recorded.columns, recorded.lines)
    events = sorted(
        [(offset, 1, columns, lines) for offset, columns, lines in recorded.resizes]
        + [(offset, 0, index, 0) for index, offset in enumerate(recorded.checkpoints)],
    )
    done = 0
    for offset, is_resize, first, second in events:
        terminal.feed(recorded.data[done:offset])
        done = offset
        if is_resize:
            terminal.resize(first, second)
            continue
        shown = describe(terminal.snapshot(), alternate=terminal.alternate)
        assert judge.differences(judge.Case(name, first, offset), shown) == []
    assert terminal.faults == 0


def test_a_wrong_cell_is_told_from_a_right_one() -> None:
    name = "git-log-80x24"
    recorded = judge.stream(name)
    terminal = Terminal(recorded.columns, recorded.lines)
    terminal.feed(recorded.data[: recorded.checkpoints[-1]])
    shown = describe(terminal.snapshot(), alternate=terminal.alternate)
    case = judge.Case(name, len(recorded.checkpoints) - 1, recorded.checkpoints[-1])
    assert judge.differences(case, shown) == []
    y, x = next((y, x) for y, row in enumerate(shown["cells"]) for x, cell in enumerate(row) if cell[0] not in {" ", ""})
    shown["cells"][y][x][0] = "\u2603"
    assert len(judge.differences(case, shown)) == 1
