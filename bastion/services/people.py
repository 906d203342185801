"""Accounts and their public keys: add, show, lock, give roles, remove; every change audited with before and after.

Never decides who may do it (the doors ask policy first), and never sees a private key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from bastion.core.audit.event import AuditEvent
from bastion.core.errors import Conflict, Invalid, Missing
from bastion.core.identity import Identity, User, UserKey
from bastion.core.text import safe_text
from bastion.core.values import NAME, user_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from bastion.services.ports import Auditing, Clock, Users

MIN_RSA_BITS: Final = 2048  # 3072 is advised
MAX_KEYS: Final = 50  # each login attempt may probe them all
_MAX_LINE: Final = 16 * 1024
_COMMENT: Final = 100
_FIXED: Final = {"ssh-ed25519": 2, "sk-ssh-ed25519@openssh.com": 3}  # algorithm -> strings in the blob
_CURVES: Final = {
    "ecdsa-sha2-nistp256": (b"nistp256", 65),
    "ecdsa-sha2-nistp384": (b"nistp384", 97),
    "ecdsa-sha2-nistp521": (b"nistp521", 133),
    "sk-ecdsa-sha2-nistp256@openssh.com": (b"nistp256", 65),
}
_ED25519_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An OpenSSH public key that was read and found strong enough."""

    algorithm: str
    public: str
    """`algorithm base64`, without comment."""
    fingerprint: str
    comment: str
    bits: int


def fingerprint(blob: bytes) -> str:
    """Return OpenSSH's `SHA256:...` of a key blob."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def read_public_key(text: str) -> PublicKey:
    """Read one OpenSSH public key line. Raises `Invalid` saying what is wrong, and what would do."""
    if "PRIVATE KEY" in text:
        raise Invalid("key.private", "That is a private key: it stays with its owner. Give the .pub file instead.")
    words = text.strip().split(None, 2)
    if len(text) > _MAX_LINE or len(words) < 2 or "\n" in text.strip():  # noqa: PLR2004 - algorithm and base64
        raise Invalid("key.unreadable", "That is not a public key: one line like 'ssh-ed25519 AAAA... comment' is wanted.")
    algorithm, encoded = words[:2]
    if algorithm not in _FIXED and algorithm not in _CURVES and algorithm != "ssh-rsa":
        raise Invalid(
            "key.algorithm",
            f"Keys of the type {safe_text(algorithm, 60)} are not accepted: use Ed25519, ECDSA, or RSA with {MIN_RSA_BITS} bits or more.",
        )
    try:
        blob = base64.b64decode(encoded, validate=True)
        parts = _strings(blob)
    except (ValueError, binascii.Error):
        raise Invalid("key.unreadable", "The key is damaged: its base64 part does not decode.") from None
    bits = _bits(algorithm, parts)
    comment = safe_text(words[2], _COMMENT) if len(words) > 2 else ""  # noqa: PLR2004
    return PublicKey(algorithm, f"{algorithm} {base64.b64encode(blob).decode()}", fingerprint(blob), comment, bits)


def _bits(algorithm: str, parts: list[bytes]) -> int:
    """Return the key's strength in bits; raise `Invalid` for a blob that is no such key, or a weak one."""
    damaged = Invalid("key.unreadable", f"The key is damaged: it is not a {algorithm} key inside.")
    if not parts or parts[0] != algorithm.encode():
        raise damaged
    if algorithm in _FIXED:
        if len(parts) != _FIXED[algorithm] or len(parts[1]) != _ED25519_BYTES:
            raise damaged
        return 256
    if algorithm in _CURVES:
        curve, length = _CURVES[algorithm]
        if len(parts) < 3 or parts[1] != curve or len(parts[2]) != length:  # noqa: PLR2004 - name, curve, point
            raise damaged
        return int(curve[5:])
    if len(parts) != 3:  # noqa: PLR2004 - name, exponent, modulus
        raise damaged
    bits = int.from_bytes(parts[2]).bit_length()
    if bits < MIN_RSA_BITS:
        raise Invalid("key.weak", f"An RSA key of {bits} bits is too weak: {MIN_RSA_BITS} or more, or an Ed25519 key.")
    return bits


def _strings(blob: bytes) -> list[bytes]:
    """Split an SSH wire blob into its length-prefixed strings; ValueError when it does not end evenly."""
    parts, at = [], 0
    while at < len(blob):
        length = int.from_bytes(blob[at : at + 4])
        if at + 4 + length > len(blob):
            raise ValueError("string beyond the end")
        parts.append(blob[at + 4 : at + 4 + length])
        at += 4 + length
    return parts


