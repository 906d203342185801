"""Auth: what can be tried at the login, as far as it concerns keys. Each with a canary."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import asyncssh
import pytest
from asyncssh.packet import Boolean, NameList, String, UInt32

from tests.attack.arena import MIB, Arena, Knocker

FAILURE, SUCCESS, OFFER_OK = 51, 52, 60
METHODS = NameList([b"publickey"]) + Boolean(False)

Attack = Callable[[Arena, Knocker], Awaitable[None]]


async def refused(arena: Arena, knocker: Knocker) -> None:
    """What was sent is refused like any wrong login, and nothing else happens."""
    kind, payload = await knocker.answer()
    assert (kind, payload) == (FAILURE, METHODS)


async def _password(arena: Arena, knocker: Knocker, password: bytes, more: bytes = b"") -> None:
    knocker.ask("alice", "password", Boolean(bool(more)), String(password), more)
    await refused(arena, knocker)


async def a01_empty_password(arena: Arena, knocker: Knocker) -> None:
    await _password(arena, knocker, b"")


async def a02_spaces(arena: Arena, knocker: Knocker) -> None:
    await _password(arena, knocker, b"   ")


async def a03_mebibyte_password(arena: Arena, knocker: Knocker) -> None:
    knocker.ask("alice", "password", Boolean(False), String(b"p" * MIB))
    await knocker.gone()


async def a04_nul_in_password(arena: Arena, knocker: Knocker) -> None:
    await _password(arena, knocker, b"a\0b")


async def a05_password_change(arena: Arena, knocker: Knocker) -> None:
    await _password(arena, knocker, b"old", String(b"new"))


async def a06_none(arena: Arena, knocker: Knocker) -> None:
    knocker.ask("alice", "none")
    await refused(arena, knocker)


async def a07_unknown_method(arena: Arena, knocker: Knocker) -> None:
    for method in (b"gssapi-with-mic", b"hostbased", b"", b"\xff\xfe", b"x" * 1000):
        knocker.ask("alice", method)
        kind, _ = await knocker.answer()
        assert kind in (FAILURE, 0)
        if kind == 0:
            return


async def a08_many_tries(arena: Arena, knocker: Knocker) -> None:
    for n in range(6):
        knocker.ask("alice", "password", Boolean(False), String(f"guess{n}"))
    assert "Too many authentication failures" in await knocker.gone()
    assert knocker.conn.said.qsize() == 5
    other = await arena.knock()
    for n in range(500):
        if not other.lost.done():
            other.ask("alice", "password", Boolean(False), String(f"guess{n}"))
    await other.gone()
    assert other.conn.said.qsize() <= 5


async def a09_kbdint(arena: Arena, knocker: Knocker) -> None:
    knocker.ask("alice", "keyboard-interactive", String(""), String(""))
    await refused(arena, knocker)


async def a10_answers_before_prompts(arena: Arena, knocker: Knocker) -> None:
    knocker.send(61, UInt32(1000) + String("x") * 1000)
    await knocker.gone()


async def a11_probe_only(arena: Arena, knocker: Knocker) -> None:
    knocker.offer("alice", arena.key("alice"))
    assert (await knocker.answer())[0] == OFFER_OK
    knocker.send(90, String("session") + UInt32(0) + UInt32(2**21) + UInt32(32768))
    await knocker.gone()


async def a13_another_session(arena: Arena, knocker: Knocker) -> None:
    for session in (b"", b"\0" * 32, knocker.conn._session_id[::-1]):
        knocker.sign("alice", arena.key("alice"), session=session)
        await refused(arena, knocker)


async def a14_sha1(arena: Arena, knocker: Knocker) -> None:
    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    knocker.sign("alice", key, algorithm=b"ssh-rsa")
    await refused(arena, knocker)
    knocker.sign("alice", key, algorithm=b"ssh-rsa", name=b"rsa-sha2-256")  # says SHA-2, is SHA-1
    await refused(arena, knocker)


async def a16_certificate_of_nobody(arena: Arena, knocker: Knocker) -> None:
    ca, key = asyncssh.generate_private_key("ssh-ed25519"), arena.key("bob")
    for principals in (["alice"], ["alice,root"], []):
        cert = ca.generate_user_certificate(key, "x", principals=principals, valid_after=0, valid_before=2**63)
        knocker.ask("alice", "publickey", Boolean(False), String(cert.algorithm), String(cert.public_data))
        await refused(arena, knocker)


async def a18_again_after_success(arena: Arena, knocker: Knocker) -> None:
    knocker.sign("alice", arena.key("alice"))
    assert (await knocker.answer())[0] == SUCCESS
    knocker.sign("root1", arena.key("alice"))
    knocker.ask("root1", "none")
    with pytest.raises(TimeoutError):  # RFC 4252 5.3: further requests are silently ignored
        async with asyncio.timeout(0.3):
            await knocker.answer()


async def a19_success_from_client(arena: Arena, knocker: Knocker) -> None:
    knocker.send(SUCCESS)
    await knocker.gone()


async def a20_before_login(arena: Arena, knocker: Knocker) -> None:
    for kind, payload in (
        (90, String("session") + UInt32(0) + UInt32(2**21) + UInt32(32768)), (80, String("keepalive@openssh.com") + Boolean(True)),
        (94, UInt32(0) + String("x")), (98, UInt32(0) + String("shell") + Boolean(True)), (192, String("ping")),
    ):  # fmt: skip
        other = await arena.knock()
        other.send(kind, payload)
        await other.gone()


async def a24_broken_packets(arena: Arena, knocker: Knocker) -> None:
    for payload in (b"", b"\xff" * 4, String("alice"), String("alice") + UInt32(2**32 - 1), String("alice") + String("ssh-connection") + String("publickey")):
        other = await arena.knock()
        other.send(50, payload)
        kind, _ = await other.answer()
        assert kind in (0, FAILURE)
        other.close()


async def a25_other_service(arena: Arena, knocker: Knocker) -> None:
    knocker.ask("alice", "none", service="ssh-userauth")
    assert (await knocker.answer())[0] in (0, FAILURE)


ATTACKS: list[Attack] = [made for name, made in sorted(globals().items()) if name[:1] == "a" and name[1:3].isdigit()]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda made: made.__name__)
async def test_at_the_login_nothing_but_a_proven_key_gets_in_and_others_are_served(attack: Attack, arena: Arena) -> None:
    async with arena.unshaken(f"auth {attack.__name__}"):
        knocker = await arena.knock()
        await attack(arena, knocker)
        knocker.close()


@pytest.mark.parametrize("bits", [512, 1024, 16384])
async def test_an_rsa_key_too_small_or_absurdly_large_is_refused(bits: int, arena: Arena) -> None:
    blob = String(b"ssh-rsa") + String(b"\x01\x00\x01") + String(b"\x00" + b"\xff" * (bits // 8 - 1) + b"\xfd")
    async with arena.unshaken(f"auth rsa-{bits}"):
        knocker = await arena.knock()
        knocker.ask("alice", "publickey", Boolean(True), String("rsa-sha2-256"), String(blob), String(String("rsa-sha2-256") + String(b"\1" * (bits // 8))))
        assert (await knocker.answer())[0] in (0, FAILURE)
        knocker.close()


async def test_an_offered_key_is_not_an_identity(arena: Arena) -> None:
    """Probe the admin's key without signing, then log in with one's own: one is oneself, and no more."""
    async with arena.unshaken("auth victim's key"):
        for victim_first in (True, False):
            knocker = await arena.knock()
            if victim_first:
                knocker.offer("root1", arena.key("root1"))
                assert (await knocker.answer())[0] == OFFER_OK
            knocker.offer("alice", arena.key("root1"))  # not alice's key
            assert (await knocker.answer())[0] == FAILURE
            knocker.sign("root1", arena.key("alice"))  # not root1's key
            assert (await knocker.answer())[0] == FAILURE
            knocker.sign("alice", arena.key("alice"))
            assert (await knocker.answer())[0] == SUCCESS
            assert await run(knocker, "whoami --json") == "alice"
            knocker.close()


async def test_a_signature_made_for_one_user_is_none_for_another(arena: Arena) -> None:
    async with arena.unshaken("auth user switch"):
        knocker = await arena.knock()
        knocker.sign("alice%web01", arena.key("alice"), session=b"x")
        assert (await knocker.answer())[0] == FAILURE
        for user in ("root1", "alice ", "Alice", "bob"):
            knocker.sign(user, arena.key("alice"))
            assert (await knocker.answer())[0] == FAILURE
        knocker.sign("alice", arena.key("alice"))
        assert (await knocker.answer())[0] == SUCCESS
        assert await run(knocker, "whoami --json") == "alice"
        knocker.close()


async def run(knocker: Knocker, command: str) -> str:
    """Run whoami on a connection that logged in by hand; return the name it tells."""
    import json

    conn = knocker.conn
    conn._auth = None
    conn._auth_in_progress = False
    conn._auth_complete = True
    done = await conn.run(command)
    return str(json.loads(done.stdout)["name"])


async def test_an_unknown_user_is_refused_with_the_same_methods_text_and_time(arena: Arena) -> None:
    """Alternating, as a scanner would; the median of 60 differs by less than 10 % or 5 ms. A difference that is real is there each time."""
    async with arena.unshaken("auth enumeration"):
        for _ in range(4):
            medians = await times_of_a_refusal(arena)
            least, most = min(medians.values()), max(medians.values())
            if most - least < 0.005 or most < least * 1.1:
                return
    raise AssertionError(medians)


async def times_of_a_refusal(arena: Arena) -> dict[str, float]:
    """Return the median seconds that a refusal took, by user name; all are told the same."""
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    names = ["alice", "nobody-here", "alice%web01", "../../etc"]
    spent: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(20):
        for name in names:
            knocker = await arena.knock()
            for _ in range(3):
                start = time.perf_counter()
                knocker.sign(name, stranger)
                assert await knocker.answer() == (FAILURE, METHODS)
                spent[name].append(time.perf_counter() - start)
            knocker.close()
    return {name: statistics.median(each) for name, each in spent.items()}


async def test_a_login_that_is_never_finished_does_not_hold_a_place_for_ever(arena: Arena) -> None:
    """Ten silent connections of one source fill its share; another source and, once they leave, the same one get in."""
    async with arena.unshaken("auth silent connections"):
        silent = [await asyncio.open_connection("127.0.0.1", arena.port, local_addr=("127.0.2.7", 0)) for _ in range(14)]
        said = await asyncio.gather(*(reader.readline() for reader, _ in silent))
        assert sum(line == b"Not allowed at this time\r\n" for line in said) == 4
        for _, writer in silent:
            writer.close()


async def test_garbage_before_the_key_exchange_is_dropped(arena: Arena) -> None:
    version = b"SSH-2.0-x\r\n"
    streams = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00" + bytes(512), b"SSH-1.5-old\r\n", b"SSH-2.0-\xff\xfe\x1b]0;pwn\x07\r\n" + bytes(64),
        version + b"\xff\xff\xff\xff" + bytes(600), version + b"\0\0\0\0" * 8, version + b"\0\0\0\x0c\x0a\x14" + bytes(10),
        version + b"\0\0\0\x0c\xff\x14" + bytes(10), b"x" * 9000, b"\r\n" * 4000, version * 50, b"SSH-2.0-" + b"v" * 300 + b"\r\n",
    ]  # fmt: skip
    async with arena.unshaken("auth garbage"):
        for stream in streams:
            reader, writer = await asyncio.open_connection("127.0.0.1", arena.port)
            writer.write(stream)
            writer.write_eof()
            async with asyncio.timeout(10):
                try:
                    while await reader.read(65536):
                        pass
                except ConnectionError:
                    pass
            writer.close()
