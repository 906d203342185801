"""`endpoint scan|test|accept-key`: the host keys and host CAs by which endpoints are known.

Never trusts anything at first sight: a person sees the fingerprint and says yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.access.endpoint import Endpoint, HostKey, HostKeyVerdict
from bastion.core.errors import Invalid, Unavailable
from bastion.core.randomart import randomart
from bastion.core.text import safe_text
from bastion.core.values import NAME
from bastion.frontends.commands.output import Row, rfc3339
from bastion.frontends.commands.verbs import ENDPOINT, Noun, json_option, yes_option
from bastion.frontends.commands.words import KEY_STARTS
from bastion.services.inventory import read_address, read_host_authorities, read_host_keys
from bastion.services.people import read_public_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bastion.frontends.commands.door import Door

ACTION = "admin.endpoint"


def key_row(key: HostKey) -> Row:
    """Return a host key as an object."""
    return {
        "id": key.fingerprint,
        "type": key.algorithm,
        "public": key.public,
        "added_at": rfc3339(key.added_at) if key.added_at else None,
        "added_by": key.added_by,
    }


def fill(endpoint: Noun) -> None:
    """Put the verbs into the noun."""

    @endpoint.verb(
        "scan", action=ACTION, examples=["endpoint scan web01", "endpoint scan 10.0.0.5", "endpoint scan web01.example:2222 --json"]
    )
    @click.argument("address", type=ENDPOINT, metavar="NAME|HOST[:PORT]")
    @json_option
    async def scan(door: Door, address: str, as_json: bool) -> None:  # noqa: FBT001
        """Show the host keys that a machine presents, and of an endpoint whether they are the pinned ones; nothing is stored."""
        known = await _known(door, address)
        if known is None:
            rows = [key_row(key) for key in await door.desk.inventory.scan(*read_address(address))]
        else:
            rows = [{**key_row(key), "verdict": verdict.value} for key, verdict in await door.desk.inventory.judge(known)]
        heads = ["id", "type", *(["verdict"] if known else [])]
        await door.listing(heads, rows, as_json_list=as_json, empty="It presents no host key that the bastion can use.")
        if known is not None:
            await _trusted(door, known, [str(row["verdict"]) for row in rows])

    @endpoint.verb("test", action=ACTION, examples=["endpoint test web01"])
    @click.argument("name", type=ENDPOINT, metavar="NAME")
    async def test(door: Door, name: str) -> None:
        """See whether an endpoint answers and is the one that is pinned; nobody logs in there."""
        one = await door.desk.inventory.get(name)
        if one.kind == "local":
            door.say(f"{one.name}: runs here, nothing to reach.")
            return
        if one.kind == "telnet":
            await door.desk.inventory.verify(one)
            door.say(f"{one.name}: answers; telnet proves no more.")
            return
        judged = [] if one.authorities and not one.pinned else await door.desk.inventory.judge(one)
        for key, verdict in judged:
            door.say(f"{verdict.value:<8} {key.algorithm} {key.fingerprint}")
        await _trusted(door, one, [verdict.value for _, verdict in judged])
        door.say(f"{one.name}: answers with a {'certificate of its pinned host CA' if one.authorities else 'pinned host key'}.")

    @endpoint.verb(
        "accept-key",
        action=ACTION,
        examples=[
            "endpoint accept-key web01 --reason reinstalled",
            "endpoint accept-key web01 --host-key 'ssh-ed25519 AAAA...' --reason moved",
        ],
    )
    @click.argument("name", type=ENDPOINT, metavar="NAME")
    @click.option("--host-key", metavar="FILE|KEY", help="The key, known from elsewhere; without it, it is fetched, shown and confirmed.")
    @click.option("--host-ca", metavar="FILE|KEY", help="The CA that signs its host certificates from now on.")
    @click.option("--reason", default="", metavar="TEXT", help="Why it changed; written into the audit log.")
    @yes_option
    async def accept_key(door: Door, name: str, host_key: str | None, host_ca: str | None, reason: str, yes: bool) -> None:  # noqa: FBT001
        """Pin an endpoint's new host key after it was changed on purpose."""
        one = await door.desk.inventory.get(name)
        keys: Sequence[HostKey] = (
            *(read_host_keys(literal(host_key)) if host_key else ()),
            *(read_host_authorities(literal(host_ca)) if host_ca else ()),
        )
        if one.host_keys and not reason.strip() and door.terminal:
            reason = await door.ask(f"Why did the host key of {one.name} change? ")
        if not keys:
            keys = await door.desk.inventory.scan(one.host, one.port)
            for old in one.host_keys:
                door.warn(f"pinned so far  {old.algorithm} {old.fingerprint}")
            if not reason.strip():
                await door.desk.inventory.may_accept(one, keys)
            await agree(door, one.name, keys, yes=yes)
        await door.desk.inventory.accept_keys(door.identity, one, keys, reason)
        door.warn(f"Pinned {', '.join(key.fingerprint for key in keys)} for {one.name}.")


async def _known(door: Door, text: str) -> Endpoint | None:
    """Return the endpoint of that name, None for an address."""
    if not NAME.fullmatch(text):
        return None
    return next((one for one in await door.desk.inventory.all() if one.name == text and one.kind == "ssh"), None)


async def _trusted(door: Door, one: Endpoint, verdicts: Sequence[str]) -> None:
    """Raise `Unavailable` unless the endpoint proved to be the one that is pinned."""
    if one.authorities:
        await door.desk.inventory.verify(one)
    elif HostKeyVerdict.TRUSTED.value not in verdicts:
        raise Unavailable(
            "endpoint.host_key_changed",
            f"{one.name} answers, but with no pinned host key. If that is right: endpoint accept-key {one.name} --reason TEXT",
        )


def literal(text: str) -> str:
    """Return a key given as itself; a path cannot be read from here."""
    if text.startswith(KEY_STARTS) or len(text.split()) > 2:  # noqa: PLR2004 - a known_hosts line
        return text
    raise Invalid("key.path", f"'{safe_text(text, 80)}' is a file on your machine: give the key itself, --host-key \"$(cat FILE)\".")


async def agree(door: Door, what: str, keys: Sequence[HostKey], *, yes: bool) -> None:
    """Show the fingerprints, each with its picture at a terminal, and ask whether they are right."""
    if not keys:
        raise Unavailable("endpoint.no_key", f"{what} presents no host key that the bastion can use.")
    for key in keys:
        door.warn(f"presents now   {key.algorithm} {key.fingerprint}")
        for line in picture(key):
            door.warn(line)
    await door.confirm(f"Trust {'this key' if len(keys) == 1 else f'these {len(keys)} keys'} for {what}?", yes=yes)


def picture(key: HostKey) -> list[str]:
    """Draw a key as OpenSSH does."""
    kind = {"ssh-ed25519": "ED25519", "ssh-rsa": "RSA"}.get(key.algorithm, "ECDSA" if key.algorithm.startswith("ecdsa") else key.algorithm)
    return randomart(key.fingerprint, f"{kind} {read_public_key(key.public).bits}")
