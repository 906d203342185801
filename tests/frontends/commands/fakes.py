"""A person at the tree without SSH: a console that remembers, and services that answer from memory."""

from __future__ import annotations

import asyncio
import base64
import struct
from dataclasses import dataclass, field, replace

from bastion.core.access.decision import Decision, Verdict
from bastion.core.access.endpoint import Endpoint, HostKey, Login
from bastion.core.errors import Conflict, Denied, Invalid, Missing, Unavailable
from bastion.core.identity import Factor, Identity, User
from bastion.core.recording.seal import Verdict as SealVerdict
from bastion.core.recording.search import Found, IndexState
from bastion.core.values import Size
from bastion.frontends.commands.desk import Desk
from bastion.frontends.commands.gate import run
from bastion.services.harvest import Lag
from bastion.services.inventory import Inventory
from bastion.services.people import People, fingerprint
from bastion.services.ports import AuditEntry, ParticipantRecord, Secret, SessionRecord
from bastion.services.search import Answer
from bastion.services.signpost import Signpost

NOW = 1_800_000_000.0
SIZE = Size(80, 24)
ADMIN_ACTIONS = frozenset({"admin.user", "admin.endpoint", "admin.policy", "audit", "list", "end", "pause", "join"})
ENGINEER = frozenset({"connect", "exec"})
AUDITOR = frozenset({"replay", "search", "export", "audit"})


def public_key(seed: int = 1, comment: str = "me@laptop") -> str:
    """An Ed25519 public key line that nobody has the other half of."""
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-ed25519", bytes([seed]) * 32))
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} {comment}".strip()


def rsa_key(bits: int) -> str:
    modulus = (1 << (bits - 1) | 1).to_bytes(bits // 8 + 1)
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (b"ssh-rsa", b"\1\0\1", modulus))
    return f"ssh-rsa {base64.b64encode(blob).decode()}"


def host_key(seed: int = 9) -> HostKey:
    line = public_key(seed, "")
    return HostKey("ssh-ed25519", line, fingerprint(base64.b64decode(line.split()[1])))


class FakeConsole:
    def __init__(self, name="alice", roles=("engineer",), term="", typed=(), size=SIZE, **environment):
        self.identity = Identity(name if name.startswith("guest:") else f"u-{name}", name, tuple(roles), "192.0.2.7", (Factor("publickey", NOW, "SHA256:x"),))
        self.term = term
        self.size = size
        self.environment = environment
        self.is_open = True
        self.out = b""
        self.err = b""
        self.listener = None
        self._waiting = [piece if isinstance(piece, bytes) else piece.encode() for piece in typed]
        self._written = asyncio.Event()

    def write(self, data):
        assert isinstance(data, bytes)
        self.out += data
        self._written.set()
        return True

    def write_error(self, data):
        self.err += data
        if self.term:  # a PTY has one stream
            self.write(data)
        return True

    async def drain(self):
        pass

    async def read(self):
        return self._waiting.pop(0) if self._waiting else b""

    def attach(self, listener):
        self.listener = listener
        waited, self._waiting = self._waiting, []
        for piece in waited:
            listener.typed(piece)

    def detach(self):
        self.listener = None

    def type(self, data):
        """Keys from a person at a program that listens."""
        data = data if isinstance(data, bytes) else data.encode()
        if self.listener is not None:
            self.listener.typed(data)
        else:
            self._waiting.append(data)

    def resize(self, columns, lines):
        self.size = Size(columns, lines)
        self.listener.resized(self.size)

    async def shows(self, text, since=0):
        """Wait until `text` was written after position `since`."""
        wanted = text if isinstance(text, bytes) else text.encode()
        async with asyncio.timeout(10):
            while wanted not in self.out[since:]:
                self._written.clear()
                await self._written.wait()


class Clock:
    def now(self):
        return NOW

    def monotonic(self):
        return 0.0


class FakePolicies:
    """Allows the actions listed for a user's name; on endpoints labelled secret only what is in `secret`."""

    def __init__(self, **allowed):
        self.allowed = allowed
        self.needs_approval = set()
        self.asked = []
        self.refused = None
        self.warnings = ()
        self.changed = True

    async def check(self):
        if self.refused:
            raise self.refused
        return self.warnings

    async def reload(self):
        return self

    def describe(self):
        return [{"name": "team", "effect": "allow", "who": "role engineer", "actions": ["connect"], "endpoints": "env=prod"}]

    def decide(self, identity, action, endpoint=None, *, login=None, at=None):
        self.asked.append((identity.name, action, endpoint.name if endpoint else None))
        hidden = endpoint is not None and ("secret", "yes") in endpoint.labels
        if action in self.allowed.get(identity.name, ()) and not hidden:
            if endpoint is not None and endpoint.name in self.needs_approval:
                return Decision(Verdict.NEEDS_APPROVAL, "ask-first", "somebody has to approve")
            return Decision(Verdict.ALLOW, "team", "rule team allows it")
        return Decision(Verdict.DENY, "", f"no rule allows {identity.name} to {action}")


