"""A transcript reads like what a person saw: lines, names, and the pictures of full-screen programs."""

from __future__ import annotations

from bastion.core.recording.reader import Event
from bastion.core.recording.transcript import transcript
from bastion.core.values import Size


def told(*events: tuple[int, str, str] | tuple[int, str, str, str], size: Size = Size(40, 6)) -> list[str]:
    return list(transcript((Event(time, code, data, 0, *by) for time, code, data, *by in events), size))


def test_lines_typing_markers_and_the_end_have_times_and_names() -> None:
    lines = told(
        (0, "o", "$ "), (1_000_000, "i", "ls\r", "alice"), (1_000_100, "o", "ls\r\n"), (61_000_000, "o", "\x1b[1mone\x1b[m\r\n"),
        (62_000_000, "m", "control: alice -> bob"), (63_000_000, "i", "x", "bob"), (64_000_000, "x", "0"),
    )  # fmt: skip
    assert lines == ["0:01  alice> ls\\r", "0:00  $ ls", "1:01  one", "1:02  -- control: alice -> bob", "1:03  bob> x", "1:04  -- exit 0"]


def test_what_stood_in_a_full_screen_program_is_told_row_by_row_once() -> None:
    lines = told(
        (0, "o", "$ vim\r\n\x1b[?1049h\x1b[Hfirst line\x1b[2;1Hsecond\x1b[6;1H-- status"),
        (500_000, "o", "\x1b[2;1Hchanged"),
        (900_000, "o", "\x1b[6;1H:q\x1b[K"),
        (1_500_000, "o", "\x1b[?1049l$ done\r\n"),
    )
    assert lines == [
        "0:00  $ vim", "0:00  -- full screen", "0:00  | first line", "0:00  | second", "0:00  | -- status", "0:00  | changed",
        "0:00  | :q", "0:01  -- end of full screen", "0:01  $ done",
    ]  # fmt: skip


def test_a_switch_that_is_cut_between_events_is_one() -> None:
    lines = told((0, "o", "a\r\n\x1b[?10"), (10, "o", "49h\x1b[Hinside\x1b"), (100_000, "o", "[?1049l"), (100_001, "o", "b\r\n"))
    assert lines == ["0:00  a", "0:00  -- full screen", "0:00  | inside", "0:00  -- end of full screen", "0:00  b"]


def test_a_program_that_never_leaves_its_screen_is_told_to_its_end() -> None:
    lines = told((0, "o", "\x1b[?1049h\x1b[Htop of it"), (100, "r", "30x4"), (200_000, "o", "\x1b[2;1Hmore"), (300_000, "x", "1"))
    assert lines == ["0:00  -- full screen", "0:00  -- size 30x4", "0:00  | top of it", "0:00  | more", "0:00  -- exit 1"]


def test_no_control_sequence_is_passed_on_from_either_screen() -> None:
    lines = told((0, "o", "x\x1b]0;evil\x07y\r\n\x1b[?1049h\x1b[H\x1b]52;c;ZXZpbA==\x07in\x9b31mside"), (1, "x", "0"))
    assert all("\x1b" not in line and "\x07" not in line and "\x9b" not in line for line in lines)
    assert "0:00  xy" in lines
