"""Every store that there is, for the contract suites. A second database joins here."""

import pytest

from bastion.backends.store import open_store
from bastion.backends.vault import Ed25519Signer


@pytest.fixture(params=["sqlite"])
async def store(request, tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    async with await open_store(home / "bastion.db", signer=Ed25519Signer.create(home / "audit.key")) as opened:
        yield opened
