"""Real clients against a live server: OpenSSH, PuTTY's plink, dropbear's dbclient, paramiko."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from typing import TYPE_CHECKING, Any

import asyncssh
import paramiko
import pytest

from bastion import wire

from .house import ROOMY, USER_KEY, House, house, key_file, run

if TYPE_CHECKING:
    from pathlib import Path


def program(name: str) -> str:
    """A program that the tests need; its absence is a failure, not a skip."""
    path = shutil.which(name)
    assert path, f"{name} is not installed"
    return path


def openssh(made: House, folder: Path, *options: str) -> list[str]:
    return [
        program("ssh"), "-F", "none", "-p", str(made.port), "-i", str(key_file(folder)), "-o", "IdentitiesOnly=yes",
        "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder}/known", "-o", "LogLevel=ERROR",
        "-o", "BatchMode=yes", *options, "alice@127.0.0.1",
    ]  # fmt: skip


@pytest.mark.parametrize("cipher", ["", *wire.options.CIPHERS])
async def test_openssh_passes_bytes_unchanged_with_every_cipher(cipher: str, tmp_path: Path) -> None:
    data = os.urandom(1_500_000)
    async with house() as made:
        status, out, err = await run(*openssh(made, tmp_path, *(["-c", cipher] if cipher else [])), "cat", stdin=data)
        (sent,) = {owner.conn.get_extra_info("recv_cipher") for owner in made.owners}
    assert (status, err) == (0, b"")
    assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()
    assert sent == (cipher or "aes128-gcm@openssh.com")
    assert not made.events


async def test_openssh_gets_stdout_stderr_and_the_exit_status(tmp_path: Path) -> None:
    async with house() as made:
        assert await run(*openssh(made, tmp_path), "both") == (3, b"out1\nout2\n", b"err\n")


async def test_openssh_rekeys_in_the_middle_of_its_data(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    async with house(wire.Limits(rekeys_per_minute=1000)) as made:
        status, out, _ = await run(*openssh(made, tmp_path, "-o", "RekeyLimit=300K"), "cat", stdin=data)
    assert status == 0
    assert out == data


async def test_openssh_is_refused_agent_x11_and_listeners_and_still_gets_its_session(tmp_path: Path) -> None:
    async with house() as made:
        ask = ["-A", "-R", "0:127.0.0.1:1", "-o", "ExitOnForwardFailure=no", "-o", "SendEnv=LD_PRELOAD"]
        status, out, _ = await run(*openssh(made, tmp_path, *ask), "hello")
    assert (status, out) == (0, b"hello\n")
    assert any("tcpip-forward" in detail for detail in made.saw("peer.request"))


async def test_openssh_control_master_opens_many_sessions_on_one_connection(tmp_path: Path) -> None:
    async with house() as made:
        control = ["-o", "ControlMaster=auto", "-o", f"ControlPath={tmp_path}/c", "-o", "ControlPersist=30"]
        assert (await run(*openssh(made, tmp_path, *control), "hello"))[1] == b"hello\n"
        results = await asyncio.gather(*(run(*openssh(made, tmp_path, *control), "hello") for _ in range(8)))
        assert [out for _, out, _ in results] == [b"hello\n"] * 8
        assert len(made.owners) == 1
        await run(*openssh(made, tmp_path, *control, "-O", "exit"))


async def test_plink_logs_in_and_a_stalled_plink_does_not_bloat_the_server(tmp_path: Path) -> None:
    """plink announces a window of 2 GiB; only the kernel's back-pressure stops the session."""
    async with house() as made:
        host_key = asyncssh.import_public_key(wire_host_key())
        argv = [
            program("plink"), "-ssh", "-batch", "-P", str(made.port), "-pw", "secret",
            "-hostkey", host_key.get_fingerprint(), "alice@127.0.0.1",
        ]  # fmt: skip
        status, out, err = await run(*argv, "hello")
        assert (status, out) == (0, b"hello\n"), err
        never_read, out_end = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *argv, "flood", stdin=asyncio.subprocess.DEVNULL, stdout=out_end, stderr=asyncio.subprocess.DEVNULL
        )
        os.close(out_end)
        try:
            async with asyncio.timeout(10):
                while not (made.sessions and made.sessions[-1].command == "flood" and not made.sessions[-1].writable):
                    await asyncio.sleep(0)
            assert await made.canary() < 1.0
            connection = made.owners[1].conn
            assert connection._transport is not None
            assert connection._transport.get_write_buffer_size() < 1024 * 1024
        finally:
            process.kill()
            await process.wait()
            os.close(never_read)


