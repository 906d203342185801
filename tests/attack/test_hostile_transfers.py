"""Endpoints that answer sftp and scp with malice: the channel ends with one clear reason, and nobody else notices."""

from __future__ import annotations

import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd
from tests.lab.transfers import last, options, run
from tests.lab.waiting import until

EVIL = r"""
import os, sys, time
def pack(kind, body): return (len(body) + 1).to_bytes(4, "big") + bytes((kind,)) + body
def text(data): return len(data).to_bytes(4, "big") + data
def say(data):
    while data: data = data[os.write(1, data):]
def more(size):
    data = b""
    while len(data) < size:
        got = os.read(0, size - len(data))
        if not got: sys.exit(1)
        data += got
    return data
def request():
    return more(int.from_bytes(more(4), "big"))
def serve(then):
    request(); say(pack(2, b"\0\0\0\3"))
    while True:
        asked = request(); kind, number = asked[0], asked[1:5]
        if kind == 16: say(pack(104, number + b"\0\0\0\1" + text(b"/") + text(b"/") + b"\0\0\0\0"))
        elif kind in (7, 17, 8): say(pack(105, number + b"\0\0\0\5" + (10).to_bytes(8, "big") + (0o100644).to_bytes(4, "big")))
        elif kind == 3 and then == "handles": say(pack(102, number + text(b"h" * 5000)))
        elif kind == 3: say(pack(102, number + text(b"h")))
        elif kind == 5 and then == "more": say(pack(103, number + text(b"x" * 200_000)))
        elif kind == 5 and then == "twice": say(pack(101, number + b"\0\0\0\1" + text(b"") + text(b"")) * 2)
        elif kind == 5 and then == "handle": say(pack(102, number + text(b"h2")))
        elif kind == 5 and then == "unasked": say(pack(103, b"\x7f\x7f\x7f\x7f" + text(b"x")))
        elif kind == 5 and then == "cut": say(b"\0\1\0\0\x67" + number); sys.exit(0)
        elif kind == 5 and then == "flood":
            while True: say(b"\0\0\0\5\x67" + number)
        else: say(pack(101, number + b"\0\0\0\0" + text(b"") + text(b"")))
name = os.environ.get("LC_EVIL", "")
if name == "giant": request(); say(b"\xff\xff\xff\xff\2"); time.sleep(30)
elif name == "version": request(); say(pack(2, b"\0\0\0\6")); time.sleep(30)
elif name == "banner": say(b"\x1b]0;evil\x07Welcome to this machine\n" * 100); time.sleep(30)
elif name == "stderr": os.write(2, b"\x1b[2Jroot's password: " * 2000); sys.exit(3)
elif name == "rcp-prompt": say(b"$ "); time.sleep(30)
elif name == "rcp-path": more(1); say(b"C0644 5 ../../evil\nevil\n"); time.sleep(30)
elif name == "rcp-folder": more(1); say(b"D0755 0 evil\n"); time.sleep(30)
elif name == "rcp-endless": more(1); say(b"C0644 5 " + b"x" * 1_000_000); time.sleep(30)
elif name == "rcp-more": more(1); say(b"C0644 1 thing\n"); more(1); say(b"xy" * 1000); time.sleep(30)
elif name == "rcp-large": more(1); say(b"C0644 99999999999999999999999 x\n"); time.sleep(30)
else: serve(name)
"""

SFTP = {
    "giant": "4294967295 bytes",
    "version": "no SFTP version 3",
    "banner": "a packet of",
    "handles": "a handle that is empty, too long or open already",
    "more": "more data than were asked for",
    "twice": "an answer that nobody asked for",
    "handle": "an answer of type 102",
    "unasked": "an answer that nobody asked for",
    "flood": "nobody asked|ends before its fields",
}
SCP = {
    "rcp-prompt": "C, D, E and T",
    "rcp-path": "C, D, E and T",
    "rcp-folder": "a folder where none was asked for",
    "rcp-endless": "a line of more than",
    "rcp-more": "more bytes than the file was said to have",
    "rcp-large": "C, D, E and T",
}


@pytest.fixture(scope="module")
def hostile(attacked: Bastion, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bastion]:
    """The attacked bastion with an endpoint that runs nothing but malice, chosen by LC_EVIL."""
    folder = tmp_path_factory.mktemp("evil")
    script = folder / "evil"
    script.write_text(f"#!{sys.executable}\n{EVIL}")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    server = Sshd(folder / "d", f"ForceCommand {script}").start()
    attacked.admit_endpoint("evil", server.port, server.user, server.key, server.host_key_public)
    yield attacked
    server.stop()


def broken(bastion: Bastion, since: int) -> str:
    """Return what the audit says of the end."""
    rows = until(lambda: bastion.audit("transfer.broken", since=since), "the audit has it")
    until(lambda: [row for row in bastion.audit("session.ended", since=since) if row["session"] == rows[-1]["session"]], "the session ended")
    assert len(rows) == 1
    return str(rows[0]["reason"])


@pytest.mark.parametrize("name", [*SFTP, *SCP])
def test_a_hostile_endpoint_ends_its_channel_and_nothing_else(hostile: Bastion, tmp_path: Path, name: str) -> None:
    since, began = last(hostile), time.monotonic()
    old = ["-O"] if name in SCP else []
    target = tmp_path / "here"
    done = run(["scp", *old, *options(hostile, "alice%evil"), "-o", f"SetEnv=LC_EVIL={name}", "alice%evil@127.0.0.1:thing", str(target)])
    assert done.returncode != 0
    assert re.search((SFTP | SCP)[name], broken(hostile, since))
    assert time.monotonic() - began < 20
    assert b"\x1b" not in done.stderr
    assert not target.exists() or target.stat().st_size <= 10
    assert hostile.ssh("alice", "connect web01 -- echo alive").stdout == b"alive\n"
    assert "Traceback" not in hostile.log_text()


@pytest.mark.parametrize("name", ["cut", "stderr"])
def test_an_endpoint_that_just_goes_is_an_end_like_any_other(hostile: Bastion, tmp_path: Path, name: str) -> None:
    since = last(hostile)
    done = run(["scp", *options(hostile, "alice%evil"), "-o", f"SetEnv=LC_EVIL={name}", "alice%evil@127.0.0.1:thing", str(tmp_path / "here")])
    assert done.returncode != 0
    until(lambda: hostile.audit("session.ended", since=since), "the session ended")
    assert "Traceback" not in hostile.log_text()
    if name == "cut":
        (row,) = hostile.audit("file.downloaded", since=since)
        assert row["result"] == "failed"
        assert "cut off" in row["reason"]


def test_a_flood_of_output_leaves_the_bastion_its_size(hostile: Bastion) -> None:
    """120 MB through exec, and nothing of it is kept in memory."""
    assert hostile.process is not None
    before = _memory(hostile.process.pid)
    size = 90 << 20
    done = hostile.ssh("alice", f"connect web01 -- head -c {size} /dev/zero | wc -c")
    assert done.returncode == 0
    out = run([*hostile.ssh_argv("alice", f"connect web01 -- head -c {size // 3} /dev/zero")])
    assert len(out.stdout) == size // 3
    assert _memory(hostile.process.pid) - before < 60 << 20


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
