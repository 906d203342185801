"""What ssh-audit says of a live server: no failure, and exactly our own policy."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import asyncssh
import pytest

from bastion import wire
from bastion.wire.options import CIPHERS, GCM

POLICY = Path(__file__).with_name("ssh-audit.policy")
SSH_AUDIT = shutil.which("ssh-audit", path=str(Path(sys.executable).parent)) or "ssh-audit"


class Nobody(asyncssh.SSHServer):
    """Lets nobody in."""

    def begin_auth(self, username: str) -> bool:
        return True


async def scan(*options: str, strict_kex: bool = False) -> tuple[int, str]:
    """ssh-audit's exit status and report."""
    limits = wire.Limits(exempt_networks=("127.0.0.0/8",))
    server = await wire.listen(
        "127.0.0.1",
        0,
        Nobody,
        wire.server_options([asyncssh.generate_private_key("ssh-ed25519")], limits=limits, strict_kex=strict_kex),
        limits,
    )
    try:
        process = await asyncio.create_subprocess_exec(
            SSH_AUDIT, "-n", "--skip-rate-test", *options, "-p", str(server.port), "127.0.0.1",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(30):
            out, _ = await process.communicate()
    finally:
        server.close()
        for connection in list(server.connections):
            connection.abort()
        await server.wait_closed()
    return process.returncode or 0, out.decode()


async def test_ssh_audit_finds_no_failure() -> None:
    status, report = await scan()
    assert "(kex) mlkem768x25519-sha256" in report
    assert "[fail]" not in report
    assert status == 2, report  # 2: only warnings, that curve25519 is not post-quantum


async def test_ssh_audit_has_nothing_to_say_about_the_strict_profile() -> None:
    status, report = await scan(strict_kex=True)
    assert "(kex) mlkem768x25519-sha256" in report
    assert status == 0, report


async def test_the_server_matches_our_own_policy_exactly() -> None:
    status, report = await scan("-P", str(POLICY))
    assert "Passed" in report
    assert status == 0, report


async def test_the_policy_check_can_fail() -> None:
    status, report = await scan("-P", str(POLICY), strict_kex=True)
    assert "Failed" in report
    assert status == 3, report


async def test_a_client_that_sends_nothing_first_is_offered_every_cipher_soon() -> None:
    """One that waits for our lists before it sends its own must not wait for ever."""
    limits = wire.Limits(exempt_networks=("127.0.0.0/8",))
    options = wire.server_options([asyncssh.generate_private_key("ssh-ed25519")], limits=limits)
    server = await wire.listen("127.0.0.1", 0, Nobody, options, limits)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(b"SSH-2.0-patient\r\n")
        assert await reader.readline() == b"SSH-2.0-Bastion\r\n"
        async with asyncio.timeout(5):
            packet = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
        assert ",".join(CIPHERS).encode() in packet
    finally:
        writer.close()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("kind", ["ssh-rsa", "ecdsa-sha2-nistp256"])
def test_only_an_ed25519_host_key_is_taken(kind: str) -> None:
    with pytest.raises(ValueError, match="host keys must be Ed25519"):
        wire.server_options([asyncssh.generate_private_key(kind)])


def test_an_endpoint_must_be_pinned() -> None:
    with pytest.raises(ValueError, match="known_hosts is required"):
        wire.client_options("root", known_hosts=None)


def test_the_bastions_own_keys_agent_and_configuration_are_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host *\n  User mallory\n  Compression yes\n")
    (tmp_path / ".ssh" / "id_ed25519").write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    options = wire.client_options("alice", known_hosts=([], [], []), password="x")
    assert options.username == "alice"
    assert options.client_keys is None
    assert options.agent_path is None
    assert options.compression_algs == [b"none"]
    assert GCM[0].encode() == options.encryption_algs[0]