def wire_host_key() -> str:
    from .house import HOST_KEY

    return HOST_KEY.export_public_key().decode()


async def test_dbclient_logs_in_without_gcm(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    path = tmp_path / "key"
    await run(program("dropbearkey"), "-t", "ed25519", "-f", path)
    _, public, _ = await run(program("dropbearkey"), "-y", "-f", path)
    key = asyncssh.import_public_key(next(line for line in public.decode().splitlines() if line.startswith("ssh-")))
    async with house() as made:
        made.validate_key = lambda username, offered: offered.public_data == key.public_data
        status, out, err = await run(
            program("dbclient"), "-y", "-y", "-i", path, "-p", str(made.port), "alice@127.0.0.1", "cat", stdin=data
        )
        ciphers = {owner.conn.get_extra_info("recv_cipher") for owner in made.owners}
    assert (status, out) == (0, data), err
    assert not any("gcm" in cipher for cipher in ciphers)


async def test_paramiko_logs_in_and_passes_bytes_unchanged(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    path = str(key_file(tmp_path))

    def talk(port: int) -> bytes:
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            client.connect("127.0.0.1", port, "alice", key_filename=path, allow_agent=False, look_for_keys=False)
            stdin, stdout, _ = client.exec_command("count")
            stdin.write(data)
            stdin.channel.shutdown_write()
            return bytes(stdout.read())

    async with house() as made:
        assert await asyncio.to_thread(talk, made.port) == b"300000\n"


class TwoFactors(asyncssh.SSHServer):
    """A key, then an answer."""

    def connection_made(self, conn: Any) -> None:
        self.conn: wire.ServerConnection = conn

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return key.public_data == USER_KEY.public_data

    def kbdint_auth_supported(self) -> bool:
        return bool(self.conn.proofs)

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [("Code: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> Any:
        return list(responses) == ["424242"]

    def factor_accepted(self, proof: wire.Proof) -> bool:
        return [p.method for p in self.conn.proofs] == ["publickey", "keyboard-interactive"]

    def auth_completed(self) -> None:
        self.identity = self.conn.proofs[-1].username

    def session_requested(self) -> Any:
        from .house import Say

        made = House()
        return Say(made)


@pytest.mark.parametrize(("code", "admitted"), [("424242", True), ("000000", False)])
async def test_openssh_needs_key_and_code_when_the_login_wants_both(code: str, admitted: bool, tmp_path: Path) -> None:
    ask = tmp_path / "ask"
    ask.write_text(f"#!/bin/sh\necho {code}\n")
    ask.chmod(0o700)
    async with house(ROOMY) as made:
        made.factory = lambda _: TwoFactors()
        argv = ["BatchMode=no" if word == "BatchMode=yes" else word for word in openssh(made, tmp_path, "-o", "NumberOfPasswordPrompts=1")]
        status, out, err = await run("env", f"SSH_ASKPASS={ask}", "SSH_ASKPASS_REQUIRE=force", *argv, "hello")
    assert (status == 0) is admitted, err
    assert (out == b"hello\n") is admitted
    assert admitted or b"Permission denied (publickey,keyboard-interactive)" in err


async def test_paramiko_needs_key_and_code_when_the_login_wants_both(tmp_path: Path) -> None:
    path = str(key_file(tmp_path))

    def talk(port: int) -> tuple[list[str], list[str]]:
        transport = paramiko.Transport(("127.0.0.1", port))
        try:
            transport.start_client(timeout=10)
            first = transport.auth_publickey("alice", paramiko.Ed25519Key.from_private_key_file(path))
            second = transport.auth_interactive("alice", lambda *_: ["424242"])
            assert transport.is_authenticated()
            return list(first), list(second)
        finally:
            transport.close()

    async with house(ROOMY) as made:
        made.factory = lambda _: TwoFactors()
        first, second = await asyncio.to_thread(talk, made.port)
    assert "keyboard-interactive" in first
    assert second == []
