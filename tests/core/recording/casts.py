"""Casts made for tests."""

from __future__ import annotations

from bastion.core.recording.asciicast import event_line, header
from bastion.core.values import Size


def cast_of(events: list[tuple[int, str, str]], *, size: Size = Size(80, 24), term: str = "xterm", by: str = "alice") -> bytes:
    """Return a v3 cast with these (interval in microseconds, code, data)."""
    import orjson

    fields = header(size=size, term=term, started_at=1_700_000_000.0, session="S1", user="alice", endpoint="web01", login="deploy")
    lines = [orjson.dumps(fields) + b"\n", f"# bastion by {by}\n".encode()]
    return b"".join([*lines, *(event_line(gap, code, data) for gap, code, data in events)])
