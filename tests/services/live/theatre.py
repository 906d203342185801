"""A bastion without doors: the real services around live sessions, on fakes that remember every byte."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bastion.backends.policies import load_policy
from bastion.backends.store.ids import RandomIds
from bastion.core.access.decide import decide
from bastion.core.access.decision import NO_SESSION
from bastion.core.access.endpoint import Endpoint, Login
from bastion.core.identity import Factor, Identity, User
from bastion.core.values import Size
from bastion.services.connect import Connect, Limits
from bastion.services.control import Control
from bastion.services.guests import Guests
from bastion.services.invitations import Invitations
from bastion.services.live.registry import Live
from bastion.services.live.world import World
from bastion.services.revocation import Revocation
from bastion.services.tasks import spawn

SHIPPED = Path(__file__).parents[3] / "policies"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.at = 1_800_000_000.0

    def now(self):
        return self.at

    def monotonic(self):
        return self.at


class Auditor:
    healthy = True

    def __init__(self):
        self.events = []

    def record(self, event):
        self.events.append(event)

    async def flush(self):
        pass

    def last(self, code):
        return [event for event in self.events if event.code == code][-1]


class Recording:
    """Remembers what a recording is told."""

    keyframe_due = False

    def __init__(self):
        self.on_failure = None
        self.log = []

    def output(self, data, at):
        self.log.append(("o", data))

    def input(self, data, at, by):
        self.log.append(("i", data, by))

    def resize(self, size, at):
        self.log.append(("r", size))

    def marker(self, text, at, **more):
        self.log.append(("m", text))

    def keyframe(self, size, screen):
        self.log.append(("k", size, screen))

    async def close(self, status, at):
        self.log.append(("closed",))

    @property
    def marks(self):
        return [entry[1] for entry in self.log if entry[0] == "m"]


class Recorder:
    def __init__(self):
        self.made = []

    async def open(self, subject, terms):
        self.made.append(Recording())
        return self.made[-1]

    def veiled(self, text):
        return text


class Channel:
    """An endpoint that takes everything and says what the test has it say."""

    def __init__(self, events):
        self.events = events
        self.typed = b""
        self.sizes = []

    def write(self, data):
        self.typed += data
        return True

    def write_eof(self):
        pass

    def resize(self, size):
        self.sizes.append(size)

    def signal(self, name):
        pass

    def pause(self):
        pass

    def resume(self):
        pass

    def close(self):
        asyncio.get_running_loop().call_soon(self.events.closed, None, None, "")

    def say(self, data):
        self.events.output(data)


class Dialer:
    def __init__(self):
        self.channels = []

    async def dial(self, grant, request, events, unlock):
        self.channels.append(Channel(events))
        return self.channels[-1]


class Console:
    """A terminal that takes everything (until told not to) and remembers it."""

    def __init__(self, identity, size=Size(80, 24)):
        self.identity = identity
        self.term = "xterm-256color"
        self.size = size
        self.environment = {"LANG": "C.UTF-8"}
        self.is_open = True
        self.out = b""
        self.writes = 0
        self.listener = None
        self.takes = True

    def write(self, data):
        self.out += data
        self.writes += 1
        return self.takes

    write_error = write

    async def drain(self):
        pass

    def attach(self, listener):
        self.listener = listener

    def detach(self):
        self.listener = None

    def pause(self):
        pass

    def resume(self):
        pass

    def exit_signal(self, name):
        pass

    def type(self, data):
        if self.listener is not None:
            self.listener.typed(data)


class Store:
    """Endpoints, users, sessions, preferences: whatever of the store a session touches."""

    def __init__(self, endpoint, users):
        self.endpoint = endpoint
        self.users = {user.name: user for user in users}
        self.farewells = []

    async def get(self, name):
        return self.endpoint if name == self.endpoint.name else self.users.get(name)

    async def by_id(self, user_id):
        return next((user for user in self.users.values() if user.id == user_id), None)

    async def save(self, record):
        pass

    async def save_farewell(self, farewell):
        self.farewells.append(farewell)

    async def save_participant(self, record):
        pass

    async def used(self, user_id, endpoint, at):
        pass


class Gate:
    def __init__(self, policy, clock):
        self.policy = policy
        self.clock = clock

    def decide(self, identity, action, endpoint=None, *, login=None, session=NO_SESSION, at=None):
        return decide(self.policy, identity, endpoint, action, self.clock.now() if at is None else at, login=login, session=session)


class Theatre:
    """alice and bob are engineers, sup a supervisor, and there is web01."""

    def __init__(self, folder=SHIPPED, limits=Limits(), links=False):
        self.clock = Clock()
        self.auditor = Auditor()
        self.recorder = Recorder()
        self.dialer = Dialer()
        self.live = Live()
        self.gate = Gate(load_policy(folder)[0], self.clock)
        self.people = {"alice": "engineer", "bob": "engineer", "carol": "engineer", "sup": "supervisor"}
        store = Store(Endpoint("e1", "web01", logins=(Login("root", "none"),)), [User(f"u-{name}", name, (role,)) for name, role in self.people.items()])
        self.store = store
        self.control = Control(self.live, self.gate, self.auditor, self.clock)
        self.invitations = Invitations(self.live, self.control, self.gate, store, self.auditor, self.clock)
        ids = RandomIds()
        self.guests = Guests(self.control, self.invitations, self.gate, self.auditor, self.clock, ids.code)
        world = World(self.clock, self.dialer, self.auditor, store, links)
        self.connect = Connect(world, self.gate, store, None, None, store, self.recorder, self.live, ids.session_id, limits, "n1")
        self.put_out = []
        self.revocation = Revocation(self.live, self.gate, store, self.clock, set, lambda user_id, reason: self.put_out.append(user_id))

    def who(self, name):
        role = self.people[name]
        return Identity(f"u-{name}", name, (role,), "192.0.2.7", (Factor("publickey", self.clock.now(), "k"),))

    async def session(self, name="alice", size=Size(80, 24)):
        """Open a session; return its actor, the owner's console and the endpoint's channel."""
        console = Console(self.who(name), size)
        spawn("owner", self.connect.connect(console, "web01"), crashed=ended_as_expected)
        before = len(self.dialer.channels)
        while len(self.dialer.channels) == before or not self.live.actors() or self.live.actors()[-1].session.state.value != "running":
            await asyncio.sleep(0)
        return self.live.actors()[-1], console, self.dialer.channels[-1]

    def join(self, actor, identity, wanted="viewer", size=Size(80, 24)):
        """Join in a task; return the console and the task."""
        console = Console(identity, size)
        return console, spawn("joiner", self.connect.join(console, actor.id, wanted), crashed=ended_as_expected)

    async def joined(self, actor, identity, wanted="viewer", size=Size(80, 24)):
        """Join, and return the console once they are in."""
        console, task = self.join(actor, identity, wanted, size)
        while console.listener is None and not task.done():
            await asyncio.sleep(0)
        if task.done():
            task.result()
        return console

    def policy(self, folder, change):
        """Put another policy in force: the shipped one, its text changed."""
        folder.mkdir(exist_ok=True)
        text = (SHIPPED / "default.yaml").read_text()
        assert change(text) != text
        (folder / "default.yaml").write_text(change(text))
        self.gate.policy = load_policy(folder)[0]

    async def close(self):
        await self.control.end_all("killed", "over")


def ended_as_expected(name, error):
    """Whoever waits for the task gets its error."""
