"""The host's commands on live things: checked here, files read here, run by the server over SSH on loopback.

Never decides: the server's gate does, for the operator's account.
"""

from __future__ import annotations

import io
import json
import shlex
import sys
from typing import TYPE_CHECKING, BinaryIO, Final

from bastion.core.access.endpoint import HostKey
from bastion.core.errors import Invalid
from bastion.core.text import safe_text
from bastion.frontends.commands.endpoint_trust import picture
from bastion.frontends.commands.host_local import read_text
from bastion.frontends.commands.stock import LARGEST
from bastion.frontends.commands.tree import root
from bastion.frontends.commands.verbs import Call, parse
from bastion.frontends.commands.words import KEY_STARTS
from bastion.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bastion.frontends.commands.host import Link, Program

_PROGRAMS: Final = frozenset({"menu", "connect", "join", "attach", "replay", "admin"})
"""Verbs that want the whole terminal."""

_PUBLIC: Final = {"user add": "--key", "user key": "--add"}
_HOST_KEY: Final = {"endpoint add": ("--host-key", "--host-ca"), "endpoint accept-key": ("--host-key", "--host-ca")}


def run_remote(program: Program, home: Path | None, words: list[str]) -> int:
    """Run a command at the running server; return its exit code."""
    tty = program.stdin.isatty() and program.stdout.isatty()
    if not words:
        return _link(program, home).run([], program.stdin, program.stdout, program.stderr, tty)
    head, separator, tail = _split_tail(words)
    call = parse(root, head, program="bastion")  # help and mistakes need no server
    link = _link(program, home)
    path = call.path.partition(" ")[2]
    head, stdin = _with_files(head, path, program.stdin)
    if call.verb.name == "add" and path == "endpoint add":
        head, stdin = _with_answers(program, link, call, head, stdin)
    argv = [shlex.quote(word) for word in head] + (["--", *tail] if separator else [])
    return link.run(argv, stdin, program.stdout, program.stderr, tty and path in _PROGRAMS and not tail)


def _link(program: Program, home: Path | None) -> Link:
    return program.load().link(load_settings(home))


def _split_tail(words: list[str]) -> tuple[list[str], bool, list[str]]:
    """Split what follows `--` of a connect; it goes on as the shell here gave it, joined by spaces."""
    if words[0] == "connect" and "--" in words:
        at = words.index("--")
        return words[:at], bool(words[at + 1 :]), words[at + 1 :]
    return words, False, []


def _with_files(head: list[str], path: str, stdin: BinaryIO) -> tuple[list[str], BinaryIO]:
    """Replace names of files by what is in them: the server cannot read this side's files."""
    words: list[str] = []
    if path == "endpoint import" and (name := _file(head)) is not None:
        return ["-" if word == name else word for word in head], io.BytesIO(read_text(name, LARGEST).encode())
    rest = iter(_equals_apart(head))
    for word in rest:
        if word == _PUBLIC.get(path):
            value = next(rest, "")
            lines = [value] if value == "-" or value.startswith(KEY_STARTS) else _lines(value)
            words += [part for line in lines for part in (word, line)]
        elif word in _HOST_KEY.get(path, ()):
            value = next(rest, "")
            words += [word, value if value.startswith(KEY_STARTS) else read_text(value)]
        elif word == "--key" and path == "endpoint add":
            value = next(rest, "")
            if value != "-":
                stdin = io.BytesIO(read_text(value).encode())
            words += [word, "-"]
        else:
            words.append(word)
    return words, stdin


def _file(head: Sequence[str]) -> str | None:
    """Return the file of an `endpoint import`, None for standard input."""
    call = parse(root, list(head), program="bastion")
    name = str(call.params["file"])
    return name if name != "-" else None


def _equals_apart(words: Sequence[str]) -> list[str]:
    """Return `--key=FILE` as two words, for the options whose values are files."""
    apart: list[str] = []
    for word in words:
        option, equals, value = word.partition("=")
        apart += [option, value] if equals and option in {"--key", "--add", "--host-key", "--host-ca"} else [word]
    return apart


def _lines(name: str) -> list[str]:
    lines = [line.strip() for line in read_text(name).splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise Invalid("key.none", f"{safe_text(name, 200)} has no key in it.")
    return lines


def _with_answers(program: Program, link: Link, call: Call, head: list[str], stdin: BinaryIO) -> tuple[list[str], BinaryIO]:
    """Ask here for what the server could not ask, since standard input carries a key or a password."""
    if call.params.get("password_stdin") and program.stdin.isatty():
        import getpass  # noqa: PLC0415

        stdin = io.BytesIO(getpass.getpass("Password: ").encode())
    if call.params.get("host_key") or call.params.get("host_ca") or call.params.get("yes") or not sys.stdin.isatty():
        return head, stdin
    address = str(call.params["address"])
    found = io.BytesIO()
    code = link.run(["endpoint", "scan", shlex.quote(address), "--json"], io.BytesIO(), found, program.stderr, tty=False)
    if code:
        raise Invalid("endpoint.scan", f"The host key of {safe_text(address, 80)} could not be fetched; give it with --host-key FILE.")
    keys = json.loads(found.getvalue())
    for key in keys:
        program.warn(f"{address} presents now   {key['type']} {key['id']}")
        for line in picture(HostKey(key["type"], key["public"], key["id"])):
            program.warn(line)
    program.stderr.write(b"Trust this? [y/N] ")
    program.stderr.flush()
    if program.stdin.readline(64).strip().lower() not in {b"y", b"yes"}:
        raise Invalid("confirm.missing", "Nothing was done.")
    return [*head, "--host-key", "\n".join(key["public"] for key in keys)], stdin
