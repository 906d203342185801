"""One bastion for all attacks of a worker, and what they cost the others in sum."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.attack.arena import Arena, Toll
from tests.lab.bastion import Bastion

_TOLLS: list[Toll] = []


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory, furnished_home: Bastion) -> Iterator[Bastion]:
    """A bastion for attacks only."""
    lives = Bastion(tmp_path_factory.mktemp("attacked"))
    shutil.copytree(furnished_home.folder / "home", lives.home)
    shutil.copytree(furnished_home.folder / "keys", lives.folder / "keys")
    lives.keys = {name: lives.folder / "keys" / name for name in furnished_home.keys}
    lives.start()
    yield lives
    code = lives.stop()
    assert code == 0, (lives.folder / "log").read_text()


@pytest.fixture
async def arena(attacked: Bastion) -> AsyncIterator[Arena]:
    """The arena for one test."""
    found = Arena(attacked)
    yield found
    await found.dismiss()
    _TOLLS.extend(found.tolls)
    assert attacked.process is not None
    assert attacked.process.poll() is None, "the server died"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell the measured tolls: all of them with ATTACK_TOLLS set, else the worst."""
    if not _TOLLS:
        return
    tell = terminalreporter.write_line
    if os.environ.get("ATTACK_TOLLS"):
        for toll in _TOLLS:
            tell(f"{toll.during:6.3f} s during {toll.after:6.3f} s after {toll.lag:6.3f} s lag {toll.growth / 2**20:6.1f} MiB  {toll.name}")
    worst = max(_TOLLS, key=lambda toll: max(toll.during, toll.after))
    tell(
        f"{len(_TOLLS)} attacks: another user's login and whoami took {max(worst.during, worst.after):.2f} s at worst ({worst.name}); "
        f"own loop lag {max(t.lag for t in _TOLLS):.2f} s; growth {max(t.growth for t in _TOLLS) / 2**20:.0f} MiB"
    )
