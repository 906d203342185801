"""Tunnels: off until a rule names where to, never to this host or its neighbours on the wire, each one audited with its bytes."""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bastion import Bastion
from tests.lab.jump import Jumper
from tests.lab.sshd import Sshd, free_port
from tests.lab.waiting import until

RULE = """
rules:
  - name: tunnels
    effect: allow
    roles: [engineer]
    actions: [forward]
    endpoints: ["*"]
    when:
      to: ["127.0.0.1:{port}", "localhost:{port}", "10.255.255.0/24:*"]
    terms: {{max: {most}}}
"""


class Shout(socketserver.BaseRequestHandler):
    """Greets, and sends back what comes in capitals; ends when the other does."""

    def handle(self) -> None:
        self.request.sendall(b"hello\n")
        with contextlib.suppress(OSError):
            while data := self.request.recv(65536):
                self.request.sendall(data.upper())
            self.request.sendall(b"BYE\n")


@pytest.fixture(scope="module")
def shouter() -> Iterator[int]:
    """A TCP service on loopback."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Shout) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def tunnelled(tmp_path_factory: pytest.TempPathFactory, furnished_home: Bastion, shouter: int) -> Iterator[Bastion]:
    """A bastion whose rules let engineers reach that service; its own host is open to rules, as for trying out."""
    lives = furnished_home.copy(tmp_path_factory.mktemp("tunnels") / "b", env={"BASTION_FORWARDS_OWN_HOST": "true"})
    (lives.home / "policies" / "tunnels.yaml").write_text(RULE.format(port=shouter, most="1h"))
    lives.start()
    yield lives
    lives.stop()


@contextlib.contextmanager
def listening(argv: Callable[..., list[str]], port: int, kind: str, way: str, said: Path | None = None) -> Iterator[None]:
    """Have ssh listen on a port of this machine; what it says goes into `said`."""
    with open(said or os.devnull, "wb") as errors:
        process = subprocess.Popen(argv(kind, way), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
    try:

        def listens() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            assert process.poll() is None, "ssh ended"
            return False

        until(listens, "ssh listens")
        yield
    finally:
        process.kill()  # ssh can miss a SIGTERM until something comes
        process.wait(10)


def talk(port: int, data: bytes = b"", socks: tuple[str, int] | None = None) -> bytes:
    """Say something there, half-close, and return all that came."""
    with socket.create_connection(("127.0.0.1", port), 20) as link:
        if socks is not None:
            host, far = socks
            link.sendall(b"\x05\x01\x00")
            link.recv(2)
            link.sendall(b"\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + far.to_bytes(2, "big"))
            if link.recv(10)[1:2] != b"\0":
                return b""
        sender = threading.Thread(target=lambda: (link.sendall(data), link.shutdown(socket.SHUT_WR)), daemon=True)
        sender.start()
        got = b""
        with contextlib.suppress(OSError):
            while part := link.recv(65536):
                got += part
        return got


@pytest.mark.parametrize("way", ["from the bastion", "through the endpoint in the user name", "on the inner connection"])
def test_a_permitted_tunnel_carries_every_byte_and_is_audited_with_them(tunnelled: Bastion, shouter: int, tmp_path: Path, way: str) -> None:
    port = free_port()
    user = "alice%web01" if way.startswith("through") else "alice"

    def argv(kind: str, spec: str) -> list[str]:
        if way.startswith("on"):
            return [*Jumper(tunnelled, "alice", tmp_path).argv("ssh", "-N", "-o", "ExitOnForwardFailure=yes", kind, spec, "web01")]
        return tunnelled.ssh_argv(user, options=("-N", kind, spec))

    data = os.urandom(300_000).lower()
    with listening(argv, port, "-L", f"{port}:127.0.0.1:{shouter}"):
        assert talk(port, data) == b"hello\n" + data.upper() + b"BYE\n"
        assert talk(port, b"again") == b"hello\nAGAINBYE\n", "a second tunnel on the same connection"
        closed = until(
            lambda: [row for row in tunnelled.audit("forward.closed") if row["data"]["bytes_in"] == 300_000], "its end is audited"
        )
    fact = closed[-1]
    assert (fact["actor"], fact["data"]["to"], fact["data"]["bytes_out"]) == ("alice", f"127.0.0.1:{shouter}", 300_010)
    assert fact["data"].get("through") == (None if way.startswith("from") else "web01")


def test_a_socks_proxy_reaches_what_a_rule_names_and_nothing_else(tunnelled: Bastion, shouter: int, tmp_path: Path) -> None:
    port, other = free_port(), free_port()
    with listening(lambda kind, spec: loud(tunnelled.ssh_argv("alice", options=("-N", kind, spec))), port, "-D", str(port), tmp_path / "said"):
        assert talk(port, b"x", ("localhost", shouter)) == b"hello\nXBYE\n"
        assert talk(port, b"x", ("localhost", other)) == b""
    said = (tmp_path / "said").read_text()
    assert f"No rule allows forward to localhost:{other} for alice." in said
    assert "Rule 'tunnels' would, but to: wanted 127.0.0.1:" in said


def loud(argv: list[str]) -> list[str]:
    return [word.replace("LogLevel=ERROR", "LogLevel=INFO") for word in argv]


OPEN = """
rules:
  - name: everything
    effect: allow
    roles: [engineer]
    actions: [forward]
    endpoints: ["*"]
    when: {to: ["*:*", "0.0.0.0/0:*", "[::]/0:*"]}
  - name: all-else
    effect: allow
    roles: [engineer]
    actions: ["*"]
    endpoints: ["*"]
