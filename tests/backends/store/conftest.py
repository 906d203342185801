"""A home for a store: a private folder and a signing key."""

import pytest

from bastion.backends.vault import Ed25519Signer


@pytest.fixture
def home(tmp_path):
    path = tmp_path / "home"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def signer(home):
    return Ed25519Signer.create(home / "audit.key")
