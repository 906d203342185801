"""Policy files: whatever is put into the folder of a running bastion, the last good policy stays in force."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attack.arena import MIB, Arena

RULE = b"rules:\n  - name: r\n    effect: allow\n    roles: [engineer]\n    actions: [connect]\n    endpoints: ['*']\n"
BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"%c: &%c [%s]\n" % (n + 1, n + 1, b",".join([b"*%c" % n] * 9)) for n in range(97, 106))

FILES: dict[str, bytes] = {
    "aliases": BOMB,
    "duplicate keys": RULE + b"rules: []\n",
    "tabs": b"rules:\n\t- name: x\n",
    "byte order mark": b"\xef\xbb\xbf" + RULE,
    "ten megabytes": b"#" * 10_000_000,
    "python object": b"rules: !!python/object/apply:os.system ['touch /tmp/pwned']\n",
    "unknown key": RULE + b"    allow_all: true\n",
    "CIDR /33": RULE + b"    when:\n      source: [10.0.0.0/33]\n",
    "glob of stars": RULE.replace(b"'*'", b"'" + b"*" * 5000 + b"a'").replace(b"name: r", b"name: [r"),
    "empty": b"",
    "half-written": RULE[: len(RULE) // 2] + b"    act",
    "not UTF-8": b"\xff\xfe\x00",
    "escape sequences": b'rules:\n  - name: "x\\e]0;pwn\\a"\n    effect: "\\e[2J"\n',
    "deep": b"[" * 5000,
    "hundred thousand rules": b"rules:\n" + b"- {name: r, effect: allow, roles: [admin], actions: [connect], endpoints: ['*']}\n" * 12_000,
    "two documents": RULE + b"---\n" + RULE,
    "NUL": b"rules: \x00\n",
    "regex": RULE.replace(b"'*'", b"'(a+)+$'").replace(b"effect: allow", b"effect: maybe"),
}


@pytest.fixture
def evil(arena: Arena) -> Iterator[Path]:
    file = arena.bastion.home / "policies" / "evil.yaml"
    yield file
    file.unlink(missing_ok=True)
    assert arena.bastion.process is not None
    os.kill(arena.bastion.process.pid, signal.SIGHUP)


# A file may have a megabyte, and plain data of that much YAML is 145 MiB for the moment (measured); who may write there is an admin.
@pytest.mark.parametrize("name", FILES)
async def test_a_hostile_policy_file_is_refused_with_its_place_and_the_last_good_policy_stays(name: str, arena: Arena, evil: Path) -> None:
    process = arena.bastion.process
    assert process is not None
    before = len(arena.log())
    async with arena.unshaken(f"policy {name}", growth=250 * MIB):
        evil.write_bytes(FILES[name])
        os.kill(process.pid, signal.SIGHUP)
        async with await arena.client("root1") as conn:
            done = await conn.run("policy reload")
            assert done.exit_status == 78, (done.stdout, done.stderr)
            assert "evil.yaml" in str(done.stderr)
            assert "\x1b" not in str(done.stderr)
            assert len(str(done.stderr)) < 20_000
        assert "allowed" in await arena.says("alice", "connect web01 -- echo still allowed")
        await arena.audit("policy.refused", "evil.yaml")
    new = arena.log()[before:]
    assert b"\x1b" not in new
    assert b"Traceback" not in new
    assert not Path("/tmp/pwned").exists()
