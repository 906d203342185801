"""Identifiers from the system's random source. Never a counter, a time or `random`."""

from __future__ import annotations

import secrets

from bastion.services.ids import RECORD_BYTES, SPOKEN_BYTES, spell


class RandomIds:
    """The `Ids` port on `secrets`."""

    def new_id(self) -> str:
        """Return 128 random bits as 32 hex digits."""
        return secrets.token_hex(RECORD_BYTES)

    def session_id(self) -> str:
        """Return 80 random bits as 16 characters that people can type."""
        return spell(secrets.token_bytes(SPOKEN_BYTES))

    def code(self) -> str:
        """Return 80 random bits as 16 characters, to be kept secret."""
        return spell(secrets.token_bytes(SPOKEN_BYTES))
