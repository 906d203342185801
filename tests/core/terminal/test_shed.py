"""What is given up of a flood leaves the screen as if all had been drawn, once it has scrolled by."""

from __future__ import annotations

from bastion.core.terminal import Terminal

KEEP = 64 * 1024


def flooded(*parts: bytes) -> tuple[Terminal, Terminal]:
    """Return a terminal that shed most of a long text before the parts, and one that parsed all of it."""
    data = b"".join(parts) + b"".join(b"\x1b[3%dmline %d\x1b[0m\r\n" % (n % 8, n) for n in range(20_000))
    quick, exact = Terminal(80, 24), Terminal(80, 24)
    for at in range(0, len(data), 4096):
        quick.push(data[at : at + 4096])
        if quick.backlog > 2 * KEEP:
            assert quick.shed(KEEP) > 0
    quick.catch_up()
    exact.feed(data)
    return quick, exact


def test_a_flood_of_lines_ends_with_the_screen_of_drawing_it_all() -> None:
    quick, exact = flooded(b"begin\r\n")
    assert quick.snapshot() == exact.snapshot()
    assert quick.offset == exact.offset


def test_modes_that_were_switched_in_what_was_given_up_stay_switched() -> None:
    quick, exact = flooded(b"\x1b[?25l\x1b[?2004h\x1b[?1000h\x1b[?1000l\x1b[?1h")
    assert quick.modes == exact.modes
    assert quick.modes.bracketed_paste
    assert not quick.modes.cursor_visible


def test_a_reset_in_what_was_given_up_undoes_what_stood_before_it() -> None:
    quick, exact = flooded(b"\x1b[?2004h\x1bc\x1b[?1h")
    assert quick.modes == exact.modes
    assert not quick.modes.bracketed_paste


def test_a_change_of_size_before_the_flood_takes_its_turn() -> None:
    terminal = Terminal(80, 24)
    terminal.push_resize(100, 30)
    for _ in range(40):
        terminal.push(b"x\r\n" * 4096)
    assert terminal.shed(KEEP) > 0
    assert (terminal.columns, terminal.lines) == (100, 30)


def test_what_is_kept_is_never_less_than_was_asked() -> None:
    terminal = Terminal(80, 24)
    terminal.push(b"x" * (KEEP + 10))
    assert terminal.shed(KEEP) == 0
    terminal.push(b"y\r\n" * 100)
    terminal.shed(KEEP)
    assert terminal.backlog <= KEEP + 310
    terminal.push(b"z" * KEEP)
    terminal.shed(KEEP)
    assert terminal.backlog >= KEEP