"""
NEVER = [
    ("127.0.0.1", "loopback"), ("localhost", "loopback"), ("127.1", "loopback"), ("2130706433", "loopback"), ("0x7f000001", "loopback"), ("0177.0.0.1", "loopback"),
    ("::1", "loopback"), ("::ffff:127.0.0.1", "loopback"), ("0.0.0.0", "unspecified"), ("::", "unspecified"), ("169.254.169.254", "link-local"),
    ("::ffff:169.254.169.254", "link-local"), ("64:ff9b::a9fe:a9fe", "link-local"), ("2002:7f00:1::", "loopback"), ("fe80::1", "link-local"), ("224.0.0.1", "multicast"), ("255.255.255.255", "link-local|reserved|multicast"),
    ("fd00:ec2::254", "a metadata service"),
]  # fmt: skip


@pytest.fixture(scope="module")
def wide_open(tmp_path_factory: pytest.TempPathFactory, furnished_home: Bastion) -> Iterator[Bastion]:
    """A bastion whose rules open every destination that rules can open."""
    lives = furnished_home.copy(tmp_path_factory.mktemp("wide") / "b")
    (lives.home / "policies" / "wide.yaml").write_text(OPEN)
    lives.start()
    yield lives
    lives.stop()


@pytest.fixture(scope="module")
def inside(wide_open: Bastion) -> Iterator[Any]:
    """Alice's connection to it, by paramiko: one for all the tries."""
    client = wide_open.paramiko("alice")
    yield client.get_transport()
    client.close()


@pytest.mark.parametrize(("host", "why"), NEVER, ids=[host for host, _ in NEVER])
def test_no_rule_opens_this_host_its_neighbours_or_a_metadata_service(inside: Any, host: str, why: str) -> None:
    import paramiko

    with pytest.raises(paramiko.ChannelException) as refused:
        inside.open_channel("direct-tcpip", (host, 5432), ("127.0.0.1", 1), timeout=15)
    assert refused.value.code == 1, "administratively prohibited"


def test_the_refusal_names_why_and_is_audited(wide_open: Bastion, inside: Any) -> None:
    del inside
    done = subprocess.run(loud(wide_open.ssh_argv("alice", options=("-W", "localhost:5432"))), capture_output=True, check=False)
    assert "is never reached through the bastion (loopback)." in done.stderr.decode()
    own = next(iter(socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)))[4][0]
    done = subprocess.run(loud(wide_open.ssh_argv("alice", options=("-W", f"{own}:{wide_open.port}"))), capture_output=True, check=False)
    assert "is never reached through the bastion (" in done.stderr.decode()
    done = subprocess.run(loud(wide_open.ssh_argv("alice%web01", options=("-W", "127.0.0.1:5432"))), capture_output=True, check=False)
    assert "127.0.0.1:5432 through web01 is this bastion's own host (loopback)." in done.stderr.decode()
    facts = until(lambda: wide_open.audit("forward.refused"), "they are audited")
    assert {row["actor"] for row in facts} == {"alice"}


