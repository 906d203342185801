"""Inventories that are lines of text: CSV, ssh_config and Ansible's INI. Collects everything wrong with its line."""

from __future__ import annotations

import csv
import io
import re
import shlex
from collections.abc import Iterator
from typing import Final

from bastion.core.access.source import Place, Problems, did_you_mean, shown
from bastion.core.inventory.entry import OWNER, Entry, EntryLogin

COLUMNS: Final = ("name", "host", "port", "logins", "labels", "groups", "owner", "description", "method", "legacy", "kind")
_WILD: Final = re.compile(r"[*?!]")
_RANGE: Final = re.compile(r"\[([0-9]+|[a-z]):([0-9]+|[a-z])(?::([0-9]+))?\]")
_MOST: Final = 10_000  # endpoints of one file
_SECTION: Final = re.compile(r"\[([^\]:]+)(?::(vars|children))?\]")


def read_csv(file: str, text: str, problems: Problems) -> list[Entry]:
    """Read a table with a heading: name, host, port, logins (a;b), labels (k=v;k=v), groups (a;b), owner, description."""
    reader = csv.reader(io.StringIO(text), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        rows.extend((reader.line_num, [cell.strip() for cell in row]) for row in reader)
    except csv.Error as error:
        problems.add("syntax", Place(file, reader.line_num), f"not CSV: {error}")
        return []
    rows = [row for row in rows if any(row[1])]
    if not rows:
        problems.add("empty", Place(file, 1), "the file is empty")
        return []
    heads = [head.lower() for head in rows[0][1]]
    for head in heads:
        if head not in COLUMNS:
            problems.add("column", Place(file, 1), f"there is no column '{shown(head)}'{did_you_mean(head, COLUMNS)}")
    if "name" not in heads:
        problems.add("column", Place(file, 1), "the heading has no column 'name'")
        return []
    entries = []
    for line, cells in rows[1:]:
        place = Place(file, line)
        if len(cells) != len(heads):
            problems.add("row", place, f"{len(cells)} cells where the heading has {len(heads)}")
            continue
        entries.append(_from_cells(dict(zip(heads, cells, strict=True)), place, problems))
    return entries


def _from_cells(cells: dict[str, str], place: Place, problems: Problems) -> Entry:
    method = cells.get("method", "")
    entry = Entry(cells["name"], place, cells.get("host", ""), cells.get("port") or None, cells.get("kind", ""))
    entry.logins = tuple(EntryLogin(name, method) for name in _list(cells.get("logins", "")))
    for label in _list(cells.get("labels", "")):
        key, equals, value = label.partition("=")
        if not equals:
            problems.add("label", place, f"'{shown(label)}' is not a label: KEY=VALUE")
        entry.labels[key] = value
    for group in _list(cells.get("groups", "")):
        entry.in_group(group)
    if owner := cells.get("owner"):
        entry.labels[OWNER] = owner
    entry.description = cells.get("description") or None
    legacy = cells.get("legacy", "").lower()
    if legacy not in ("", "yes", "no", "true", "false"):
        problems.add("legacy", place, f"legacy is yes or no, not '{shown(legacy)}'")
    entry.legacy = None if not legacy else legacy in ("yes", "true")
    return entry


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def read_ssh_config(file: str, text: str, problems: Problems) -> list[Entry]:  # noqa: C901 - one branch a keyword
    """Read `Host` blocks that name machines; what `Host *` says counts where a block does not. Everything else is left alone."""
    blocks: list[tuple[int, list[str], dict[str, str]]] = []
    inside: dict[str, str] = {}
    everywhere = inside
    for line, raw in enumerate(text.splitlines(), 1):
        try:
            words = shlex.split(raw.replace("=", " ", 1) if re.match(r"\s*\w+\s*=", raw) else raw, comments=True)
        except ValueError:
            problems.add("syntax", Place(file, line), "a quote is never closed")
            continue
        if not words:
            continue
        keyword, values = words[0].lower(), words[1:]
        if keyword in ("match", "include"):
            problems.add("keyword", Place(file, line), f"{words[0]} cannot be followed here; write what it stands for into this file")
        elif keyword == "host":
            inside = {}
            if values == ["*"]:
                inside = everywhere
            else:
                blocks.append((line, values, inside))
        elif values:
            inside.setdefault(keyword, " ".join(values))
    entries = []
    for line, names, said in blocks:
        found = {**everywhere, **said}
        for name in names:
            if not _WILD.search(name):
                logins = (EntryLogin(found["user"]),) if "user" in found else ()
                host = found.get("hostname", name).replace("%h", name)
                entries.append(Entry(name.lower(), Place(file, line), host, found.get("port"), logins=logins))
    if not entries and not problems.found:
        problems.add("empty", Place(file, 1), "no Host block in there names a machine")
    return entries


def read_ansible_ini(file: str, text: str, problems: Problems) -> list[Entry]:  # noqa: C901 - one branch a kind of line
    """Read hosts with ansible_host, ansible_port, ansible_user; groups, their children and vars."""
    entries: dict[str, Entry] = {}
    groups: dict[str, set[str]] = {}
    children: dict[str, list[str]] = {}
    variables: dict[str, dict[str, str]] = {}
    section, kind = "ungrouped", ""
    for line, raw in enumerate(text.splitlines(), 1):
        place = Place(file, line)
        bare = raw.strip()
        if not bare or bare.startswith(("#", ";")):
            continue
        if bare.startswith("["):
            found = _SECTION.fullmatch(bare)
            if found is None:
                problems.add("section", place, f"'{shown(bare)}' is not a group: [NAME], [NAME:vars] or [NAME:children]")
                continue
            section, kind = found[1], found[2] or ""
            continue
        try:
            words = shlex.split(bare, comments=True)
        except ValueError:
            problems.add("syntax", place, "a quote is never closed")
            continue
        if kind == "children":
            children.setdefault(section, []).append(words[0])
        elif kind == "vars":
            key, _, value = bare.partition("=")
            variables.setdefault(section, {})[key.strip()] = value.strip().strip("'\"")
        else:
            said = dict(word.partition("=")[::2] for word in words[1:])
            for name in _ranged(words[0]):
                if len(entries) >= _MOST:
                    problems.add("too_large", place, f"more than {_MOST:,} machines; split the file")
                    return []
                entry = entries.setdefault(name, Entry(name, place))
                apply_variables(entry, said)
                groups.setdefault(section, set()).add(name)
    spread(entries, groups, children, variables)
    if not entries and not problems.found:
        problems.add("empty", Place(file, 1), "no machine in there")
    return list(entries.values())


def apply_variables(entry: Entry, said: dict[str, str], *, weak: bool = False) -> None:
    """Take what Ansible's variables say; `weak` (of a group) only where the machine itself does not."""
    host, port, user = (said.get(f"ansible_{key}") or said.get(f"ansible_ssh_{key}") or "" for key in ("host", "port", "user"))
    if host and not (weak and entry.host):
        entry.host = host
    if port and not (weak and entry.port is not None):
        entry.port = port
    if user and not (weak and entry.logins):
        entry.logins = (EntryLogin(user),)


def spread(
    entries: dict[str, Entry], groups: dict[str, set[str]], children: dict[str, list[str]], variables: dict[str, dict[str, str]]
) -> None:
    """Put machines into their groups, parents too, and give them the groups' variables: the nearest group's first."""
    for group in {*groups, *children, *variables}:
        for name in _members(group, groups, children, frozenset()) if group != "all" else set(entries):
            entry = entries[name]
            if group not in ("all", "ungrouped"):
                entry.in_group(group)
    depth = {group: _depth(group, children, frozenset()) for group in variables}
    for group in sorted(variables, key=lambda one: (one == "all", depth[one])):
        for name in set(entries) if group == "all" else _members(group, groups, children, frozenset()):
            apply_variables(entries[name], variables[group], weak=True)


def _members(group: str, groups: dict[str, set[str]], children: dict[str, list[str]], seen: frozenset[str]) -> set[str]:
    if group in seen:
        return set()
    found = set(groups.get(group, ()))
    for child in children.get(group, ()):
        found |= _members(child, groups, children, seen | {group})
    return found


def _depth(group: str, children: dict[str, list[str]], seen: frozenset[str]) -> int:
    below = [_depth(child, children, seen | {group}) for child in children.get(group, ()) if child not in seen]
    return 1 + max(below, default=0)


def _ranged(pattern: str) -> Iterator[str]:
    """Yield what `web[01:10].example` stands for, in lower case."""
    found = _RANGE.search(pattern)
    if found is None:
        yield pattern.lower()
        return
    first, last, step = found[1], found[2], int(found[3] or 1) or 1
    if first.isdigit() and last.isdigit():
        several = [str(number).zfill(len(first)) for number in range(int(first), min(int(last), int(first) + _MOST) + 1, step)]
    else:
        several = [chr(point) for point in range(ord(first), ord(last) + 1, step)]
    for one in several:
        yield from _ranged(pattern[: found.start()] + one + pattern[found.end() :])