class People:
    """The use cases around accounts. `roles()` tells which roles the policy knows; empty: any name will do."""

    def __init__(
        self, users: Users, auditor: Auditing, clock: Clock, new_id: Callable[[], str], roles: Callable[[], Collection[str]]
    ) -> None:
        self._users = users
        self._auditor = auditor
        self._clock = clock
        self._new_id = new_id
        self._roles = roles
        self.changed: Callable[[], None] = lambda: None
        """Called after each change of an account, so that what lives is looked at again."""

    async def all(self) -> Sequence[User]:
        """Return every account, by name."""
        return await self._users.all()

    async def get(self, name: str) -> User:
        """Return the account; `Missing` names the nearest one."""
        user = await self._users.get(name) if NAME.fullmatch(name) else None
        if user is None:
            near = get_close_matches(name[:64], [one.name for one in await self._users.all()], n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise Missing("user.missing", f"There is no user '{safe_text(name, 64)}'.{hint}")
        return user

    async def add(
        self, by: Identity | None, name: str, keys: Sequence[str], roles: Sequence[str] = (), full_name: str = ""
    ) -> tuple[User, list[PublicKey]]:
        """Make an account with its keys. Raises `Invalid` or `Conflict`, and then made nothing."""
        read = [read_public_key(line) for line in keys]
        if not read:
            raise Invalid("key.none", "A user needs at least one public key to log in with: --key FILE.")
        self._check_roles(roles)
        if await self._users.get(user_name(name)) is not None:
            raise Conflict("user.exists", f"There is a user '{name}' already.")
        now = self._clock.now()
        user = User(self._new_id(), name, tuple(dict.fromkeys(roles)), safe_text(full_name, 100), created_at=now)
        await self._users.add(user)
        for key in {one.public: one for one in read}.values():
            await self._users.add_key(UserKey(user.id, key.fingerprint, key.public, key.comment, now))
        after = {"roles": list(user.roles), "keys": [key.fingerprint for key in read]}
        self._record(by, "user.added", user, {"after": after})
        return user, read

    async def set_locked(self, by: Identity | None, name: str, reason: str, *, locked: bool) -> User:
        """Bar an account from logging in, or let it in again. Idempotent. Nobody locks themselves."""
        user = await self.get(name)
        if locked and by is not None and by.user_id == user.id:
            raise Conflict("user.self", "You cannot lock your own account: another admin can.")
        if user.disabled == locked:
            return user
        changed = replace(user, disabled=locked)
        await self._users.save(changed)
        code = "user.locked" if locked else "user.unlocked"
        self._record(by, code, user, {"before": {"locked": user.disabled}, "after": {"locked": locked}}, reason)
        return changed

    async def set_roles(self, by: Identity | None, name: str, add: Sequence[str], remove: Sequence[str]) -> User:
        """Give and take roles. Raises `Invalid` for a role nobody knows."""
        user = await self.get(name)
        self._check_roles(add)
        if lost := [role for role in remove if role not in user.roles]:
            raise Missing("role.missing", f"{user.name} does not have the role '{safe_text(lost[0], 64)}'.")
        roles = tuple(dict.fromkeys([*(role for role in user.roles if role not in remove), *add]))
        changed = replace(user, roles=roles)
        await self._users.save(changed)
        self._record(by, "user.roles", user, {"before": {"roles": list(user.roles)}, "after": {"roles": list(roles)}})
        return changed

    async def remove(self, by: Identity | None, name: str) -> User:
        """Remove an account and its keys. What it did stays in the audit."""
        user = await self.get(name)
        if by is not None and by.user_id == user.id:
            raise Conflict("user.self", "You cannot remove your own account: another admin can.")
        keys = [key.fingerprint for key in await self._users.keys(user.id)]
        await self._users.remove(user.id)
        self._record(by, "user.removed", user, {"before": {"roles": list(user.roles), "keys": keys}})
        return user

    async def keys(self, user_id: str) -> Sequence[UserKey]:
        """Return an account's keys, oldest first."""
        return await self._users.keys(user_id)

    async def add_key(self, by: Identity | None, user: User, line: str) -> PublicKey:
        """Add a key to an account. `Conflict` when it has it already."""
        key = read_public_key(line)
        have = await self._users.keys(user.id)
        if any(one.fingerprint == key.fingerprint for one in have):
            raise Conflict("key.exists", f"{user.name} has the key {key.fingerprint} already.")
        if len(have) >= MAX_KEYS:
            raise Conflict("key.too_many", f"{user.name} has {MAX_KEYS} keys, which is the most: remove one first.")
        await self._users.add_key(UserKey(user.id, key.fingerprint, key.public, key.comment, self._clock.now()))
        self._record(by, "key.added", user, {"after": {"fingerprint": key.fingerprint, "comment": key.comment}})
        return key

    async def find_key(self, user: User, prefix: str) -> UserKey:
        """Return the key whose fingerprint starts so (`SHA256:` may be left out). `Missing` or `Conflict`."""
        wanted = prefix.removeprefix("SHA256:")
        found = [key for key in await self._users.keys(user.id) if wanted and key.fingerprint.removeprefix("SHA256:").startswith(wanted)]
        if not found:
            raise Missing("key.missing", f"{user.name} has no key whose fingerprint starts with '{safe_text(prefix, 64)}'.")
        if len(found) > 1:
            raise Conflict("key.ambiguous", f"{len(found)} keys of {user.name} start with '{safe_text(prefix, 64)}': give more of it.")
        return found[0]

    async def remove_key(self, by: Identity | None, user: User, key: UserKey) -> None:
        """Remove a key. Nobody removes their own last one: they could not come back."""
        if by is not None and by.user_id == user.id and len(await self._users.keys(user.id)) == 1:
            raise Conflict("key.last", "That is your last key: add another one first, or you could not log in again.")
        await self._users.remove_key(user.id, key.fingerprint)
        self._record(by, "key.removed", user, {"before": {"fingerprint": key.fingerprint, "comment": key.comment}})

    def _check_roles(self, roles: Sequence[str]) -> None:
        known = self._roles()
        for role in roles:
            if not NAME.fullmatch(role) or (known and role not in known):
                near = get_close_matches(role[:64], known, n=1)
                hint = f" Did you mean '{near[0]}'?" if near else f" The policy has: {', '.join(sorted(known))}."
                raise Invalid("role.unknown", f"No policy speaks of a role '{safe_text(role, 64)}'.{hint}")

    def _record(self, by: Identity | None, code: str, user: User, data: dict[str, object], reason: str = "") -> None:
        actor, source = (by.name, by.source) if by else ("system", "")
        event = AuditEvent(code, self._clock.now(), actor=actor, source=source, subject=user.name, reason=reason, data=data)
        self._auditor.record(event)
        self.changed()
