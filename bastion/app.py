"""The composition root: adds the doors to the house and runs both. Decides nothing, and is imported by none but the program.

`house.open_house` builds everything that does not listen; `serve` adds the doors; the host's program uses either.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from bastion.backends.dialer.link import Link, forget_address, write_address
from bastion.backends.dialer.through import EndpointWires
from bastion.backends.metrics.log import set_up as set_up_log
from bastion.backends.metrics.process import memory, thread_usage
from bastion.backends.policies import load_policy
from bastion.backends.store import open_store
from bastion.backends.vault.keys import Keys
from bastion.core.access.decide import decide
from bastion.core.access.decision import Decision
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Missing, Unavailable
from bastion.core.identity import Identity
from bastion.frontends.commands.gate import run as run_command
from bastion.frontends.ssh.listener import SshDoor
from bastion.house import House, open_house, ssh_dialer, the_only_one
from bastion.services.jump import Jump
from bastion.services.live.registry import Live
from bastion.services.node import Node
from bastion.services.policies import Reload
from bastion.services.ports import Farewell
from bastion.services.pulse import Pulse
from bastion.services.revocation import Revocation
from bastion.services.setup import (
    HOST_CA,
    HOST_KEY,
    OPERATOR,
    OPERATOR_KEY,
    Caller,
    Report,
    Setup,
    check_home,
    make_home,
)
from bastion.services.tasks import spawn
from bastion.services.tunnels import Tunnels
from bastion.settings import Settings, as_toml, shipped_policies

_log = logging.getLogger("bastion")


class Host:
    """What the host's program may ask for (the protocol `frontends.commands.host.Host`)."""

    async def serve(self, settings: Settings, ready: Callable[[str], None]) -> int:
        """Listen until SIGTERM or SIGINT; SIGHUP reads the policy again."""
        set_up_log(settings.log_level)
        async with open_house(settings) as house:
            await _recover(house)
            if house.store.audit.notice:
                _log.warning("audit: %s", house.store.audit.notice)
                house.auditor.record(AuditEvent("audit.noticed", house.clock.now(), result="failed", reason=str(house.store.audit.notice)))
            pulse = Pulse(house.clock, thread_usage, house.auditor.record)
            node = Node(
                settings.node,
                house.clock,
                pulse,
                house.live,
                house.auditor,
                lambda: door.connections,
                lambda: _disk(settings),
                memory,
                lambda: house.harvest.lag,
            )
            desk = replace(house.desk, node=node)
            jump = Jump(house.store.endpoints, house.gatekeeper, house.auditor, house.clock)
            tunnels = _tunnels(house)
            door = SshDoor(house.login, partial(run_command, desk), house.auditor, house.clock, jump, tunnels)
            await door.open(settings.ssh.host, settings.ssh.port, settings.path(HOST_KEY), settings.path(HOST_CA), _wire_limits(settings))
            if house.desk.signpost is not None and not settings.ssh.name:
                house.desk.signpost.port = door.port
            write_address(settings.home, settings.ssh.host, door.port)
            revocation = Revocation(house.live, house.gatekeeper, house.store.users, house.clock, door.present, door.put_out)
            revocation.also.append(tunnels.look)
            house.desk.people.changed = revocation.look_again
            house.policies.on_change(lambda _policy, _epoch: revocation.look_again())
            recording = spawn("recorder", house.recorder.run())
            if not settings.recording.search or settings.recording.encrypt_to:
                house.harvest.stop()
            harvest = spawn("harvest", house.harvest.run())
            beside = {
                "revocation": revocation.run(),
                "policies": house.policies.watch(),
                "collector": _collect(house.live),
                "pulse": pulse.run(),
                "packer": house.packer.run(),
                "storage": house.storage.run(),
            }
            tasks = [spawn(name, work) for name, work in beside.items()]
            house.policies.on_reload(partial(_tell_reload, house))
            house.auditor.record(AuditEvent("node.started", house.clock.now(), subject=settings.node))
            _settle()
            host = f"[{settings.ssh.host}]" if ":" in settings.ssh.host else settings.ssh.host
            ready(f"ready ssh={host}:{door.port} web=off")
            try:
                await _asked_to_stop(house)
            finally:
                forget_address(settings.home)
                await door.close(partial(house.control.end_all, "shutdown", "The bastion is being restarted."), settings.sessions.drain)
                house.recorder.stop()
                house.harvest.stop()
                for task in tasks:
                    task.cancel()
                await recording
                await harvest
                house.auditor.record(AuditEvent("node.stopped", house.clock.now(), subject=settings.node))
        return 0

    async def initialise(self, settings: Settings, report: Report, *, admin: tuple[str, Sequence[str]] | None, demo: Caller | None) -> None:
        """Make home, keys, database and accounts where they are missing."""
        keys = Keys()
        make_home(settings.home, as_toml(), keys, shipped_policies(), report)
        try:
            async with open_house(settings) as house:
                setup = Setup(settings.home, house.desk.people, house.desk.inventory, keys)
                await setup.operator(report)
                if admin is not None:
                    await setup.admin(admin[0], admin[1], report)
                if demo is not None:
                    await setup.demo(demo, report)
        except Unavailable as error:
            if error.code != "home.busy" or admin is not None or demo is not None:
                raise
            report.say(f"A bastion serves {settings.home} already, so nothing is missing there.")

    async def migrate(self, settings: Settings) -> str:
        """Bring the database to this version."""
        with the_only_one(settings.home):
            store = await open_store(settings.database, node=settings.node)
            await store.close()
        return f"{settings.database} is at this version."

    def check_policies(self, folder: Path) -> Sequence[object]:
        """Return warnings; raises `Misconfigured`."""
        return load_policy(folder)[1]

    def test_policies(self, folder: Path) -> Sequence[str]:
        """Run the cases kept beside the policies."""
        from bastion.backends.policies.cases import run_folder  # noqa: PLC0415 - only this command needs it

        return run_folder(folder)

    async def explain(
        self, settings: Settings, user: str, endpoint: str | None, action: str, at: float | None, source: str
    ) -> tuple[Decision, float]:
        """Decide as files and database have it, without a server."""
        policy, _ = load_policy(settings.policies)
        store = await open_store(settings.database, node=settings.node)
        try:
            found = await store.users.get(user)
            if found is None:
                raise Missing("user.missing", f"There is no user {user[:64]!a}.")
            place = await store.endpoints.get(endpoint) if endpoint else None
            if endpoint and place is None:
                raise Missing("endpoint.missing", f"There is no endpoint {endpoint[:64]!a}.")
        finally:
            await store.close()
        when = time.time() if at is None else at
        return decide(policy, Identity(found.id, found.name, found.roles, source, ()), place, action, when), when

    def verify_file(self, path: Path, key: Path | None) -> str:
        """Check a recording's file, without a server; against its seals with the public key in `key`."""
        from bastion.backends.recordings.check import check_file  # noqa: PLC0415 - only this command needs it
        from bastion.backends.vault import Ed25519Verifier  # noqa: PLC0415 - as above

        verifier = Ed25519Verifier.load(key) if key is not None else None
        return check_file(path, verifier, lambda content: Ed25519Verifier.read(content, "The pack"))

    def link(self, settings: Settings) -> HostLink:
        """Return the way to the running server, or to the files when none runs."""
        return HostLink(settings)


