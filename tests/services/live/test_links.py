"""Links that a program marks on its text: for those who look on only to the web, and only where that is set."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.services.live.theatre import Theatre

MARKED = (
    b"\x1b]8;;https://example.org/a?b=c\x1b\\here\x1b]8;id=7;http://example.org/\x07 there\x1b]8;;javascript:alert(1)\x07 no"
    b"\x1b]8;;file:///etc/passwd\x07 nor\x1b]8;;https://example.org/\xe2\x80\xae\x07 odd\x1b]8;;\x07 end"
)


@pytest.mark.parametrize(("links", "shown"), [(False, []), (True, [b"https://example.org/a?b=c", b"http://example.org/"])])
async def test_a_viewer_gets_the_links_of_the_web_if_that_is_set(links: bool, shown: list[bytes]) -> None:
    theatre = Theatre(links=links)
    actor, owner, channel = await theatre.session()
    viewer = await theatre.joined(actor, theatre.who("sup"))
    channel.say(MARKED)
    async with asyncio.timeout(10):
        while b"end" not in viewer.out:
            await asyncio.sleep(0)
    assert [link for link in re.findall(rb"\x1b\]8;;(.*?)\x1b\\", viewer.out) if link] == shown
    assert re.sub(rb"\x1b\]8;;.*?\x1b\\|\x1b\[[\d;:?]*[A-Za-z]", b"", viewer.out).count(b"here there no nor odd end") == 1
    assert MARKED in owner.out
    await theatre.close()