class FakeAuditor:
    def __init__(self):
        self.events = []

    def record(self, event):
        self.events.append(event)

    async def flush(self):
        pass

    @property
    def codes(self):
        return [event.code for event in self.events]


class FakeAudit:
    def __init__(self, auditor):
        self.auditor = auditor
        self.problem = ""

    def _all(self):
        return [AuditEntry(n, event, bytes([n]), bytes([n + 1])) for n, event in enumerate(self.auditor.events, 1)]

    async def last(self, count, *, code="", actor="", session=""):
        wanted = (("code", code), ("actor", actor), ("session", session))
        return [e for e in self._all() if all(value in ("", getattr(e.event, name)) for name, value in wanted)][-count:]

    async def entries(self, since=0):
        for entry in self._all():
            if entry.seq > since:
                yield entry

    async def seq_before(self, at):
        return max((e.seq for e in self._all() if e.event.at < at), default=0)

    async def verify(self, elsewhere=()):
        self.elsewhere = list(elsewhere)
        return len(self._all()), self.problem


class FakeUsers:
    def __init__(self):
        self.users = {}
        self.stored_keys = []

    async def add(self, user):
        if any(one.name == user.name for one in self.users.values()):
            raise Conflict("user.exists", "taken")
        self.users[user.id] = user

    async def get(self, name):
        return next((one for one in self.users.values() if one.name == name), None)

    async def by_id(self, user_id):
        return self.users.get(user_id)

    async def all(self):
        return sorted(self.users.values(), key=lambda one: one.name)

    async def save(self, user):
        self.users[user.id] = user

    async def remove(self, user_id):
        del self.users[user_id]
        self.stored_keys = [key for key in self.stored_keys if key.user_id != user_id]

    async def keys(self, user_id):
        return [key for key in self.stored_keys if key.user_id == user_id]

    async def add_key(self, key):
        self.stored_keys.append(key)

    async def remove_key(self, user_id, wanted):
        self.stored_keys = [key for key in self.stored_keys if (key.user_id, key.fingerprint) != (user_id, wanted)]


class FakeEndpoints:
    def __init__(self):
        self.endpoints = {}

    async def add(self, endpoint):
        self.endpoints[endpoint.id] = endpoint

    async def get(self, name):
        return next((one for one in self.endpoints.values() if one.name == name), None)

    async def all(self):
        return sorted(self.endpoints.values(), key=lambda one: one.name)

    async def save(self, endpoint):
        self.endpoints[endpoint.id] = endpoint

    async def remove(self, endpoint_id):
        del self.endpoints[endpoint_id]


class FakeCredentials:
    def __init__(self):
        self.sealed = {}

    async def add(self, credential_id, kind, sealed, created_at):
        self.sealed[credential_id] = (kind, sealed)

    async def get(self, credential_id):
        return self.sealed[credential_id]

    async def remove(self, credential_id):
        del self.sealed[credential_id]


class FakeVault:
    def seal(self, secret, *, row, column):
        return f"{row}/{column}:".encode() + secret.reveal()[::-1]

    def open(self, sealed, *, row, column):
        return Secret(sealed.removeprefix(f"{row}/{column}:".encode())[::-1])


class FakeDialer:
    def __init__(self):
        self.keys = [host_key()]
        self.scanned = []

    async def verify(self, endpoint, timeout):
        pass

    async def scan(self, host, port, timeout):
        self.scanned.append((host, port))
        if host == "dead.example":
            raise Unavailable("endpoint.unreachable", "dead.example does not answer.")
        return self.keys


class FakePrivateKeys:
    def public_of(self, private):
        if b"PRIVATE KEY" not in private.reveal():
            raise Invalid("key.unreadable", "That is no private key.")
        return public_key(5)


@dataclass
class FakeParticipant:
    id: str = "p1"
    name: str = "bob"
    role: str = "controller"
    source: str = "192.0.2.8"
    joined_at: float = NOW - 60
    size: Size = SIZE
    controls: bool = True


@dataclass
class FakeView:
    id: str = "4f2a11112222"
    kind: str = "shell"
    owner: str = "bob"
    owner_id: str = "u-bob"
    endpoint: str = "web01"
    login: str = "deploy"
    state: str = "running"
    started_at: float = NOW - 65
    size: Size = SIZE
    title: str = "vim"
    participants: tuple = field(default_factory=lambda: (FakeParticipant(),))
    bytes_out: int = 12345
    detached: bool = False
    joinable: bool = False
    invited: str = ""


