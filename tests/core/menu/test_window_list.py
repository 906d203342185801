"""The list of windows: what it looks like, and what keys make of it."""

from __future__ import annotations

import pytest

from bastion.core.keys import Key
from bastion.core.menu.windows import Back, Listed, WindowList, update, view

ROWS = (
    Listed(0, "menu", "choose another endpoint"),
    Listed(1, "deploy@web01", "vim note.txt", "alice", "running", current=True),
    Listed(2, "root@db01", "日本語のタイトル", "bob of 3", "paused", active=True),
)


def screen(shown: WindowList) -> list[str]:
    rows = view(shown).rows
    assert len(rows) == shown.lines
    assert all(len(row.chars) == shown.columns for row in rows)
    return ["".join(row.chars).rstrip() for row in rows]


def key(name: str) -> Key:
    return Key("text", name) if len(name) == 1 else Key(name)


def test_an_ordinary_terminal_shows_who_types_and_where_something_is_new() -> None:
    assert screen(WindowList.of(ROWS, 80, 10, "alice")) == [
        " windows  alice                                                          3 open",
        "",
        "       WINDOW        TITLE                         TYPES     STATE",
        "   0   menu          choose another endpoint",
        "›* 1   deploy@web01  vim note.txt                  alice     running",
        " ● 2   root@db01     日本語のタイトル              bob of 3  paused, new output",
        "",
        "",
        "",
        " Enter go there  0-9 straight  c menu  Esc back",
    ]


@pytest.mark.parametrize("columns", [1, 2, 5, 10, 20, 39, 40, 60, 300])
@pytest.mark.parametrize("lines", [1, 2, 3, 5, 24])
def test_every_size_has_a_picture(columns: int, lines: int) -> None:
    screen(WindowList.of(ROWS, columns, lines, "alice"))


def test_more_windows_than_lines_scroll_to_the_selected_one() -> None:
    rows = tuple(Listed(number, f"host{number}", "", "", "running", current=number == 25) for number in range(30))
    shown = screen(WindowList.of(rows, 60, 12))
    assert any("host25" in text and text.startswith("›") for text in shown)


def test_control_characters_of_a_title_are_shown_and_not_sent() -> None:
    text = "\n".join(screen(WindowList.of((Listed(1, "web01", "evil\x1b]0;x\x07", "", "running"),), 80, 10)))
    assert "\x1b" not in text and "\x07" not in text and "evil" in text


@pytest.mark.parametrize(
    ("keys", "number"),
    [(["enter"], 1), (["down", "enter"], 2), (["j", "j", "enter"], 0), (["up", "enter"], 0), (["end", "enter"], 2), (["2"], 2), (["0"], 0), (["c"], 0)],
)
def test_keys_choose_a_window(keys: list[str], number: int) -> None:
    shown: object = WindowList.of(ROWS, 80, 24)
    for each in keys:
        assert isinstance(shown, WindowList)
        shown = update(shown, key(each))
    assert shown == number


@pytest.mark.parametrize("name", ["escape", "q", "ctrl-c", "s"])
def test_keys_lead_back(name: str) -> None:
    assert isinstance(update(WindowList.of(ROWS, 80, 24), key(name)), Back)


@pytest.mark.parametrize("name", ["7", "x", "²", "f5", "left"])
def test_other_keys_change_nothing(name: str) -> None:
    shown = WindowList.of(ROWS, 80, 24)
    assert update(shown, key(name)) == shown


def test_the_selected_window_stays_selected_while_others_come_and_go() -> None:
    shown = WindowList.of(ROWS, 80, 24).with_rows((ROWS[1], *ROWS[2:]))
    assert shown.rows[shown.selected].number == 1
    assert shown.with_rows((ROWS[0],)).selected == 0
    assert update(shown.with_rows(()), key("down")) == shown.with_rows(())
