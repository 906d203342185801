"""Recordings packed after their end, through the real door: nobody notices but the disk."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab.bastion import Bastion
from tests.lab.cast import Cast
from tests.lab.tmux import Tmux
from tests.lab.waiting import until


def packs(bastion: Bastion) -> list[Path]:
    return sorted(bastion.home.glob("recordings/**/session.cast.zst"))


def waiting(bastion: Bastion) -> list[Path]:
    return list(bastion.home.glob("recordings/.pack/*"))


def test_packed_recordings_are_played_given_out_and_verified_as_plain_ones(own_bastion: Bastion, tmp_path: Path) -> None:
    own_bastion.ssh("alice", "connect web01 -- echo first-thing; seq 1 20000; echo last-thing")
    (plain,) = own_bastion.casts()
    until(lambda: waiting(own_bastion), "the recording is complete")
    cast = plain.read_bytes()
    own_bastion.stop()
    assert plain.exists(), "it waits for its time"
    own_bastion.env["BASTION_RECORDING_COMPRESS_AFTER"] = "0"
    own_bastion.start()
    (packed,) = until(lambda: not own_bastion.casts() and packs(own_bastion), "it is packed")
    assert packed.stat().st_size * 3 < len(cast)

    session = own_bastion.json("aud", "recordings")[0]["id"]
    given = own_bastion.ssh("aud", f"cast {session}")
    assert given.stdout == cast
    assert "last-thing" in Cast(given.stdout).output.decode()
    v2 = tmp_path / "v2.cast"
    v2.write_bytes(own_bastion.ssh("aud", f"cast {session} --v2").stdout)
    stock = Tmux(tmp_path, ["sh", "-c", f"asciinema cat {v2} | tail -n 3; sleep 30"], columns=80, lines=24)
    stock.wait("last-thing")
    stock.close()
    assert b"first-thing" in own_bastion.ssh("aud", f"transcript {session}").stdout
    assert own_bastion.ssh("aud", f"verify {session}").returncode == 0
    player = own_bastion.tmux("aud", f"replay {session}")
    player.wait("last-thing")
    player.type("q")
    player.close()

    key = str(own_bastion.home / "audit.key.pub")
    assert own_bastion.program("verify", str(packed), "--key", key).returncode == 0
    exported = tmp_path / "session.cast"
    exported.write_bytes(given.stdout)
    (tmp_path / "seal.jsonl").write_bytes((packed.parent / "seal.jsonl").read_bytes())
    assert own_bastion.program("verify", str(exported), "--key", key).returncode == 0
    assert subprocess.run(["zstd", "-dc", str(packed)], capture_output=True, check=True).stdout == cast

    good = packed.read_bytes()
    packed.write_bytes(good[:5000] + bytes([good[5000] ^ 4]) + good[5001:])
    bad = own_bastion.ssh("aud", "verify --all")
    assert bad.returncode == 65
    assert b"cannot be unpacked" in bad.stdout


def test_what_a_killed_bastion_left_unpacked_the_next_start_packs(own_bastion: Bastion) -> None:
    own_bastion.ssh("alice", "connect web01 -- echo before the kill")
    (plain,) = own_bastion.casts()
    until(lambda: waiting(own_bastion), "the recording is complete")
    cast = plain.read_bytes()
    own_bastion.stop(kill=True)
    (plain.parent / ".session.cast.new").write_bytes(b"half of a pack")
    own_bastion.env["BASTION_RECORDING_COMPRESS_AFTER"] = "0"
    own_bastion.start()
    (packed,) = until(lambda: not own_bastion.casts() and packs(own_bastion), "it is packed")
    assert not (plain.parent / ".session.cast.new").exists()
    session = own_bastion.json("aud", "recordings")[0]["id"]
    assert own_bastion.ssh("aud", f"cast {session}").stdout == cast
    assert own_bastion.ssh("aud", f"verify {session}").returncode == 0
