"""What is asked again while a session runs: who may be there, who may type, and how long it may go on; by a clock moved by hand."""

from __future__ import annotations

import asyncio
import re

import pytest

from bastion.core.errors import BastionError, Conflict, Ended, Missing
from bastion.core.session.participants import Role
from bastion.services.connect import Limits
from bastion.services.live import screen
from tests.services.live.test_invitations import shows
from tests.services.live.theatre import Console, Theatre


@pytest.fixture
async def theatre(monkeypatch):
    monkeypatch.setattr(screen, "FRAMES", 1e6)  # as many frames as turns of the loop
    made = Theatre()
    yield made
    await made.close()


def said(actor_or_recording):
    return [mark for mark in actor_or_recording.marks if mark.startswith("This session ends")]


# ---------------------------------------------------------------- time


async def test_everybody_is_warned_ten_five_and_one_minute_before_the_longest_time_is_over(theatre):
    actor, owner, _ = await theatre.session()
    sup = await theatre.joined(actor, theatre.who("sup"))
    recording = theatre.recorder.made[0]
    ends = theatre.clock.at + 12 * 3600
    for left, words in ((601, 0), (599.5, 1), (400, 1), (299.5, 2), (59.5, 3), (30, 3)):
        theatre.clock.at = ends - left
        await theatre.revocation.look()
        assert len(said(recording)) == words, left
    assert said(recording) == [f"This session ends in {left}: then the longest time that policy allows is over." for left in ("10 min", "5 min", "1 min")]
    await shows(owner, b"This session ends in 1 min")
    await shows(sup, b"This session ends in 1 min")


async def test_the_next_look_comes_when_the_next_warning_is_due_also_for_a_session_that_just_began(theatre):
    began = theatre.clock.at
    actor, _, _ = await theatre.session()
    assert theatre.revocation._next == began + 12 * 3600 - 600
    theatre.clock.at += 3600
    await theatre.revocation.look()
    assert theatre.revocation._next == pytest.approx(began + 12 * 3600 - 600, abs=1)
    theatre.clock.at = began + 12 * 3600 - 500
    await theatre.revocation.look()
    assert theatre.revocation._next == pytest.approx(began + 12 * 3600 - 300, abs=1)
    assert actor.session.state.value == "running"


async def test_a_time_window_warns_before_it_closes_and_then_ends_the_session_with_its_reason(theatre, tmp_path):
    theatre.clock.at = 1_800_014_400 + 3600 * 8  # a Friday in January 2027; the window is made around it
    from datetime import UTC, datetime

    now = datetime.fromtimestamp(theatre.clock.at, UTC)
    closes = now.replace(minute=0, second=0).timestamp() + 3600
    hours = f"mon-sun {now:%H}:00-{(now.hour + 1) % 24:02}:00 UTC"
    rule = '    endpoints: ["*"]        #'
    theatre.policy(tmp_path / "p", lambda text: text.replace(rule, f'    when:\n      hours: ["{hours}"]\n{rule}', 1))
    actor, owner, _ = await theatre.session()
    assert actor.window_ends == closes
    theatre.clock.at = closes - 290
    await theatre.revocation.look()
    assert said(theatre.recorder.made[0]) == ["This session ends in 5 min: then its time window closes."]
    await shows(owner, b"then its time window closes.")
    theatre.clock.at = closes + 0.1
    await theatre.revocation.look()
    finish = await actor.done
    assert finish.code == "revoked"
    assert "engineers-connect" in finish.text


async def test_a_viewers_bytes_end_with_the_session_and_a_command_without_a_terminal_is_not_warned(theatre):
    console = Console(theatre.who("alice"))
    console.term = ""
    running = asyncio.ensure_future(theatre.connect.connect(console, "web01", command=b"long"))
    while not theatre.dialer.channels or theatre.live.actors()[0].session.state.value != "running":
        await asyncio.sleep(0)
    theatre.clock.at += 12 * 3600 - 30
    await theatre.revocation.look()
    assert console.out == b""
    theatre.dialer.channels[0].events.closed(0, None, "")
    assert await running == 0


# ---------------------------------------------------------------- rights


async def test_a_policy_that_takes_the_keyboard_away_takes_it_at_once_and_the_person_looks_on(theatre, tmp_path):
    actor, owner, endpoint = await theatre.session()
    await theatre.invitations.invite(theatre.who("alice"), actor.id, "bob", "controller")
    bob = await theatre.joined(actor, theatre.who("bob"), "controller")
    owner.type(b"\x1dr")
    bob.type(b"\x1dr")
    owner.type(b"\x1dg")
    bob.type(b"mine ")
    theatre.policy(tmp_path / "p", lambda text: text.replace("    actions: [join, control]", "    actions: [join]"))
    await theatre.revocation.look()
    bob.type(b"not mine")
    owner.type(b"mine again")
    assert endpoint.typed == b"mine mine again"
    (person,) = [one for one in actor.session.people.values() if one.name == "bob"]
    assert person.role is Role.VIEWER
    await shows(bob, b"Policy no longer lets you type in this session.")
    assert theatre.auditor.last("control.moved").reason == "bob -> alice"
    assert theatre.auditor.last("session.role").reason == "viewer"


