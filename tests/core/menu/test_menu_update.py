"""The menu's behaviour: filter, order, selection, outcomes."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.keys import Key
from bastion.core.menu import (
    Chosen,
    Menu,
    MenuItem,
    Quit,
    Redraw,
    Refresh,
    ToggleFavourite,
    update,
    view,
)
from bastion.core.menu.model import QUERY_LIMIT, find
from tests.core.menu.menus import FEW, many, names, outcome, typed

UP, DOWN, PGDN, PGUP, HOME, END = "\x1b[A", "\x1b[B", "\x1b[6~", "\x1b[5~", "\x1b[H", "\x1b[F"


def test_sessions_come_first_then_favourites_recent_ones_and_names_in_natural_order() -> None:
    assert names(Menu.of(FEW)) == [
        "resume web2", "cache", "backup", "archive", "build", "db01", "router", "web2", "web10",
    ]  # fmt: skip


def test_every_word_must_match_somewhere_whatever_its_case() -> None:
    menu = Menu.of(FEW)
    assert names(typed(menu, "WEB prod")) == ["web10"]
    assert names(typed(menu, "env=test front")) == ["web2"]
    assert names(typed(menu, "web nothing")) == []


def test_best_matches_come_first() -> None:
    menu = Menu.of(
        [
            MenuItem("app", "not the web"),
            MenuItem("cobweb"),
            MenuItem("my-web"),
            MenuItem("web-shop"),
            MenuItem("web"),
            MenuItem("apple", favourite=True),
        ]
    )
    assert names(typed(menu, "web")) == ["web", "web-shop", "my-web", "cobweb", "app"]


def test_enter_chooses_the_selected_item() -> None:
    menu = Menu.of(FEW)
    assert outcome(menu, "db\r") == Chosen(FEW[2])
    assert outcome(menu, f"web{DOWN}\r") == Chosen(FEW[0])
    assert outcome(menu, "\r") == Chosen(FEW[8])


def test_enter_on_an_empty_list_changes_nothing() -> None:
    menu = typed(Menu.of(FEW), "nothing like it")
    assert update(menu, Key("enter")) is menu
    assert update(menu, Key("ctrl-f")) is menu


def test_the_selection_stops_at_both_ends_and_stays_on_the_screen() -> None:
    menu = Menu.of(many(200), 80, 24)
    assert typed(menu, UP).selected == 0
    page = typed(menu, PGDN)
    assert 5 < page.selected < 24
    assert typed(page, PGUP).selected == 0
    last = typed(menu, END)
    assert last.selected == 199
    assert typed(last, DOWN) == last
    assert typed(last, HOME).selected == 0
    for keys in (PGDN * 3, END, END + UP * 30, PGDN * 5 + UP * 2):
        shown = typed(menu, keys)
        assert f"›  {shown.current.name}" in "\n".join(  # type: ignore[union-attr]
            "".join(row.chars) for row in view(shown).rows
        )


def test_the_filter_is_edited_as_a_line_is() -> None:
    menu = Menu.of(FEW)
    assert typed(menu, "webx\x7f").query == "web"
    assert typed(menu, "web prod\x17").query == "web"
    assert typed(menu, "web prod\x15").query == ""
    assert typed(menu, "web prod\x15").hits == menu.hits
    assert update(typed(menu, "web"), Key("escape")).query == ""  # type: ignore[union-attr]
    assert typed(menu, "  ").query == ""
    assert len(typed(menu, "x" * 500).query) == QUERY_LIMIT


def test_widening_finds_again_what_narrowing_lost() -> None:
    menu = Menu.of(FEW)
    assert typed(menu, "web10\x7f\x7f").hits == typed(menu, "web").hits


def test_a_pasted_line_end_chooses_nothing() -> None:
    menu = typed(Menu.of(FEW), "\x1b[200~web2\nrm -rf /\x1b[201~")
    assert menu.query == "web2"


def test_leaving_redrawing_and_looking_anew_are_outcomes() -> None:
    menu = Menu.of(FEW)
    assert outcome(menu, "web\x03") == Quit()
    assert outcome(menu, "\x04") == Quit()
    assert outcome(menu, "web\x04") == typed(menu, "web")
    assert outcome(menu, "\x0c") == Redraw(menu)
    assert outcome(menu, "\x12") == Refresh(menu)


def test_a_favourite_is_told_shown_and_stays_selected() -> None:
    menu = typed(Menu.of(FEW), END)
    result = update(menu, Key("ctrl-f"))
    assert isinstance(result, ToggleFavourite)
    assert (result.item.name, result.item.favourite) == ("web10", True)
    assert result.menu.current == result.item
    assert names(result.menu).index("web10") < names(result.menu).index("backup")
    back = update(result.menu, Key("ctrl-f"))
    assert isinstance(back, ToggleFavourite)
    assert names(back.menu) == names(menu)


def test_resize_keeps_the_selected_item_on_the_screen() -> None:
    menu = typed(Menu.of(many(300), 120, 50), PGDN * 2 + DOWN * 7)
    name = menu.current.name  # type: ignore[union-attr]
    for size in ((20, 5), (80, 24), (300, 100), (1, 1), (60, 10)):
        menu = menu.resized(*size)
        assert menu.current.name == name  # type: ignore[union-attr]
        if size[0] > 20:
            assert any(name in "".join(row.chars) for row in view(menu).rows)


def test_new_items_keep_filter_and_selection() -> None:
    menu = typed(Menu.of(FEW), f"web{DOWN}")
    chosen = menu.current
    after = menu.with_items([MenuItem("web1"), *FEW])
    assert after.query == "web"
    assert after.current == chosen
    gone = menu.with_items([item for item in FEW if item != chosen])
    assert gone.current is not None
    assert menu.with_items([]).current is None


def test_five_thousand_endpoints_answer_a_key_within_five_milliseconds() -> None:
    menu = Menu.of(many(5000))
    slowest = 0.0
    for text in ("e", "w", "web 1", "example", "prod r1"):
        now = menu
        for character in text:
            query = now.query + character
            slowest = max(slowest, min(_timed(now, query) for _ in range(5)))
            now = now.filtered(query)
    reference = min(_reference() for _ in range(5))
    assert slowest < max(0.005, 40 * reference)


def _timed(menu: Menu, query: str) -> float:
    start = process_time()
    menu.filtered(query)
    return process_time() - start


def _reference() -> float:
    """Return what a plain scan of as many texts takes here and now, so that noise counts for both."""
    texts = [f"web{n}.example.org machine number {n} env=prod" for n in range(5000)]
    start = process_time()
    assert sum("prod" in text for text in texts) == 5000
    return process_time() - start


QUERY_WORDS = st.lists(st.sampled_from(["w", "we", "web", "1", "prod", "env=", "=", "fleet", "é"]))


@settings(max_examples=100, deadline=None)
@given(QUERY_WORDS)
def test_narrowing_key_by_key_finds_what_searching_at_once_finds(words: list[str]) -> None:
    menu = Menu.of([*many(60), *FEW])
    query = " ".join(words)[:QUERY_LIMIT]
    now = menu
    for character in query:
        now = now.filtered(now.query + character)
    assert now.hits == find(menu.index, query)
    haystacks = menu.index.haystacks
    words = query.lower().split()
    found = [at for at in range(69) if all(word in haystacks[at] for word in words)]
    assert sorted(now.hits) == found


KEYS = st.sampled_from(
    ["up", "down", "pageup", "pagedown", "home", "end", "backspace", "ctrl-u", "ctrl-w", "escape",
     "ctrl-f", "ctrl-l", "tab", "left", "insert", "text:w", "text:1", "text: ", "text:é", "paste:a\x1bb"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(KEYS, max_size=30), st.integers(1, 130), st.integers(1, 40), st.integers(0, 40))
def test_no_keys_whatever_break_the_menu_at_any_size(keys: list[str], columns: int, lines: int, count: int) -> None:
    menu = Menu.of(many(count), columns, lines, user="alice", message="It ended.")
    for key in keys:
        name, _, text = key.partition(":")
        result = update(menu, Key(name, text))
        menu = result if isinstance(result, Menu) else getattr(result, "menu", menu)
        grid = view(menu)
        assert len(grid.rows) == lines
        assert {len(row.chars) for row in grid.rows} == {columns}
        assert (menu.current is None) is (not menu.hits)


@pytest.mark.parametrize("name", ["\x1b[2Jweb", "web\u202e", "w\u200beb", "x" * 5000, "", "é" * 300])
def test_hostile_names_are_shown_escaped_and_bounded(name: str) -> None:
    menu = Menu.of([MenuItem(name, name, ((name, name),), (name,), (name,), note=name)], 120, 30)
    text = "".join("".join(row.chars) for row in view(menu).rows)
    assert not any(c < " " or "\x7f" <= c <= "\x9f" or c in "\u202e\u200b" for c in text)
    assert menu.current is not None
    assert menu.current.name == name


def test_what_is_typed_into_a_full_filter_costs_no_search() -> None:
    full = Menu.of(FEW).filtered("a" * QUERY_LIMIT)
    assert update(full, Key("text", "a")) is full
