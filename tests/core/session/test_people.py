"""People in a session: taking over, being put out, questions of ours, held output; the reader of keys; what is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.core.access.decision import Terms
from bastion.core.session import effects as do
from bastion.core.session import events as e
from bastion.core.session.captions import help_lines, status_line
from bastion.core.session.chord import ChordReader, Command, Typed
from bastion.core.session.echo import Counted, EchoWatch, Stored
from bastion.core.session.participants import Role
from bastion.core.session.prompt import LinePrompt
from bastion.core.session.session import Session
from bastion.core.values import Size
from tests.core.session.test_session import joined, of, person, running

MODERATOR = frozenset({"control", "moderate", "pause", "end"})


def told(effects: list[do.Effect], key: str) -> str:
    return " ".join(effect.text for effect in of(do.Notify, effects) if key in effect.participants or not effect.participants)


# ---------------------------------------------------------------- taking over


def test_a_moderator_who_takes_over_keeps_the_owner_out_until_it_is_given_back() -> None:
    session = running()
    joined(session, "p2", "sup", MODERATOR, Role.MODERATOR)
    effects = session.handle(e.ControlTaken(3.0, "p2", "wrong machine"))
    assert "sup took the keyboard from you (wrong machine). Ask for it with Ctrl-] r." in told(effects, "p1")
    refused = session.handle(e.ControlTaken(4.0, "p1"))
    assert told(refused, "p1") == "sup took over and has not given the keyboard back. Ask for it with r."
    assert of(do.Note, refused)[0].result == "denied"
    assert of(do.ToEndpoint, session.handle(e.InputReceived(5.0, "p1", b"x"))) == []
    session.handle(e.ControlGiven(6.0, "p2", "p1"))
    assert session.control.holder == "p1"
    assert session.control.taken_over == ""


def test_the_owner_may_take_over_a_takeover_where_policy_lets_them_moderate() -> None:
    session = Session(person("p1", "alice", Role.CONTROLLER, MODERATOR), Terms(), interactive=True)
    session.handle(e.Started(0.0))
    session.dialled()
    session.handle(e.EndpointOpened(1.0))
    joined(session, "p2", "sup", MODERATOR)
    session.handle(e.ControlTaken(3.0, "p2"))
    session.handle(e.ControlTaken(4.0, "p1"))
    assert session.control.holder == "p1"


def test_a_moderator_who_goes_leaves_the_keyboard_to_the_owner_unlocked() -> None:
    session = running()
    joined(session, "p2", "sup", MODERATOR)
    session.handle(e.ControlTaken(3.0, "p2"))
    session.handle(e.Left(4.0, "p2", "lost"))
    assert (session.control.holder, session.control.taken_over) == ("p1", "")


def test_where_policy_forbids_handing_over_only_moderators_and_the_owner_type() -> None:
    session = running(terms=Terms(handover=False))
    joined(session, "p2", "bob", frozenset({"control"}))
    joined(session, "p3", "sup", MODERATOR)
    assert "policy does not let you" in told(session.handle(e.ControlRequested(3.0, "p2")), "p2")
    assert "Policy does not let bob type" in told(session.handle(e.ControlGiven(3.0, "p1", "p2")), "p1")
    session.handle(e.ControlTaken(4.0, "p3"))
    assert session.control.holder == "p3"


# ---------------------------------------------------------------- sent out, asked again


def test_one_who_is_put_out_loses_the_keyboard_to_the_owner_and_everybody_is_told() -> None:
    session = running()
    joined(session, "p2", "bob", frozenset({"control"}))
    session.handle(e.ControlGiven(3.0, "p1", "p2"))
    effects = session.handle(e.PutOut(4.0, "p2", "alice", "session.kicked", "alice sent you out."))
    assert do.Dismiss("p2", "session.kicked", "alice sent you out.") in effects
    assert [mark.text for mark in of(do.Mark, effects)] == ["bob was sent out by alice", "control: bob -> alice"]
    assert session.control.holder == "p1"
    assert session.handle(e.InputReceived(5.0, "p2", b"x")) == []


def test_the_owner_is_never_put_out() -> None:
    session = running()
    assert session.handle(e.PutOut(4.0, "p1", "sup", "session.kicked", "no")) == []


def test_one_whose_right_ends_stays_as_viewer_and_types_no_more() -> None:
    session = running()
    joined(session, "p2", "bob", frozenset({"control"}), Role.CONTROLLER)
    session.handle(e.ControlGiven(3.0, "p1", "p2"))
    effects = session.handle(e.Reassessed(4.0, "p2", Role.VIEWER, frozenset()))
    assert do.Mark("bob is viewer now") in effects
    assert session.control.holder == "p1"
    assert of(do.ToEndpoint, session.handle(e.InputReceived(5.0, "p2", b"x"))) == []


# ---------------------------------------------------------------- questions


def test_inviting_by_the_chord_asks_for_a_name_and_none_of_the_answer_is_sent() -> None:
    session = running()
    effects = session.handle(e.InputReceived(2.0, "p1", b"\x1dibo"))
    assert of(do.Prompt, effects)[-1].text.endswith(": bo_")
    effects = session.handle(e.InputReceived(2.0, "p1", b"b controller 5m\rls\r"))
    assert effects == [do.Prompt("p1", None), do.InviteWanted("p1", "bob controller 5m")]
    assert session.handle(e.InputReceived(3.0, "p1", b"ls\r")) == [do.ToEndpoint(b"ls\r")]


def test_a_viewer_invites_nobody() -> None:
    session = running()
    joined(session, "p2", "bob")
    effects = session.handle(e.InputReceived(2.0, "p2", b"\x1di"))
    assert told(effects, "p2") == "Only the owner or a moderator invites."
    assert of(do.Note, effects)[0].result == "denied"


@pytest.mark.parametrize("typed", [b"bob\x1b", b"bob\x03", b"\r", b"  \r"])
def test_a_question_can_be_left(typed: bytes) -> None:
    prompt = LinePrompt("who")
    prompt.feed(typed)
    assert prompt.answer == ""


def test_a_question_takes_what_is_typed_in_any_pieces_and_can_be_corrected() -> None:
    prompt = LinePrompt("who")
    for byte in "bÖx\x7fb\x01".encode():
        prompt.feed(bytes([byte]))
    assert prompt.text == "bÖb"
    prompt.feed(b"\x15alice\r")
    assert prompt.answer == "alice"


# ---------------------------------------------------------------- held output


def test_held_output_is_recorded_and_shown_to_nobody_but_moderators() -> None:
    session = running()
    joined(session, "p2", "sup", MODERATOR)
    effects = session.handle(e.PauseRequested(3.0, "sup", "look", hold=True))
    assert do.HoldOutput(on=True) in effects
    assert of(do.ShowRendered, effects) == [do.ShowRendered("p1")]
    assert session.handle(e.OutputReceived(4.0, b"x")) == [do.RecordOutput(b"x")]
    session.handle(e.ControlTaken(5.0, "p2"))
    assert session.handle(e.OutputReceived(6.0, b"y")) == [do.RecordOutput(b"y"), do.Show("p2", b"y")]
    given = session.handle(e.ControlGiven(7.0, "p2", "p1"))
    assert [effect.participant for effect in of(do.ShowRendered, given)] == ["p2", "p1"]
    assert of(do.ShowRaw, given) == []
    resumed = session.handle(e.ResumeRequested(8.0, "sup"))
    kinds = [type(effect) for effect in resumed]
    assert kinds.index(do.HoldOutput) < kinds.index(do.ShowRaw)


# ---------------------------------------------------------------- keys


def test_arrows_after_the_chord_move_the_picture_and_are_not_sent() -> None:
    session = running()
    joined(session, "p2", "bob")
    assert session.handle(e.InputReceived(2.0, "p2", b"\x1d\x1b[C\x1d\x1bOA")) == [do.Pan("p2", 10, 0), do.Pan("p2", 0, -5)]
    assert session.handle(e.InputReceived(2.0, "p2", b"\x1d.")) == [do.Pan("p2", 0, 0)]


@given(st.lists(st.sampled_from([b"\x1d\x1b[A", b"\x1d\x1bOD", b"\x1dr", b"ls\r", b"\x1b[B", b"\x1d\x1d", "ä".encode()]), max_size=8), st.data())
def test_keys_are_read_the_same_however_they_are_cut(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    one, many = ChordReader(), ChordReader()
    parts = [part for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True) for part in many.read(whole[start:end])]

    def joined_up(found: list[Typed | Command]) -> list[object]:
        out: list[object] = []
        for part in found:
            if isinstance(part, Typed) and out and isinstance(out[-1], bytes):
                out[-1] += part.data
            else:
                out.append(part.data if isinstance(part, Typed) else part.key)
        return out

    assert joined_up(parts) == joined_up(one.read(whole))


def test_one_with_a_smaller_window_is_told_of_to_the_holder_once_when_joining_and_when_shrinking() -> None:
    session = running()
    session.handle(e.Joined(2.0, person("p2", "bob", size=Size(80, 24))))
    effects = session.handle(e.Resized(3.0, "p2", Size(50, 10)))
    assert told(effects, "p1") == "bob looks on; their window (50x10) shows a part of this screen (80x24)."
    assert session.handle(e.Resized(3.0, "p2", Size(40, 10))) == []
    assert "shows a part" in told(session.handle(e.Joined(4.0, person("p3", "carol", size=Size(20, 5)))), "p1")


# ---------------------------------------------------------------- what is kept of what is typed


def kept(effects: list[do.Effect]) -> list[object]:
    return [(effect.data, effect.by) if type(effect) is do.RecordInput else effect.text for effect in effects if type(effect) in (do.RecordInput, do.Mark)]


def test_what_comes_back_is_kept_with_its_author_and_a_password_is_only_counted() -> None:
    session = running(terms=Terms(record_input=True))
    log: list[object] = []
    for at, key in enumerate(b"su"):
        log += kept(session.handle(e.InputReceived(2.0 + at / 10, "p1", bytes([key]))))
        log += kept(session.handle(e.OutputReceived(2.01 + at / 10, bytes([key]))))
    log += kept(session.handle(e.InputReceived(2.3, "p1", b"\r")))
    session.handle(e.OutputReceived(2.4, b"\r\nPassword: "))
    for at, key in enumerate(b"hunter2"):
        log += kept(session.handle(e.InputReceived(3.0 + at / 10, "p1", bytes([key]))))
    log += kept(session.handle(e.InputReceived(4.0, "p1", b"\r")))
    log += kept(session.handle(e.OutputReceived(4.1, b"\r\n# ")))
    assert log == [(b"s", "alice"), (b"u", "alice"), (b"\r", "alice"), "7 keys by alice, not echoed", (b"\r", "alice")]


def test_input_is_sent_at_once_whatever_is_kept_of_it() -> None:
    session = running(terms=Terms(record_input=True))
    effects = session.handle(e.InputReceived(2.0, "p1", b"ls"))
    assert do.ToEndpoint(b"ls") in effects
    assert do.SetTimer("echo", 1.0) in effects
    assert kept(effects) == []
    assert kept(session.handle(e.TimerFired(3.1, "echo"))) == []
    assert kept(session.handle(e.EndRequested(4.0, "sup", "killed", "over"))) == ["2 keys by alice, not echoed", "ended: over"]


def test_a_line_that_is_pasted_whole_and_not_echoed_is_counted_even_if_the_answer_begins_alike() -> None:
    watch = EchoWatch()
    assert watch.typed(1.0, b"hello123\r", "bob") == []
    assert watch.output(b"\r\nhello123 accepted") == [Counted(8, "bob"), Stored(b"\r", "bob")]


def test_colours_in_the_echo_do_not_hide_it() -> None:
    watch = EchoWatch()
    watch.typed(1.0, b"ls", "bob")
    assert watch.output(b"\x1b[32ml\x1b[39m") == []
    assert watch.output(b"\x1b[32ms\x1b[39m") == [Stored(b"ls", "bob")]


@given(st.lists(st.tuples(st.sampled_from(["t", "o", "x"]), st.binary(min_size=1, max_size=6), st.sampled_from(["a", "b"])), max_size=30))
def test_every_typed_byte_is_kept_or_counted_once_in_order_per_person(steps: list[tuple[str, bytes, str]]) -> None:
    watch = EchoWatch()
    typed: dict[str, int] = {"a": 0, "b": 0}
    found: list[Stored | Counted] = []
    for at, (what, data, by) in enumerate(steps):
        if what == "t":
            typed[by] += len(data)
            found += watch.typed(float(at), data, by)
        elif what == "o":
            found += watch.output(data)
        else:
            found += watch.expired(float(at))
    found += watch.give_up()
    for by, count in typed.items():
        assert sum(len(one.data) if isinstance(one, Stored) else one.keys for one in found if one.by == by) == count
    assert not watch.waits


# ---------------------------------------------------------------- what is told on lines of ours


@pytest.mark.parametrize("columns", [300, 120, 80, 60, 40, 20])
def test_a_status_line_fits_and_says_first_of_all_who_types_and_how_to_get_help(columns: int) -> None:
    session = running()
    joined(session, "p2", "bob")
    text = status_line(session, "web01", session.people["p2"], Size(columns, 25), 7200.0)
    assert len(text) < max(columns, 29)
    assert "alice types" in text
    assert "Ctrl-] ?" in text or "? help" in text
    if columns >= 80:
        assert all(part in text for part in ("alice@web01", "80x24", "viewer", "REC", "2h00m left"))


def test_a_status_line_names_both_sizes_where_only_a_part_is_seen_and_that_it_is_paused() -> None:
    session = running()
    joined(session, "p2", "bob")
    session.handle(e.PauseRequested(3.0, "sup", ""))
    assert "80x24, you see 75x10" in status_line(session, "web01", session.people["p2"], Size(75, 10), None)
    for columns in (120, 70, 40):
        assert "PAUSED" in status_line(session, "web01", session.people["p2"], Size(columns, 10), None)


@pytest.mark.parametrize(("columns", "most"), [(80, 5), (120, 4), (40, 8)])
def test_the_keys_fit_the_window_and_only_those_that_do_something_stand_there(columns: int, most: int) -> None:
    session = running()
    joined(session, "p2", "bob")
    viewer, owner = (help_lines(session, session.people[key], columns) for key in ("p2", "p1"))
    assert all(len(line) < columns and len(lines) <= most for lines in (viewer, owner) for line in lines)
    assert all(text in " ".join(viewer) for text in ("r ask for keyboard", "arrows move view", "Ctrl-] send it"))
    assert all(text not in " ".join(viewer) for text in ("i invite", "k end", "P pause", "g give"))
    assert all(text in " ".join(owner) for text in ("i invite", "k end for all", "g give keyboard"))
    assert "r ask" not in " ".join(owner)