class HostLink:
    """Runs a command at the running server; without one, here, on the same files."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def run(self, argv: Sequence[str], stdin: BinaryIO, stdout: BinaryIO, stderr: BinaryIO, tty: bool) -> int:  # noqa: FBT001
        """Run one command and return its exit code."""
        settings = self._settings
        check_home(settings.home)
        link = Link(settings.home, OPERATOR, OPERATOR_KEY, f"{HOST_KEY}.pub")
        try:
            return asyncio.run(link.run(" ".join(argv), stdin, stdout, stderr, interactive=tty))
        except Unavailable as error:
            if error.code != "link.no_server" or tty:
                raise
        return asyncio.run(_run_here(settings, " ".join(argv), stdin, stdout, stderr))


async def _run_here(settings: Settings, line: str, stdin: BinaryIO, stdout: BinaryIO, stderr: BinaryIO) -> int:
    from bastion.frontends.commands.host_console import HostConsole  # noqa: PLC0415 - only without a server

    async with open_house(settings) as house:
        user = await house.store.users.get(OPERATOR)
        if user is None:
            raise Unavailable("link.no_server", f"No bastion serves {settings.home}. Start it: bastion serve")
        identity = Identity(user.id, user.name, user.roles, "host", ())
        return await run_command(house.desk, HostConsole(identity, stdin, stdout, stderr), line.encode(errors="surrogateescape"))


# ---------------------------------------------------------------- serving


async def _recover(house: House) -> None:
    """Close what a crash left open: recordings first, then the sessions' rows."""
    closed = await house.recorder.recover()
    for record in await house.store.sessions.orphans(house.settings.node):
        await house.store.sessions.save(replace(record, state="closed", ended_at=house.clock.now(), reason="interrupted"))
        if record.kind == "shell":
            text = "It was cut off: the bastion stopped."
            await house.store.sessions.save_farewell(Farewell(record.id, record.user_id, record.endpoint, house.clock.now(), text))
        house.auditor.record(
            AuditEvent(
                "session.interrupted",
                house.clock.now(),
                subject=record.endpoint,
                session=record.id,
                result="failed",
                reason="the bastion stopped",
            )
        )
    if closed:
        _log.warning("closed %d recordings that a crash had left open", len(closed))


