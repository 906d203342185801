"""Seals: whatever is changed in a cast or its seals is found, and the first bad line named."""

from __future__ import annotations

import hashlib
import hmac
import os
import random

import pytest

from bastion.core.recording.seal import Sealer, Verdict, verified_lines, verify

FUZZ = int(os.environ.get("BASTION_FUZZ", "1"))
CAST = [b'[0.%06d,"o","line %d"]\n' % (n * 7, n) for n in range(60)]


class Key:
    """Stands in for Ed25519, which the core does not know."""

    def __init__(self, key_id: str = "k1", secret: bytes = b"key") -> None:
        self.key_id = key_id
        self._secret = secret

    def sign(self, data: bytes) -> bytes:
        return hmac.digest(self._secret, data, "sha512")

    def verify(self, data: bytes, signature: bytes, key_id: str) -> bool:
        return key_id == self.key_id and hmac.compare_digest(self.sign(data), signature)


KEY = Key()


def sealed(every: int = 10) -> list[bytes]:
    sealer = Sealer("S1", KEY)
    lines = []
    for n, line in enumerate(CAST, 1):
        sealer.take(line[:5])
        sealer.take(line[5:])
        if n % every == 0 and n < len(CAST):
            lines.append(sealer.seal())
    return [*lines, sealer.seal(end=True)]


SEALS = sealed()


def verdict(cast: bytes, seals: list[bytes] = SEALS, chunk: int = 37, **known: str) -> Verdict:
    return verify((cast[at : at + chunk] for at in range(0, len(cast), chunk)), seals, KEY, **known)


def test_an_untouched_recording_is_sound() -> None:
    for chunk in (1, 37, 10**6):
        found = verdict(b"".join(CAST), chunk=chunk)
        assert found.sound
        assert (found.lines, found.bytes, found.seals, found.ended) == (60, sum(map(len, CAST)), 6, True)
        assert found.digest == hashlib.sha256(SEALS[-1][8 : SEALS[-1].rindex(b',"sig"')]).hexdigest()


def test_every_flipped_bit_of_the_cast_is_found_in_its_line() -> None:
    whole = b"".join(CAST)
    chance = random.Random(1)
    for _ in range(300 * FUZZ):
        at = chance.randrange(len(whole))
        bad = bytearray(whole)
        bad[at] ^= 1 << chance.randrange(8)
        found = verdict(bytes(bad))
        assert found.line == whole[:at].count(b"\n") + 1
        assert found.finding == f"line {found.line} (at byte {found.offset}) is not what was recorded"


def test_every_flipped_bit_of_the_seals_is_found_in_its_seal() -> None:
    whole = b"".join(SEALS)
    chance = random.Random(2)
    for _ in range(300 * FUZZ):
        at = chance.randrange(len(whole))
        bad = bytearray(whole)
        bad[at] ^= 1 << chance.randrange(8)
        found = verdict(b"".join(CAST), list(verified_lines([bytes(bad)])))
        if bytes(bad).rstrip(b"\n") != whole.rstrip(b"\n"):
            assert found.finding.startswith(f"seal {whole[:at].count(b'%c' % 10) + 1} ")


@pytest.mark.parametrize(
    ("name", "change", "line"),
    [
        ("removed", lambda c: c[:24] + c[25:], 25),
        ("inserted", lambda c: [*c[:24], b'[1,"o","forged"]\n', *c[24:]], 25),
        ("swapped", lambda c: [*c[:24], c[25], c[24], *c[26:]], 25),
        ("doubled", lambda c: [*c[:25], *c[24:]], 26),
        ("added at the end", lambda c: [*c, c[-1]], 61),
        ("cut at a line", lambda c: c[:24], 25),
        ("cut in a line", lambda c: [*c[:24], c[24][:7]], 25),
        ("joined lines", lambda c: [*c[:24], c[24].replace(b"\n", b" "), *c[25:]], 25),
        ("emptied", lambda _: [], 1),
    ],
)
def test_structural_changes_of_the_cast_are_named_by_the_first_bad_line(name: str, change: object, line: int) -> None:
    found = verdict(b"".join(change(CAST)))  # type: ignore[operator]
    assert (found.sound, found.line) == (False, line), (name, found)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s[:2] + s[3:], "seal 3 does not follow"),
        (lambda s: [s[0], s[2], s[1], *s[3:]], "seal 2 does not follow"),
        (lambda s: [s[0], *s], "seal 2 does not follow"),
        (lambda s: [*s, s[-1]], "seal 7 follows the end seal"),
        (lambda s: s[:-1], "the lines from 51 on are not sealed"),
        (lambda _: [], "the lines from 1 on are not sealed: there are no seals"),
        (lambda s: [b"junk\n", *s], "seal 1 cannot be read"),
        (lambda _: [b'{"seal":{},"sig":""}\n'], "seal 1 cannot be read"),
        (lambda _: sealed(7), "sound"),
    ],
)
def test_structural_changes_of_the_seals_are_found(change: object, words: str) -> None:
    found = verdict(b"".join(CAST), change(SEALS))  # type: ignore[operator]
    assert (found.finding or "sound").startswith(words)


@pytest.mark.parametrize("key", [Key(secret=b"other"), Key(key_id="k2")])
def test_a_seal_by_another_key_is_found(key: Key) -> None:
    sealer = Sealer("S1", key)
    sealer.take(b"".join(CAST))
    assert verdict(b"".join(CAST), [sealer.seal(end=True)]).finding == "seal 1 has no valid signature by a known key"


def test_a_recording_under_another_sessions_name_is_found() -> None:
    assert verdict(b"".join(CAST), session="S1").sound
    assert verdict(b"".join(CAST), session="S2").finding == "seal 1 belongs to another session"


def test_cutting_cast_and_seals_alike_shows_by_the_missing_end_and_by_the_audit_log() -> None:
    last = verdict(b"".join(CAST)).digest
    found = verdict(b"".join(CAST[:20]), SEALS[:2])
    assert found.sound
    assert not found.ended
    found = verdict(b"".join(CAST[:20]), SEALS[:2], digest=last)
    assert found.finding.startswith("the tail is missing")


def test_sealing_goes_on_where_a_dead_process_stopped() -> None:
    sealer = Sealer("S1", KEY)
    assert sealer.resume([*SEALS[:3], SEALS[3][:50]]) == sum(map(len, SEALS[:3]))
    assert sealer.taken == sum(map(len, CAST[:30]))
    sealer.take(b"".join(CAST[30:]))
    found = verdict(b"".join(CAST), [*SEALS[:3], sealer.seal(end=True)])
    assert found.sound
    assert found.ended


def test_a_seal_file_with_an_endless_line_is_not_held_whole() -> None:
    lines = list(verified_lines(b"x" * 2**20 for _ in range(100)))
    assert len(lines) == 1
    assert verdict(b"".join(CAST), lines).finding == "seal 1 cannot be read"
