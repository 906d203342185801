"""An endpoint that knows only passwords: the bastion types it, and it is found nowhere else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.lab.bastion import Bastion
from tests.lab.waiting import until

PASSWORD = "Planted-Secret-4711"


class Appliance(asyncssh.SSHServer):
    """A machine that takes one password, by `password` or by one hidden prompt."""

    def __init__(self, *, prompts: bool) -> None:
        self.prompts = prompts

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return not self.prompts

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("svc", PASSWORD)

    def kbdint_auth_supported(self) -> bool:
        return self.prompts

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> tuple:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: list[str]) -> bool:
        return responses == [PASSWORD]


async def answer(process: asyncssh.SSHServerProcess) -> None:
    process.stdout.write(f"hello from the appliance: {process.command}\n")
    process.exit(3)


@pytest.fixture(params=[False, True], ids=["password", "keyboard-interactive"])
def appliance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """A password-only SSH server on a thread of its own: (port, file with its public host key)."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    public = tmp_path / "host.pub"
    host_key.write_public_key(str(public))
    loop = asyncio.new_event_loop()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            lambda: Appliance(prompts=request.param), "127.0.0.1", 0, server_host_keys=[host_key], process_factory=answer
        )

    server = loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.sockets[0].getsockname()[1], public

    async def close() -> None:
        server.close()
        await server.wait_closed()

    asyncio.run_coroutine_threadsafe(close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_stored_password_opens_the_endpoint_and_stands_nowhere_in_the_home_or_the_log(own_bastion: Bastion, appliance: tuple[int, Path]) -> None:
    port, public = appliance
    own_bastion.program(
        "endpoint", "add", "plc01", f"127.0.0.1:{port}", "--login", "svc", "--password-stdin", "--host-key", str(public), input=PASSWORD.encode()
    )
    done = own_bastion.ssh("alice", "connect plc01 -- show version")
    assert (done.returncode, done.stdout) == (3, b"hello from the appliance: show version\n"), done.stderr
    everywhere = [path for path in own_bastion.folder.rglob("*") if path.is_file()]
    assert len(everywhere) > 10
    found = [path for path in everywhere if PASSWORD.encode() in path.read_bytes()]
    assert found == []
    environment = Path(f"/proc/{own_bastion.process.pid}/environ").read_bytes() + Path(f"/proc/{own_bastion.process.pid}/cmdline").read_bytes()
    assert PASSWORD.encode() not in environment


def test_a_wrong_stored_password_is_one_clear_line(own_bastion: Bastion, appliance: tuple[int, Path]) -> None:
    port, public = appliance
    own_bastion.program("endpoint", "add", "plc02", f"127.0.0.1:{port}", "--login", "svc", "--password-stdin", "--host-key", str(public), input=b"wrong")
    done = own_bastion.ssh("alice", "connect plc02 -- true")
    assert done.returncode == 69
    assert done.stderr.count(b"\n") == 1
    assert b"refused the stored credential" in done.stderr


def test_a_password_that_people_type_opens_the_endpoint_and_is_kept_nowhere(own_bastion: Bastion, appliance: tuple[int, Path]) -> None:
    port, public = appliance
    own_bastion.program("endpoint", "add", "plc03", f"127.0.0.1:{port}", "--login", "svc", "--ask", "--host-key", str(public))
    window = own_bastion.tmux("alice", "connect plc03 -- show clock")
    try:
        window.wait("not kept, not recorded")
        window.text("x" + PASSWORD[:4])
        window.type("C-u")
        window.text(PASSWORD + "x")
        window.type("BSpace", "Enter")
        window.wait("hello from the appliance: show clock")
        assert PASSWORD not in window.screen()
        assert window.wait_exit() == 3
    finally:
        window.close()
    until(lambda: own_bastion.audit("session.ended"), "the session is over")
    found = [path for path in own_bastion.folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert found == []
