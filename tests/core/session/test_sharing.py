"""Several typing at once, the keyboard that goes back, warnings before the end, and the key that speaks to the bastion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.core.access.decision import Terms
from bastion.core.session import effects as do
from bastion.core.session import events as e
from bastion.core.session.chord import ChordReader, Command, Typed, parse_chord, show_chord
from bastion.core.session.deadline import Deadline
from bastion.core.session.floor import BURST_SECONDS, LONGEST_SECONDS, MOST_HELD, PASTE_SECONDS, Floor
from bastion.core.session.participants import Role
from bastion.core.session.session import Session
from bastion.core.values import Size
from tests.core.session.test_people import MODERATOR, told
from tests.core.session.test_session import joined, of, person, running

SHARED = Terms(typing="shared")
CONTROL = frozenset({"control"})


def sent(effects: list[do.Effect]) -> bytes:
    return b"".join(effect.data for effect in of(do.ToEndpoint, effects))


def shared(terms: Terms = SHARED) -> Session:
    session = running(terms=terms)
    joined(session, "p2", "bob", CONTROL, Role.CONTROLLER)
    return session


# ---------------------------------------------------------------- who may


def test_where_typing_is_shared_a_controller_types_beside_the_owner_and_each_change_is_marked() -> None:
    session = shared()
    log: list[object] = []
    for who, data in [("p1", b"a"), ("p2", b"b"), ("p2", b"c"), ("p1", b"d")]:
        effects = session.handle(e.InputReceived(3.0, who, data))
        log += [(mark.kind, mark.who) for mark in of(do.Mark, effects)] + [sent(effects)]
    assert log == [("typing", "alice"), b"a", ("typing", "bob"), b"b", b"c", ("typing", "alice"), b"d"]
    assert session.typists() == ("p1", "p2")


def test_a_viewer_types_nothing_where_typing_is_shared_and_leaves_by_ctrl_c() -> None:
    session = running(terms=SHARED)
    joined(session, "p2", "sup", MODERATOR, Role.VIEWER)
    assert sent(session.handle(e.InputReceived(3.0, "p2", b"x"))) == b""
    assert of(do.Dismiss, session.handle(e.InputReceived(3.0, "p2", b"\x03")))


def test_a_typists_ctrl_c_is_the_endpoints() -> None:
    assert sent(shared().handle(e.InputReceived(3.0, "p2", b"\x03"))) == b"\x03"


def test_what_each_typed_is_kept_with_its_author() -> None:
    session = shared(Terms(typing="shared", record_input=True))
    kept: list[object] = []
    for who, data in [("p1", b"l"), ("p2", b"s"), ("p1", b"\r")]:
        kept += session.handle(e.InputReceived(3.0, who, data))
        kept += session.handle(e.OutputReceived(3.1, data))
    assert [(one.data, one.by) for one in kept if type(one) is do.RecordInput] == [(b"l", "alice"), (b"s", "bob"), (b"\r", "alice")]


def test_everybody_is_told_that_typing_is_shared() -> None:
    session = running(terms=SHARED)
    effects = session.handle(e.Joined(2.0, person("p2", "bob", Role.CONTROLLER, CONTROL)))
    assert told(effects, "p2") == "Typing is shared here: what you type is sent."
    assert "bob joined as controller, and types too." in told(effects, "p1")
    assert told(session.handle(e.ControlRequested(3.0, "p2")), "p2") == "Typing is shared here: you need not ask, only type."


def test_a_takeover_ends_the_sharing_until_it_is_given_back_and_what_waited_goes_nowhere() -> None:
    session = shared()
    joined(session, "p3", "sup", MODERATOR, Role.MODERATOR)
    assert sent(session.handle(e.InputReceived(3.0, "p1", b"\x1b[200~half a paste"))) != b""
    assert sent(session.handle(e.InputReceived(3.1, "p2", b"waits"))) == b""
    session.handle(e.ControlTaken(3.2, "p3"))
    assert session.typists() == ("p3",)
    assert sent(session.handle(e.TimerFired(9.0, "floor"))) == b""
    assert sent(session.handle(e.InputReceived(9.0, "p2", b"no")) + session.handle(e.InputReceived(9.0, "p1", b"no"))) == b""
    session.handle(e.ControlGiven(10.0, "p3", "p1"))
    assert sent(session.handle(e.InputReceived(11.0, "p2", b"yes"))) == b"yes"


@pytest.mark.parametrize(
    "event", [e.PutOut(3.2, "p2", "alice", "session.kicked", "out"), e.Left(3.2, "p2", ""), e.Reassessed(3.2, "p2", Role.VIEWER, frozenset())]
)
def test_what_waits_of_one_who_may_type_no_more_is_never_sent(event: e.Event) -> None:
    session = shared()
    session.handle(e.InputReceived(3.0, "p1", b"\x1b[200~paste"))
    session.handle(e.InputReceived(3.1, "p2", b"too late"))
    session.handle(event)
    assert sent(session.handle(e.InputReceived(3.3, "p1", b"d\x1b[201~"))) == b"d\x1b[201~"
    assert sent(session.handle(e.TimerFired(9.0, "floor"))) == b""


def test_a_pause_stops_what_waits_too() -> None:
    session = shared()
    session.handle(e.InputReceived(3.0, "p1", b"\x1b[200~paste"))
    session.handle(e.InputReceived(3.1, "p2", b"waits"))
    session.handle(e.PauseRequested(3.2, "sup", ""))
    assert "not sent" in told(session.handle(e.InputReceived(3.3, "p2", b"x")), "p2")
    assert sent(session.handle(e.TimerFired(3.4, "floor"))) == b""


def test_where_handing_over_is_forbidden_there_is_nothing_to_share() -> None:
    session = shared(Terms(typing="shared", handover=False))
    assert sent(session.handle(e.InputReceived(3.0, "p2", b"x"))) == b""


# ---------------------------------------------------------------- a paste stays whole


def test_a_bracketed_paste_in_pieces_is_not_interrupted_and_what_waited_follows_it() -> None:
    session = shared()
    log = sent(session.handle(e.InputReceived(3.0, "p1", b"\x1b[20")))
    log += sent(session.handle(e.InputReceived(3.0, "p1", b"0~first line\r")))
    effects = session.handle(e.InputReceived(3.2, "p2", b"rm"))
    assert of(do.SetTimer, effects)[0].name == "floor"
    log += sent(effects)
    log += sent(session.handle(e.InputReceived(4.0, "p2", b" x")))
    log += sent(session.handle(e.InputReceived(4.5, "p1", b"second line\x1b[2")))
    log += sent(session.handle(e.InputReceived(4.6, "p1", b"01~")))
    log += sent(session.handle(e.TimerFired(4.7, "floor")))
    assert log == b"\x1b[200~first line\rsecond line\x1b[201~rm x"


def test_a_paste_without_brackets_stays_whole_while_its_pieces_come_without_a_pause() -> None:
    session = shared()
    paste = bytes(range(65, 91)) * 400
    log = b""
    for at in range(0, len(paste), 1000):
        log += sent(session.handle(e.InputReceived(3.0 + at / 100_000, "p1", paste[at : at + 1000])))
        log += sent(session.handle(e.InputReceived(3.0 + at / 100_000, "p2", b"x")))
    log += sent(session.handle(e.TimerFired(3.2 + BURST_SECONDS, "floor")))
    assert log == paste + b"x" * 11


def test_a_paste_whose_end_never_comes_holds_the_others_for_seconds_only() -> None:
    floor = Floor()
    floor.typed(0.0, "a", b"\x1b[200~abc")
    assert floor.typed(1.0, "b", b"x") == []
    assert floor.due(PASTE_SECONDS) == [("b", b"x")]
    at, held = 10.0, True
    floor.typed(at, "a", b"\x1b[200~")
    floor.typed(at, "b", b"y")
    while held:
        at += 1.0
        held = ("b", b"y") not in floor.typed(at, "a", b"on and on")
    assert at - 10.0 == LONGEST_SECONDS


def test_who_types_too_much_while_another_pastes_is_held_and_let_on() -> None:
    session = shared()
    session.handle(e.InputReceived(3.0, "p1", b"\x1b[200~"))
    effects: list[do.Effect] = []
    for _ in range(MOST_HELD // 4096 + 1):
        effects += session.handle(e.InputReceived(3.1, "p2", b"y" * 4096))
    assert do.HoldTyping("p2") in effects
    effects = session.handle(e.TimerFired(3.0 + PASTE_SECONDS, "floor"))
    assert do.LetType() in effects
    assert len(sent(effects)) == MOST_HELD + 4096


PIECES = st.sampled_from([b"a", b"\r", "ä".encode(), b"\x1b[A", b"x" * 40, b"\x1b[200~p", b"q\x1b[201~", b"\x1b", b"\xc3", b"\x1b[20"])


@given(st.lists(st.tuples(st.sampled_from("abc"), PIECES, st.floats(0, 1)), max_size=40))
def test_no_byte_is_lost_or_doubled_and_each_persons_stay_in_order(steps: list[tuple[str, bytes, float]]) -> None:
    floor, at = Floor(), 0.0
    typed = dict.fromkeys("abc", b"")
    got = dict(typed)
    for who, data, pause in steps:
        at += pause
        typed[who] += data
        for one in floor.typed(at, who, data):
            got[one.who] += one.data
    for _ in range(4):
        at += LONGEST_SECONDS + 1
        for one in floor.due(at):
            got[one.who] += one.data
    assert got == typed
    assert not floor.holds


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), min_size=1, max_size=20), st.integers(1, 9))
def test_two_who_paste_at_once_never_mix(pastes: list[tuple[str, bool]], cut: int) -> None:
    """Both send their pastes piece by piece, in turns; each paste comes out in one piece."""
    floor = Floor()
    streams: dict[str, bytes] = {"a": b"", "b": b""}
    wanted = []
    for number, (who, long) in enumerate(pastes):
        paste = b"\x1b[200~" + b"%d:" % number * (30 if long else 1) + b"\x1b[201~"
        wanted.append(paste)
        streams[who] += paste
    out, at = b"", 0.0
    while any(streams.values()):
        for who in "ab":
            piece, streams[who] = streams[who][:cut], streams[who][cut:]
            if piece:
                at += 0.001
                out += b"".join(turn.data for turn in floor.typed(at, who, piece))
    for _ in range(len(pastes) + 1):
        at += PASTE_SECONDS + 1
        out += b"".join(turn.data for turn in floor.due(at))
    for paste in wanted:
        assert paste in out


# ---------------------------------------------------------------- the keyboard goes back


def handed(terms: Terms = Terms(handback_seconds=300.0)) -> Session:
    session = running(terms=terms)
    joined(session, "p2", "bob", CONTROL, Role.CONTROLLER)
    effects = session.handle(e.ControlGiven(100.0, "p1", "p2"))
    assert do.SetTimer("handback", 300.0) in effects
    return session


def test_a_keyboard_that_rests_goes_back_to_the_owner_and_everybody_is_told() -> None:
    session = handed()
    session.handle(e.InputReceived(200.0, "p2", b"x"))
    assert session.handle(e.TimerFired(400.0, "handback")) == [do.SetTimer("handback", 100.0)]
    effects = session.handle(e.TimerFired(500.0, "handback"))
    assert session.control.holder == "p1"
    assert do.SetTimer("handback", None) in effects
    assert [mark.text for mark in of(do.Mark, effects)] == ["control: bob -> alice"]
    assert of(do.Note, effects)[0][:3] == ("control.moved", "system", "alice")
    assert "bob did not type for 5m: the keyboard goes back to alice." in told(effects, "p2")
    assert "bob did not type for 5m" in told(effects, "p1")
    assert sent(session.handle(e.InputReceived(501.0, "p2", b"late"))) == b""


def test_it_goes_to_nobody_while_the_owner_is_away() -> None:
    session = handed()
    session.handle(e.Left(110.0, "p1", "lost"))
    effects = session.handle(e.TimerFired(400.0, "handback"))
    assert session.control.holder is None
    assert "the keyboard is free, since alice is away." in told(effects, "p2")


def test_who_took_over_keeps_it_and_a_pause_does_not_count() -> None:
    session = handed()
    session.handle(e.PauseRequested(150.0, "sup", ""))
    assert session.handle(e.TimerFired(400.0, "handback")) == [do.SetTimer("handback", 300.0)]
    session.handle(e.ResumeRequested(410.0, "sup"))
    joined(session, "p3", "sup", MODERATOR, Role.MODERATOR)
    session.handle(e.ControlTaken(420.0, "p3"))
    assert session.handle(e.TimerFired(9000.0, "handback")) == []
    assert session.control.holder == "p3"


# ---------------------------------------------------------------- the end comes near


def test_warnings_come_ten_five_and_one_minute_before_the_end_once_each() -> None:
    deadline, ends = Deadline(), 10_000.0
    said = []
    at: float | None = 0.0
    while at is not None:
        if text := deadline.warning(at, ends):
            said.append((ends - at, text))
        assert deadline.warning(at, ends) == ""
        at = deadline.next(at, ends)
    assert said == [(600.0, "10 min"), (300.0, "5 min"), (60.0, "1 min")]


def test_an_end_that_comes_nearer_is_told_at_once_and_one_that_moves_away_is_told_again() -> None:
    deadline = Deadline()
    assert deadline.warning(0.0, 5000.0) == ""
    assert deadline.warning(0.0, 180.0) == "3 min"
    assert deadline.warning(10.0, None) == ""
    assert deadline.warning(20.0, 50.0) == "30 s"
    assert deadline.warning(60.0, 50.0) == ""


# ---------------------------------------------------------------- the key


@pytest.mark.parametrize(("text", "byte", "name"), [("C-]", 0x1D, "Ctrl-]"), ("C-a", 0x01, "Ctrl-A"), ("C-\\", 0x1C, "Ctrl-\\"), ("C-^", 0x1E, "Ctrl-^")])
def test_a_key_is_read_and_shown(text: str, byte: int, name: str) -> None:
    assert (parse_chord(text), show_chord(byte)) == (byte, name)


@pytest.mark.parametrize("text", ["", "]", "C-", "C-]]", "M-x", "C-m", "C-I", "C-[", "C-c", "C-1", "C-ä", "C-\n"])
def test_a_key_that_terminals_need_or_that_is_none_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="like C-]"):
        parse_chord(text)


def test_another_key_is_told_in_every_hint() -> None:
    session = Session(person("p1", "alice"), Terms(), interactive=True, chord=0x01)
    session.handle(e.Started(0.0))
    session.dialled()
    session.handle(e.EndpointOpened(1.0))
    joined(session, "p2", "bob", CONTROL)
    assert sent(session.handle(e.InputReceived(2.0, "p1", b"\x1d"))) == b"\x1d"
    hints = [
        told(session.handle(e.InputReceived(2.0, "p1", b"\x01Z")), "p1"),
        told(session.handle(e.InputReceived(2.0, "p1", b"\x01k")), "p1"),
        told(session.handle(e.ControlRequested(2.0, "p2")), "p1"),
    ]
    assert all("Ctrl-A" in hint for hint in hints), hints


def test_a_session_that_moves_says_so_and_is_never_detached_in_between() -> None:
    session = running()
    joined(session, "p2", "bob")
    effects = session.handle(e.Reattached(5.0, person("p9", "alice", Role.CONTROLLER, size=Size(100, 30))))
    assert "alice moved from" in told(effects, "p2")
    assert of(do.ShowRaw, effects) == [do.ShowRaw("p1")]
    assert [note.code for note in of(do.Note, effects)] == ["session.attached"]


# ---------------------------------------------------------------- keys that terminals tell as sequences

XTERM, KITTY, LOCKED = b"\x1b[27;5;93~", b"\x1b[93;5u", b"\x1b[93:125;197:1u"  # modifyOtherKeys; the kitty protocol; Num and Caps Lock on


@pytest.mark.parametrize("chord", [XTERM, KITTY, LOCKED, b"\x1d"])
@pytest.mark.parametrize(
    ("key", "command"),
    [(b"w", "w"), (b"?", "?"), (b"\x1b[27;2;63~", "?"), (b"\x1b[27;2;80~", "P"), (b"\x1b[112;2u", "P"), (b"\x1b[112:80;2u", "P"), (b"\x1b[47;2u", "?"), (b"\x1b[49;1:1u", "1"),
     (b"\x1b[A", "up"), (b"\x1bOD", "left"), (b"\x1b[1;1:1B", "down"), (b"\x1b[93;5:3u\x1b[57441;2u\x1b[107;1u", "k")],
)  # fmt: skip
def test_the_chord_is_known_however_the_terminal_tells_it_and_so_is_the_key_after_it(chord: bytes, key: bytes, command: str) -> None:
    reader = ChordReader()
    assert not reader.plain(b"ab" + chord)
    assert reader.read(b"ab" + chord + key + b"cd") == [Typed(b"ab"), Command(command), Typed(b"cd")]
    assert reader.plain(b"\x1b[A and \x1b[27;5;99~ or \x1b[99;5u")


@pytest.mark.parametrize("chord", [XTERM, KITTY])
def test_twice_the_chord_is_sent_as_the_program_wants_it_told(chord: bytes) -> None:
    reader = ChordReader()
    assert reader.read(chord + chord + b"x") == [Typed(chord), Typed(b"x")]
    parts = reader.read(chord + chord + b"x")
    assert ChordReader().read(reader.unread(parts)) == parts


def test_the_chord_let_go_is_not_the_programs_either() -> None:
    reader = ChordReader()
    assert reader.read(KITTY + b"\x1b[93;5:3ud\x1b[93;5:3ux") == [Command("d"), Typed(b"x")]


def test_another_key_for_the_chord_is_known_as_a_sequence_too() -> None:
    reader = ChordReader(parse_chord("C-a"))
    assert reader.read(b"\x1b[97;5uw\x1b[27;5;97~w\x1d") == [Command("w"), Command("w"), Typed(b"\x1d")]


@given(st.binary(max_size=60).map(lambda data: data.replace(b"\x1d", b"")) | st.lists(st.sampled_from([XTERM, b"\x1b[", b"93", b";5u", b"27;5;", b"~", b"a", b"\x1b"])).map(b"".join))
def test_whatever_comes_is_read_to_its_end(data: bytes) -> None:
    reader = ChordReader()
    parts = reader.read(b"\x1d" + data) + reader.read(b"z" * 40)
    assert all(part.data if isinstance(part, Typed) else len(part.key) <= 5 for part in parts)
    assert not reader.armed


# ---------------------------------------------------------------- whose size


def test_the_endpoint_takes_the_size_of_who_gets_the_keyboard() -> None:
    session = running()
    session.handle(e.Joined(2.0, person("p2", "bob", Role.CONTROLLER, CONTROL, Size(100, 30))))
    effects = session.handle(e.ControlGiven(3.0, "p1", "p2"))
    assert of(do.ResizeEndpoint, effects) == [do.ResizeEndpoint(Size(100, 30))]
    assert of(do.ShowRaw, effects) == [do.ShowRaw("p2")]


def test_where_the_setting_keeps_the_owners_size_another_holder_is_shown_pictures_of_it() -> None:
    session = running()
    session.takes_sizes = False
    session.handle(e.Joined(2.0, person("p2", "bob", Role.CONTROLLER, CONTROL, Size(100, 30))))
    effects = session.handle(e.ControlGiven(3.0, "p1", "p2"))
    assert of(do.ResizeEndpoint, effects) == [] and do.ShowRendered("p2") in effects
    assert sent(session.handle(e.InputReceived(4.0, "p2", b"typed"))) == b"typed"
    assert of(do.ResizeEndpoint, session.handle(e.Resized(5.0, "p2", Size(90, 20)))) == []
    assert session.handle(e.Resized(5.0, "p2", session.size)) == [do.ShowRaw("p2")]
    assert session.handle(e.Resized(5.0, "p1", Size(70, 20))) == [do.RecordResize(Size(70, 20)), do.ResizeEndpoint(Size(70, 20)), do.ShowRendered("p2")]
    assert not session.gets_bytes(session.people["p2"])
