"""Asks a person for a secret at a hidden prompt of the bastion. Never echoes, records or keeps what they type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bastion.core.errors import Ended, Invalid
from bastion.core.text import safe_text
from bastion.services.ports import Secret

if TYPE_CHECKING:
    from bastion.services.console import Console

MAX_SECRET: Final = 1024
_END: Final = b"\r\n"
_CANCEL: Final = b"\x03\x04"
_ERASE: Final = b"\x08\x7f"
_CLEAR: Final = 0x15  # Ctrl-U


async def ask_secret(console: Console, login: str, endpoint: str) -> Secret:
    """Return what they typed up to Enter. Raises `Ended` when they cancel or leave, `Invalid` where there is no terminal."""
    if not console.term:
        raise Invalid(
            "credential.ask",
            f"The password of {login} on {endpoint} is not kept here: you type it, which needs a terminal: ssh -t BASTION connect {endpoint}",
        )
    console.write(safe_text(f"Password of {login} on {endpoint} (not kept, not recorded): ").encode())
    typed = bytearray()
    while data := await console.read():
        for byte in data:
            if byte in _END:
                console.write(b"\r\n")
                return Secret(bytes(typed))
            if byte in _CANCEL:
                console.write(b"\r\n")
                raise Ended("cancelled", "Cancelled.")
            if byte in _ERASE:
                while typed and typed[-1] & 0xC0 == 0x80:  # noqa: PLR2004 - the rest of a UTF-8 character
                    typed.pop()
                del typed[-1:]
            elif byte == _CLEAR:
                typed.clear()
            elif byte >= 0x20 and len(typed) < MAX_SECRET:  # noqa: PLR2004 - control characters are in no password
                typed.append(byte)
    raise Ended("cancelled", "Cancelled.")