class FakeLive:
    def __init__(self):
        self.all = []

    def views(self):
        return list(self.all)


class FakeControl:
    def __init__(self, live, policies):
        self.live = live
        self.policies = policies
        self.done = []

    def visible(self, identity):
        return [v for v in self.live.all if v.owner_id == identity.user_id or self.policies.decide(identity, "list").allowed]

    async def kill(self, identity, prefix, reason):
        self.done.append(("kill", identity.name, prefix, reason))

    async def pause(self, identity, prefix, reason="", *, hold=False):
        self.done.append(("pause", identity.name, prefix, reason, *(["hold"] if hold else [])))

    async def request_control(self, identity, prefix):
        self.done.append(("request", identity.name, prefix))
        return "bob was asked."

    async def give(self, identity, prefix, name):
        self.done.append(("give", identity.name, prefix, name))
        return f"{name} has the keyboard."

    async def take(self, identity, prefix, reason=""):
        self.done.append(("take", identity.name, prefix, reason))
        return "You have the keyboard."

    async def message(self, identity, prefix, text):
        self.done.append(("message", identity.name, prefix, text))
        return prefix

    async def broadcast(self, identity, text):
        self.done.append(("broadcast", identity.name, text))
        return 3

    async def resume(self, identity, prefix):
        self.done.append(("resume", identity.name, prefix))


class FakeConnect:
    def __init__(self):
        self.calls = []
        self.status = 0
        self.error = None
        self.typed = b""

    async def connect(self, console, name, login=None, command=None):
        self.calls.append(("connect", name, login, command))
        self.typed += await console.read()
        if self.error:
            raise self.error
        return self.status

    async def sftp(self, console, name, login=None):
        self.calls.append(("sftp", name, login))
        return self.status

    async def join(self, console, prefix, wanted="viewer"):
        self.calls.append(("join", prefix, wanted))
        return self.status

    async def attach(self, console, prefix=""):
        self.calls.append(("attach", prefix))
        return self.status


class FakeInvitations:
    def __init__(self):
        self.done = []

    async def invite(self, identity, prefix, name, role="viewer", seconds=1800.0):
        self.done.append(("invite", identity.name, prefix, name, role, seconds))

    async def withdraw(self, identity, prefix, name):
        self.done.append(("withdraw", identity.name, prefix, name))
        return name

    async def kick(self, identity, prefix, name, reason=""):
        self.done.append(("kick", identity.name, prefix, name, reason))
        return name

    async def issue(self, identity, prefix, name, company, purpose, role="viewer", seconds=1800.0):
        self.done.append(("guest", identity.name, prefix, name, company, purpose, role, seconds))
        return "0123456789abcdef"


class FakeSessions:
    def __init__(self):
        self.records = []
        self.farewells = []

    async def take_farewells(self, user_id):
        told = [one for one in self.farewells if one.user_id == user_id]
        self.farewells = [one for one in self.farewells if one.user_id != user_id]
        return told

    async def find(self, wanted):
        self.asked = wanted
        found = [r for r in self.records if wanted.user in ("", r.user) and wanted.endpoint in ("", r.endpoint)]
        return found[wanted.skip : wanted.skip + wanted.limit]

    async def participants(self, session_id):
        return [ParticipantRecord(session_id, "p1.1", "bob", "controller", "192.0.2.8", NOW - 100, NOW - 50, "exit")]

    async def get(self, prefix):
        found = [r for r in self.records if r.id.startswith(prefix)]
        if not found:
            raise Missing("session.missing", "no such session")
        if len(found) > 1:
            raise Conflict("session.ambiguous", "several sessions start so")
        return found[0]


class FakeAnnotations:
    def __init__(self):
        self.given = {}
        self.written = []

    async def tag(self, session_id, add, remove, by, at):
        has = self.given.setdefault(session_id, set())
        has.difference_update(remove)
        has.update(add)
        return sorted(has)

    async def tags(self, session_ids):
        return {one: sorted(self.given[one]) for one in session_ids if self.given.get(one)}

    async def all_tags(self):
        return sorted({tag for tags in self.given.values() for tag in tags})

    async def note(self, note):
        self.written.append(note)

    async def notes(self, session_id):
        return [note for note in self.written if note.session_id == session_id]


class FakePreferences:
    def __init__(self):
        self.favourites = {}

    async def of(self, user_id):
        return dict(self.favourites)

    async def set_favourite(self, user_id, endpoint, favourite):
        self.favourites[endpoint] = (favourite, None)


