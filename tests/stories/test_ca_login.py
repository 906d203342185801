"""Endpoints that trust the bastion's user CA: a certificate for each session, nothing stored."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd


def test_an_endpoint_that_trusts_the_user_ca_is_reached_with_a_certificate_of_minutes(own_bastion: Bastion, tmp_path: Path) -> None:
    ca = tmp_path / "trusted.pub"
    shutil.copy(own_bastion.home / "user_ca_ed25519.pub", ca)
    server = Sshd(tmp_path / "d", f"TrustedUserCAKeys {ca}\nLogLevel VERBOSE")
    (server.folder / "authorized_keys").write_text("")
    server.start()
    try:
        own_bastion.program(
            "endpoint", "add", "ca01", f"127.0.0.1:{server.port}", "--login", server.user, "--ca", "--host-key", str(server.host_key_public)
        )
        done = own_bastion.ssh("alice", "connect ca01 -- echo certified")
        assert (done.returncode, done.stdout) == (0, b"certified\n"), done.stderr
        log = (server.folder / "log").read_text()
        session = own_bastion.audit("session.started")[-1]["session"]
        assert f"bastion session {session} of alice on ca01" in log
    finally:
        server.stop()
