"""Checkpoints kept elsewhere: they show what somebody with all of this machine's files can hide."""

from __future__ import annotations

import shutil
import socket
import threading
from pathlib import Path

import pytest

from bastion.backends.store import open_store
from bastion.backends.store.witness import FileWitness, SyslogWitness
from bastion.core.audit.checkpoint import read
from bastion.core.audit.event import AuditEvent


def event(number: int) -> AuditEvent:
    return AuditEvent("session.started", 1e9 + number, actor="alice")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    return tmp_path / "elsewhere" / "checkpoints.jsonl"


async def grown(home: Path, signer, copy: Path, *rounds: int) -> None:
    async with await open_store(home / "bastion.db", signer=signer, witnesses=[FileWitness(copy)]) as store:
        for count in rounds:
            await store.audit.append([event(n) for n in range(count)])
            await store.audit.checkpoint()


async def test_a_whole_machine_set_back_in_time_is_found_by_what_was_kept_elsewhere(home: Path, signer, copy: Path, tmp_path: Path) -> None:
    await grown(home, signer, copy, 10)
    shutil.copytree(home, tmp_path / "old")
    await grown(home, signer, copy, 10)
    async with await open_store(home / "bastion.db", signer=signer) as store:
        assert await store.audit.verify(copy.read_bytes().splitlines()) == (20, "")
    async with await open_store(tmp_path / "old" / "bastion.db", signer=signer) as store:
        assert (await store.audit.verify())[1] == "", "its own files hide it"
        checked, wrong = await store.audit.verify(copy.read_bytes().splitlines())
    assert checked == 10
    assert wrong == "entry 11 in the checkpoints kept elsewhere: the tail was cut: entries up to 20 were signed"


async def test_a_log_begun_anew_with_the_same_key_is_found(home: Path, signer, copy: Path, tmp_path: Path) -> None:
    await grown(home, signer, copy, 10)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    async with await open_store(other / "bastion.db", signer=signer) as store:
        await store.audit.append([event(n + 1) for n in range(15)])
        checked, wrong = await store.audit.verify(copy.read_bytes().splitlines())
    assert wrong == "entry 10 in the checkpoints kept elsewhere: the log was replaced: this is not the entry that was signed"


async def test_a_changed_copy_is_named_by_its_line(home: Path, signer, copy: Path) -> None:
    await grown(home, signer, copy, 5, 5)
    lines = copy.read_bytes().splitlines()
    async with await open_store(home / "bastion.db", signer=signer) as store:
        for bad in (lines[1].replace(b'"seq":10', b'"seq":11'), b"{}", b"\xff", lines[1][:-9] + b'00000000"}'):
            _, wrong = await store.audit.verify([lines[0], bad])
            assert wrong == "entry 6 in the checkpoints kept elsewhere: line 2 is no checkpoint of node main that a known key signed"


async def test_a_witness_that_was_away_is_told_what_it_missed(home: Path, signer, copy: Path) -> None:
    copy.parent.chmod(0o700)
    async with await open_store(home / "bastion.db", signer=signer, witnesses=[FileWitness(copy)]) as store:
        await store.audit.append([event(1)])
        await store.audit.checkpoint()
        copy.unlink()
        copy.mkdir()
        await store.audit.append([event(2)])
        await store.audit.checkpoint()
        copy.rmdir()
        await store.audit.append([event(3)])
        await store.audit.checkpoint()
    assert [point.seq for point in map(read, copy.read_bytes().splitlines()) if point] == [2, 3]
    copy.write_bytes(copy.read_bytes() + b"half a li")
    async with await open_store(home / "bastion.db", signer=signer, witnesses=[FileWitness(copy)]) as store:
        await store.audit.append([event(4)])
    assert [point.seq for point in map(read, copy.read_bytes().splitlines()) if point] == [2, 3, 4]



async def test_syslog_over_udp_and_a_local_socket_gets_each_checkpoint_in_one_message(home: Path, signer, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as local:
        udp.bind(("127.0.0.1", 0))
        local.bind(str(tmp_path / "log"))
        witnesses = [SyslogWitness(f"udp://127.0.0.1:{udp.getsockname()[1]}", "n1"), SyslogWitness(str(tmp_path / "log"), "n1")]
        async with await open_store(home / "bastion.db", signer=signer, witnesses=witnesses) as store:
            await store.audit.append([event(1)])
            await store.audit.checkpoint()
            for server in (udp, local):
                server.settimeout(10)
                message = server.recv(4096)
                head, _, line = message.partition(b" checkpoint - ")
                assert head.startswith(b"<109>1 ")
                assert head.split()[2:4] == [b"n1", b"bastion"]
                assert (read(line) or pytest.fail("no checkpoint")).seq == 1


async def test_syslog_over_tcp_counts_its_octets_and_one_that_is_down_harms_nothing(home: Path, signer) -> None:
    heard = bytearray()
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def listen() -> None:
        link, _ = server.accept()
        while data := link.recv(4096):
            heard.extend(data)
        link.close()

    thread = threading.Thread(target=listen)
    thread.start()
    async with await open_store(home / "bastion.db", signer=signer, witnesses=[SyslogWitness(f"tcp://127.0.0.1:{port}", "n1")]) as store:
        await store.audit.append([event(1)])
        await store.audit.checkpoint()
        thread.join(10)
        server.close()
        await store.audit.append([event(2)])
        await store.audit.checkpoint()
        assert await store.audit.verify() == (2, "")
    count, _, message = bytes(heard).partition(b" ")
    assert int(count) == len(message)
    assert b'"seq":1,' in message


@pytest.mark.parametrize("address", ["host:514", "udp://", "http://x", "udp://h/path", "dev/log", "tcp://h:99999"])
def test_an_address_that_is_no_syslog_is_said_so(address: str) -> None:
    with pytest.raises(ValueError, match="syslog|[Pp]ort"):
        SyslogWitness(address, "n1")
