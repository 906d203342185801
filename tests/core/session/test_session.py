"""Conversations with the session's state machine."""

from __future__ import annotations

import pytest

from bastion.core.access.decision import Terms
from bastion.core.session import effects as do
from bastion.core.session import events as e
from bastion.core.session.participants import Participant, Role
from bastion.core.session.session import IllegalEvent, Session
from bastion.core.session.state import ILLEGAL, TABLE, State
from bastion.core.values import Size

ALL = frozenset({"control", "moderate", "pause", "end"})


def person(key: str, name: str, role: Role = Role.VIEWER, rights: frozenset[str] = frozenset(), size: Size = Size(80, 24)) -> Participant:
    return Participant(key, f"u-{name}", name, role, "127.0.0.1", 0.0, size, rights)


def running(*, interactive: bool = True, terms: Terms | None = None) -> Session:
    session = Session(person("p1", "alice", Role.CONTROLLER, frozenset({"control"})), terms or Terms(), interactive=interactive)
    session.handle(e.Started(0.0))
    session.dialled()
    session.handle(e.EndpointOpened(1.0))
    return session


def joined(session: Session, key: str, name: str, rights: frozenset[str] = frozenset(), role: Role = Role.VIEWER) -> None:
    session.handle(e.Joined(2.0, person(key, name, role, rights)))


def of(kind: type, effects: list[do.Effect]) -> list:
    return [effect for effect in effects if type(effect) is kind]


SAMPLES: dict[type, object] = {
    e.Started: e.Started(0),
    e.EndpointOpened: e.EndpointOpened(0),
    e.EndpointFailed: e.EndpointFailed(0, "endpoint.unreachable", "no"),
    e.OutputReceived: e.OutputReceived(0, b"x"),
    e.EndpointClosed: e.EndpointClosed(0, 0, None, ""),
    e.InputReceived: e.InputReceived(0, "p1", b"x"),
    e.InputEnded: e.InputEnded(0, "p1"),
    e.SignalReceived: e.SignalReceived(0, "p1", "INT"),
    e.Resized: e.Resized(0, "p1", Size(90, 30)),
    e.Joined: e.Joined(0, person("p9", "zed")),
    e.Reattached: e.Reattached(0, person("p1", "alice", Role.CONTROLLER)),
    e.Left: e.Left(0, "p1", ""),
    e.PutOut: e.PutOut(0, "p9", "alice", "session.kicked", "out"),
    e.Reassessed: e.Reassessed(0, "p9", Role.VIEWER, frozenset()),
    e.Told: e.Told(0, "hello"),
    e.ControlRequested: e.ControlRequested(0, "p1"),
    e.ControlGiven: e.ControlGiven(0, "p1", "p9"),
    e.ControlTaken: e.ControlTaken(0, "p1"),
    e.PauseRequested: e.PauseRequested(0, "bob", ""),
    e.ResumeRequested: e.ResumeRequested(0, "bob"),
    e.EndRequested: e.EndRequested(0, "bob", "killed", "no"),
    e.RecordingFailed: e.RecordingFailed(0, "disk full"),
    e.TimerFired: e.TimerFired(0, "closing"),
}


def in_state(state: State) -> Session:
    session = Session(person("p1", "alice", Role.CONTROLLER, ALL), Terms(), interactive=True)
    if state is State.PENDING:
        return session
    session.handle(e.Started(0))
    session.dialled()
    if state is State.CONNECTING:
        return session
    session.handle(e.EndpointOpened(0))
    match state:
        case State.PAUSED:
            session.handle(e.PauseRequested(0, "bob", ""))
        case State.CLOSING:
            session.handle(e.EndRequested(0, "bob", "killed", ""))
        case State.CLOSED:
            session.handle(e.EndpointClosed(0, 0, None, ""))
    return session


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", list(SAMPLES), ids=lambda kind: kind.__name__)
def test_each_event_in_each_state_is_handled_ignored_or_refused_without_a_change(state: State, event: type) -> None:
    session = in_state(state)
    assert session.state is state
    handler = TABLE[state][event]
    if handler == ILLEGAL:
        with pytest.raises(IllegalEvent):
            session.handle(SAMPLES[event])
        assert session.state is state
    elif handler == "":
        assert session.handle(SAMPLES[event]) == []
        assert session.state is state
    else:
        session.handle(SAMPLES[event])


