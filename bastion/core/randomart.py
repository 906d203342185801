"""The picture that OpenSSH draws of a key, so that people see at a glance whether two are the same.

Never looks at a key: only at its digest. The walk is the "drunken bishop" of OpenSSH's `ssh-keygen -lv`.
"""

from __future__ import annotations

import base64
from typing import Final

_WIDTH: Final = 17
_HEIGHT: Final = 9
_MARKS: Final = " .o+=*BOX@%&#/^"


def randomart(fingerprint: str, title: str) -> list[str]:
    """Draw `SHA256:...` in eleven lines; `title` is the key's kind and size, like "ED25519 256"."""
    method, _, encoded = fingerprint.partition(":")
    digest = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    field = [[0] * _WIDTH for _ in range(_HEIGHT)]
    x, y = _WIDTH // 2, _HEIGHT // 2
    for byte in digest:
        for shift in (0, 2, 4, 6):
            step = byte >> shift
            x = min(max(x + (1 if step & 1 else -1), 0), _WIDTH - 1)
            y = min(max(y + (1 if step & 2 else -1), 0), _HEIGHT - 1)
            field[y][x] += 1
    rows = ["".join(_MARKS[min(count, len(_MARKS) - 1)] for count in row) for row in field]
    rows[_HEIGHT // 2] = _put(rows[_HEIGHT // 2], _WIDTH // 2, "S")
    rows[y] = _put(rows[y], x, "E")
    return [_edge(f"[{title}]"), *(f"|{row}|" for row in rows), _edge(f"[{method}]")]


def _put(row: str, at: int, mark: str) -> str:
    return row[:at] + mark + row[at + 1 :]


def _edge(text: str) -> str:
    text = text if len(text) <= _WIDTH else text[:_WIDTH]
    left = (_WIDTH - len(text)) // 2
    return "+" + "-" * left + text + "-" * (_WIDTH - len(text) - left) + "+"
