"""scripts/render shows a file's screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def render(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}
    return subprocess.run(
        [str(ROOT / "scripts" / "render"), *arguments], capture_output=True, text=True, check=False, timeout=30, env=environment
    )


def test_it_prints_the_lines_of_the_screen(tmp_path: Path) -> None:
    (tmp_path / "stream").write_bytes("one\r\n\x1b[31mtwo 日本".encode())
    done = render(str(tmp_path / "stream"), "20", "3")
    assert done.stdout == "one\ntwo 日本\n\n"


def test_it_tells_cells_and_changes_of_size_as_json(tmp_path: Path) -> None:
    (tmp_path / "stream").write_bytes(b"abcdef\r\n\x1b[1;31mx\x1b]2;title\x07")
    done = render(str(tmp_path / "stream"), "20", "3", "8:4x2", "--attrs")
    told = json.loads(done.stdout)
    assert (told["cols"], told["rows"], told["cursor"], told["title"]) == (4, 2, [1, 1], "title")
    assert told["cells"][1][0] == ["x", "p1", "d", "b"]


def test_wrong_arguments_are_answered_with_the_usage() -> None:
    done = render("nothing")
    assert done.returncode != 0
    assert "usage: scripts/render FILE COLS ROWS" in done.stderr
