"""Stock asciinema plays what we write."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[2] / "golden" / "recordings"


def on_a_terminal(command: list[str]) -> bytes:
    """Run a program on a terminal of its own and return what it wrote there."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(command[0], command)
    out = b""
    while True:
        try:
            data = os.read(terminal, 65_536)
        except OSError:  # EIO: the program has gone
            break
        out += data
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, out
    return out


@pytest.mark.parametrize("verb", ["cat", "play"])
@pytest.mark.parametrize("version_of_ours", [1, 2])
def test_debians_asciinema_plays_the_v2_export(verb: str, version_of_ours: int) -> None:
    version = subprocess.run(["asciinema", "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("asciinema 2.")
    out = on_a_terminal(["asciinema", verb, str(GOLDEN / f"format-{version_of_ours}.v2.cast")])
    assert "\x1b[1mhi\x1b[m € 5\r\nbad \ufffd byte".encode() in out