def test_output_is_recorded_before_it_is_shown() -> None:
    effects = running().handle(e.OutputReceived(2.0, b"hello"))
    assert effects == [do.RecordOutput(b"hello"), do.Show("p1", b"hello", False)]


def test_a_viewers_keys_reach_nobody() -> None:
    session = running()
    joined(session, "p2", "bob")
    for data in (b"rm -rf /\r", b"\x1b[A", bytes(range(3)), b"\x04", "ü".encode()):
        assert of(do.ToEndpoint, session.handle(e.InputReceived(3.0, "p2", data))) == []


def test_a_viewers_ctrl_c_leaves_only_the_viewer() -> None:
    session = running()
    joined(session, "p2", "bob")
    effects = session.handle(e.InputReceived(3.0, "p2", b"\x03"))
    assert of(do.Dismiss, effects)[0].participant == "p2"
    assert session.state is State.RUNNING
    assert "p2" not in session.people


def test_the_chord_twice_is_sent_once() -> None:
    assert running().handle(e.InputReceived(2.0, "p1", b"a\x1d\x1db")) == [do.ToEndpoint(b"a"), do.ToEndpoint(b"\x1d"), do.ToEndpoint(b"b")]


def test_the_chord_is_only_bytes_where_there_is_no_terminal() -> None:
    session = running(interactive=False)
    assert session.handle(e.InputReceived(2.0, "p1", b"\x1dd")) == [do.ToEndpoint(b"\x1dd")]


def test_asking_and_giving_moves_the_keyboard_and_marks_the_recording() -> None:
    session = running()
    joined(session, "p2", "bob", frozenset({"control"}))
    asked = session.handle(e.InputReceived(3.0, "p2", b"\x1dr"))
    assert do.Notify(("p1",), "bob asks for the keyboard: Ctrl-] g gives it.") in asked
    given = session.handle(e.InputReceived(4.0, "p1", b"\x1dgtail"))
    assert do.Mark("control: alice -> bob", "control", "bob") in given
    assert of(do.ToEndpoint, given) == []  # what the former holder typed behind it goes nowhere
    assert of(do.ShowRendered, given) == [do.ShowRendered("p1")]
    assert of(do.ShowRaw, given) == [do.ShowRaw("p2")]
    assert session.handle(e.InputReceived(5.0, "p2", b"ls\r")) == [do.ToEndpoint(b"ls\r")]
    assert of(do.ToEndpoint, session.handle(e.InputReceived(5.0, "p1", b"x"))) == []


def test_one_without_the_right_is_told_why_and_audited_when_asking_for_the_keyboard() -> None:
    session = running()
    joined(session, "p2", "bob")
    effects = session.handle(e.ControlRequested(3.0, "p2"))
    assert "policy does not let you" in of(do.Notify, effects)[0].text
    assert of(do.Note, effects)[0].result == "denied"


def test_the_owner_takes_the_keyboard_back_and_others_do_not() -> None:
    session = running()
    joined(session, "p2", "bob", frozenset({"control"}))
    joined(session, "p3", "carol", frozenset({"control"}))
    session.handle(e.ControlGiven(3.0, "p1", "p2"))
    refused = session.handle(e.ControlTaken(4.0, "p3"))
    assert "Only the owner takes the keyboard back" in of(do.Notify, refused)[0].text
    assert session.control.holder == "p2"
    session.handle(e.ControlTaken(5.0, "p1"))
    assert session.control.holder == "p1"