def test_without_a_rule_there_are_no_tunnels_whatever_else_is_allowed(bastion: Bastion) -> None:
    done = subprocess.run(loud(bastion.ssh_argv("alice", options=("-W", "198.51.100.1:443"))), capture_output=True, check=False)
    assert done.returncode == 255
    assert "This bastion forwards no ports for you: No rule allows forward for alice." in done.stderr.decode()


def test_a_star_does_not_mean_tunnels_and_a_rule_without_destinations_is_a_mistake(bastion: Bastion, tmp_path: Path) -> None:
    for text, told in (
        ("{name: a, effect: allow, roles: ['*'], actions: [forward], endpoints: ['*']}", "say where tunnels may go"),
        ("{name: a, effect: allow, roles: ['*'], actions: [connect], endpoints: ['*'], when: {to: ['a:1']}}", "fits the action forward only"),
        ("{name: a, effect: allow, roles: ['*'], actions: [forward], endpoints: ['*'], when: {to: ['a', 'b:99999']}}", "'a' is no destination"),
    ):
        (tmp_path / "p.yaml").write_text(f"rules:\n  - {text}\n")
        done = bastion.program("policy", "check", str(tmp_path), check=False)
        assert done.returncode == 78
        assert told in (done.stdout + done.stderr).decode()


def test_a_tunnel_ends_with_its_time_and_with_its_rule(tmp_path: Path, furnished_home: Bastion, shouter: int) -> None:
    lives = furnished_home.copy(tmp_path / "b", env={"BASTION_FORWARDS_OWN_HOST": "true"})
    policy = lives.home / "policies" / "tunnels.yaml"
    policy.write_text(RULE.format(port=shouter, most="3s"))
    lives.start()
    port = free_port()
    try:
        with listening(lambda kind, spec: lives.ssh_argv("alice", options=("-N", kind, spec)), port, "-L", f"{port}:127.0.0.1:{shouter}"):
            with socket.create_connection(("127.0.0.1", port), 20) as link:
                assert link.recv(100) == b"hello\n"
                assert link.recv(100) == b"", "its longest time is over"
            until(lambda: [row for row in lives.audit("forward.closed") if row["reason"] == "max-time"], "the reason is audited")
            policy.write_text(RULE.format(port=shouter, most="1h"))
            lives.ssh("root1", "policy reload")
            with socket.create_connection(("127.0.0.1", port), 20) as link:
                assert link.recv(100) == b"hello\n"
                policy.unlink()
                lives.ssh("root1", "policy reload")
                link.settimeout(5)
                assert link.recv(100) == b"", "its rule is gone"
            until(lambda: [row for row in lives.audit("forward.closed") if "revoked" in row["reason"]], "the reason is audited")
    finally:
        lives.stop()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-A",), "Agent forwarding (ssh -A) is not offered"),
        (("-R", "0:127.0.0.1:22"), "Remote forwarding (ssh -R) is not offered"),
    ],
)
def test_what_is_never_offered_is_said_once_in_the_next_session(bastion: Bastion, sshd: Sshd, options: tuple[str, ...], sentence: str) -> None:
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    environment = dict(line.split(";")[0].split("=", 1) for line in agent.splitlines() if "=" in line)
    try:
        done = subprocess.run(
            bastion.ssh_argv("alice", "connect web01 -- echo ok", options=options), capture_output=True, check=False, env={**os.environ, **environment}
        )
        assert done.stdout == b"ok\n"
        assert done.stderr.decode().count(sentence) == 1
    finally:
        os.kill(int(environment["SSH_AGENT_PID"]), 15)
