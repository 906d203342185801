"""Endpoints from files and into files: read, compare with what is there, take over all of it or nothing.

Never takes anything away, never changes a pinned host key, and never reads a secret: what a file leaves out stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bastion.core.access.endpoint import Endpoint, HostKey, Login
from bastion.core.access.source import Document, Place, Problems, did_you_mean, shown
from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Invalid, Misconfigured
from bastion.core.inventory.entry import METHODS, Entry
from bastion.core.inventory.text import read_ansible_ini, read_csv, read_ssh_config
from bastion.core.inventory.tree import is_ansible, read_ansible, read_tree
from bastion.core.text import safe_text
from bastion.core.values import endpoint_name, login_name
from bastion.services.inventory import read_address, read_host_authorities, read_host_keys, read_label

if TYPE_CHECKING:
    from bastion.core.identity import Identity
    from bastion.services.ports import Auditing, Clock, Endpoints

FORMATS: Final = ("yaml", "csv", "ssh-config", "ansible")
KINDS: Final = ("ssh", "telnet", "local")
MOST: Final = 10_000
_TOLD: Final = 20  # problems a look; more help nobody
_HOST_BLOCK: Final = re.compile(r"^\s*Host[ \t=]+\S", re.IGNORECASE | re.MULTILINE)
_SECTION: Final = re.compile(r"^\[[A-Za-z0-9_.-]+(:vars|:children)?\]\s*$", re.MULTILINE)
_INI_VARIABLE: Final = re.compile(r"^[^\s:{,]+\s+ansible_\w+=", re.MULTILINE)
_HEADING: Final = re.compile(r"\s*\"?name\"?\s*,", re.IGNORECASE)
_TELNET: Final = 23
_SSH: Final = 22


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one endpoint. `kind`: "add", "change" or "same"; `what` are short phrases for people."""

    kind: str
    name: str
    what: tuple[str, ...]
    before: Endpoint | None
    after: Endpoint


def guess_format(text: str) -> str:
    """Return which format a text is in."""
    if _HEADING.match(text):
        return "csv"
    if _SECTION.search(text) or _INI_VARIABLE.search(text):
        return "ansible"
    if _HOST_BLOCK.search(text):
        return "ssh-config"
    return "yaml"


