"""What stock clients ask for and never get: refused with a sentence, audited, and without effect."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path

import pytest
from asyncssh.constants import MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_SUCCESS
from asyncssh.packet import String, UInt32

from tests.attack.arena import Arena
from tests.attack.test_output import inactive
from tests.attack.test_pty import output, pty
from tests.lab.sshd import free_port
from tests.wire.attacker import Attacker

CONTROLS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


def loud(argv: list[str]) -> list[str]:
    """Have ssh say what the server told it: the lab's command line keeps it quiet."""
    return [word.replace("LogLevel=ERROR", "LogLevel=INFO") for word in argv]


async def stock(arena: Arena, user: str, *words: str, options: tuple[str, ...] = (), given: bytes = b"", program: list[str] | None = None) -> tuple[int, bytes, bytes]:
    """Run stock ssh (or another stock program) beside the loop."""
    argv = program or loud(arena.bastion.ssh_argv(user, *words, options=options))
    process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(40):
            out, err = await process.communicate(given)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out, err


async def test_a_remote_listener_is_refused(arena: Arena) -> None:
    port = free_port()
    async with arena.unshaken("refusals -R"):
        code, _, err = await stock(arena, "alice", "whoami", options=("-o", "ExitOnForwardFailure=yes", "-R", f"{port}:127.0.0.1:22"))
    assert code == 255
    assert b"remote port forwarding failed" in err
    await arena.audit("wire.peer.request", "tcpip-forward")


async def test_forwarding_standard_input_is_refused_with_a_sentence(arena: Arena) -> None:
    async with arena.unshaken("refusals -W"):
        code, out, err = await stock(arena, "alice", options=("-W", "127.0.0.1:22"))
    assert (code, out) == (255, b"")
    assert b"forwards no ports" in err or b"bastion" in err
    await arena.audit("forward.refused", "127.0.0.1:22")


