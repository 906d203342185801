"""The menu without a screen: numbered lines, read and answered one at a time."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.menu import (
    Chosen,
    Menu,
    MenuItem,
    Quit,
    Refresh,
    ToggleFavourite,
    plain_choose,
    plain_lines,
)
from tests.core.menu.menus import FEW, many


def says(menu: object) -> str:
    assert isinstance(menu, Menu), menu
    return menu.message


def test_each_item_is_one_line_that_can_be_read_aloud() -> None:
    menu = Menu.of(FEW[:4], message="web2: session ended, exit code 7.")
    assert plain_lines(menu) == [
        "web2: session ended, exit code 7.",
        "4 to choose from.",
        "1. db01; PostgreSQL primary; env=prod; you may connect; on it now bob, carol",
        "2. router; Edge router; needs approval",
        "3. web2; Shop front end; env=test site=fra; you may connect",
        "4. web10; Shop front end; env=prod site=muc; you may connect, sftp",
        "Number or name, /text to filter, ? for help, q to leave.",
    ]


def test_a_number_a_name_or_its_unique_beginning_chooses() -> None:
    menu = Menu.of(FEW)
    for line in ("6", "db01", "DB01", "db", " db01 \n"):
        assert plain_choose(menu, line) == Chosen(FEW[2]), line


def test_a_full_name_wins_over_longer_names_that_begin_so() -> None:
    items = [MenuItem("web"), MenuItem("web2")]
    assert plain_choose(Menu.of(items), "web") == Chosen(items[0])


def test_a_name_that_could_be_several_is_asked_back() -> None:
    assert says(plain_choose(Menu.of(FEW), "web")).startswith('"web" could be web2, web10.')
    assert "and 95 more" in says(plain_choose(Menu.of(many(300)), "web"))


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("nobody", 'No name begins with "nobody".'),
        ("0", "There is no number 0: 1 to 9 are shown."),
        ("10", "There is no number 10: 1 to 9 are shown."),
        ("*", "After * a number from 1 to 9 is needed."),
        ("?", "Type a number or a name to open it."),
        ("", "This is the last page."),
        ("p", "This is the first page."),
        ("\x1b[A", 'No name begins with "[A".'),
    ],
)
def test_what_cannot_be_done_is_answered_with_what_can(line: str, answer: str) -> None:
    menu = plain_choose(Menu.of(FEW), line)
    assert says(menu).startswith(answer)


def test_a_filter_numbers_its_hits_from_one() -> None:
    menu = plain_choose(Menu.of(FEW), "/front prod")
    assert isinstance(menu, Menu)
    assert plain_lines(menu)[:2] == [
        '1 matching "front prod".',
        "1. web10; Shop front end; env=prod site=muc; you may connect, sftp",
    ]
    assert plain_choose(menu, "1") == Chosen(FEW[0])
    back = plain_choose(menu, "/")
    assert isinstance(back, Menu)
    assert len(back.hits) == 9


def test_long_lists_come_in_pages_whose_numbers_go_on() -> None:
    menu = Menu.of(many(45))
    first = plain_lines(menu)
    assert first[0] == "45 to choose from, showing 1 to 20."
    assert "Enter for more" in first[-1]
    second = plain_choose(menu, "")
    assert isinstance(second, Menu)
    assert plain_lines(second)[1].startswith("21. ")
    third = plain_choose(second, "n")
    assert isinstance(third, Menu)
    assert plain_lines(third)[0] == "45 to choose from, showing 41 to 45."
    assert "Enter for more" not in plain_lines(third)[-1]
    assert says(plain_choose(third, "")) == "This is the last page."
    assert plain_choose(third, "2") == Chosen(menu.index.entries[1].item)


def test_a_star_marks_a_favourite_and_says_so() -> None:
    result = plain_choose(Menu.of(FEW), "*6")
    assert isinstance(result, ToggleFavourite)
    assert (result.item.name, result.item.favourite) == ("db01", True)
    assert plain_lines(result.menu)[0] == "db01 is now a favourite."


def test_leaving_and_looking_anew() -> None:
    for line in ("q", "quit", "exit"):
        assert plain_choose(Menu.of(FEW), line) == Quit()
    assert isinstance(plain_choose(Menu.of(FEW), "r"), Refresh)


def test_empty_lists_say_what_to_do_next() -> None:
    assert "Ask an administrator" in plain_lines(Menu.of([]))[0]
    empty = plain_choose(Menu.of(FEW), "/xyz")
    assert isinstance(empty, Menu)
    assert plain_lines(empty) == ['Nothing matches "xyz". Type / to show everything, or q to leave.']


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=300), st.text(max_size=40))
def test_no_line_and_no_name_whatever_bring_a_control_character(line: str, name: str) -> None:
    menu = Menu.of([*FEW, MenuItem(name, name, ((name, ""),), note=name)])
    result = plain_choose(replace(menu, message=""), line)
    shown = result if isinstance(result, Menu) else menu
    for text in plain_lines(shown):
        assert not any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for c in text)
        assert len(text) < 2500
