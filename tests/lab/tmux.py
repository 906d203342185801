"""A real terminal for the tests: tmux runs a program, keys go in, the screen comes out."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from pathlib import Path


class Tmux:
    """One tmux server with one window of a given size."""

    def __init__(self, folder: Path, command: list[str], *, columns: int = 80, lines: int = 24, env: dict[str, str] | None = None) -> None:
        self.socket = str(folder / f"tmux-{time.monotonic_ns()}")
        self.env = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **(env or {})}
        self.env.pop("TMUX", None)
        config = folder / "tmux.conf"
        config.write_text(
            "set -g default-terminal xterm-256color\nset -g remain-on-exit on\nset -g remain-on-exit-format ''\nset -g status off\nset -g escape-time 0\n"
        )
        self._run("-f", str(config), "new-session", "-d", "-x", str(columns), "-y", str(lines), shlex.join(command))

    def _run(self, *args: str) -> str:
        done = subprocess.run(
            ["tmux", "-u", "-S", self.socket, *args], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False
        )
        return done.stdout.decode("utf-8", "replace")

    def type(self, *keys: str) -> None:
        """Press keys by tmux's names (`Enter`, `C-c`, `Down`)."""
        self._run("send-keys", *keys)

    def text(self, text: str) -> None:
        """Type text as it is."""
        self._run("send-keys", "-l", text)

    def screen(self, *, colours: bool = False) -> str:
        """Return what stands on the screen."""
        return self._run("capture-pane", "-p", *(["-e"] if colours else []))

    def wait(self, text: str, seconds: float = 15, *, gone: bool = False) -> str:
        """Return the screen once `text` stands on it (or no longer does)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            screen = self.screen()
            if (text in screen) != gone:
                return screen
            time.sleep(0.03)  # the screen of another process has no event to wait on
        raise AssertionError(f"{text!r} {'stayed on' if gone else 'never came on'} the screen:\n{self.screen()}")

    def resize(self, columns: int, lines: int) -> None:
        """Give the window another size."""
        self._run("set-option", "-w", "window-size", "manual")
        self._run("resize-window", "-x", str(columns), "-y", str(lines))

    def flags(self, *names: str) -> str:
        """Return what tmux knows of the pane: `alternate_on`, `mouse_any_flag`, `cursor_x`..."""
        return self._run("display-message", "-p", " ".join(f"#{{{name}}}" for name in names)).strip()

    @property
    def cursor(self) -> tuple[int, int]:
        """Return where the cursor is."""
        x, y = self._run("display-message", "-p", "#{cursor_x} #{cursor_y}").split()
        return int(x), int(y)

    @property
    def pid(self) -> int:
        """Return the program's process."""
        return int(self._run("display-message", "-p", "#{pane_pid}").strip())

    @property
    def exit_code(self) -> int | None:
        """Return the program's exit code once it ended."""
        dead, status, signal = (
            self._run("display-message", "-p", "#{pane_dead} #{pane_dead_status} #{pane_dead_signal}").rstrip("\n").split(" ")
        )
        if dead != "1" or not (status or signal):
            return None
        return int(status) if status else 128 + int(signal)

    def wait_exit(self, seconds: float = 15) -> int:
        """Return the exit code, waiting for it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (code := self.exit_code) is not None:
                return code
            self._nudge()
            time.sleep(0.03)
        raise AssertionError(f"it did not end:\n{self.screen()}")

    def _nudge(self) -> None:
        """Have tmux look for ended children again: on some kernels it misses the signal and never reaps."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            if stat[0] == "Z":
                os.kill(int(stat[1]), signal.SIGCHLD)

    def pause(self) -> None:
        """Stop the program as Ctrl-Z would, so that it reads nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let the stopped program run again."""
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End it."""
        self._run("kill-server")
