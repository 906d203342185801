"""What a TERM name promises, and how a screen is taken over and given back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.core.terminal.caps import MONO, TRUE_COLOR, Caps
from bastion.core.terminal.fullscreen import enter, leave
from bastion.core.terminal.grid import blank
from tests.core.terminal_grid.pictures import examples


@pytest.mark.parametrize(
    ("term", "colorterm", "colors"),
    [
        ("xterm-256color", "", 256),
        ("xterm-256color", "truecolor", TRUE_COLOR),
        ("xterm", "", 16),
        ("xterm-mono", "", MONO),
        ("xterm-kitty", "", TRUE_COLOR),
        ("alacritty", "", TRUE_COLOR),
        ("foot-direct", "", TRUE_COLOR),
        ("tmux-256color", "", 256),
        ("screen", "", 8),
        ("screen-256color", "", 256),
        ("screen.xterm-256color", "24bit", TRUE_COLOR),
        ("linux", "", 8),
        ("putty", "", 16),
        ("rxvt-unicode-256color", "", 256),
        ("vt100", "truecolor", MONO),
        ("vt220", "", MONO),
        ("dumb", "truecolor", MONO),
        ("", "", MONO),
        ("who-knows", "", MONO),
        ("who-knows-256color", "", 256),
        ("xterm" * 100, "truecolor", MONO),
    ],
)
def test_colours_follow_the_name(term: str, colorterm: str, colors: int) -> None:
    assert Caps.of(term, colorterm).colors == colors


def test_an_unknown_terminal_is_promised_nothing_but_a_cursor() -> None:
    caps = Caps.of("who-knows")
    assert caps == Caps()
    assert caps.full_screen
    assert not (caps.synchronized)
    assert not (caps.scroll_region)
    assert not (caps.rep)
    assert not (caps.alternate)
    assert not caps.wraps_late


@pytest.mark.parametrize("term", ["dumb", "", "unknown", "emacs"])
def test_a_terminal_without_a_cursor_is_no_full_screen(term: str) -> None:
    assert not Caps.of(term).full_screen


@pytest.mark.parametrize(
    ("locale", "known"), [("", True), ("en_GB.UTF-8", True), ("C.utf8", True), ("C", False),
                          ("de_DE.ISO-8859-1", False), ("POSIX", False)]
)  # fmt: skip
def test_letters_beyond_ascii_need_a_locale_that_has_them(locale: str, known: bool) -> None:
    assert Caps.of("xterm", locale=locale).unicode is known
    assert not Caps.of("vt100", locale="").unicode


def test_nothing_known_switches_links_or_titles_on() -> None:
    for term in ("xterm-kitty", "xterm-256color", "tmux", "linux"):
        assert not Caps.of(term, "truecolor").links
        assert not Caps.of(term, "truecolor").titles


@examples(200)
@given(st.text(max_size=100), st.text(max_size=20), st.text(max_size=20))
def test_any_words_give_an_answer(term: str, colorterm: str, locale: str) -> None:
    assert Caps.of(term, colorterm, locale).colors in {0, 8, 16, 256, TRUE_COLOR}


def test_what_is_switched_on_is_switched_off() -> None:
    caps = Caps.of("xterm-256color")
    opening, closing = enter(caps, paste=True), leave(caps, blank(2, 2))
    assert opening.startswith(b"\x1b[?1049h")
    assert closing.endswith(b"\x1b[?1049l")
    assert b"\x1b[?2004h" in opening
    assert b"\x1b[?2004l" in closing
    assert b"\x1b[?25h" in closing
    assert b" q" not in closing
    assert b"1049" not in enter(Caps.of("vt100"))
    assert b"2004h" not in enter(caps)