def test_a_holder_who_leaves_gives_the_keyboard_back_to_the_owner() -> None:
    session = running()
    joined(session, "p2", "bob", frozenset({"control"}))
    session.handle(e.ControlGiven(3.0, "p1", "p2"))
    effects = session.handle(e.Left(4.0, "p2", "lost"))
    assert session.control.holder == "p1"
    assert do.ShowRaw("p1") in effects


def test_while_paused_the_holder_is_told_and_nothing_is_sent() -> None:
    session = running()
    session.handle(e.PauseRequested(2.0, "sup", "look at this"))
    effects = session.handle(e.InputReceived(3.0, "p1", b"x"))
    assert effects == [do.Notify(("p1",), "Paused by sup: what you type is not sent.")]
    session.handle(e.ResumeRequested(4.0, "sup"))
    assert session.handle(e.InputReceived(5.0, "p1", b"x")) == [do.ToEndpoint(b"x")]


def test_the_eleventh_participant_is_told_that_the_session_is_full() -> None:
    session = running()
    for number in range(2, 11):
        joined(session, f"p{number}", f"v{number}")
    effects = session.handle(e.Joined(3.0, person("p11", "late")))
    assert effects == [do.Dismiss("p11", "session.full", "That session is full: 10 take part.")]


def test_an_owner_who_is_lost_detaches_and_comes_back_to_the_keyboard() -> None:
    session = running()
    effects = session.handle(e.Left(3.0, "p1", "The connection was lost."))
    assert do.SetTimer("detached", 600.0) in effects
    assert session.handle(e.OutputReceived(4.0, b"on")) == [do.RecordOutput(b"on")]
    back = session.handle(e.Reattached(5.0, person("p1", "alice", Role.CONTROLLER, frozenset({"control"}), Size(100, 30))))
    assert do.SetTimer("detached", None) in back
    assert do.ShowRaw("p1") in back
    assert do.ResizeEndpoint(Size(100, 30)) in back


def test_a_command_without_terminal_ends_when_its_owner_is_lost() -> None:
    session = running(interactive=False)
    assert do.CloseEndpoint() in session.handle(e.Left(3.0, "p1", "gone"))
    assert session.handle(e.EndpointClosed(4.0, None, None, "aborted")) == [do.Finish("owner-left", "gone", None, None)]


def test_a_failed_recording_closes_the_endpoint_and_ends_with_its_reason() -> None:
    session = running()
    text = "Recording failed: no space left on device. Session ended by policy."
    assert do.CloseEndpoint() in session.handle(e.RecordingFailed(3.0, text))
    assert session.handle(e.OutputReceived(3.1, b"late")) == []
    assert session.handle(e.EndpointClosed(3.2, None, None, "")) == [do.Finish("recording-failed", text, None, None)]


def test_a_far_side_that_does_not_hang_up_is_left() -> None:
    session = running()
    session.handle(e.EndRequested(3.0, "sup", "killed", "sup ended it"))
    assert session.handle(e.TimerFired(5.0, "closing")) == [do.Finish("killed", "sup ended it", None, None)]


def test_ending_by_chord_asks_once_more() -> None:
    session = running()
    assert "Press Ctrl-] k again" in of(do.Notify, session.handle(e.InputReceived(2.0, "p1", b"\x1dk")))[0].text
    assert session.state is State.RUNNING
    session.handle(e.InputReceived(3.0, "p1", b"\x1dk"))
    assert session.state is State.CLOSING


def test_typing_keeps_an_idle_session_alive() -> None:
    session = running(terms=Terms(idle_seconds=60))
    session.handle(e.InputReceived(30.0, "p1", b"x"))
    assert session.handle(e.TimerFired(61.0, "idle")) == [do.SetTimer("idle", 29.0)]
    session.handle(e.TimerFired(90.0, "idle"))
    assert session.ending is not None
    assert session.ending.code == "idle"


