"""Invitations, kicks and guests between the services, in one process: orders of events that no clock would hit."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from bastion.core.access.decision import Terms
from bastion.core.errors import BastionError, Denied, Ended, Missing
from bastion.core.values import Size
from bastion.services.live import screen
from tests.services.live.theatre import Console, Theatre

SCALE = int(os.environ.get("BASTION_FUZZ", "1"))


@pytest.fixture
async def theatre(monkeypatch):
    monkeypatch.setattr(screen, "FRAMES", 1e6)  # as many frames as turns of the loop
    made = Theatre()
    yield made
    await made.close()


async def turns(count):
    for _ in range(count):
        await asyncio.sleep(0)


async def shows(console, text, since=0):
    """Wait until the console was sent these bytes."""
    async with asyncio.timeout(5):
        while text not in console.out[since:]:
            await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["withdraw", "kick"])
async def test_no_frame_is_sent_after_a_revocation_was_acknowledged_however_it_falls_into_the_join(theatre, how):
    actor, _, endpoint = await theatre.session()
    alice, bob = theatre.who("alice"), theatre.who("bob")
    dice = random.Random(4)
    shown = refused = 0
    async def revoke(before, console):
        await turns(before)
        if how == "kick":
            await theatre.invitations.kick(alice, actor.id, "bob")
        else:
            await theatre.invitations.withdraw(alice, actor.id, "bob")
        return console.writes

    async def come(before, console):
        await turns(before)
        await theatre.connect.join(console, actor.id)

    async def speak(after, number):
        await turns(after)
        endpoint.say(b"line %d\r\n" % number)

    for number in range(500 * SCALE):
        await theatre.invitations.invite(alice, actor.id, "bob")
        console = Console(bob)
        speaking = [asyncio.ensure_future(speak(dice.randrange(12), number)) for _ in range(4)]
        coming = asyncio.ensure_future(come(dice.randrange(6), console))
        writes = await asyncio.ensure_future(revoke(dice.randrange(10), console))
        endpoint.say(b"after round %d\r\n" % number)
        await asyncio.gather(*speaking)
        await turns(8)
        with pytest.raises(BastionError) as caught:
            await coming
        assert console.writes == writes, f"a frame after the acknowledgement in round {number}"
        assert b"after round %d" % number not in console.out
        shown += console.writes > 1
        refused += isinstance(caught.value, Missing | Denied)
        assert not actor.present(bob.user_id)
    assert shown > 20 and refused > 20  # both orders were met
    assert actor.session.control.holder == actor.session.owner


async def test_random_hand_overs_lose_no_byte_double_none_and_let_no_ex_holder_type(theatre):
    actor, owner, endpoint = await theatre.session()
    object.__setattr__(actor.session.terms, "record_input", True)  # without echo watch: every burst is on file at once
    await theatre.invitations.invite(theatre.who("alice"), actor.id, "bob", "controller")
    consoles = {"alice": owner, "bob": await theatre.joined(actor, theatre.who("bob"), "controller")}
    dice = random.Random(7)
    expected: list[tuple[bytes, str]] = []
    moves = 0
    for number in range(4500 * SCALE):
        holder = actor.session.people[actor.session.control.holder].name
        other = "bob" if holder == "alice" else "alice"
        name = dice.choice(["alice", "bob"])
        what = dice.random()
        if what < 0.5:
            text = b"%d," % number
            consoles[name].type(text)
            if name == holder:
                expected.append((text, name))
        elif what < 0.8:
            consoles[other].type(b"\x1dr")
            consoles[holder].type(b"\x1dgtyped behind the hand-over")
            holder = other
            moves += 1
        elif what < 0.9:
            owner.type(b"\x1dt%d;" % number)
            expected.append((b"%d;" % number, "alice"))
            moves += holder != "alice"
            holder = "alice"
        else:
            endpoint.say(b"some output\r\n")
            await asyncio.sleep(0)
        assert actor.session.people[actor.session.control.holder].name == holder
    assert moves >= 1000 * SCALE
    assert endpoint.typed == b"".join(text for text, _ in expected)
    kept = [(data, by) for kind, data, by in (entry for entry in theatre.recorder.made[0].log if entry[0] == "i")]
    assert kept == expected
    changes = [mark for mark in theatre.recorder.made[0].marks if mark.startswith("control: ")]
    assert len(changes) == moves


async def test_the_eleventh_participant_is_refused_in_one_line_and_audited(theatre):
    actor, _, _ = await theatre.session()
    for _ in range(9):
        await theatre.joined(actor, theatre.who("sup"))
    with pytest.raises(BastionError, match="That session is full: 10 take part"):
        await theatre.connect.join(Console(theatre.who("sup")), actor.id)
    assert theatre.auditor.last("session.join_refused").reason == "That session is full: 10 take part."


async def test_nobody_stays_a_second_longer_than_the_session(theatre):
    actor, _, endpoint = await theatre.session()
    console, task = theatre.join(actor, theatre.who("sup"))
    await turns(5)
    endpoint.events.closed(0, None, "")
    await turns(2)
    writes = console.writes
    assert await task == 0
    endpoint.say(b"late")
    await turns(5)
    assert console.writes == writes
    with pytest.raises(Missing, match="it may have ended"):
        await theatre.connect.join(Console(theatre.who("sup")), actor.id)
    assert theatre.auditor.last("session.join_refused").reason == "no such live session"


async def test_an_invitation_that_runs_out_puts_out_only_those_whom_no_rule_lets_stay(theatre):
    actor, _, _ = await theatre.session()
    alice = theatre.who("alice")
    await theatre.invitations.invite(alice, actor.id, "bob", "controller", 60)
    await theatre.invitations.invite(alice, actor.id, "sup", "controller", 60)
    bob, task = theatre.join(actor, theatre.who("bob"), "controller")
    sup = await theatre.joined(actor, theatre.who("sup"), "controller")
    owner_rights = {person.name: person.rights for person in actor.session.people.values()}
    assert "control" in owner_rights["bob"]
    theatre.clock.at += 61
    for invitation in list(actor.invitations.values()):
        theatre.invitations._run_out(actor, invitation)
    with pytest.raises(Ended, match="Your invitation ran out"):
        await task
    assert bob.listener is None
    assert sup.listener is not None
    (stays,) = [person for person in actor.session.people.values() if person.name == "sup"]
    assert "control" not in stays.rights and "moderate" in stays.rights


async def test_policy_may_keep_invitations_or_everybody_out(theatre):
    actor, _, _ = await theatre.session()
    for terms in (Terms(viewers="permitted"), Terms(viewers="none", joinable=False)):
        object.__setattr__(actor.grant, "terms", terms)
        with pytest.raises(Denied, match="Policy lets nobody be invited"):
            await theatre.invitations.invite(theatre.who("alice"), actor.id, "bob")
        with pytest.raises(Denied, match="Policy lets nobody be invited"):
            await theatre.guests.issue(theatre.who("sup"), actor.id, "Ada", "Acme", "press")
    with pytest.raises(Denied, match="Policy lets nobody join"):
        await theatre.connect.join(Console(theatre.who("sup")), actor.id)


async def test_who_was_kicked_needs_a_new_invitation_even_where_a_rule_would_let_them_in(theatre):
    actor, _, _ = await theatre.session("bob")
    theatre.people["carol"] = "supervisor"
    object.__setattr__(theatre.store.users["carol"], "roles", ("supervisor",))
    sup, carol = theatre.who("sup"), theatre.who("carol")
    _, task = theatre.join(actor, carol)
    await turns(3)
    with pytest.raises(Denied, match="carol moderates here: only another moderator"):
        await theatre.invitations.kick(theatre.who("bob"), actor.id, "carol")
    await theatre.invitations.kick(sup, actor.id, "carol", "enough")
    with pytest.raises(Ended, match="sup sent you out of the session: enough"):
        await task
    with pytest.raises(Denied, match="You were sent out of this session"):
        await theatre.connect.join(Console(carol), actor.id)
    await theatre.invitations.invite(sup, actor.id, "carol")
    assert (await theatre.joined(actor, carol)).listener is not None


# ---------------------------------------------------------------- guests


async def guest(theatre, actor, role="viewer", seconds=600.0):
    return "guest-" + await theatre.guests.issue(theatre.who("sup"), actor.id, "Ada", "Acme", "press", role, seconds)


async def test_a_code_has_80_bits_is_kept_nowhere_and_opens_its_session_once(theatre):
    actor, _, _ = await theatre.session()
    name = await guest(theatre, actor)
    code = name.removeprefix("guest-")
    assert len(code) == 16
    assert code not in repr(vars(theatre.guests)) + repr(theatre.auditor.events) + repr(theatre.recorder.made[0].log)
    assert theatre.guests.candidate(name, "192.0.2.9") is not None
    assert theatre.guests.candidate(name.upper().replace("0", "O").replace("1", "L"), "192.0.2.9") is not None
    identity = theatre.guests.redeem(name, "SHA256:k", "192.0.2.9", "ssh")
    assert (identity.name, identity.roles, identity.user_id[:6]) == ("Ada (guest, Acme)", (), "guest:")
    assert theatre.guests.redeem(name, "SHA256:k", "192.0.2.9", "ssh") is None
    assert theatre.guests.candidate(name, "192.0.2.9") is None
    assert theatre.guests.refused(name, "192.0.2.9") == "guest code used before"
    assert theatre.guests.line(identity) == f"join {actor.id} --as viewer"
    assert (await theatre.joined(actor, identity)).listener is not None
    with pytest.raises(Denied):
        await theatre.connect.join(Console(identity), actor.id, "controller")


async def test_a_guest_opens_no_endpoint_and_no_other_session(theatre):
    actor, _, _ = await theatre.session()
    identity = theatre.guests.redeem(await guest(theatre, actor, "controller"), "SHA256:k", "192.0.2.9", "ssh")
    other, _, _ = await theatre.session("bob")
    with pytest.raises(Missing):
        await theatre.connect.join(Console(identity), other.id)
    with pytest.raises(Missing):
        await theatre.connect.connect(Console(identity), "web01")
    assert [view.id for view in theatre.control.visible(identity)] == [actor.id]


async def test_codes_end_with_their_time_their_session_and_a_withdrawal(theatre):
    actor, _, endpoint = await theatre.session()
    late, taken_back, orphan = [await guest(theatre, actor, seconds=60.0) for _ in range(3)]
    theatre.guests._spend(theatre.guests.candidate(taken_back, "x"), "withdrawn guest code")
    assert theatre.guests.refused(taken_back, "x") == "withdrawn guest code"
    theatre.clock.at += 61
    assert theatre.guests.candidate(late, "x") is None
    endpoint.events.closed(0, None, "")
    await turns(3)
    assert theatre.guests.refused(orphan, "x") == "guest code of a session that ended"


async def test_a_source_that_guesses_is_not_listened_to_for_a_minute(theatre):
    actor, _, _ = await theatre.session()
    name = await guest(theatre, actor)
    for _ in range(20):
        assert theatre.guests.refused("guest-0000000000000000", "192.0.2.66") == "unknown guest code"
    assert theatre.guests.candidate(name, "192.0.2.66") is None
    assert theatre.guests.refused(name, "192.0.2.66") == "too many wrong guest codes from that source"
    assert theatre.guests.candidate(name, "192.0.2.9") is not None
    theatre.clock.at += 61
    assert theatre.guests.candidate(name, "192.0.2.66") is not None


# ---------------------------------------------------------------- what people see


async def test_panning_shows_another_part_and_the_dot_follows_the_cursor_again(theatre):
    actor, owner, endpoint = await theatre.session(size=Size(120, 40))
    sup = await theatre.joined(actor, theatre.who("sup"), size=Size(40, 10))
    endpoint.say(b"\x1b[40;110Hfar\x1b[H")
    await turns(20)
    assert b"far" not in sup.out
    for _ in range(8):
        sup.type(b"\x1d\x1b[C")
        sup.type(b"\x1d\x1b[B")
    await shows(sup, b"far")
    assert endpoint.typed == b""
    seen = len(sup.out)
    endpoint.say(b"at the cursor")
    await turns(20)
    assert b"at the cursor" not in sup.out[seen:]
    sup.type(b"\x1d.")
    await shows(sup, b"at the cursor", seen)
    assert b"shows a part of this screen (120x40)" in owner.out


async def test_the_panel_tells_name_role_place_time_size_and_lag(theatre):
    actor, owner, endpoint = await theatre.session()
    sup = await theatre.joined(actor, theatre.who("sup"), size=Size(100, 30))
    sup.takes = False
    endpoint.say(b"much")
    await shows(sup, b"much")
    theatre.clock.at += 65
    owner.type(b"\x1dw")
    await shows(owner, b"alice  types  from 192.0.2.7")
    assert b"sup  viewer  from 192.0.2.7  for 1m5s  100x30  65s behind" in owner.out


async def test_the_status_line_tells_the_time_that_is_left_whichever_end_comes_first(theatre):
    actor, _, endpoint = await theatre.session()
    sup = await theatre.joined(actor, theatre.who("sup"), size=Size(200, 30))
    await shows(sup, b"alice@web01 80x24 | alice types | you: viewer 200x30 | REC | 12h left | Ctrl-] d leaves, ? help")
    actor.window_ends = theatre.clock.now() + 240
    endpoint.say(b"x")
    await shows(sup, b"4m left")


async def test_a_notice_comes_to_whoever_is_invited_in_the_session_they_are_in(theatre):
    theirs, bob, _ = await theatre.session("bob")
    actor, _, _ = await theatre.session("alice")
    await theatre.invitations.invite(theatre.who("alice"), actor.id, "bob", "controller")
    await shows(bob, f"alice invites you to web01 as controller: join {actor.id[:12]}".encode())
    assert theatre.recorder.made[0].marks == []  # it is no part of their session's record
    assert theirs is not actor


async def test_an_invitation_renewed_by_a_later_one_holds_to_the_later_end(theatre):
    actor, _, _ = await theatre.session()
    first = await theatre.invitations.invite(theatre.who("alice"), actor.id, "bob", "viewer", 60)
    await theatre.invitations.invite(theatre.who("alice"), actor.id, "bob", "viewer", 600)
    theatre.clock.at += 61
    theatre.invitations._run_out(actor, first)
    assert (await theatre.joined(actor, theatre.who("bob"))).listener is not None


async def test_held_output_is_seen_by_moderators_only_until_it_goes_on(theatre):
    actor, owner, endpoint = await theatre.session()
    sup = await theatre.joined(actor, theatre.who("sup"), "moderator")
    await theatre.invitations.invite(theatre.who("alice"), actor.id, "bob")
    bob = await theatre.joined(actor, theatre.who("bob"))
    await turns(10)
    await theatre.control.pause(theatre.who("sup"), actor.id, hold=True)
    endpoint.say(b"\r\n" * 6 + b"held back")
    await shows(sup, b"held back")
    assert b"held back" not in owner.out and b"held back" not in bob.out
    await theatre.control.resume(theatre.who("sup"), actor.id)
    await shows(owner, b"held back")
    await shows(bob, b"held back")
    assert ("o", b"\r\n" * 6 + b"held back") in theatre.recorder.made[0].log
