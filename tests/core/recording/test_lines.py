"""What is told of pictures and keys for searching: each line once, the last form of what is typed, floods bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bastion.core.recording.glean import Gleaner, Mark
from bastion.core.recording.indexer import Indexer
from bastion.core.recording.lines import BURST, Budget, Line, Rows, ScreenLines, TypedLines, harmless
from bastion.core.recording.reader import read
from bastion.core.recording.search import spot
from bastion.core.recording.track import CONTROL, Entry
from bastion.core.terminal import Terminal
from tests.core.recording.casts import cast_of


def picture(*texts: str, cursor: int = -1, alternate: bool = False) -> Rows:
    return Rows([(text, False) for text in texts], cursor, alternate)


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def test_a_line_that_stays_or_scrolls_is_told_once() -> None:
    lines = ScreenLines()
    assert texts(lines.picture(1, picture("one", "two", ""), [], "alice")) == ["one", "two"]
    assert texts(lines.picture(2, picture("one", "two", ""), [], "alice")) == []
    assert texts(lines.picture(3, picture("two", "three", ""), ["one"], "alice")) == ["three"]


def test_lines_that_were_never_on_a_picture_are_told_when_they_left() -> None:
    lines = ScreenLines()
    lines.picture(10, picture("a", ""), [], "alice")
    found = lines.picture(20, picture("y", "z"), ["a", "b", "c"], "alice")
    assert found == [Line(10, 0, "alice", "b"), Line(10, 0, "alice", "c"), Line(20, 0, "alice", "y"), Line(20, 1, "alice", "z")]


def test_a_line_that_is_blinked_away_is_not_told_again_and_one_that_comes_back_later_is() -> None:
    lines = ScreenLines()
    lines.picture(1, picture("status ok"), [], "")
    lines.picture(2, picture(""), [], "")
    assert texts(lines.picture(3, picture("status ok"), [], "")) == []
    for time in (4, 5, 6):
        lines.picture(time, picture("other"), [], "")
    assert texts(lines.picture(7, picture("status ok"), [], "")) == ["status ok"]


def test_the_main_screen_that_comes_back_behind_an_editor_is_not_told_again() -> None:
    lines = ScreenLines()
    lines.picture(1, picture("$ make", "done"), [], "")
    lines.picture(3, picture("vim 1", alternate=True), [], "")
    for time in range(4, 9):
        lines.picture(time, picture(f"vim {time}", alternate=True), [], "")
    assert texts(lines.picture(9, picture("$ make", "done", "$ ls"), [], "")) == ["$ ls"]


def test_only_the_last_form_of_what_is_being_typed_is_told() -> None:
    lines = ScreenLines()
    told: list[Line] = []
    for time, typed in enumerate(("$ ", "$ r", "$ rm", "$ rm -rf", "$ rm -rf /tmp/x")):
        told += lines.picture(time, picture("motd", typed.rstrip(), cursor=1), [], "alice")
    assert texts(told) == ["motd"]
    told += lines.picture(9, picture("motd", "$ rm -rf /tmp/x", "$", cursor=2), [], "alice")
    assert texts(told) == ["motd", "$ rm -rf /tmp/x"]
    assert texts(lines.close()) == ["$"]


def test_what_was_typed_and_taken_back_is_told_too() -> None:
    lines = ScreenLines()
    lines.picture(1, picture("$ rm -rf /", cursor=0), [], "alice")
    assert texts(lines.picture(2, picture("$ ls", cursor=0), [], "alice")) == ["$ rm -rf /"]


def test_a_held_line_that_scrolled_away_meanwhile_is_told_once() -> None:
    lines = ScreenLines()
    lines.picture(1, picture("", "$ cat x", cursor=1), [], "")
    assert texts(lines.picture(2, picture("8", "9", cursor=1), ["", "$ cat x", "7"], "")) == ["$ cat x", "7", "8"]


def test_rows_that_the_terminal_wrapped_are_one_line() -> None:
    lines = ScreenLines()
    found = lines.picture(1, Rows([("echo abc", True), ("def", False), ("out", False)], 2), [], "")
    assert found == [Line(1, 0, "", "echo abcdef")]


def test_a_flood_is_bounded_and_said_and_what_stays_is_told_later() -> None:
    lines = ScreenLines(Budget(rate=10, burst=20))
    told = lines.picture(1_000_000, picture("last"), [f"line {n}" for n in range(100)], "")
    assert len(told) == 20
    assert not lines.thirsty
    assert [(flood.since, flood.until) for flood in lines.floods()] == [(0, 1_000_000)]
    assert texts(lines.picture(4_000_000, picture("last"), None, "")) == ["last"]


def test_a_budget_saves_up_to_its_burst_and_no_more() -> None:
    budget = Budget()
    budget.take(budget.left(0))
    assert budget.left(1_000_000) == 50
    assert budget.left(10_000_000_000) == BURST


def test_keys_make_lines_with_erasing_and_their_author() -> None:
    typed = TypedLines()
    assert typed.take(1, "alice", "sudo rmm\x7f -rf x") == []
    assert typed.take(5, "alice", "\x17y\r") == [Line(1, -1, "alice", "sudo rm -rf y")]
    assert typed.take(6, "alice", "who") == []
    assert typed.take(7, "bob", "ls\r") == [Line(6, -1, "alice", "who"), Line(7, -1, "bob", "ls")]
    assert typed.take(8, "bob", "\x1b[A\x1bOBx\x15secret\x03") == [Line(8, -1, "bob", "secret")]
    assert typed.take(9, "bob", "left") == []
    assert texts(typed.close()) == ["left"]


def test_only_a_few_letters_are_harmless() -> None:
    assert harmless(b"a")
    assert harmless("-")
    assert harmless(b"-")
    assert not harmless(b"\r\n")
    assert not harmless("\x1b[2J")
    assert not harmless(b"a longer output")


def test_text_is_found_whatever_its_case_and_where_letters_fold_to_several() -> None:
    assert spot("say Hello", "hello", case=False) == (4, 5)
    assert spot("say Hello", "hello", case=True) is None
    assert spot("die STRASSE", "strasse", case=False) == (4, 7)
    assert spot("die Straße und", "sse u", case=False) == (8, 4)
    assert spot("x", "y", case=False) is None


# ---------------------------------------------------------------- from casts

OUTPUT = st.lists(
    st.tuples(
        st.integers(0, 400_000),
        st.sampled_from(["word", "zwölf Boxkämpfer ", "\r\n", "\x1b[2J\x1b[H", "\x1b[5;3Hat", "\x1b[?1049h", "\x1b[?1049l", "x" * 95, "\x1b[31mred\x1b[m", "\x08 \x08", "\x1b[3M"]),
    ),
    min_size=1,
    max_size=60,
)  # fmt: skip


@given(OUTPUT)
def test_what_stood_on_a_screen_at_a_keyframe_is_found(events: list[tuple[int, str]]) -> None:
    cast = cast_of([(gap, "o", data) for gap, data in events])
    header, _, _ = read([cast])
    gleaner = Gleaner(header, Mark(), [], "alice")
    told = texts([*gleaner.feed(cast), *gleaner.close()])
    for keyframe in [*Indexer(header).feed(cast)]:
        screen = Terminal(*keyframe.size)
        screen.feed(keyframe.screen)
        for text, _ in screen.texts():
            assert any(text.strip() in line for line in told), (text, told)


@given(OUTPUT, st.integers(0, 59))
def test_reading_on_from_a_mark_tells_neither_less_nor_twice(events: list[tuple[int, str]], cut: int) -> None:
    cast = cast_of([(gap, "o", data) for gap, data in events])
    header, _, _ = read([cast])
    whole = Gleaner(header, Mark(), [], "alice")
    expected = [*whole.feed(cast), *whole.close()]
    places = [at + 1 for at, byte in enumerate(cast) if byte == 10]
    split = places[min(cut, len(places) - 1)]
    first = Gleaner(header, Mark(), [], "alice")
    told = first.feed(cast[:split])
    mark = first.mark()
    told += first.drain()
    second = Gleaner(header, mark, [], "alice")
    told += [*second.feed(cast), *second.close()]
    assert {line.text for line in expected} <= {line.text for line in told}
    again = [line for line in told if told.count(line) > 1]
    assert again == []


def test_a_mark_holds_the_line_under_the_cursor_and_the_keys_of_an_unfinished_line() -> None:
    cast = cast_of([(0, "o", "$ "), (9, "i", "ec"), (100_000, "o", "ec"), (200_000, "i", "ho\r"), (100_000, "o", "ho\r\nout\r\n$ ")])
    header, _, _ = read([cast])
    lines = cast.split(b"\n")
    split = len(b"\n".join(lines[:5])) + 1
    first = Gleaner(header, Mark(), [], "alice")
    told = first.feed(cast[:split])
    mark = first.mark()
    told += first.drain()
    assert mark.held == "$ ec"
    second = Gleaner(header, mark, [], "alice")
    told += [*second.feed(cast), *second.close()]
    assert [line.text for line in told if not line.typed] == ["$ echo", "out", "$"]
    assert [line.text for line in told if line.typed] == ["echo"]


def test_a_line_is_told_with_who_had_control() -> None:
    cast = cast_of([(0, "o", "one\r\n"), (500_000, "o", "two\r\n"), (500_000, "o", "\r\n")])
    header, _, _ = read([cast])
    gleaner = Gleaner(header, Mark(), [Entry(300_000, CONTROL, "bob", "")], "alice")
    found = [*gleaner.feed(cast), *gleaner.close()]
    assert [(line.by, line.text) for line in found] == [("alice", "one"), ("bob", "two")]


def test_a_command_without_a_terminal_is_read_line_by_line_and_only_so_far() -> None:
    cast = cast_of([(0, "o", "one\ntwo\n"), *[(10, "o", f"{'y' * 1000}\n")] * 1100], term="")
    header, _, _ = read([cast])
    gleaner = Gleaner(header, Mark(), [], "alice")
    found = [*gleaner.feed(cast), *gleaner.close()]
    assert texts(found)[:2] == ["one", "two"]
    assert gleaner.enough