def test_what_is_typed_while_connecting_is_sent_when_the_endpoint_opens() -> None:
    session = Session(person("p1", "alice", Role.CONTROLLER), Terms(), interactive=False)
    session.handle(e.Started(0))
    session.dialled()
    session.handle(e.InputReceived(0.1, "p1", b"early "))
    session.handle(e.InputReceived(0.2, "p1", b"bird"))
    session.handle(e.InputEnded(0.3, "p1"))
    opened = session.handle(e.EndpointOpened(1.0))
    assert [effect for effect in opened if type(effect) in (do.ToEndpoint, do.EndInput)] == [
        do.ToEndpoint(b"early "),
        do.ToEndpoint(b"bird"),
        do.EndInput(),
    ]


def test_ctrl_c_while_connecting_cancels() -> None:
    session = Session(person("p1", "alice", Role.CONTROLLER), Terms(), interactive=True)
    session.handle(e.Started(0))
    session.dialled()
    assert session.handle(e.InputReceived(0.1, "p1", b"\x03")) == [do.CloseEndpoint(), do.Finish("cancelled", "Cancelled.", None, None)]


@pytest.mark.parametrize("key", list("cnpsD0123456789"))
def test_a_key_about_windows_takes_along_what_was_typed_after_it(key: str) -> None:
    session = running()
    effects = session.handle(e.InputReceived(3.0, "p1", b"before\x1d" + key.encode() + b"ls\r\x1d\x1d\x1d?\x1d\x1b[A\x1d"))
    assert effects[0] == do.ToEndpoint(b"before")
    assert effects[1:] == [do.Window("p1", key, b"ls\r\x1d\x1d\x1d?\x1d\x1b[A\x1d")]
    assert session.handle(e.InputReceived(4.0, "p1", b"d")) == [do.ToEndpoint(b"d")], "the chord at the end went along"


def test_keys_about_windows_work_for_who_looks_on_and_while_it_is_paused() -> None:
    session = running()
    joined(session, "p2", "bob")
    assert session.handle(e.InputReceived(3.0, "p2", b"\x1d2")) == [do.Window("p2", "2", b"")]
    session.handle(e.PauseRequested(4.0, "sup", ""))
    assert session.handle(e.InputReceived(5.0, "p1", b"\x1dnx")) == [do.Window("p1", "n", b"x")]


def test_who_types_more_than_a_quarter_megabyte_while_connecting_is_held_until_the_endpoint_opens() -> None:
    session = Session(person("p1", "alice", Role.CONTROLLER), Terms(), interactive=False)
    session.handle(e.Started(0.0))
    session.dialled()
    held = [session.handle(e.InputReceived(0.1, "p1", b"x" * 64 * 1024)) for _ in range(5)]
    assert held == [[], [], [], [], [do.HoldTyping("p1")]]
    sent = of(do.ToEndpoint, session.handle(e.EndpointOpened(1.0)))
    assert sum(len(effect.data) for effect in sent) == 5 * 64 * 1024


@pytest.mark.parametrize("state", list(State))
def test_the_short_way_is_taken_only_where_the_events_would_have_done_the_same(state: State) -> None:
    session = in_state(state)
    holder = session.plain_output()
    assert (holder is not None) == (state is State.RUNNING)
    if holder is not None:
        assert session.handle(e.OutputReceived(5.0, b"x")) == [do.RecordOutput(b"x"), do.Show(holder, b"x", False)]
    for data in (b"x", b"a\x1dd"):
        for who in (session.owner, "nobody"):
            plain = session.plain_input(6.0, who, data)
            assert plain == (state is State.RUNNING and who == session.owner and b"\x1d" not in data)
            if plain:
                assert session.handle(e.InputReceived(6.0, who, data)) == [do.ToEndpoint(data)]


def test_a_viewer_and_one_whose_chord_is_half_typed_do_not_take_the_short_way() -> None:
    session = running()
    joined(session, "p2", "bob")
    assert not session.plain_input(5.0, "p2", b"x")
    session.handle(e.InputReceived(5.0, session.owner, b"\x1d"))
    assert not session.plain_input(5.0, session.owner, b"x")
    session.handle(e.PauseRequested(6.0, "bob", "a break", hold=True))
    assert session.plain_output() is None
