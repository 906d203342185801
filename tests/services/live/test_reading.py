"""What a live session tells the search index: pictures at pauses, parsed later, with who had control then."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from bastion.core.values import Size
from bastion.services.harvest import Sheaf
from bastion.services.live import reading
from bastion.services.live.reading import ScreenReader
from bastion.services.live.screen import LiveScreen, Ties


class Harvest:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told_lines: list[tuple[int, str, str]] = []
        self.marks = []
        self.done: bool | None = None

    def begin(self, record: object) -> Sheaf:
        self.sheaf = Sheaf("s1", "alice", "web01", 0.0)
        return self.sheaf

    def told(self, sheaf, lines, floods, mark) -> None:
        self.told_lines += [(line.time, line.by, line.text) for line in lines]
        self.marks.append(mark)

    def end(self, sheaf, *, done: bool) -> None:
        self.done = done

    @property
    def texts(self) -> list[str]:
        return [text for _, _, text in self.told_lines]


class Stage:
    """A session that speaks at moments of its own, and the screen that follows it."""

    def __init__(self, *, secret: str = "") -> None:
        self.writer = SimpleNamespace(time=0, length=0)
        self.session = SimpleNamespace(
            people={"p1": SimpleNamespace(name="alice"), "p2": SimpleNamespace(name="bob")},
            control=SimpleNamespace(holder="p1"),
            interactive=True,
        )
        self.recording = SimpleNamespace(
            writer=self.writer, keyframe_due=False, veiled=lambda texts: [text.replace(secret, "[masked]") if secret else text for text in texts]
        )
        self.harvest = Harvest()
        self.reader = ScreenReader(self.harvest, None, self.recording, self.session)  # type: ignore[arg-type]
        ties = Ties(lambda: False, lambda *_: None, lambda _: None, lambda *_: None, self.reader)
        self.screen = LiveScreen(Size(40, 5), ties)

    def say(self, milliseconds: int, text: str) -> None:
        self.writer.time += milliseconds * 1000
        self.writer.length += len(text) + 10
        self.screen.push(text.encode())

    async def parsed(self) -> None:
        done = asyncio.Event()
        self.screen.when_current(done.set)
        await done.wait()


async def test_what_stood_there_at_a_pause_is_told_though_it_was_parsed_later() -> None:
    stage = Stage()
    stage.say(1, "page one\x1b[2;1H")
    stage.say(200, "\x1b[H\x1b[2Jpage two\x1b[2;1H")
    stage.say(300, "\x1b[H\x1b[2Jpage three\x1b[2;1H")
    stage.say(1, "\x1b[H\x1b[2Jpage four\x1b[2;1H")
    assert stage.harvest.texts == [], "the hot path looks at nothing"
    stage.screen.close()
    assert stage.harvest.told_lines == [(1000, "alice", "page one"), (201_000, "alice", "page two"), (502_000, "alice", "page four")]
    assert stage.harvest.done is True


async def test_a_line_is_told_with_who_had_control_when_it_came() -> None:
    stage = Stage()
    stage.say(1, "by alice\r\n")
    stage.session.control.holder = "p2"
    stage.say(500, "by bob\r\n")
    stage.session.control.holder = None
    stage.screen.close()
    assert stage.harvest.told_lines == [(1000, "alice", "by alice"), (501_000, "bob", "by bob")]


async def test_letters_that_are_typed_make_no_pictures() -> None:
    stage = Stage()
    for letter in "$ echo typed":
        stage.say(100, letter)
    assert not stage.reader.places
    stage.say(100, "\r\n")
    assert len(stage.reader.places) == 1


async def test_places_that_wait_have_parsing_asked_for() -> None:
    stage = Stage()
    for n in range(reading.MOST_PLACES + 1):
        stage.say(100, f"\rline {n:03}\n")
    assert stage.screen._task is None
    stage.say(100, "\rmore\n")
    assert stage.screen._task is not None
    await stage.parsed()
    stage.screen.close()
    assert [f"line {n:03}" in stage.harvest.texts for n in range(reading.MOST_PLACES + 1)].count(False) == 0


async def test_a_mark_never_runs_ahead_of_what_was_told() -> None:
    stage = Stage()
    stage.say(1, "one\r\n")
    first = stage.writer.length
    stage.say(100, "two\r\n")
    await stage.parsed()
    assert stage.harvest.marks[-1].offset == first
    assert stage.harvest.texts == ["one"]


async def test_secrets_are_masked_in_lines_marks_and_what_waits() -> None:
    stage = Stage(secret="hunter2hunter2")
    stage.say(1, "token hunter2hunter2\r\n$ echo hunter2hunter2")
    stage.say(100, "\r\n")
    await stage.parsed()
    assert stage.harvest.sheaf.held is not None
    assert "hunter2" not in repr((stage.harvest.told_lines, stage.harvest.marks, stage.harvest.sheaf))
    assert stage.harvest.texts == ["token [masked]"]


async def test_more_than_can_be_parsed_at_the_end_is_left_to_the_cast() -> None:
    stage = Stage()
    stage.say(1, "\x1b[31mx\x1b[m" * 4000)
    stage.screen.close()
    assert stage.harvest.done is False


@pytest.mark.parametrize("data", [b"ls\r", "zwölf".encode() + b"\r", b"\xff\xfe\r"])
async def test_typed_lines_are_told_with_their_author_whatever_their_bytes(data: bytes) -> None:
    stage = Stage()
    stage.writer.time = 7
    stage.reader.typed(data, "bob")
    assert [(time, by) for time, by, _ in stage.harvest.told_lines] == [(7, "bob")]
    assert stage.harvest.marks[-1].typed_until == stage.writer.length


async def test_a_command_without_a_terminal_is_read_from_its_cast() -> None:
    stage = Stage()
    stage.session.interactive = False
    stage.reader.typed(b"input\r", "alice")
    stage.reader.close(None)
    assert (stage.harvest.told_lines, stage.harvest.done) == ([], False)
