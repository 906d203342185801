"""Inventories that are trees of keys: our own YAML (or JSON), and Ansible's. Collects everything wrong with its line."""

from __future__ import annotations

from typing import Any, Final

from bastion.core.access.source import Document, Path, Problems, did_you_mean, shown
from bastion.core.inventory.entry import METHODS, OWNER, Entry, EntryLogin
from bastion.core.inventory.text import apply_variables, spread

KEYS: Final = (
    "name", "host", "port", "kind", "command", "logins", "labels", "groups", "owner", "description", "host_keys", "host_ca", "legacy",
)  # fmt: skip
_GROUP_KEYS: Final = frozenset({"hosts", "children", "vars"})


def is_ansible(data: object) -> bool:
    """Return whether a document looks like Ansible's: groups that have hosts, children or vars."""
    return (
        isinstance(data, dict)
        and "endpoints" not in data
        and bool(data)
        and all(group is None or (isinstance(group, dict) and group.keys() <= _GROUP_KEYS) for group in data.values())
    )


def read_tree(document: Document, problems: Problems) -> list[Entry]:
    """Read `endpoints:` as a mapping by name, or as a list of entries with `name`."""
    data: Any = document.data
    path: Path = ()
    if isinstance(data, dict):
        for key in data:
            if key not in ("endpoints", "version"):
                problems.add("key", document.place((key,)), f"there is no key '{shown(key)}' here{did_you_mean(key, ('endpoints',))}")
        data, path = data.get("endpoints"), ("endpoints",)
    if isinstance(data, dict):
        named = [(name, said, (*path, name)) for name, said in data.items()]
    elif isinstance(data, list):
        named = [(said.get("name") if isinstance(said, dict) else None, said, (*path, at)) for at, said in enumerate(data)]
    else:
        problems.add("shape", document.place(path), "'endpoints' wants names with what each is, or a list of entries with a name")
        return []
    return [entry for name, said, where in named if (entry := _entry(document, where, name, said, problems)) is not None]


def _entry(document: Document, path: Path, name: object, said: object, problems: Problems) -> Entry | None:
    if said is None:
        said = {}
    if not isinstance(said, dict) or not isinstance(name, str):
        problems.add("shape", document.place(path), "an endpoint has a name and keys with values")
        return None
    entry = Entry(name, document.place(path))
    for key, value in said.items():
        try:
            _take(entry, key, value)
        except (TypeError, ValueError, AttributeError) as error:
            why = str(error) if isinstance(error, ValueError) else "wants another kind of value"
            problems.add("value", document.place((*path, key)), f"{shown(name)}: {shown(key)}: {why}")
    return entry


def _take(entry: Entry, key: str, value: Any) -> None:  # noqa: C901, PLR0912 - one branch a key
    match key:
        case "name":
            pass
        case "host" | "kind":
            setattr(entry, key, _text(value))
        case "port":
            entry.port = value
        case "description":
            entry.description = _text(value)
        case "owner":
            entry.labels[OWNER] = _text(value)
        case "labels":
            entry.labels.update({label: _text(one) for label, one in value.items()})
        case "groups":
            for group in _list(value):
                entry.in_group(_text(group))
        case "command":
            entry.command = tuple(_text(word) for word in _list(value))
        case "logins":
            entry.logins = tuple(_login(one) for one in _list(value))
        case "host_keys":
            entry.host_keys = tuple(_text(one) for one in _list(value))
        case "host_ca":
            entry.host_cas = tuple(_text(one) for one in (value if isinstance(value, list) else [value]))
        case "legacy":
            if not isinstance(value, bool):
                raise ValueError("is true or false")  # noqa: TRY004 - told to people as a wrong value
            entry.legacy = value
        case _:
            raise ValueError(f"there is no such key{did_you_mean(key, KEYS)}")


def _text(value: object) -> str:
    if isinstance(value, bool | dict | list) or value is None:
        raise ValueError("wants text")
    return str(value)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("wants a list, like [a, b]")  # noqa: TRY004 - as above
    return value


def _login(value: object) -> EntryLogin:
    if isinstance(value, str):
        return EntryLogin(value)
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not value.keys() <= {"name", "method"}:
        raise ValueError("a login is a name, or {name: ..., method: ca}")
    method = value.get("method", "")
    if method and method not in METHODS:
        raise ValueError(f"there is no method '{shown(method)}'{did_you_mean(str(method), METHODS)}")
    return EntryLogin(value["name"], method)


def read_ansible(document: Document, problems: Problems) -> list[Entry]:
    """Read groups with hosts, children and vars."""
    entries: dict[str, Entry] = {}
    groups: dict[str, set[str]] = {}
    children: dict[str, list[str]] = {}
    variables: dict[str, dict[str, str]] = {}

    def walk(name: str, group: Any, path: Path) -> None:
        if group is None:
            return
        if not isinstance(group, dict):
            problems.add("shape", document.place(path), f"the group '{shown(name)}' wants hosts, children or vars")
            return
        hosts = group.get("hosts") or {}
        for host in hosts if isinstance(hosts, dict | list) else []:
            host_name = str(host).lower()
            entry = entries.setdefault(host_name, Entry(host_name, document.place((*path, "hosts", host))))
            said = hosts.get(host) if isinstance(hosts, dict) else None
            apply_variables(entry, _plain(said))
            groups.setdefault(name, set()).add(host_name)
        variables[name] = _plain(group.get("vars"))
        below = group.get("children") or {}
        for child, inner in below.items() if isinstance(below, dict) else []:
            children.setdefault(name, []).append(child)
            walk(child, inner, (*path, "children", child))

    data: Any = document.data
    for name, group in data.items():
        walk(name, group, (name,))
    spread(entries, groups, children, variables)
    if not entries and not problems.found:
        problems.add("empty", document.place(()), "no machine in there")
    return list(entries.values())


def _plain(said: object) -> dict[str, str]:
    return {str(key): str(value) for key, value in said.items()} if isinstance(said, dict) else {}
