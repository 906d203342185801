"""The closed list of ways to an endpoint: what each is called, and the action that policy is asked about for it.

A way that is not here cannot open a session, and `tests/attack/test_ways.py` has a row for each that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ACTION_OF: Final[Mapping[str, str]] = MappingProxyType(
    {
        "shell": "connect",
        "exec": "exec",
        "sftp": "sftp",
        "scp": "scp",
    }
)
"""Kind of session -> action. Also what revocation asks again while the session lives."""