@pytest.mark.parametrize("kind", ["-L", "-D"])
async def test_a_local_listener_reaches_nothing_and_says_why(kind: str, arena: Arena) -> None:
    port = free_port()
    way = f"{port}:127.0.0.1:22" if kind == "-L" else str(port)
    async with arena.unshaken(f"refusals {kind}"):
        argv = loud(arena.bastion.ssh_argv("alice", "connect web01 -- sleep 2; echo end", options=(kind, way)))
        process = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        async with asyncio.timeout(20):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except OSError:
                    await asyncio.sleep(0.05)  # ssh says nothing when its listener is there
            if kind == "-D":
                writer.write(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x16")
            said = await reader.read(100)
            if kind == "-D":
                said = said[2:] or await reader.read(100)
            assert b"SSH-2.0" not in said
            writer.close()
            out, err = await process.communicate()
    assert out == b"end\n"
    assert b"forwards no ports" in err, err


async def test_agent_and_x11_forwarding_do_not_happen(arena: Arena) -> None:
    async with arena.unshaken("refusals -A -X"):
        code, out, err = await stock(arena, "alice", "connect web01 -- echo agent=$SSH_AUTH_SOCK display=$DISPLAY", options=("-A", "-X", "-o", "ForwardX11Trusted=yes"))
    assert code == 0
    assert out == b"agent= display=\n", (out, err)


async def test_files_over_sftp_and_unknown_subsystems_are_refused_with_a_sentence(arena: Arena) -> None:
    async with arena.unshaken("refusals subsystems"):
        for name in ("sftp", "netconf"):
            code, out, err = await stock(arena, "alice", name, options=("-s",))
            assert code == 77
            assert out == b""
            assert (b"bastion: No files are kept here" if name == "sftp" else b"bastion: The only subsystem here is sftp") in err, err
    await arena.audit("channel.subsystem", "netconf")


async def test_the_clients_environment_does_not_reach_the_endpoint(arena: Arena) -> None:
    names = "LD_PRELOAD LD_LIBRARY_PATH BASH_ENV PYTHONPATH GIT_SSH_COMMAND LC_EVIL LANG".split()
    words = " ".join(f'{name}="/tmp/evil.so"' for name in names)
    async with arena.unshaken("refusals environment"):
        _, out, _ = await stock(arena, "alice", "connect web01 -- env; cat /proc/$$/environ", options=("-o", f"SetEnv={words}"))
    for name in names[:5]:
        assert name.encode() not in out
    assert b"evil" not in out


def events_of(cast: str) -> list[list[str]]:
    """Return the events of a cast; its lines end at LF only, whatever else the output had."""
    return [json.loads(line) for line in cast.split("\n")[1:] if line and not line.startswith("#")]


async def test_a_command_that_looks_like_scp_is_recorded_like_any_other(arena: Arena) -> None:
    """`scp -t x; bash` was a way around the recorder elsewhere: what looks like a file transfer was not recorded."""
    async with arena.unshaken("refusals scp"):
        for number, tty in enumerate((("-tt",), ())):
            word = f"marker-{number}-of-scp"
            line = f"connect web01 -- scp -t /nonexistent/x </dev/null; bash --norc -c 'read a; echo $a-{word}; exit 5'"
            code, out, _ = await stock(arena, "alice", line, options=tty, given=b"typed\n")
            assert code == 5
            assert f"typed-{word}".encode() in out
            sessions = json.loads(await arena.says("aud", "recordings --json"))
            casts = [await arena.says("aud", f"cast {one['id']}") for one in sessions[:10]]
            assert any(event[1] == "o" and f"typed-{word}" in event[2] for cast in casts for event in events_of(cast))


async def test_twelve_sessions_over_one_control_master(arena: Arena, tmp_path: Path) -> None:
    """OpenSSH itself multiplexes: ten run at once with their own recordings, two are told that there are no more."""
    path = tmp_path / "cm"
    master = ("-o", "ControlMaster=auto", "-o", f"ControlPath={path}", "-o", "ControlPersist=20")
    async with arena.unshaken("refusals ControlMaster"):
        await stock(arena, "alice", "whoami", options=master)
        before = len(arena.bastion.casts())
        done = await asyncio.gather(*(stock(arena, "alice", f"connect web01 -- sleep 2; echo {n}", options=("-o", "ControlMaster=no", "-o", f"ControlPath={path}")) for n in range(12)))
        await stock(arena, "alice", program=[*arena.bastion.ssh_argv("alice", options=("-o", f"ControlPath={path}", "-O", "exit"))])
    worked = sorted(int(out) for code, out, _ in done if code == 0 and out.strip())
    assert worked, done
    assert len(arena.bastion.casts()) - before == len(worked)
    # stock ssh falls back to a connection of its own where the master refuses; nothing is lost and nothing mixed up
    assert len(worked) in (10, 12)
    assert len(set(worked)) == len(worked)


HOSTILE = b"\x1b]0;pwn\x07\x1b[2J\x1b[31m\r\nINFO forged \xc2\x9b31m\xe2\x80\xae"


async def test_nothing_that_a_client_says_reaches_log_or_audit_as_raw_bytes(arena: Arena) -> None:
    before = len(arena.log())
    async with arena.unshaken("refusals log injection"):
        for version in (b"SSH-2.0-\x1b]0;pwn\x07\x1b[2J", b"SSH-2.0-evil \xc2\x9b31m"):
            reader, writer = await asyncio.open_connection("127.0.0.1", arena.port)
            writer.write(version + b"\r\n" + bytes(40))
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
        attacker = await arena.attacker()
        channel = await attacker.opened()
        attacker.request(channel, b"pty-req", pty(HOSTILE, 80, 24))
        attacker.exec(channel, b"connect web01 -- true " + HOSTILE)
        await output(attacker)
        for command in (HOSTILE, b"kill x --reason " + HOSTILE, b"connect " + HOSTILE, b"help " + HOSTILE, b"--" + HOSTILE):
            other = await arena.attacker()
            other.exec(await other.opened(), command)
            said = await output(other)
            assert not CONTROLS.search(said.replace(b"\r\n", b"\n")), said
            other.close()
        attacker.request(channel, HOSTILE)
        attacker.open(kind=HOSTILE)
        attacker.close()
        knocker = await arena.knock()
        knocker.sign(HOSTILE.decode(), arena.key("alice"))
        await knocker.answer()
        knocker.close()
    for command in ("audit tail -n 60", "audit tail -n 60 --json", "sessions --past", "sessions --past --json", "audit export"):
        for user in ("root1", "alice") if "audit" not in command else ("root1",):
            async with await arena.client(user) as conn:
                shown = bytes((await conn.run(command, encoding=None)).stdout)
            assert not CONTROLS.search(shown), CONTROLS.search(shown)
            assert b"\xc2\x9b" not in shown
            assert b"\xe2\x80\xae" not in shown
    new = arena.log()[before:]
    assert not CONTROLS.search(new), new
    assert not re.search(rb"(?m)^INFO forged", new)


async def test_a_killed_sessions_reason_and_an_endpoints_description_act_on_nobodys_terminal(arena: Arena) -> None:
    text = "\x1b]0;pwn\x07\x1b[2Jevil\u202e\x9b31m"
    async with arena.unshaken("refusals menu"):
        done = await asyncio.to_thread(
            arena.bastion.program, "endpoint", "add", "wicked", "127.0.0.1:9", "--login", "x", "--key", str(arena.bastion.key_of("alice")),
            "--host-key", str(arena.bastion.key_of("alice").with_suffix(".pub")), "--description", text, "--label", "k=\x1b[2J", check=False,
        )  # fmt: skip
        assert b"\x1b" not in done.stdout + done.stderr
        if done.returncode:
            await asyncio.to_thread(
                arena.bastion.program, "endpoint", "add", "wicked", "127.0.0.1:9", "--login", "x", "--key", str(arena.bastion.key_of("alice")),
                "--host-key", str(arena.bastion.key_of("alice").with_suffix(".pub")), "--description", text,
            )  # fmt: skip
        try:
            for term in (b"xterm-256color", b"vt100", b"dumb", None):
                attacker = await arena.attacker()
                channel = await attacker.opened()
                if term:
                    attacker.request(channel, b"pty-req", pty(term, 120, 30))
                attacker.request(channel, b"shell")
                await _until(attacker, b"wicked")
                attacker.conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel) + String(b"\x03" if term else b"q\n"))
                attacker.conn.send_packet(MSG_CHANNEL_EOF, UInt32(channel))
                seen = await output(attacker)
                assert b"\x1b]0" not in seen
                inactive(seen)
                attacker.close()
            assert not CONTROLS.search((await arena.says("alice", "ls")).encode())
            # the reason of a kill, as everybody in the session sees it
            sup = await arena.attacker("sup")
            owner = await arena.attacker()
            channel = await owner.opened()
            owner.request(channel, b"pty-req", pty(b"xterm", 80, 24))
            owner.exec(channel, b"connect web01 -- sleep 30")
            live = []
            while not live:
                listed = json.loads(await arena.says("sup", "sessions --json"))
                live = [one for one in listed if one["owner"] == "alice" and one["state"] == "running" and not one["detached"]]
            session = max(live, key=lambda one: str(one["started_at"]))["id"]
            viewing = await sup.opened()
            sup.request(viewing, b"pty-req", pty(b"xterm", 80, 25))
            sup.exec(viewing, f"join {session}".encode())
            await _until(sup, b"alice@web01")
            await arena.says("root1", f"kill {session} --yes --reason {shlex.quote('now ' + text)}")
            for one in (owner, sup):
                seen = await output(one)
                assert b"evil" in seen, seen
                assert b"\x1b]0" not in seen
                assert b"\xe2\x80\xae" not in seen
                inactive(seen)
                one.close()
        finally:
            await asyncio.to_thread(arena.bastion.program, "endpoint", "remove", "wicked", "--yes")


