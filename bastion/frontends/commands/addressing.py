"""`ssh-config`, `known-hosts`: what one's own machine needs so that `ssh web01`, scp and Ansible just work.

Never writes to anybody's machine: it prints what they keep.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from bastion.core.access.decision import Verdict
from bastion.core.errors import Invalid, Unavailable
from bastion.core.text import safe_text
from bastion.frontends.commands.desk import visible_endpoints
from bastion.frontends.commands.output import Row, as_json
from bastion.frontends.commands.verbs import SELF, Noun, json_option
from bastion.services.inventory import read_address
from bastion.services.signpost import Signpost, in_known_hosts

if TYPE_CHECKING:
    from bastion.core.access.endpoint import Endpoint
    from bastion.frontends.commands.door import Door

_ALIAS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{0,32}")
_WAYS: Final = ("connect", "exec", "sftp", "scp")
_NAMES_A_LINE: Final = 50  # known_hosts lines stay readable, and below ssh's own limits


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""

    @root.verb(
        "ssh-config",
        action=SELF,
        examples=["ssh-config > ~/.ssh/bastion.config", "ssh-config --prefix prod- --bastion bastion.example:2222", "ssh-config --direct"],
    )
    @click.option("--bastion", "address", metavar="HOST[:PORT]", help="How you reach this bastion, where that is not how it knows itself.")
    @click.option("--name", default="bastion", metavar="NAME", help="What the bastion is called in the block.")
    @click.option("--prefix", default="", metavar="TEXT", help="Put before each endpoint's name, like prod-.")
    @click.option("--direct", is_flag=True, help="Name the endpoint in the user name (one SSH connection) instead of ProxyJump.")
    @json_option
    async def ssh_config(door: Door, address: str | None, name: str, prefix: str, direct: bool, as_json: bool) -> None:  # noqa: FBT001
        """Print a block for ~/.ssh/config with every endpoint that you may reach, so that `ssh web01` goes through the bastion."""
        if not _ALIAS.fullmatch(name) or not _PREFIX.fullmatch(prefix):
            raise Invalid("alias.invalid", "A name in ssh_config has letters, digits, '.', '_' and '-'.")
        host, port = _address(door, address)
        rows = [_row(endpoint, logins, prefix) for endpoint, logins in await _reachable(door)]
        if as_json:
            door.say(_json([{**row, "bastion": host, "port": port} for row in rows]))
            return
        door.say("\n".join(_block(door.identity.name, host, port, name, rows, direct=direct)))

    @root.verb(
        "known-hosts",
        action=SELF,
        examples=["known-hosts >> ~/.ssh/known_hosts", "known-hosts --bastion bastion.example:2222", "known-hosts --json"],
    )
    @click.option("--bastion", "address", metavar="HOST[:PORT]", help="How you reach this bastion, where that is not how it knows itself.")
    @json_option
    async def known_hosts(door: Door, address: str | None, as_json: bool) -> None:  # noqa: FBT001
        """Print lines for ~/.ssh/known_hosts: the bastion's own key, and its authority for the endpoints that you may reach."""
        post = _signpost(door)
        host, port = _address(door, address)
        names = [endpoint.name for endpoint, _ in await _reachable(door)]
        rows: list[Row] = [{"name": in_known_hosts(host, port), "marker": "", "key": post.host_key}]
        for at in range(0, len(names), _NAMES_A_LINE):
            some = ",".join(names[at : at + _NAMES_A_LINE])
            rows.append({"name": some, "marker": "@cert-authority", "key": post.host_ca})
        if as_json:
            door.say(_json(rows))
            return
        door.say("\n".join(f"{row['marker']} {row['name']} {row['key']}".strip() for row in rows))


def _json(rows: list[Row]) -> str:
    return as_json(rows)


def _signpost(door: Door) -> Signpost:
    if door.desk.signpost is None:
        raise Unavailable("bastion.not_served", "No bastion is served here.")
    return door.desk.signpost


def _address(door: Door, address: str | None) -> tuple[str, int]:
    post = _signpost(door)
    if address is None:
        return post.host, post.port
    host, port = read_address(address)
    return host, port


async def _reachable(door: Door) -> list[tuple[Endpoint, list[str]]]:
    """Return the endpoints this person may reach, each with the logins that are open to them."""
    found = []
    for endpoint, _ in await visible_endpoints(door.desk, door.identity):
        logins = [
            login.name
            for login in endpoint.logins
            if any(door.desk.policies.decide(door.identity, way, endpoint, login=login.name).verdict is not Verdict.DENY for way in _WAYS)
        ]
        found.append((endpoint, logins))
    return found


def _row(endpoint: Endpoint, logins: list[str], prefix: str) -> Row:
    return {"name": f"{prefix}{endpoint.name}", "endpoint": endpoint.name, "logins": logins, "description": endpoint.description}


def _block(user: str, host: str, port: int, bastion: str, rows: list[Row], *, direct: bool) -> list[str]:
    where = f"-p {port} {user}@{host}" if port != 22 else f"{user}@{host}"  # noqa: PLR2004 - SSH's port
    lines = [
        f"# Endpoints behind the bastion {host}, for {user}. Keep it in ~/.ssh/config, or include it from there.",
        f"# Once:  ssh {where} known-hosts >> ~/.ssh/known_hosts",
        "",
        f"Host {bastion}",
        f"  HostName {host}",
        f"  Port {port}",
        f"  User {user}",
        "  # One login for everything that follows it (each session is still decided on its own):",
        "  # ControlMaster auto",
        "  # ControlPath ~/.ssh/bastion-%C",
        "  # ControlPersist 10m",
    ]
    for row in rows:
        logins = row["logins"]
        names = [str(one) for one in logins] if isinstance(logins, list) else []
        login, endpoint = (names[0] if names else ""), str(row["endpoint"])
        lines += ["", *([f"# {safe_text(str(row['description']), 120)}"] if row["description"] else [])]
        if len(names) > 1:
            lines.append(f"# also as: {', '.join(safe_text(one, 64) for one in names[1:])}")
        lines.append(f"Host {row['name']}")
        if direct:
            # ':' and not '%', which newer ssh programs expand here
            lines += [f"  HostName {host}", f"  Port {port}", f"  User {user}:{login}@{endpoint}" if login else f"  User {user}:{endpoint}"]
        else:
            lines += [f"  HostName {endpoint}", "  Port 22", f"  User {login or user}", f"  ProxyJump {bastion}"]
    return lines
