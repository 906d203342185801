"""Everything but the doors: the services, built on the home's files. The only module that knows all of services and backends.

Never listens, never runs anything by itself: `app` does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bastion.backends.dialer import EndpointDialer
from bastion.backends.dialer.ssh import SshDialer
from bastion.backends.patterns import mask_rules
from bastion.backends.policies import PolicyFolder
from bastion.backends.policies.document import read_document
from bastion.backends.recordings import RecordingFolder
from bastion.backends.recordings.beside import PackingProcess
from bastion.backends.search import SqliteIndex
from bastion.backends.store import Store, open_store, witness
from bastion.backends.store.ids import RandomIds
from bastion.backends.vault import AesVault, Ed25519Signer
from bastion.backends.vault.keys import Keys
from bastion.backends.vault.signer import public_path
from bastion.core.errors import Unavailable
from bastion.core.recording import retention
from bastion.core.session.chord import parse_chord
from bastion.frontends.commands.desk import Desk
from bastion.frontends.commands.host_local import own_version
from bastion.services.auditor import Auditor
from bastion.services.connect import Connect
from bastion.services.connect import Limits as SessionLimits
from bastion.services.control import Control
from bastion.services.evidence import Evidence
from bastion.services.gatekeeper import Gatekeeper
from bastion.services.guests import Guests
from bastion.services.harvest import Harvest
from bastion.services.inventory import Inventory
from bastion.services.invitations import Invitations
from bastion.services.live.registry import Live
from bastion.services.live.world import World
from bastion.services.login import Login
from bastion.services.packing import Packer
from bastion.services.people import People
from bastion.services.policies import Policies
from bastion.services.recorder import Recorder
from bastion.services.replay import Replay
from bastion.services.rotation import Rotation
from bastion.services.search import Search
from bastion.services.setup import (
    HOST_CA,
    HOST_KEY,
    USER_CA,
    VAULT_KEY,
    check_home,
)
from bastion.services.signpost import Signpost
from bastion.services.stocktaking import Stocktaking
from bastion.services.storage import Storage
from bastion.settings import Settings

AUDIT_KEY: Final = "audit.key"
LOCK_FILE: Final = "serving.lock"
SEARCH_FILE: Final = "search.sqlite3"


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    monotonic = staticmethod(time.monotonic)  # no call of ours around it: it is asked at each keystroke


@dataclass(frozen=True, slots=True)
class House:
    """Everything but the doors."""

    settings: Settings
    clock: SystemClock
    store: Store
    auditor: Auditor
    policies: Policies
    gatekeeper: Gatekeeper
    recorder: Recorder
    packer: Packer
    harvest: Harvest
    storage: Storage
    live: Live
    control: Control
    login: Login
    desk: Desk


@contextlib.contextmanager
def the_only_one(home: Path) -> Any:
    """Hold the home's lock: one process at a time owns its audit log and recordings."""
    handle = os.open(home / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Unavailable("home.busy", f"Another bastion works on {home}. Stop it first, or use another --home.") from error
        yield
    finally:
        os.close(handle)


@contextlib.asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Build the services on the home's files. Raises `Misconfigured` or `Unavailable`."""
    check_home(settings.home)
    clock = SystemClock()
    ids = RandomIds()
    vault = AesVault.load(settings.path(VAULT_KEY))
    signer = Ed25519Signer.create(settings.path(AUDIT_KEY))
    source = PolicyFolder(settings.policies)
    policies = await Policies.start(source)
    rules = mask_rules(settings.recording.mask)
    copy = settings.home / settings.audit.checkpoints if settings.audit.checkpoints else None
    witnesses = witness.chosen(copy, settings.audit.syslog, settings.node)
    with the_only_one(settings.home):
        store = await open_store(settings.database, node=settings.node, clock=clock, signer=signer, witnesses=witnesses)
        try:
            async with Auditor(store.audit, clock) as auditor, contextlib.AsyncExitStack() as closing:
                encrypt_to = settings.recording.encrypt_to
                recordings = RecordingFolder(str(settings.recordings), encrypt_to)
                recorder = Recorder(
                    recordings,
                    clock,
                    auditor.record,
                    signer,
                    low_water_bytes=settings.recording.free_bytes,
                    low_water_share=settings.recording.free_share,
                    sync_seconds=settings.recording.sync_seconds,
                    rules=rules,
                    masks_credentials=settings.recording.mask_credentials,
                )
                packing = PackingProcess(recordings.root, settings.recording.compression, encrypt_to)
                # What is to be encrypted does not lie about in the plain
                packer = Packer(recordings, clock, packing, after=0.0 if encrypt_to else settings.recording.compress_after, signer=signer)
                gatekeeper = Gatekeeper(policies, source, clock)
                dialer = EndpointDialer(
                    ssh_dialer(settings),
                    str(settings.home),
                )
                index = SqliteIndex(settings.database.with_name(SEARCH_FILE))
                closing.push_async_callback(index.close)
                harvest = Harvest(index, recordings, store.sessions, clock)
                searched = settings.recording.search and not encrypt_to  # an index would be a copy that everybody can read
                live = Live()
                control = Control(live, gatekeeper, auditor, clock)
                invitations = Invitations(live, control, gatekeeper, store.users, auditor, clock)
                guests = Guests(control, invitations, gatekeeper, auditor, clock, ids.code)
                connect = Connect(
                    World(clock, dialer, auditor, store.sessions, settings.sessions.links, harvest if searched else None),
                    gatekeeper,
                    store.endpoints,
                    store.credentials,
                    vault,
                    store.preferences,
                    recorder,
                    live,
                    ids.session_id,
                    _session_limits(settings),
                    settings.node,
                )
                keys = Keys()
                people = People(store.users, auditor, clock, ids.new_id, gatekeeper.roles)
                inventory = Inventory(store.endpoints, store.credentials, vault, dialer, keys, auditor, clock, ids.new_id)
                storage = Storage(
                    recordings,
                    store.sessions,
                    store.endpoints,
                    auditor,
                    clock,
                    recorder.least_free,
                    retention.parse(settings.retention.rules),
                    two_people=settings.retention.two_people,
                    forget=harvest.remove,
                )
                desk = Desk(
                    storage=storage,
                    clock=clock,
                    policies=gatekeeper,
                    auditor=auditor,
                    audit=store.audit,
                    people=people,
                    inventory=inventory,
                    sessions=store.sessions,
                    preferences=store.preferences,
                    annotations=store.annotations,
                    live=live,
                    control=control,
                    connect=connect,
                    invitations=invitations,
                    guests=guests,
                    replay=Replay(recordings, clock, signer, links=settings.sessions.links),
                    search=Search(index, harvest, recordings, gatekeeper, store.endpoints, auditor, clock),
                    evidence=Evidence(recordings, store.sessions, store.audit, auditor, signer, _public_key(settings), clock),
                    version=own_version(),
                    chord=parse_chord(settings.sessions.chord),
                    signpost=_signpost(settings),
                    rotation=Rotation(store.endpoints, store.credentials, vault, dialer, keys, auditor, clock, ids.new_id),
                    stocktaking=Stocktaking(store.endpoints, auditor, clock, ids.new_id, read_document),
                )
                login = Login(store.users, auditor, clock, guests)
                yield House(
                    settings, clock, store, auditor, policies, gatekeeper, recorder, packer, harvest, storage, live, control, login, desk
                )
        finally:
            await store.close()


def ssh_dialer(settings: Settings) -> SshDialer:
    """Return what dials SSH endpoints with the times of the settings."""
    limits = settings.sessions
    return SshDialer(settings.path(USER_CA), limits.connect_timeout, limits.login_timeout, limits.endpoint_keepalive)


def _signpost(settings: Settings) -> Signpost:
    ssh = settings.ssh
    return Signpost.read(ssh.name, ssh.host, ssh.port, settings.path(f"{HOST_KEY}.pub"), settings.path(f"{HOST_CA}.pub"))


def _session_limits(settings: Settings) -> SessionLimits:
    wanted = settings.sessions
    return SessionLimits(
        wanted.per_user, wanted.per_node, wanted.participants, wanted.handback, parse_chord(wanted.chord), wanted.holder_size
    )


def _public_key(settings: Settings) -> bytes:
    return public_path(settings.path(AUDIT_KEY)).read_bytes()