async def _until(attacker: Attacker, word: bytes) -> None:
    async with asyncio.timeout(15):
        while word not in b"".join(data[8:] for data in attacker.all(MSG_CHANNEL_DATA)):
            attacker.news.clear()
            await attacker.news.wait()


LINES = [
    b"help " + b"x" * 20_000, b"ls 'never closed", b'ls "never closed', b"ls \\", b"--help;id", b"$(id)", b"`id`", b"ls *", b"ls ~root", b"ls $HOME", b"ls && id",
    b"whoami | sh", b"ls > /tmp/pwned-by-redirect", b"ls\nid", b"ls\0id", b"\xff\xfe", b"-", b"--", b"---", b"''", b"help help help", b"kill", b"connect",
    b"connect web01 --login '../../x' -- id", b"cast ''", b"audit tail -n 999999999999999999999", b"audit tail -n -1", b"ls --label =", b"sessions --limit 0", b"whoami --json --json",
    b"connect web01 -- ", b"policy explain --user alice --endpoint web01 --action connect --at '\x1b[2J'", b"admin", b"ls " + b"-" * 60_000, b" " * 60_000, b"ls " + b"a " * 30_000,
]  # fmt: skip


@pytest.mark.parametrize("user", ["alice", "root1"])
async def test_110_any_command_line_is_a_sentence_and_an_exit_code(user: str, arena: Arena) -> None:
    import asyncssh

    before = len(arena.log())
    async with arena.unshaken(f"commands of {user}"):
        async with await arena.client(user) as conn:
            for line in LINES:
                try:
                    done = await asyncio.wait_for(conn.run(line.decode("utf-8", "surrogateescape") if b"\xff" not in line else "ls \udcff", encoding=None, errors="surrogateescape", stdin=asyncssh.DEVNULL), 20)
                except (asyncssh.ChannelOpenError, UnicodeEncodeError):
                    continue
                shown = bytes(done.stdout) + bytes(done.stderr)
                assert not CONTROLS.search(shown), (line[:50], shown)
                assert done.exit_status in (0, 64, 65, 66, 69, 77), (line[:50], done.exit_status, shown)
                assert len(shown) < 20_000, line[:50]
                assert b"uid=" not in shown
    assert not Path("/tmp/pwned-by-redirect").exists()
    assert b"Traceback" not in arena.log()[before:]


