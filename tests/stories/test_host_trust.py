"""By what the bastion knows its endpoints: pinned keys or a host CA, and nothing at first sight."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd, keygen


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host CA of somebody's own."""
    return keygen(tmp_path_factory.mktemp("ca") / "host_ca")


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory, authority: Path) -> Iterator[Sshd]:
    """An sshd with a host certificate for the name `cert01`."""
    folder = tmp_path_factory.mktemp("certified") / "d"
    server = Sshd(folder, f"HostCertificate {folder}/host_ed25519-cert.pub")
    sign(authority, server, "cert01")
    server.start()
    yield server
    server.stop()


def sign(authority: Path, server: Sshd, name: str) -> None:
    """Certify a server's key for that name."""
    command = ["ssh-keygen", "-q", "-s", str(authority), "-h", "-I", "test", "-n", name, "-V", "-1h:+1d", str(server.host_key_public)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def add(bastion: Bastion, name: str, server: Sshd, more: str, answer: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Add it over ssh as an admin would."""
    line = f"endpoint add {name} 127.0.0.1:{server.port} --login {server.user} --key - {more}"
    return bastion.ssh("root1", line, input=server.key.read_bytes() + answer)


def test_an_endpoint_is_known_by_its_host_ca(bastion: Bastion, certified: Sshd, authority: Path) -> None:
    public = authority.with_suffix(".pub").read_text().strip()
    assert add(bastion, "cert01", certified, f"--host-ca '@cert-authority * {public}'").returncode == 0
    assert bastion.ssh("alice", "connect cert01 -- echo certified").stdout == b"certified\n"
    tested = bastion.ssh("root1", "endpoint test cert01")
    assert (tested.returncode, tested.stdout) == (0, b"cert01: answers with a certificate of its pinned host CA.\n")
    assert bastion.json("root1", "endpoint show cert01")["host_keys"][0]["type"] == "@cert-authority"


def test_a_certificate_for_another_name_or_of_another_ca_is_refused_and_audited(
    bastion: Bastion, certified: Sshd, authority: Path, tmp_path: Path
) -> None:
    public = authority.with_suffix(".pub").read_text().strip()
    assert add(bastion, "cert02", certified, f"--host-ca '{public}'").returncode == 0
    other = keygen(tmp_path / "other").with_suffix(".pub").read_text().strip()
    assert add(bastion, "cert03", certified, f"--host-ca '{other}'").returncode == 0
    for name, why in (("cert02", "must be of a pinned host CA and name cert02"), ("cert03", "host ca key is not trusted")):
        done = bastion.ssh("alice", f"connect {name} -- true")
        assert done.returncode == 69
        assert f"The host certificate of {name} is not good" in done.stderr.decode()
        assert why in done.stderr.decode()
        assert bastion.ssh("root1", f"endpoint test {name}").returncode == 69
    assert {row["subject"] for row in bastion.audit("endpoint.host_key_refused")} >= {"cert02", "cert03"}


def test_an_endpoint_that_has_no_certificate_is_not_trusted_by_its_key(bastion: Bastion, sshd: Sshd, authority: Path) -> None:
    public = authority.with_suffix(".pub").read_text().strip()
    assert add(bastion, "cert04", sshd, f"--host-ca '{public}'").returncode == 0
    done = bastion.ssh("alice", "connect cert04 -- true")
    assert done.returncode == 69
    assert "It may have no host certificate, which its pinned host CA asks for." in done.stderr.decode()


def test_adding_shows_fingerprint_and_picture_and_asks(bastion: Bastion, sshd: Sshd) -> None:
    window = bastion.tmux("root1", f"endpoint add asked 127.0.0.1:{sshd.port} --login {sshd.user} --ask")
    try:
        head, *drawn = subprocess.run(
            ["ssh-keygen", "-lv", "-f", str(sshd.host_key_public)], check=True, capture_output=True, text=True
        ).stdout.splitlines()
        screen = window.wait("[y/N]")
        assert head.split()[1] in screen
        assert all(line in screen for line in drawn)
        window.text("n")
        window.type("Enter")
        window.wait("Nothing was done.")
    finally:
        window.close()
    assert not [one for one in bastion.json("root1", "endpoint list") if one["name"] == "asked"]


def test_scanning_an_endpoint_by_name_compares_with_what_is_pinned(bastion: Bastion) -> None:
    rows = bastion.json("root1", "endpoint scan web01")
    assert [row["verdict"] for row in rows] == ["trusted"]


def test_old_algorithms_are_for_one_endpoint_only_and_are_written_down(bastion: Bastion, tmp_path: Path) -> None:
    old = Sshd(tmp_path / "d", "KexAlgorithms diffie-hellman-group14-sha1\nCiphers aes128-cbc\nMACs hmac-sha1").start()
    try:
        key = old.host_key_public.read_text().strip()
        assert add(bastion, "old01", old, f"--host-key '{key}'").returncode == 0
        refused = bastion.ssh("alice", "connect old01 -- true")
        assert refused.returncode == 69
        assert b"offers only algorithms that are no longer safe" in refused.stderr
        assert add(bastion, "old02", old, f"--host-key '{key}' --legacy").returncode == 0
        assert bastion.ssh("alice", "connect old02 -- echo old").stdout == b"old\n"
        facts = [row for row in bastion.audit() if row["subject"] == "old02"]
        assert [row["data"]["after"]["legacy"] for row in facts if row["code"] == "endpoint.added"] == [True]
        assert "old algorithms allowed" in next(row["reason"] for row in facts if row["code"] == "session.started")
    finally:
        old.stop()
