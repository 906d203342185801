"""Recordings as the tests read them: strictly, line by line, with no code of the product."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Cast:
    """An asciicast v3 that must be valid to its last line; anything else is an AssertionError."""

    def __init__(self, data: bytes) -> None:
        assert data.endswith(b"\n"), f"the last line is not whole: {data[-80:]!r}"
        first, *lines = data[:-1].split(b"\n")
        self.header: dict[str, Any] = json.loads(first)
        assert self.header["version"] == 3
        self.events: list[tuple[float, str, str]] = []
        self.tail = b""
        for line in lines:
            if line.startswith(b"# bastion tail "):
                self.tail = bytes.fromhex(line.rpartition(b" ")[2].decode())
            if line.startswith(b"# bastion nul "):
                self.events.append((0, "o", "\0" * int(line.rpartition(b" ")[2])))
            if line.startswith(b"#"):
                continue
            interval, code, data_ = json.loads(line)
            assert isinstance(interval, int | float)
            assert interval >= 0
            assert code in "oimrx"
            assert isinstance(data_, str)
            if code == "o":
                self.tail = b""
            self.events.append((interval, code, data_))

    @classmethod
    def read(cls, path: Path) -> Cast:
        """Read a file."""
        return cls(path.read_bytes())

    def all(self, code: str) -> list[str]:
        """Return the data of every event of a kind."""
        return [data for _, kind, data in self.events if kind == code]

    @property
    def output(self) -> bytes:
        """Return all output, an unfinished last character included."""
        return "".join(self.all("o")).encode() + self.tail
