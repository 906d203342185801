"""Endpoints as a file that can be read back: YAML or CSV. Never a credential: only how a login is unlocked."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from bastion.core.access.endpoint import Endpoint
from bastion.core.inventory.entry import GROUP, OWNER
from bastion.core.inventory.text import COLUMNS


def as_object(one: Endpoint) -> dict[str, object]:
    """Return what a file says of an endpoint; what is as usual is left out."""
    labels = dict(one.labels)
    groups = sorted(key.removeprefix(GROUP) for key in labels if key.startswith(GROUP))
    said: dict[str, object] = {"kind": one.kind} if one.kind != "ssh" else {}
    if one.host:
        said |= {"host": one.host, "port": one.port}
    if one.command:
        said["command"] = list(one.command)
    said["logins"] = [{"name": login.name, "method": login.method} for login in one.logins]
    if plain := {key: value for key, value in labels.items() if not key.startswith(GROUP) and key != OWNER}:
        said["labels"] = plain
    if groups:
        said["groups"] = groups
    if OWNER in labels:
        said["owner"] = labels[OWNER]
    if one.description:
        said["description"] = one.description
    if one.pinned:
        said["host_keys"] = [key.public for key in one.pinned]
    if one.authorities:
        said["host_ca"] = [key.public for key in one.authorities]
    if one.legacy:
        said["legacy"] = True
    return said


def as_yaml(endpoints: Sequence[Endpoint]) -> str:
    """Return YAML; values are written as JSON, which is YAML, so that nothing needs escaping twice."""
    lines = ["# Endpoints of the bastion. Read back: endpoint import - --apply. Secrets are not in here.", "endpoints:"]
    for one in endpoints:
        lines.append(f"  {json.dumps(one.name)}:")
        lines += [f"    {key}: {json.dumps(value)}" for key, value in as_object(one).items()]
    return "\n".join(lines if endpoints else [*lines[:1], "endpoints: {}"]) + "\n"


def as_csv(endpoints: Sequence[Endpoint]) -> str:
    """Return CSV with the columns that can be read back."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for one in endpoints:
        labels = dict(one.labels)
        methods = {login.method for login in one.logins}
        table.writerow([
            one.name, one.host, one.port if one.host else "", ";".join(login.name for login in one.logins),
            ";".join(f"{key}={value}" for key, value in labels.items() if not key.startswith(GROUP) and key != OWNER),
            ";".join(key.removeprefix(GROUP) for key in labels if key.startswith(GROUP)), labels.get(OWNER, ""), one.description,
            methods.pop() if len(methods) == 1 else "", "yes" if one.legacy else "", one.kind,
        ])  # fmt: skip
    return out.getvalue()
