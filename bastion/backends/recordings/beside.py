"""Packs recordings in a process of its own, of low priority. Never in the server's.

There a thread that steps back would, whenever it holds the interpreter's lock, make every session step back with it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
from typing import TYPE_CHECKING, Final

from bastion.backends.recordings import safe
from bastion.backends.recordings.folder import RecordingFolder
from bastion.core.errors import BastionError

if TYPE_CHECKING:
    from collections.abc import Sequence

NICENESS: Final = 15
MOST: Final = 100  # recordings a process packs: their names stand in its command line

_START: Final = f"import os; os.nice({NICENESS}); from bastion.backends.recordings.beside import main; main()"


class PackingProcess:
    """Starts the process. One at a time packs a folder, whoever started it."""

    def __init__(self, root: str, level: int, recipients: Sequence[str] = ()) -> None:
        self._root = root
        self._level = level
        self._recipients = recipients

    async def __call__(self, session_ids: Sequence[str]) -> dict[str, str]:
        """Pack these; return what failed, and why. When cancelled, what is half packed stays plain."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _START,
            self._root,
            str(self._level),
            "\n".join(self._recipients),
            *session_ids[:MOST],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            out, _ = await process.communicate()
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        lines = (line.partition(" ") for line in out.decode(errors="replace").splitlines())
        failed = {name: why for name, _, why in lines if why}
        return failed or ({} if process.returncode == 0 else dict.fromkeys(session_ids, "the packing process was ended"))


def main() -> None:
    """Pack what the command line names: folder, level, recipients, session ids. Says of each what went wrong."""
    root, level, recipients, *session_ids = sys.argv[1:]
    parent = os.getppid()
    recordings = RecordingFolder(root, recipients.splitlines())
    with safe.folder(root, [".pack"], create=True) as directory:
        fcntl.flock(directory, fcntl.LOCK_EX)  # a bastion that was killed may have left one at work
        for session_id in session_ids:
            why = ""
            try:
                recordings.pack(session_id, int(level), lambda: os.getppid() == parent)
            except (OSError, BastionError) as error:
                why = str(error) or type(error).__name__
            if os.getppid() != parent:
                return
            sys.stdout.write(f"{session_id} {why}\n")
            sys.stdout.flush()
