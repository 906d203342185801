"""direct-tcpip both ways: what `ssh -W` and `ssh -J` need, and endpoints that misbehave."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest

from bastion import wire

from .house import HOST_KEY, USER_KEY, House, Owner, house, run, settle
from .test_clients import openssh

if TYPE_CHECKING:
    from pathlib import Path


class Echo(wire.TCPSession):
    """Sends back what comes, with back-pressure."""

    def input_received(self, data: bytes) -> None:
        self.write(data)
        if not self.writable:
            self.pause_input()

    def writable_changed(self, writable: bool) -> None:
        if writable:
            self.resume_input()

    def eof(self) -> bool:
        self.write_eof()
        return True


class Forwarding(Owner):
    """Lets one destination through."""

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        return Echo() if (dest_host, dest_port) == ("echo", 7) else False


async def test_openssh_reaches_a_permitted_destination_and_no_other(tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    async with house() as made:
        made.factory = Forwarding
        status, out, err = await run(*openssh(made, tmp_path, "-W", "echo:7"), stdin=data)
        assert (status, out) == (0, data), err
        status, out, err = await run(*openssh(made, tmp_path, "-W", "169.254.169.254:80"))
        assert (status, out, err) == (255, b"", b"stdio forwarding failed\r\n")


async def test_forwarding_is_refused_unless_the_owner_says_otherwise(tmp_path: Path) -> None:
    async with house() as made:
        status, out, err = await run(*openssh(made, tmp_path, "-W", "127.0.0.1:22"))
    assert (status, out, err) == (255, b"", b"stdio forwarding failed\r\n")


async def test_an_inner_connection_comes_from_where_the_outer_one_came_from() -> None:
    made = House()
    made.news = asyncio.Event()
    ours, theirs = socket.socketpair()
    connection = await wire.serve(
        ours, lambda: Owner(made), wire.server_options([HOST_KEY]), on_event=made._event, peer=("192.0.2.7", 4711)
    )
    client = await wire.connect("inner", 22, asyncssh.SSHClient, made.client_options(host_key_alias="inner"), timeout=5, sock=theirs)
    assert connection.source == "192.0.2.7"
    assert connection.get_extra_info("peername") == ("192.0.2.7", 4711)
    assert made.owners[0].identity == "alice"
    client.abort()
    await connection.wait_closed()
    await settle()


class HostileEndpoint(asyncssh.SSHServer):
    """A stock server that opens channels to whoever connects."""

    conn: Any

    def connection_made(self, conn: Any) -> None:
        type(self).conn = conn

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return True


async def dial(port: int, events: list[str], **more: Any) -> wire.ClientConnection:
    options = wire.client_options("root", known_hosts=([HOST_KEY.convert_to_public()], [], []), client_keys=[USER_KEY], **more)
    return await wire.connect(
        "127.0.0.1", port, asyncssh.SSHClient, options, timeout=5, on_event=lambda code, source, detail: events.append(code)
    )


@pytest.mark.parametrize("kind", [b"auth-agent@openssh.com", b"x11", b"forwarded-tcpip", b"session", b"direct-tcpip"])
async def test_an_endpoint_may_open_no_channel_to_us(kind: bytes) -> None:
    events: list[str] = []
    server = await asyncssh.create_server(HostileEndpoint, "127.0.0.1", 0, server_host_keys=[HOST_KEY])
    conn = await dial(server.get_port(), events)
    channel = asyncssh.connection.SSHTCPChannel(HostileEndpoint.conn, asyncio.get_running_loop(), None, "strict", 65536, 32768)
    with pytest.raises(asyncssh.ChannelOpenError, match="not offered"):
        await channel._open(kind)
    assert events == ["peer.channel_type"]
    conn.abort()
    server.close()
    await settle()


async def test_an_endpoint_with_another_host_key_is_never_logged_in_to() -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.create_server(HostileEndpoint, "127.0.0.1", 0, server_host_keys=[other])
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await dial(server.get_port(), [], password="secret")
    server.close()
    await settle()


async def test_an_endpoint_that_accepts_and_never_speaks_is_given_up_in_time() -> None:
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda reader, writer: writers.append(writer), "127.0.0.1", 0)
    started = asyncio.get_running_loop().time()
    options = wire.client_options("root", known_hosts=([], [], []), password="x")
    with pytest.raises(TimeoutError):
        await wire.connect("127.0.0.1", server.sockets[0].getsockname()[1], asyncssh.SSHClient, options, timeout=0.05)
    assert asyncio.get_running_loop().time() - started < 2
    for writer in writers:
        writer.close()
    server.close()
    await settle()


async def test_an_endpoint_with_tiny_packets_is_refused() -> None:
    events: list[str] = []
    server = await asyncssh.create_server(
        HostileEndpoint, "127.0.0.1", 0, server_host_keys=[HOST_KEY], max_pktsize=100, process_factory=lambda process: None
    )
    conn = await dial(server.get_port(), events)
    with pytest.raises(asyncssh.Error):
        await conn.start_session(wire.ClientSession, command="x")
    assert events == ["peer.protocol"]
    server.close()
    await settle()