async def _asked_to_stop(house: House) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: spawn("reload", house.policies.reload()))
    await stop.wait()


def _tell_reload(house: House, report: Reload) -> None:
    if report.refused is not None:
        _log.error("the policy files are wrong, the last good policy stays: %s", report.refused.public)
        house.auditor.record(AuditEvent("policy.refused", house.clock.now(), result="failed", reason=report.refused.public))
    elif report.changed:
        house.auditor.record(AuditEvent("policy.changed", house.clock.now(), reason=f"epoch {report.epoch}"))


def _tunnels(house: House) -> Tunnels:
    wires = EndpointWires(ssh_dialer(house.settings), house.settings.sessions.connect_timeout)
    own_host = house.settings.forwards.own_host
    return Tunnels(wires, house.gatekeeper, house.store.users, house.auditor, house.clock, house.desk.inventory.unlock, own_host=own_host)


def _disk(settings: Settings) -> tuple[int, int]:
    """Return (free, total) bytes where recordings are kept."""
    state = os.statvfs(settings.recordings)
    return state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize


def _settle() -> None:
    """Take what start-up made out of the collector's sight: a full collection costs 34-45 ms at 500 sessions."""
    from bastion.frontends.commands import menu_loop, prompt  # noqa: F401, PLC0415 - so that the first person need not wait for them

    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 1000)
    # Recordings are sealed in a thread: with Python's 5 ms a keystroke would wait that long for its turn.
    sys.setswitchinterval(0.0005)


async def _collect(live: Live) -> None:
    """Collect in small steps beside the work; the old generation when nobody is there, or else every five minutes.

    What a session leaves behind is old by its end: without a full collection it would stay for good.
    """
    turn = 0
    while True:
        await asyncio.sleep(10)
        turn += 1
        gc.collect(2 if turn % 30 == 0 or not live.actors() else 1)


def _wire_limits(settings: Settings) -> Any:
    from bastion.wire.limits import Limits  # noqa: PLC0415 - named like two others

    wanted = settings.limits.model_dump()
    return Limits(**{name: value for name, value in wanted.items() if name in Limits.__dataclass_fields__})
