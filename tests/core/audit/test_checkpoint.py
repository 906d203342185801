"""Signed heads: what they bind and what they find. The keys here are toys: a hash with a secret."""

import hashlib

import pytest

from bastion.core.audit.chain import Head
from bastion.core.audit.checkpoint import EVERY_ENTRIES, Checkpoint, compare, read, sign, verify


class ToySigner:
    """Signs with a keyed hash."""

    def __init__(self, secret: bytes = b"k") -> None:
        self.secret = secret
        self.key_id = hashlib.sha256(secret).hexdigest()[:8]

    def sign(self, data):
        return hashlib.sha256(self.secret + data).digest()

    def verify(self, data, signature, key_id):
        return key_id == self.key_id and signature == self.sign(data)


SIGNER = ToySigner()


def hash_of(seq: int) -> bytes:
    return hashlib.sha256(b"%d" % seq).digest()


def points(*seqs: int) -> list[Checkpoint]:
    made, before = [], 0
    for seq in seqs:
        made.append(sign(SIGNER, "main", Head(seq, hash_of(seq)), before, 1000.5 + seq))
        before = seq
    return made


def test_a_checkpoint_comes_back_from_its_line():
    point = points(7)[0]
    assert read(point.line) == point


def test_sound_checkpoints_are_sound():
    lines = [point.line for point in points(3, 8, 20)]
    good, fault = verify(lines, "main", SIGNER)
    assert fault is None
    assert [point.seq for point in good] == [3, 8, 20]


def test_every_flipped_bit_of_a_checkpoint_is_found():
    lines = [point.line for point in points(3, 8)]
    for bit in range(len(lines[1]) * 8):
        damaged = bytearray(lines[1])
        damaged[bit // 8] ^= 1 << bit % 8
        good, fault = verify([lines[0], bytes(damaged)], "main", SIGNER)
        assert fault is not None, bit
        assert len(good) == 1


@pytest.mark.parametrize("order", [[1, 2], [0, 2], [0, 0, 1, 2], [0, 2, 1], [1, 0, 2]])
def test_a_checkpoint_taken_out_doubled_or_moved_is_found(order):
    lines = [point.line for point in points(3, 8, 20)]
    _good, fault = verify([lines[n] for n in order], "main", SIGNER)
    assert fault is not None
    assert "missing, doubled or moved" in fault.reason


def test_another_keys_signature_is_not_valid():
    point = sign(ToySigner(b"mallory"), "main", Head(3, hash_of(3)), 0, 1.0)
    assert "is not valid" in verify([point.line], "main", SIGNER)[1].reason


def test_another_nodes_checkpoint_is_refused():
    assert "node 'main'" in verify([points(3)[0].line], "other", SIGNER)[1].reason


def test_a_replaced_log_differs_from_what_was_signed():
    fault = compare(points(3, 8), {3: hash_of(3), 8: b"other"}, Head(9, b""))
    assert fault.seq == 4
    assert "replaced after entry 3" in fault.reason


def test_a_cut_tail_is_shorter_than_what_was_signed():
    fault = compare(points(3, 8), {3: hash_of(3)}, Head(5, b""))
    assert fault.seq == 6
    assert "tail was cut" in fault.reason


def test_a_long_log_without_checkpoints_is_suspect():
    assert compare(points(3), {3: hash_of(3)}, Head(3 + 2 * EVERY_ENTRIES, b"")) is None
    assert "no checkpoint signs" in compare(points(3), {3: hash_of(3)}, Head(4 + 2 * EVERY_ENTRIES, b"")).reason
