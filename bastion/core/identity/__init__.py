"""Who somebody is, and how that was proven. Never what they may do."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Factor", "Identity", "User", "UserKey"]


@dataclass(frozen=True, slots=True)
class User:
    """An account on the bastion. `id` never changes and is never reused; names may change."""

    id: str
    name: str
    roles: tuple[str, ...] = ()
    full_name: str = ""
    disabled: bool = False
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class UserKey:
    """A public key somebody may log in with. `public` is the OpenSSH line without comment."""

    user_id: str
    fingerprint: str
    public: str
    comment: str = ""
    added_at: float = 0.0
    last_used_at: float | None = None


@dataclass(frozen=True, slots=True)
class Factor:
    """One thing that was proven, and when (seconds since the epoch)."""

    kind: str
    at: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user *proven* by a finished login. Built only by `services.login`.

    `source` is the address they came from; `groups` come from directories.
    """

    user_id: str
    name: str
    roles: tuple[str, ...]
    source: str
    factors: tuple[Factor, ...]
    groups: tuple[str, ...] = ()
    full_name: str = ""
    client: str = ""