async def test_a_policy_that_takes_looking_on_away_puts_the_person_out_with_the_rule(theatre, tmp_path):
    actor, _, endpoint = await theatre.session()
    sup, task = theatre.join(actor, theatre.who("sup"))
    while sup.listener is None:
        await asyncio.sleep(0)
    theatre.policy(tmp_path / "p", lambda text: text.replace("[list, join, moderate,", "[list, moderate,"))
    await theatre.revocation.look()
    writes = sup.writes
    endpoint.say(b"after that\r\n")
    with pytest.raises(Ended, match="Policy no longer allows it") as caught:
        await task
    assert caught.value.code == "session.revoked"
    assert sup.writes == writes
    left = theatre.auditor.last("session.left")
    assert (left.actor, left.subject, left.reason) == ("system", "sup", "session.revoked")
    assert "sup may no longer be here" in theatre.recorder.made[0].marks


async def test_a_moderator_whose_role_is_gone_pauses_no_more_and_the_owner_gets_the_keyboard_back(theatre, tmp_path):
    actor, owner, endpoint = await theatre.session()
    sup = await theatre.joined(actor, theatre.who("sup"), "moderator")
    sup.type(b"\x1dt")
    sup.type(b"by sup ")
    theatre.policy(tmp_path / "p", lambda text: text.replace("[list, join, moderate, invite-guest, pause, end]", "[list, join]"))
    await theatre.revocation.look()
    sup.type(b"not by sup\x1dP")
    owner.type(b"by alice")
    assert endpoint.typed == b"by sup by alice"
    assert actor.session.state.value == "running"


async def test_an_endpoint_that_becomes_private_puts_everybody_out_but_its_owner(theatre, tmp_path):
    actor, owner, endpoint = await theatre.session()
    await theatre.joined(actor, theatre.who("sup"))
    await theatre.invitations.invite(theatre.who("alice"), actor.id, "bob")
    await theatre.joined(actor, theatre.who("bob"))
    theatre.policy(tmp_path / "p", lambda text: text.replace("rules:\n", "defaults:\n  viewers: none\nrules:\n", 1))
    await theatre.revocation.look()
    assert [one.name for one in actor.session.people.values()] == ["alice"]
    with pytest.raises(BastionError, match="Policy lets nobody be invited"):
        await theatre.invitations.invite(theatre.who("alice"), actor.id, "bob")


async def test_a_keyboard_that_is_no_longer_to_be_given_goes_back(theatre, tmp_path):
    actor, owner, endpoint = await theatre.session()
    await theatre.invitations.invite(theatre.who("alice"), actor.id, "bob", "controller")
    bob = await theatre.joined(actor, theatre.who("bob"), "controller")
    bob.type(b"\x1dr")
    owner.type(b"\x1dg")
    theatre.policy(tmp_path / "p", lambda text: text.replace("rules:\n", "defaults:\n  handover: false\nrules:\n", 1))
    await theatre.revocation.look()
    bob.type(b"no")
    owner.type(b"yes")
    assert endpoint.typed == b"yes"


# ---------------------------------------------------------------- limits and the key


async def test_the_setting_bounds_participants_and_the_hand_back_and_policy_may_only_be_stricter(monkeypatch):
    monkeypatch.setattr(screen, "FRAMES", 1e6)
    theatre = Theatre(limits=Limits(participants=2, handback_seconds=30.0, chord=0x01))
    actor, owner, endpoint = await theatre.session()
    await theatre.joined(actor, theatre.who("sup"))
    with pytest.raises(BastionError, match="That session is full: 2 take part"):
        await theatre.connect.join(Console(theatre.who("sup")), actor.id)
    assert actor.session.terms.handback_seconds == 30.0
    owner.type(b"\x1d?\x01w")
    assert endpoint.typed == b"\x1d?"
    await shows(owner, b"alice  types  from")
    await theatre.close()
    from bastion.core.access.decision import Terms

    assert Limits(participants=20).bound(Terms(max_participants=3, handback_seconds=5.0)).max_participants == 3
    assert Limits(handback_seconds=600.0).bound(Terms(handback_seconds=5.0)).handback_seconds == 5.0


# ---------------------------------------------------------------- a session moves


async def test_a_session_that_is_attached_elsewhere_moves_to_who_attaches_and_the_other_place_is_told(theatre):
    actor, old, endpoint = await theatre.session()
    endpoint.say(b"what stood there\r\n")
    new = Console(theatre.who("alice"))
    task = asyncio.ensure_future(theatre.connect.attach(new, actor.id[:6]))
    await shows(new, b"what stood there")
    assert new.out.startswith(b"That session is attached from 192.0.2.7; it moves here.\r\n")
    await shows(old, b"You went on with this session from 192.0.2.7.")
    old.type(b"nothing")
    assert old.listener is None
    new.type(b"typed here")
    assert endpoint.typed == b"typed here"
    assert any(mark.startswith("alice moved from") for mark in theatre.recorder.made[0].marks)
    assert actor.session.people["p1"].attached
    new.type(b"\x1dd")
    assert await task == 0


async def test_without_a_name_the_detached_one_comes_first_and_several_are_told_apart(theatre):
    one, console, _ = await theatre.session()
    two, other, _ = await theatre.session()
    with pytest.raises(Conflict, match="Which one"):
        await theatre.connect.attach(Console(theatre.who("alice")))
    other.type(b"\x1dd")
    new = Console(theatre.who("alice"))
    task = asyncio.ensure_future(theatre.connect.attach(new))
    while new.listener is None:
        await asyncio.sleep(0)
    assert two.session.people["p1"].attached
    assert b"moves here" not in new.out
    new.type(b"\x1dd")
    await task
    with pytest.raises(Missing, match="You have no session to go back to that starts with 'zz'"):
        await theatre.connect.attach(new, "zz")
    assert re.fullmatch(r"[0-9a-z]+", one.id)
    del console
