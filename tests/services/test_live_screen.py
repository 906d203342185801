"""The screen beside a session: a flood never waits for it, and it is right afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bastion.core.values import Size
from bastion.services.live.screen import MOST_BACKLOG, LiveScreen

LINES = [b"row %d of a flood that nobody can follow\r\n" % n for n in range(120_000)]


def ignore(keyframe: object, size: Size) -> None:
    """No keyframe is kept here."""


async def test_a_flood_is_bounded_and_the_screen_shows_its_end() -> None:
    screen = LiveScreen(Size(80, 24), ignore)
    for start in range(0, len(LINES), 100):
        screen.push(b"".join(LINES[start : start + 100]))
        assert screen.terminal.backlog <= MOST_BACKLOG
    current = asyncio.Event()
    screen.when_current(current.set)
    async with asyncio.timeout(20):
        await current.wait()
    assert b"row 119999 of a flood" in screen.keyframe()
    assert not screen.exact
    screen.close()


async def test_what_the_parser_can_follow_stays_exact() -> None:
    screen = LiveScreen(Size(80, 24), ignore)
    for line in LINES[:500]:
        screen.push(line)
    current = asyncio.Event()
    screen.when_current(current.set)
    async with asyncio.timeout(20):
        await current.wait()
    assert screen.exact
    assert b"row 499 of a flood" in screen.keyframe()
    screen.close()


async def test_a_keyframe_has_the_size_that_is_on_file_when_it_is_made() -> None:
    """A resize is recorded before the screen takes it: a keyframe between the two would show the old size for good."""
    kept: list[tuple[Size, bytes]] = []
    sized = asyncio.Event()

    def keep(keyframe: Callable[[], bytes], size: Size) -> None:
        kept.append((size, keyframe()))
        sized.set()

    screen = LiveScreen(Size(80, 24), keep)
    screen.push(b"before\r\n")
    async with asyncio.timeout(20):
        await sized.wait()
        sized.clear()
        screen.resize(Size(70, 20))  # and nothing behind it
        await sized.wait()
    assert [size for size, _ in kept] == [Size(80, 24), Size(70, 20)]
    screen.close()
