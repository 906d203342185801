"""The floors of the house: what may import what, checked by import-linter as `scripts/check` does."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_import_contract_holds() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_no_backend_is_missing_from_the_contract_of_independence() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    independent = next(one["modules"] for one in contracts if one["name"] == "Backends are independent")
    rooms = {f"bastion.backends.{path.parent.name}" for path in (ROOT / "bastion/backends").glob("*/__init__.py")}
    assert rooms == set(independent)
