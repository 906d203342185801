"""Whatever happens in whatever order, a session keeps its promises."""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bastion.core.access.decision import Terms
from bastion.core.session import effects as do
from bastion.core.session import events as e
from bastion.core.session.participants import Participant, Role
from bastion.core.session.session import Session
from bastion.core.session.state import State
from bastion.core.values import Size

KEYS = st.sampled_from(["p1", "p2", "p3", "p4"])
RIGHTS = st.frozensets(st.sampled_from(["control", "moderate", "pause", "end"]))
SCALE = int(os.environ.get("BASTION_FUZZ", "1"))


class SessionMachine(RuleBasedStateMachine):
    """Feeds events and watches the effects."""

    @initialize(interactive=st.booleans(), rights=RIGHTS, handover=st.booleans(), keep=st.booleans(), typing=st.sampled_from(["one", "shared"]))
    def begin(self, interactive: bool, rights: frozenset[str], handover: bool, keep: bool, typing: str) -> None:
        self.at = 0.0
        self.session = Session(
            Participant("p1", "u1", "alice", Role.CONTROLLER, "x", 0.0, Size(80, 24), rights | {"control"}),
            Terms(max_participants=3, handover=handover, record_input=keep, typing=typing, handback_seconds=5.0),
            interactive=interactive,
        )
        self.finished = 0
        self.sent: list[tuple[str, bytes]] = []
        self.send(e.Started(0.0))
        self.session.dialled()
        self.send(e.EndpointOpened(0.0))

    def send(self, event: e.Event) -> list[do.Effect]:
        over = self.session.state is State.CLOSED
        holder = self.session.control.holder
        typists = set(self.session.typists())
        effects = self.session.handle(event)
        self.finished += sum(type(effect) is do.Finish for effect in effects)
        if over:
            assert all(type(effect) is do.Dismiss for effect in effects), "something happened after the end"
        for index, effect in enumerate(effects):
            if type(effect) is do.ToEndpoint:
                typists |= set(self.session.typists())
                if self.session.control.shared and type(event) is e.TimerFired:
                    assert event.name == "floor"
                    continue
                assert type(event) is e.InputReceived
                if self.session.control.shared:
                    assert typists, "somebody typed where nobody may"
                    continue
                assert event.participant == holder or event.participant == self.session.control.holder, "one without the keyboard typed"
                assert self.session.state is not State.PAUSED or holder == event.participant
            if type(effect) is do.Show:
                before = effects[index - 1]
                assert type(before) is do.RecordOutput
                assert before.data == effect.data, "shown before it was recorded"
                assert self.session.people[effect.participant].attached
                assert not self.session.holding or "moderate" in self.session.people[effect.participant].rights, "held output was shown"
        return effects

    @rule(key=KEYS, data=st.binary(min_size=1, max_size=6) | st.sampled_from([b"\x1dd", b"\x1dr", b"\x1dg", b"\x1dt", b"\x1dP", b"\x1d", b"\x03", b"\x1dw", b"\x1di", b"bob\r", b"\x1d\x1b[A", b"\x1d.", b"\x1b[200~", b"\x1b[201~", b"p" * 40]))
    def types(self, key: str, data: bytes) -> None:
        self.at += 1
        was_paused = self.session.state is State.PAUSED
        effects = self.send(e.InputReceived(self.at, key, data))
        if was_paused and b"\x1d" not in data:
            assert not any(type(effect) is do.ToEndpoint for effect in effects), "typed into a paused session"

    @rule(data=st.binary(min_size=1, max_size=8))
    def output(self, data: bytes) -> None:
        self.send(e.OutputReceived(self.at, data))

    @rule(key=st.sampled_from(["p2", "p3", "p4"]), rights=RIGHTS, role=st.sampled_from(list(Role)))
    def joins(self, key: str, rights: frozenset[str], role: Role) -> None:
        if key not in self.session.people:
            self.send(e.Joined(self.at, Participant(key, f"u-{key}", key, role, "x", self.at, Size(80, 24), rights)))

    @rule(key=KEYS)
    def leaves(self, key: str) -> None:
        self.send(e.Left(self.at, key, "lost"))

    @rule()
    def comes_back(self) -> None:
        if not self.session.people["p1"].attached:
            self.send(e.Reattached(self.at, Participant("p1", "u1", "alice", Role.CONTROLLER, "y", self.at, Size(90, 30), frozenset({"control"}))))

    @rule(by=KEYS, to=KEYS)
    def gives(self, by: str, to: str) -> None:
        self.send(e.ControlGiven(self.at, by, to))

    @rule(by=KEYS)
    def takes(self, by: str) -> None:
        self.send(e.ControlTaken(self.at, by))

    @rule(key=KEYS, columns=st.integers(1, 300), lines=st.integers(1, 100))
    def resizes(self, key: str, columns: int, lines: int) -> None:
        effects = self.send(e.Resized(self.at, key, Size(columns, lines)))
        if key != self.session.control.holder:
            assert not any(type(effect) is do.ResizeEndpoint for effect in effects), "a viewer changed the endpoint's size"

    @rule(hold=st.booleans())
    def paused(self, hold: bool) -> None:
        self.send(e.PauseRequested(self.at, "sup", "", hold))

    @rule(key=KEYS)
    def put_out(self, key: str) -> None:
        effects = self.send(e.PutOut(self.at, key, "alice", "session.kicked", "out"))
        if key != "p1" and self.session.state in (State.RUNNING, State.PAUSED):
            assert key not in self.session.people
        if key == "p1":
            assert effects == []

    @rule(key=KEYS, rights=RIGHTS, role=st.sampled_from(list(Role)))
    def asked_again(self, key: str, rights: frozenset[str], role: Role) -> None:
        self.send(e.Reassessed(self.at, key, role, rights))
        if self.session.state in (State.RUNNING, State.PAUSED) and self.session.control.holder == key != "p1":
            assert rights & {"control", "moderate"}, "holds the keyboard without the right"

    @rule(to=st.sampled_from([(), ("p1",), ("p9",)]))
    def told(self, to: tuple[str, ...]) -> None:
        self.send(e.Told(self.at, "hello", to))

    @rule()
    def resumed(self) -> None:
        self.send(e.ResumeRequested(self.at, "sup"))

    @rule(code=st.sampled_from(["killed", "revoked"]))
    def ended(self, code: str) -> None:
        self.send(e.EndRequested(self.at, "sup", code, "why"))

    @rule(status=st.integers(0, 255))
    def far_side_ends(self, status: int) -> None:
        self.send(e.EndpointClosed(self.at, status, None, ""))

    @rule(name=st.sampled_from(["closing", "detached", "idle", "max-time", "floor", "handback"]))
    def time_passes(self, name: str) -> None:
        self.send(e.TimerFired(self.at, name))

    @rule()
    def disk_fails(self) -> None:
        self.send(e.RecordingFailed(self.at, "full"))

    @invariant()
    def one_holder_or_none_and_they_are_here(self) -> None:
        holder = self.session.control.holder
        assert holder is None or (holder in self.session.people and self.session.people[holder].attached) or self.session.state in (
            State.CLOSING,
            State.CLOSED,
        )

    @invariant()
    def never_too_many(self) -> None:
        assert sum(person.attached for person in self.session.people.values()) <= 3

    @invariant()
    def it_finishes_once(self) -> None:
        assert self.finished == (1 if self.session.state is State.CLOSED else 0)


TestSession = SessionMachine.TestCase
TestSession.settings = settings(max_examples=150 * SCALE, stateful_step_count=30, deadline=None)
