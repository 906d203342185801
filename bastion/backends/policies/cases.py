"""The cases kept beside a policy, in `tests/*.yaml` of its folder. Never asks anything but the policy itself."""

from __future__ import annotations

from pathlib import Path

from bastion.backends.policies.folder import load_policy, read_folder
from bastion.core.access.cases import Case, build_cases, run_cases


def load_cases(folder: Path) -> list[Case]:
    """Return the cases in `folder/tests/*.yaml`, none when there are none. Raises `Misconfigured` with file and line."""
    beside = folder / "tests"
    if not any(beside.glob("*.yaml")):
        return []
    return build_cases(read_folder(beside)[0])


def run_folder(folder: Path) -> list[str]:
    """Ask the folder's policy all its cases; return a line for each that fails, and one when there are none at all."""
    policy, _ = load_policy(folder)
    cases = load_cases(folder)
    if not cases:
        return [f"{folder / 'tests'}: there are no cases (*.yaml), so nothing is tested"]
    return [str(result) for result in run_cases(policy, cases) if not result.passed]
