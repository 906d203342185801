"""Pictures of keys, as ssh-keygen draws them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bastion.core.randomart import randomart


@pytest.mark.parametrize(("kind", "bits"), [("ed25519", 256), ("ecdsa", 256), ("rsa", 2048)])
def test_a_picture_is_the_one_that_ssh_keygen_draws(kind: str, bits: int, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", str(bits), "-N", "", "-f", str(key)], check=True, stdin=subprocess.DEVNULL)
    head, *drawn = subprocess.run(["ssh-keygen", "-lv", "-f", str(key)], check=True, capture_output=True, text=True).stdout.splitlines()
    assert randomart(head.split()[1], f"{kind.upper()} {bits}") == drawn