async def test_110_ctrl_c_ctrl_d_and_ctrl_z_leave_every_prompt(arena: Arena) -> None:
    async with arena.unshaken("commands prompts"):
        for command in (b"admin", b"user remove bob", b"kill x", b"menu", b"menu --plain"):
            for key in (b"\x03", b"\x04", b"\x1a\x03", b"\x1b\x03", b"y" * 5000 + b"\x03\x03\x04", b"\x1a" * 50 + b"\x04\x03", b"z" * 30_000 + b"\x03\x04", b"\x1b[200~" + b"w " * 15_000 + b"\x1b[201~\x03\x04"):
                attacker = await arena.attacker("root1")
                channel = await attacker.opened()
                attacker.request(channel, b"pty-req", pty(b"xterm", 80, 24))
                attacker.exec(channel, command)
                attacker.conn.send_packet(MSG_CHANNEL_DATA, UInt32(channel) + String(key))
                attacker.conn.send_packet(MSG_CHANNEL_EOF, UInt32(channel))
                await output(attacker)
                attacker.close()
    assert "bob" in await arena.says("root1", "user list")


async def test_110_output_to_nobody_ends_the_command(arena: Arena) -> None:
    """The reader of a long answer goes away: the command ends, nothing piles up."""
    before = json.loads(await arena.says("root1", "status --json"))["sessions"]  # an earlier attack may have left one detached
    async with arena.unshaken("commands broken pipe"):
        for _ in range(5):
            attacker = await arena.attacker("root1")
            channel = await attacker.opened(window=10)
            attacker.exec(channel, b"audit export")
            await attacker.until(MSG_CHANNEL_SUCCESS)
            attacker.close()
    status = json.loads(await arena.says("root1", "status --json"))
    assert status["sessions"] <= before
