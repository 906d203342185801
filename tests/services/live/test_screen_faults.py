"""What an endpoint's bytes broke in our terminal is that session's own matter, and it is written down."""

from __future__ import annotations

import asyncio

import pytest

from bastion.core.terminal import Screen
from tests.services.live.theatre import Theatre


async def test_an_error_in_the_terminal_is_marked_in_the_recording_and_audited_and_the_session_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    theatre = Theatre()
    actor, owner, channel = await theatre.session()
    bob = await theatre.joined(actor, theatre.who("sup"))
    def broken(_self: Screen, _text: str) -> None:
        raise IndexError

    with monkeypatch.context() as patch:
        patch.setattr(Screen, "put", broken)
        channel.say(b"bang")
        async with asyncio.timeout(10):
            while not any(event.code == "session.screen_reset" for event in theatre.auditor.events):
                await asyncio.sleep(0)
    told = theatre.auditor.last("session.screen_reset")
    assert (told.session, told.result) == (actor.id, "failed")
    assert told.reason.startswith("IndexError in broken, line ")
    assert [mark for mark in theatre.recorder.made[0].marks if mark.startswith("screen reset")] == [
        "screen reset by an internal error (1 so far); the recorded output is whole"
    ]
    channel.say(b"\x1b[H\x1b[2Jafter")
    async with asyncio.timeout(10):
        while b"after" not in bob.out:
            await asyncio.sleep(0)
    assert b"bang" in owner.out
    assert actor.session.state.value == "running"
    await theatre.close()
    assert theatre.auditor.last("session.ended").data["screen_resets"] == 1
