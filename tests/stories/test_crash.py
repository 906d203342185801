"""The server is killed with -9 at random moments: nothing was shown that is not on file, and the next start tidies up."""

from __future__ import annotations

import os
import random
import subprocess
import time

from tests.lab.bastion import Bastion
from tests.lab.cast import Cast
from tests.lab.waiting import until

ROUNDS = 3 * int(os.environ.get("BASTION_FUZZ", "1"))
COUNTER = "python3 -u -c 'import itertools, sys\nfor i in itertools.count():\n sys.stdout.buffer.write(b\"%06d caf\\xc3\\xa9 \\xe6\\xbc\\xa2 \" % i)\n sys.stdout.flush()'"


def test_killed_at_any_moment_what_was_seen_is_a_prefix_of_a_recording_that_parses(own_bastion: Bastion) -> None:
    randomness = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID", "7"))
    known: set[str] = set()
    total = 0
    for turn in range(ROUNDS):
        terminal = ("-tt",) if turn % 2 else ()
        clients = [
            subprocess.Popen(
                own_bastion.ssh_argv(who, f"connect web01 -- {COUNTER}", options=terminal),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
            for who in ("alice", "bob")
        ]  # fmt: skip
        try:
            first = [os.read(client.stdout.fileno(), 1) for client in clients]  # type: ignore[union-attr]
            assert all(first)
            time.sleep(randomness.uniform(0, 0.7))  # the moment is random on purpose
            own_bastion.stop(kill=True)
            seen = {who: one + client.stdout.read() for who, one, client in zip(("alice", "bob"), first, clients, strict=True)}  # type: ignore[union-attr]
        finally:
            for client in clients:
                client.kill()
                client.wait()
                client.stdout.close()  # type: ignore[union-attr]
        new = [path for path in own_bastion.casts() if str(path) not in known]
        known |= {str(path) for path in new}
        assert len(new) == 2
        torn = {Cast(_whole(path.read_bytes())).header["bastion"]["user"]: path for path in new}
        for who, bytes_seen in seen.items():
            on_file = Cast(_whole(torn[who].read_bytes())).output
            assert on_file.startswith(bytes_seen), (
                who,
                len(bytes_seen),
                len(on_file),
                bytes_seen[-50:],
                on_file[len(bytes_seen) - 50 : len(bytes_seen)],
            )
            total += len(bytes_seen)
        own_bastion.start()
        for who, path in torn.items():
            cast = Cast.read(path)
            assert cast.output.startswith(seen[who])
            session = cast.header["bastion"]["session"]
            (row,) = [row for row in own_bastion.json("aud", "recordings") if row["id"] == session]
            assert (row["state"], row["reason"]) == ("closed", "interrupted")
            assert Cast(own_bastion.ssh("aud", f"cast {session}").stdout).output == cast.output
            (past,) = [row for row in own_bastion.json(who, "sessions --past") if row["id"] == session]
            assert past["reason"] == "interrupted"
            assert past["ended_at"]
            assert {"recording.interrupted", "session.interrupted"} <= {
                row["code"] for row in own_bastion.audit() if row["session"] == session
            }
        verified = own_bastion.ssh("aud", "audit verify")
        assert verified.returncode == 0 and b"intact" in verified.stdout, verified.stderr
        assert not own_bastion.live()
    assert total > 1000 * ROUNDS


def _whole(data: bytes) -> bytes:
    """Return the file up to its last whole line: a crash may have cut the last write."""
    return data[: data.rfind(b"\n") + 1]


def test_killed_while_nobody_is_there_it_starts_again_without_a_word(own_bastion: Bastion) -> None:
    own_bastion.stop(kill=True)
    own_bastion.start()
    assert own_bastion.ssh("alice", "connect web01 -- echo again").stdout == b"again\n"


def test_terminated_it_tells_everybody_why_and_closes_each_recording(own_bastion: Bastion) -> None:
    window = own_bastion.tmux("alice", "connect web01", options=("-tt",))
    runs = subprocess.Popen(
        own_bastion.ssh_argv("bob", "connect web01 -- cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        window.wait("~")
        until(lambda: len(own_bastion.live(state="running")) == 2, "both run")
        began = time.monotonic()
        assert own_bastion.stop() == 0
        assert time.monotonic() - began < 12
        assert window.wait_exit() == 75
        window.wait("The bastion is being restarted.")
        _out, err = runs.communicate(timeout=10)
        assert runs.returncode == 75
        assert err.count(b"\n") == 1
        assert b"The bastion is being restarted." in err
        for path in own_bastion.casts():
            Cast.read(path)
        own_bastion.start()
        rows = own_bastion.json("aud", "recordings")
        assert [row["reason"] for row in rows] == ["shutdown", "shutdown"]
        assert all(row["ended_at"] for row in rows)
        assert b"intact" in own_bastion.ssh("aud", "audit verify").stdout
        codes = [row["code"] for row in own_bastion.audit()]
        assert "recording.interrupted" not in codes
        assert "node.stopped" in codes
    finally:
        window.close()
        if runs.poll() is None:
            runs.kill()
            runs.communicate()
