"""Names: hostile names at every place that takes one. Nobody is let in by a name, nothing acts."""

from __future__ import annotations

import re
import shlex

import asyncssh
import pytest

from tests.attack.arena import Arena

FAILURE = 51
CONTROLS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]")

NAMES: dict[str, list[str | bytes]] = {
    "24 controls": ["alice\n", "alice\r", "al\x1b]0;pwn\x07ice", "alice\0", "alice\0root1", "\x07", "x\x1b[2J\x1b[31mroot1", "a\x9b31m"],
    "25 long": ["a" * 1023, "a" * 1024, "a" * 64, "a" * 65],
    "26 100 KB": ["a" * 100_000],
    "28 hidden": ["ali\u200bce\u200b!", "root1\u200b", "\u00adroot1", "ro\u2060ot1"],
    "29 bidi": ["\u202eecila", "alice\u202e", "\u2066alice\u2069"],
    "30 emoji": ["🦊", "a" + "\u0301" * 400, "👨‍👩‍👧"],
    "31 spaces": [" alice", "alice ", "\u00a0alice", "alice\u3000", "\t alice"],
    "32 case": ["Alice", "ALICE", "aLICE", "ROOT1"],
    "33 ldap": ["*)(uid=*", "a,dc=x", "a\\2c", "alice)(|(uid=*"],
    "34 injection": ["'; drop table users;--", "%n%s", "{0}", "$(id)", "`id`", "${jndi:x}", "alice'--", '"', "alice;id"],
    "35 paths": ["../alice", "..", ".", "/", "a/../../b", "-oProxyCommand=x", "--help", "..%2f"],
    "36 separators": ["alice%web01%x", "alice@host@host", "alice:" + "x:" * 50, "alice%", "alice%@", "%web01", "alice%%web01", "%" * 50, "alice%../../x@web01"],
    "37 markup": ["<img src=x onerror=alert(1)>", "&lt;", "</script>"],
    "38 encodings": [b"\xff\xfe", b"al\xc0\xafice", "alice".encode("utf-16"), b"alice\xff", b"\xed\xa0\x80"],
    "39 reserved": ["admin", "root", "system", "null", "CON", "operator", "*", "everyone", "None", "True"],
}


@pytest.mark.parametrize("group", NAMES)
async def test_a_hostile_user_name_is_refused_like_any_wrong_login(group: str, arena: Arena) -> None:
    """Each comes with alice's key, correctly signed: a name that is made into hers would let it in."""
    before = len(arena.log())
    async with arena.unshaken(f"names {group}"):
        for name in NAMES[group]:
            knocker = await arena.knock()
            knocker.sign(name, arena.key("alice"))  # type: ignore[arg-type]
            kind, _ = await knocker.answer()
            assert kind in (FAILURE, 0), name
            knocker.close()
    told = (await arena.says("root1", "audit tail -n 40")).encode()
    assert not CONTROLS.search(told), CONTROLS.search(told)
    new = arena.log()[before:]
    assert not CONTROLS.search(new), new
    assert b"Traceback" not in new, new.decode(errors="replace")


@pytest.mark.parametrize("name", ["ａｌｉｃｅ", "a\u00adlice", "ali\u00ad\u00adce"])
async def test_a_name_that_sasl_makes_into_an_account_is_that_account_and_no_other(name: str, arena: Arena) -> None:
    """RFC 4013 maps these to `alice`; with her key she may get in, and is `alice` in every list. Anybody else's key does not."""
    async with arena.unshaken(f"names 27 {name!a}"):
        knocker = await arena.knock()
        knocker.sign(name, arena.key("bob"))
        assert (await knocker.answer())[0] == FAILURE
        knocker.sign(name, arena.key("alice"))
        kind, _ = await knocker.answer()
        if kind != FAILURE:
            knocker.conn._auth, knocker.conn._auth_in_progress, knocker.conn._auth_complete = None, False, True
            done = await knocker.conn.run("whoami --json")
            assert '"name": "alice"' in done.stdout
        knocker.close()


PLACES = [
    ("root1", "user add {} --key 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6k2mrhU1nZ4rP3XJqzVq0v2dZ3m1Q1yC4oYk8Q0m0A x'"),
    ("root1", "user show {}"),
    ("root1", "endpoint show {}"),
    ("alice", "connect {}"),
    ("alice", "connect {}@web01"),
    ("root1", "kill {} --reason x --yes"),
    ("alice", "join {}"),
    ("aud", "cast {}"),
    ("aud", "replay {}"),
    ("root1", "audit tail --actor {}"),
    ("root1", "policy explain --user {0} --endpoint {0} --action connect"),
    ("alice", "help {}"),
    ("alice", "{}"),
    ("alice", "ls {}"),
    ("alice", "ls --label {}"),
]


@pytest.mark.parametrize("place", PLACES, ids=[line for _, line in PLACES])
async def test_a_hostile_name_in_a_command_is_a_sentence_and_an_exit_code(place: tuple[str, str], arena: Arena) -> None:
    user, line = place
    names = [name for group in NAMES.values() for name in group if isinstance(name, str) and "\0" not in name and len(name) < 50_000]
    async with arena.unshaken(f"names in {line[:30]}"):
        async with await arena.client(user) as conn:
            for name in names:
                done = await conn.run(line.format(shlex.quote(name)), encoding=None, stdin=asyncssh.DEVNULL)
                shown = bytes(done.stdout) + bytes(done.stderr)
                assert not CONTROLS.search(shown), (name, shown)
                assert done.exit_status in (0, 64, 65, 66, 69, 77), (name, done.exit_status, shown)
    assert b"Traceback" not in arena.log()
    listed = await arena.says("root1", "user list --json")
    assert "jndi" not in listed
    assert ".." not in listed


async def test_no_hostile_name_becomes_a_file(arena: Arena) -> None:
    """Whatever was tried as a name, nothing was written outside the home, nor inside it under such a name."""
    async with await arena.client("alice") as conn:
        for name in ("../../../../tmp/x", "..", "/etc/passwd"):
            for line in (f"connect {name}", f"cast {name}", f"replay {name}", f"join {name}"):
                assert (await conn.run(line)).exit_status in (64, 66, 69, 77)
    for path in arena.bastion.home.rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9._-]+", path.name), path