class Stocktaking:
    """The use cases. `read_document` reads YAML (and JSON) into plain data with lines; `Misconfigured` when it is none."""

    def __init__(
        self,
        endpoints: Endpoints,
        auditor: Auditing,
        clock: Clock,
        new_id: Callable[[], str],
        read_document: Callable[[str, bytes], Document],
    ) -> None:
        self._endpoints = endpoints
        self._auditor = auditor
        self._clock = clock
        self._new_id = new_id
        self._read_document = read_document

    async def plan(self, by: Identity, raw: bytes, format_name: str | None, method: str) -> list[Change]:
        """Return what reading this would change; nothing is stored. `Misconfigured` with every mistake and its line.

        `method` unlocks logins of which the file does not say how.
        """
        problems = Problems()
        entries = self._read(raw, format_name, problems)
        if len(entries) > MOST:
            problems.add("too_large", entries[MOST].place, f"more than {MOST:,} endpoints; split the file")
            entries = []
        there = {one.name: one for one in await self._endpoints.all()}
        seen: dict[str, Place] = {}
        changes = []
        for entry in entries:
            if entry.name in seen:
                problems.add("twice", entry.place, f"'{shown(entry.name)}' is already on line {seen[entry.name].line}")
                continue
            seen[entry.name] = entry.place
            change = self._change(by, entry, there.get(entry.name), method, problems)
            if change is not None:
                changes.append(change)
        if problems.found:
            raise _told(problems)
        return changes

    async def apply(self, by: Identity, changes: Sequence[Change]) -> None:
        """Store all of them, or (what raises) none."""
        wanted = [change for change in changes if change.kind != "same"]
        await self._endpoints.put([change.after for change in wanted])
        for change in wanted:
            code = "endpoint.added" if change.kind == "add" else "endpoint.changed"
            data: dict[str, object] = {"what": list(change.what), "by": "import"}
            event = AuditEvent(code, self._clock.now(), by.name, by.source, change.name, data=data)
            self._auditor.record(event)

    # ------------------------------------------------------------ reading

    def _read(self, raw: bytes, format_name: str | None, problems: Problems) -> list[Entry]:
        try:
            text = raw.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise Misconfigured("inventory.encoding", f"line {line}: byte 0x{raw[error.start]:02x} is not UTF-8.") from None
        if not text.strip():
            raise Misconfigured("inventory.empty", "The file is empty.")
        match format_name or guess_format(text):
            case "csv":
                return read_csv("line", text, problems)
            case "ssh-config":
                return read_ssh_config("line", text, problems)
            case "ansible" if _SECTION.search(text) or _INI_VARIABLE.search(text) or ":" not in text:
                return read_ansible_ini("line", text, problems)
            case _:
                try:
                    document = self._read_document("line", text.encode())
                except Misconfigured as error:
                    raise Misconfigured("inventory.syntax", _line(error.public)) from None
                ansible = format_name == "ansible" or (format_name is None and is_ansible(document.data))
                return (read_ansible if ansible and isinstance(document.data, dict) else read_tree)(document, problems)

    # ------------------------------------------------------------ comparing

    def _change(self, by: Identity, entry: Entry, before: Endpoint | None, method: str, problems: Problems) -> Change | None:
        found = len(problems.found)

        def check(work: Callable[[], object]) -> None:
            try:
                work()
            except Invalid as error:
                problems.add("value", entry.place, error.public)

        made = before or Endpoint(self._new_id(), entry.name, entry.kind or "ssh", created_at=self._clock.now())
        check(lambda: endpoint_name(entry.name))
        if entry.kind and entry.kind not in KINDS:
            problems.add("kind", entry.place, f"there is no kind '{shown(entry.kind)}'{did_you_mean(entry.kind, KINDS)}")
        elif entry.kind and before is not None and entry.kind != before.kind:
            problems.add("kind", entry.place, f"{entry.name} is of the kind {before.kind}; remove it first to make it {entry.kind}")
        made = self._reached(entry, made, before is None, check, problems)
        made = self._logins(entry, made, method, check, problems)
        for key, value in entry.labels.items():
            check(lambda key=key, value=value: read_label(f"{key}={value}"))  # type: ignore[misc]
        made = replace(made, labels=tuple({**dict(made.labels), **entry.labels}.items()))
        if entry.description is not None:
            made = replace(made, description=safe_text(entry.description, 200))
        if entry.legacy is not None:
            made = replace(made, legacy=entry.legacy)
        made = self._keys(by, entry, made, check, problems)
        if len(problems.found) > found:
            return None
        what = tuple(_differences(before, made))
        return Change("add" if before is None else "change" if what else "same", entry.name, what, before, made)

    def _reached(self, entry: Entry, made: Endpoint, new: bool, check: Callable[..., None], problems: Problems) -> Endpoint:  # noqa: FBT001
        if entry.command:
            if made.kind != "local":
                problems.add("command", entry.place, f"{shown(entry.name)}: only an endpoint of the kind local has a command")
            made = replace(made, command=entry.command)
        if made.kind == "local":
            if not made.command:
                problems.add("command", entry.place, f"{shown(entry.name)}: an endpoint of the kind local needs a command")
            return made
        host = entry.host or made.host or entry.name
        usual = _TELNET if made.kind == "telnet" else _SSH
        port = entry.port if entry.port is not None else usual if new else made.port
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        check(lambda: read_address(address))
        try:
            return replace(made, host=host, port=int(str(port)))
        except ValueError:
            return made  # the address was refused above

    def _logins(self, entry: Entry, made: Endpoint, method: str, check: Callable[..., None], problems: Problems) -> Endpoint:
        logins = list(made.logins)
        for wanted in entry.logins:
            check(lambda wanted=wanted: login_name(wanted.name))
            has = next((number for number, one in enumerate(logins) if one.name == wanted.name), None)
            how = wanted.method or (logins[has].method if has is not None else method)
            if how not in METHODS:
                problems.add("method", entry.place, f"there is no method '{shown(how)}'{did_you_mean(how, METHODS)}")
            elif has is not None and how == logins[has].method:
                continue
            elif how in ("key", "password"):
                text = (
                    f"{shown(wanted.name)}@{shown(entry.name)}: a secret is not imported; use ca or ask, or add the login with its secret"
                )
                problems.add("secret", entry.place, text)
            elif has is None:
                logins.append(Login(wanted.name, how))
            else:
                problems.add(
                    "method", entry.place, f"{shown(wanted.name)}@{entry.name} is unlocked by {logins[has].method} now; remove it first"
                )
        if not logins and not entry.logins and made.kind == "ssh":
            problems.add("login", entry.place, f"{shown(entry.name)}: no login is named; an endpoint has at least one")
        return replace(made, logins=tuple(logins))

    def _keys(self, by: Identity, entry: Entry, made: Endpoint, check: Callable[..., None], problems: Problems) -> Endpoint:
        keys: list[HostKey] = []
        for line in entry.host_keys:
            check(lambda line=line: keys.extend(read_host_keys(line)))
        for line in entry.host_cas:
            check(lambda line=line: keys.extend(read_host_authorities(line)))
        new = {(key.algorithm, key.public) for key in keys}
        if not new or new == {(key.algorithm, key.public) for key in made.host_keys}:
            return made
        if made.host_keys:
            problems.add(
                "host_key", entry.place, f"{entry.name} has another host key pinned; that is changed by: endpoint accept-key {entry.name}"
            )
            return made
        at = self._clock.now()
        return replace(made, host_keys=tuple(replace(key, added_at=at, added_by=by.name) for key in keys))


def _differences(before: Endpoint | None, after: Endpoint) -> list[str]:
    """Return, in short phrases, what is new or other in `after`."""
    if before is None:
        said = [after.address, *(f"{login.name} ({login.method})" for login in after.logins)]
        said += [f"{key}={value}" for key, value in after.labels]
        return [*said, "no host key is pinned yet"] if after.kind == "ssh" and not after.host_keys else said
    said = [] if before.address == after.address else [f"address {before.address} -> {after.address}"]
    said += [f"+login {login.name} ({login.method})" for login in after.logins if login not in before.logins]
    old = dict(before.labels)
    for key, value in after.labels:
        if key not in old:
            said.append(f"+{key}={value}")
        elif old[key] != value:
            said.append(f"{key}={old[key]} -> {value}")
    if before.description != after.description:
        said.append(f"description {after.description!a}")
    if before.legacy != after.legacy:
        said.append("old algorithms allowed" if after.legacy else "old algorithms no longer allowed")
    said += [f"+host key {key.fingerprint}" for key in after.host_keys if key not in before.host_keys]
    return said


def _line(text: str) -> str:
    return text.replace("line:", "line ", 1)


def _told(problems: Problems) -> Misconfigured:
    lines = [_line(f"{place}: {text}") for _, place, text in problems.found]
    more = [f"and {len(lines) - _TOLD} more"] if len(lines) > _TOLD else []
    return Misconfigured(f"inventory.{problems.found[0][0]}", "\n".join(["Nothing was changed.", *lines[:_TOLD], *more]))
