"""The closed list of what a policy can allow or deny. Never who may do it.

A way into the bastion that has no action here cannot be allowed by any policy, so it stays shut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a policy decides on.

    `on_endpoint`: the question concerns an endpoint (or a session on one). `dials`: it opens a connection there.
    """

    name: str
    help: str
    on_endpoint: bool = True
    dials: bool = False


_LIST: Final = (
    Action("connect", "open an interactive shell on an endpoint (menu, connect, ssh -J)", dials=True),
    Action("exec", "run one command on an endpoint without a shell (connect NAME -- COMMAND, rsync, Ansible)", dials=True),
    Action("sftp", "move files to and from an endpoint over SFTP (also what a current scp uses)", dials=True),
    Action("scp", "move files to and from an endpoint with the old scp protocol", dials=True),
    Action("forward", "forward TCP connections through an endpoint", dials=True),
    Action("list", "see which sessions of other people are live"),
    Action("join", "watch a live session"),
    Action("control", "hold the keyboard of somebody else's session when it is given"),
    Action("moderate", "join as moderator: message, send people out, give and take the keyboard"),
    Action("invite-guest", "let somebody without an account into a live session with a one-use code"),
    Action("pause", "pause and resume somebody else's session"),
    Action("end", "end somebody else's session (kill)"),
    Action("approve", "answer access requests and requests for more time"),
    Action("replay", "list and play recordings"),
    Action("search", "search in recordings"),
    Action("export", "take recordings out: cast, transcript, evidence"),
    Action("audit", "read, verify and export the audit log", on_endpoint=False),
    Action("admin.user", "manage users, their keys and roles", on_endpoint=False),
    Action("admin.endpoint", "manage endpoints, their logins and host keys", on_endpoint=False),
    Action("admin.policy", "check, explain and reload the policy", on_endpoint=False),
    Action("admin.lock", "lock and unlock users, roles, endpoints and sources", on_endpoint=False),
    Action("admin.audit", "manage audit checkpoints and retention", on_endpoint=False),
    Action("admin.node", "see and drain nodes, status, metrics", on_endpoint=False),
)

ACTIONS: Final[Mapping[str, Action]] = MappingProxyType({action.name: action for action in _LIST})
"""Every action by name, in the order in which help texts list them."""

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "*": tuple(ACTIONS),
        "admin.*": tuple(name for name in ACTIONS if name.startswith("admin.")),
    }
)
"""Short forms that a rule may use for several actions at once."""


def expand(name: str) -> tuple[str, ...]:
    """Return the actions that `name` stands for; empty when it is neither an action nor a family."""
    return FAMILIES.get(name) or ((name,) if name in ACTIONS else ())
