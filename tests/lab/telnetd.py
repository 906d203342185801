"""A real telnetd behind a listener of ours, with a login of its own, and a far side that says what a test tells it to."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

LOGIN = """#!{python}
import getpass, os, sys
sys.stdout.write("Welcome to PLC 7\\r\\nlogin: "); sys.stdout.flush()
name = sys.stdin.readline().strip()
word = getpass.getpass("Password: ")
if (name, word) != ("operator", "{password}"):
    print("Login incorrect"); sys.exit(1)
os.environ["PS1"] = "plc> "
os.execvp("sh", ["sh", "-i"])
"""


class Telnetd:
    """inetutils' telnetd, one process a connection, as inetd would start it."""

    def __init__(self, folder: Path, password: str) -> None:
        self.login = folder / "login"
        self.login.write_text(LOGIN.format(python=sys.executable, password=password))
        self.login.chmod(0o755)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.children: list[subprocess.Popen[bytes]] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        program = shutil.which("telnetd", path=os.environ["PATH"] + ":/usr/sbin") or "telnetd"
        with contextlib.suppress(OSError):
            while True:
                link, _ = self.listener.accept()
                with link:
                    self.children.append(subprocess.Popen([program, "-h", "-E", str(self.login)], stdin=link, stdout=link, stderr=subprocess.DEVNULL))

    def close(self) -> None:
        """End it all."""
        self.listener.close()
        for child in self.children:
            child.kill()
            child.wait(10)


class Scripted:
    """Sends and expects what a list says: bytes are sent, `None` waits for a line."""

    def __init__(self, *steps: bytes | None) -> None:
        self.steps = steps
        self.heard: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.links: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self.listener.accept()
                self.links.append(link)
                threading.Thread(target=self._play, args=(link,), daemon=True).start()

    def _play(self, link: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for step in self.steps:
                if step is not None:
                    link.sendall(step.replace(b"$LAST", self.heard[-1] if self.heard else b""))
                    continue
                got = b""
                while not got.endswith(b"\r\0"):
                    got += link.recv(1)
                self.heard.append(got[:-2].rpartition(b"\xff\xfd\x03")[2])
            while link.recv(4096):
                pass

    def close(self) -> None:
        """End it."""
        self.listener.close()
        for link in self.links:
            link.close()
