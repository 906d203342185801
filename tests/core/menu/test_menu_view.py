"""What the menu looks like, at sizes from a phone to a wall."""

from __future__ import annotations

import pytest

from bastion.core.keys import Key
from bastion.core.menu import Menu, MenuItem, update, view
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.diff import diff
from bastion.core.terminal.style import BOLD, REVERSE
from tests.core.menu.menus import FEW, many, screen, typed
from tests.core.terminal_grid.strict import StrictTerminal


def test_an_ordinary_terminal_shows_every_column() -> None:
    menu = Menu.of(FEW, 100, 17, user="alice", message="web2: session ended, exit code 7.")
    assert screen(menu) == [
        " bastion  alice                                                                    9 to choose from",
        "› type to filter",
        "",
        "   NAME         DESCRIPTION         LABELS             YOU MAY                    ON IT NOW",
        "›● resume web2  s-4f2a, detached                       resume                     alice",
        " ★ cache        Redis web cache                        connect",
        "   backup       Tapes                                  connect",
        "   archive      Old files                              connect",
        "   build        CI runner           env=test           opens mon 08:00 · connect",
        "   db01         PostgreSQL primary  env=prod           connect                    bob, carol",
        "   router       Edge router                            needs approval",
        "   web2         Shop front end      env=test site=fra  connect",
        "   web10        Shop front end      env=prod site=muc  connect, sftp",
        "",
        " resume web2  s-4f2a, detached  resume  on it now: alice",
        " web2: session ended, exit code 7.",
        " ↑↓ move  Enter resume  ^F favourite  Esc clear  ^R refresh  ^C quit",
    ]


def test_twenty_by_five_still_chooses() -> None:
    assert screen(Menu.of(FEW, 20, 5, user="alice")) == [
        " bastion  alice   9",
        "› type to filter",
        "›● resume web2     █",
        " ★ cache           │",
        " Enter resume",
    ]
    with_message = screen(Menu.of(FEW, 20, 5, message="The session on web2 has ended."))
    assert with_message[-1] == " The session on…"


def test_a_narrow_list_keeps_what_matters_most() -> None:
    heading = screen(Menu.of(FEW, 44, 12))[2]
    assert heading == "   NAME         YOU MAY          ON IT NOW"


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 3), (20, 5), (80, 24), (300, 100), (1000, 200)])
def test_every_size_is_filled_exactly_and_can_be_sent(size: tuple[int, int]) -> None:
    menu = Menu.of([*many(50), *FEW], *size, user="alice", message="Ended.")
    grid = view(menu)
    assert (grid.columns, len(grid.rows)) == size
    terminal = StrictTerminal(*size)
    terminal.feed(diff(None, grid, Caps.of("xterm-256color")))
    assert terminal.grid().rows[-1].chars == grid.rows[-1].chars


def test_columns_that_say_nothing_are_left_out() -> None:
    heading = screen(Menu.of([MenuItem("a"), MenuItem("b", "x")], 80, 24))[3]
    assert heading.split() == ["NAME", "DESCRIPTION"]


def test_the_selected_row_is_marked_and_reversed_so_that_no_colour_is_needed() -> None:
    grid = view(typed(Menu.of(FEW, 80, 24), "\x1b[B"))
    rows = [y for y, row in enumerate(grid.rows) if row.styles[5].flags & REVERSE]
    assert len(rows) == 1
    assert "".join(grid.rows[rows[0]].chars).startswith("›★ cache")


def test_matches_are_marked_by_underline_and_weight() -> None:
    grid = view(typed(Menu.of(FEW, 80, 24), "prod\x1b[B"))
    row = next(row for row in grid.rows if "".join(row.chars).startswith("   db01"))
    text = "".join(row.chars)
    at = text.index("prod")
    assert all(look.underline and look.flags & BOLD for look in row.styles[at : at + 4])
    assert not row.styles[at - 1].underline


def test_the_cursor_stands_where_the_next_letter_will() -> None:
    assert view(Menu.of(FEW, 80, 24)).cursor == (2, 1)
    assert view(typed(Menu.of(FEW, 80, 24), "web é")).cursor == (7, 1)
    assert view(typed(Menu.of(FEW, 20, 5), "x" * 60)).cursor == (19, 1)


def test_an_empty_menu_says_what_to_do_next() -> None:
    text = " ".join(" ".join(screen(Menu.of([], 60, 20, user="alice"))).split())
    assert "nothing for you to open yet" in text
    assert "Ask an administrator for access, then press ^R" in text


def test_a_filter_without_hits_says_how_to_widen_it() -> None:
    text = "\n".join(screen(typed(Menu.of(FEW, 60, 20), "xyz")))
    assert 'Nothing matches "xyz".' in text
    assert "Esc shows everything again" in text
    assert "0 of 9" in text


def test_position_and_number_of_hits_are_shown() -> None:
    text = screen(typed(Menu.of(many(5000), 80, 24), "web\x1b[B\x1b[B"))
    assert text[0].endswith("1,667 of 5,000")
    assert text[1].endswith("3/1,667")


def test_a_long_message_takes_three_lines_at_most() -> None:
    text = screen(Menu.of(FEW, 40, 20, message="word " * 100))
    assert sum(line.startswith(" word") for line in text) == 3
    assert text[-2].endswith("…")


def test_a_message_goes_away_with_escape() -> None:
    menu = Menu.of(FEW, 60, 20, message="It ended.")
    after = update(menu, Key("escape"))
    assert isinstance(after, Menu)
    assert "It ended." not in "\n".join(screen(after))


def test_wide_names_keep_the_columns_straight() -> None:
    grid = view(Menu.of([MenuItem("漢字", "x1"), MenuItem("abc", "x2")], 60, 16))
    columns = {row.chars.index("x") for row in grid.rows[3:8] if "x" in row.chars}
    assert len(columns) == 1
