"""What every test may use: one real bastion with people and a real sshd for a whole worker, clocks, folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd

# Made-up examples are the same in every quick run; BASTION_FUZZ=20 makes them many and new each time. No deadline: machines are busy.
settings.register_profile("quick", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("fuzz" if "BASTION_FUZZ" in os.environ else "quick")


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real OpenSSH server, shared."""
    server = Sshd(tmp_path_factory.mktemp("sshd") / "d").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def bastion(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Iterator[Bastion]:
    """A running bastion with web01 (the real sshd) and one person of each role: alice, bob, sup, aud, root1."""
    folder = tmp_path_factory.mktemp("bastion")
    lives = furnished(folder, sshd)
    yield lives
    lives.stop()


@pytest.fixture(scope="session")
def furnished_home(tmp_path_factory: pytest.TempPathFactory, sshd: Sshd) -> Bastion:
    """A home with people and an endpoint, stopped: to be copied."""
    made = furnished(tmp_path_factory.mktemp("template") / "b", sshd)
    made.stop()
    return made


@pytest.fixture
def own_bastion(tmp_path: Path, furnished_home: Bastion) -> Iterator[Bastion]:
    """The same for one test alone: to kill, fill its disk, stop it."""
    lives = furnished_home.copy(tmp_path / "b").start()
    yield lives
    lives.stop()


def furnished(folder: Path, sshd: Sshd) -> Bastion:
    """Make a home with people and an endpoint, and serve it."""
    made = Bastion(folder).init("root1")
    loosen = made.home / "bastion.toml"
    loosen.write_text(
        loosen.read_text() + "\n[limits]\nexempt_networks = ['127.0.0.1/32']\n"
        if "\n[limits]" not in loosen.read_text()
        else loosen.read_text().replace("# exempt_networks = []", "exempt_networks = ['127.0.0.1/32']")
    )
    made.start()
    for name, role in (("alice", "engineer"), ("bob", "engineer"), ("sup", "supervisor"), ("aud", "auditor")):
        made.admit_user(name, role)
    made.admit_endpoint("web01", sshd.port, sshd.user, sshd.key, sshd.host_key_public, "--label env=test")
    return made
