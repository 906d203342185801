"""Policies as YAML files in a folder. Never decides what they mean (`core.access.build` does)."""

from bastion.backends.policies.cases import load_cases, run_folder
from bastion.backends.policies.folder import PolicyFolder, load_policy

__all__ = ["PolicyFolder", "load_cases", "load_policy", "run_folder"]