class FakeReplay:
    async def encrypted_to(self, session_id):
        return ""

    async def play(self, session_id, console, *, at=0, speed=1.0, needle="", paused=False):
        console.write(f"played {session_id} x{speed}{f' at {at}' if at else ''}{' paused' if paused else ''}\n".encode())

    async def cast(self, session_id, console, *, version=3):
        console.write(f'{{"version": {version}}}\n'.encode())

    async def verify(self, session_id):
        return SealVerdict(lines=12, bytes=900, seals=2, ended=True, digest="d1" * 32)

    async def transcript(self, session_id, console):
        console.write(b"transcript\n")


class FakeSearch:
    """Finds what it holds; remembers what was asked."""

    def __init__(self, policies):
        self.policies = policies
        self.asked = []
        self.hits = []
        self.lag = Lag(0, 0)
        self.state_ = IndexState(2, 10, 0, 4096)
        self.more = False
        self.back_to = None

    async def find(self, identity, wanted):
        decision = self.policies.decide(identity, "search")
        if not decision.allowed:
            raise Denied("access.denied", f"search: {decision.reason}")
        self.asked.append(wanted)
        return Answer(Found(self.hits, self.more, self.back_to), self.lag, self.state_)

    async def state(self):
        return self.lag, self.state_

    async def moment(self, hit):
        return hit.line.time


def endpoint(name, **more):
    return replace(Endpoint(f"e-{name}", name, host=f"{name}.example", logins=(Login("deploy", "key", "c1"),)), **more)


class World:
    """A desk of fakes with one admin (root), engineers (alice, bob), an auditor (carol) and three endpoints."""

    def __init__(self):
        self.policies = FakePolicies(root=ADMIN_ACTIONS, alice=ENGINEER, bob=ENGINEER, carol=AUDITOR)
        self.auditor = FakeAuditor()
        self.audit = FakeAudit(self.auditor)
        self.users = FakeUsers()
        self.endpoints = FakeEndpoints()
        self.credentials = FakeCredentials()
        self.vault = FakeVault()
        self.dialer = FakeDialer()
        self.live = FakeLive()
        self.control = FakeControl(self.live, self.policies)
        self.connect = FakeConnect()
        self.invitations = FakeInvitations()
        self.sessions = FakeSessions()
        self.preferences = FakePreferences()
        numbers = iter(range(1, 10_000))
        clock = Clock()

        def new_id():
            return f"id{next(numbers)}"

        self.people = People(self.users, self.auditor, clock, new_id, lambda: {"admin", "engineer", "supervisor", "auditor"})
        self.inventory = Inventory(
            self.endpoints, self.credentials, self.vault, self.dialer, FakePrivateKeys(), self.auditor, clock, new_id
        )
        for name, role in (("root", "admin"), ("alice", "engineer"), ("bob", "engineer"), ("carol", "auditor")):
            self.users.users[f"u-{name}"] = User(f"u-{name}", name, (role,), created_at=NOW)
        for one in (endpoint("web01", description="the shop", labels=(("env", "prod"),)), endpoint("db01"), endpoint("vault", labels=(("secret", "yes"),))):
            self.endpoints.endpoints[one.id] = one
        self.search = FakeSearch(self.policies)
        self.annotations = FakeAnnotations()
        self.sessions.records = [
            SessionRecord("aa11", "u-bob", "bob", "web01", "deploy", "192.0.2.8", NOW - 100, NOW - 50, "closed", "exit", 7, recording="x", bytes_out=2048),
            SessionRecord("bb22", "u-alice", "alice", "vault", "deploy", "192.0.2.7", NOW - 90, NOW - 80, "closed", "exit", 0, recording="y"),
        ]
        self.desk = Desk(
            clock=clock,
            policies=self.policies,
            auditor=self.auditor,
            audit=self.audit,
            people=self.people,
            inventory=self.inventory,
            sessions=self.sessions,
            preferences=self.preferences,
            annotations=self.annotations,
            live=self.live,
            control=self.control,
            connect=self.connect,
            invitations=self.invitations,
            guests=self.invitations,
            replay=FakeReplay(),
            search=self.search,
            version="1.2.3",
            signpost=Signpost("bastion.example", 2222, "ssh-ed25519 AAAAhost", "ssh-ed25519 AAAAauthority"),
        )

    async def run(self, line, who="alice", **console):
        """Run one command line as somebody; return (exit code, stdout, stderr)."""
        roles = {"root": ("admin",), "carol": ("auditor",)}.get(who, ("engineer",))
        at = FakeConsole(who, roles, **console)
        command = line.encode() if isinstance(line, str) else line
        code = await run(self.desk, at, command)
        return code, at.out.decode(), at.err.decode()
