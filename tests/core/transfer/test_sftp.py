"""SFTP beside the relay: deeds, refusals before the endpoint hears of them, and everything that ends the channel."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.core.transfer import packets as p
from bastion.core.transfer.deeds import Broken, Deed, Done, Effect, Place, Ruling, Tell, ToClient, ToEndpoint
from bastion.core.transfer.sftp import ENOUGH_WAITING, MOST_HANDLES, MOST_WAITING, Sftp

ALLOW = Ruling(allowed=True)
NO = Ruling(allowed=False, reason="No rule allows it.")


def u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def u64(value: int) -> bytes:
    return value.to_bytes(8, "big")


def request(kind: int, number: int, *fields: bytes) -> bytes:
    return p.packet(kind, u32(number), *fields)


def opening(number: int, path: str, flags: int) -> bytes:
    return request(p.OPEN, number, p.string(path.encode()), u32(flags), u32(0))


def ok(number: int, code: int = 0, text: str = "") -> bytes:
    return p.status(number, code, text)


class Lab:
    """A channel that is past its greeting, with a policy that is a function."""

    def __init__(self, ask: Any = lambda direction, place: ALLOW, *, home: bytes = b"/home/al") -> None:
        self.asked: list[tuple[str, Place]] = []

        def asking(direction: str, place: Place) -> Ruling:
            self.asked.append((direction, place))
            ruling: Ruling = ask(direction, place)
            return ruling

        self.sftp = Sftp(asking, hashlib.sha256)
        self.sftp.from_client(p.packet(p.INIT, u32(3)), 0)
        self.sftp.from_endpoint(p.packet(p.VERSION, u32(3)), 0)
        self.sftp.from_endpoint(p.packet(p.NAME, b"\xff\xff\xff\xff", u32(1), p.string(home), p.string(home), u32(0)), 0)

    def client(self, *data: bytes, at: float = 1.0) -> list[Effect]:
        return self.sftp.from_client(b"".join(data), at)

    def endpoint(self, *data: bytes, at: float = 2.0) -> list[Effect]:
        return self.sftp.from_endpoint(b"".join(data), at)

    def opened(self, path: str = "/f", flags: int = 1, handle: bytes = b"h", number: int = 1) -> None:
        self.client(opening(number, path, flags))
        self.endpoint(p.packet(p.HANDLE, u32(number), p.string(handle)))


def deeds(effects: list[Effect]) -> list[Deed]:
    return [effect.deed for effect in effects if isinstance(effect, Done)]


def to_endpoint(effects: list[Effect]) -> bytes:
    return b"".join(effect.data for effect in effects if isinstance(effect, ToEndpoint))


def to_client(effects: list[Effect]) -> bytes:
    return b"".join(effect.data for effect in effects if isinstance(effect, ToClient))


def broken(effects: list[Effect]) -> Broken:
    found = [effect for effect in effects if isinstance(effect, Broken)]
    assert len(found) == 1, effects
    return found[0]


# ---------------------------------------------------------------- greeting


def test_the_version_is_three_for_both_and_only_understood_extensions_are_offered() -> None:
    sftp = Sftp(lambda direction, place: ALLOW, hashlib.sha256)
    assert to_endpoint(sftp.from_client(p.packet(p.INIT, u32(6)), 0)) == p.packet(p.INIT, u32(3))
    offered = p.string(b"posix-rename@openssh.com") + p.string(b"1") + p.string(b"copy-data") + p.string(b"1")
    effects = sftp.from_endpoint(p.packet(p.VERSION, u32(3), offered), 0)
    assert to_client(effects) == b""
    assert to_endpoint(effects) == p.packet(p.REALPATH, b"\xff\xff\xff\xff", p.string(b"."))
    effects = sftp.from_endpoint(p.packet(p.NAME, b"\xff\xff\xff\xff", u32(1), p.string(b"/home/al"), p.string(b""), u32(0)), 0)
    assert to_client(effects) == p.packet(p.VERSION, u32(3), p.string(b"posix-rename@openssh.com"), p.string(b"1"))


def test_a_client_that_sends_before_the_version_came_waits_and_is_judged_then() -> None:
    lab = Lab.__new__(Lab)
    sftp = Sftp(lambda direction, place: NO, hashlib.sha256)
    lab.sftp = sftp
    assert to_endpoint(lab.client(p.packet(p.INIT, u32(3)), opening(1, "/f", 1))) == p.packet(p.INIT, u32(3))
    assert not sftp.wants_more
    lab.endpoint(p.packet(p.VERSION, u32(3)))
    effects = lab.endpoint(p.status(0xFFFFFFFF, p.FAILURE, "no"))
    assert p.status(1, p.PERMISSION_DENIED, NO.reason) in to_client(effects)
    assert to_endpoint(effects) == b""
    assert sftp.wants_more


# ---------------------------------------------------------------- deeds


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=12), st.integers(1, 40))
def test_whatever_the_chunks_the_bytes_pass_unchanged_and_the_digest_is_theirs(parts: list[bytes], step: int) -> None:
    lab = Lab()
    lab.opened("/f", 2 | 8 | 16)
    stream, offset = b"", 0
    for number, part in enumerate(parts, 10):
        stream += request(p.WRITE, number, p.string(b"h"), u64(offset), p.string(part))
        offset += len(part)
    passed = b"".join(to_endpoint(lab.client(stream[at : at + step])) for at in range(0, len(stream), step))
    assert passed == stream
    lab.endpoint(*(ok(number) for number in range(10, 10 + len(parts))))
    lab.client(request(p.CLOSE, 5, p.string(b"h")))
    (deed,) = deeds(lab.endpoint(ok(5), at=3.5))
    assert (deed.what, deed.path, deed.result, deed.size, deed.first) == ("uploaded", "/f", "ok", offset, 0)
    assert deed.digest is not None
    assert deed.digest.hexdigest() == hashlib.sha256(b"".join(parts)).hexdigest()
    assert deed.seconds == 2.5


def test_a_download_is_written_down_with_the_digest_of_what_came() -> None:
    lab = Lab()
    lab.opened()
    lab.client(request(p.READ, 2, p.string(b"h"), u64(0), u32(100)), request(p.READ, 3, p.string(b"h"), u64(4), u32(100)))
    lab.endpoint(p.packet(p.DATA, u32(2), p.string(b"data")), ok(3, p.EOF))
    lab.client(request(p.CLOSE, 4, p.string(b"h")))
    (deed,) = deeds(lab.endpoint(ok(4)))
    assert (deed.what, deed.result, deed.size) == ("downloaded", "ok", 4)
    assert deed.digest is not None
    assert deed.digest.hexdigest() == hashlib.sha256(b"data").hexdigest()


def test_parts_out_of_order_have_no_digest_and_that_is_said_so() -> None:
    lab = Lab()
    lab.opened("/f", 2)
    lab.client(*(request(p.WRITE, at, p.string(b"h"), u64(at), p.string(b"x")) for at in (3, 2, 4)))
    lab.endpoint(ok(3), ok(2), ok(4))
    lab.client(request(p.CLOSE, 5, p.string(b"h")))
    (deed,) = deeds(lab.endpoint(ok(5)))
    assert (deed.size, deed.digest) == (3, None)


def test_a_write_that_the_endpoint_refuses_makes_the_upload_failed_with_its_words() -> None:
    lab = Lab()
    lab.opened("/f", 2)
    lab.client(request(p.WRITE, 2, p.string(b"h"), u64(0), p.string(b"x")))
    lab.endpoint(ok(2, p.FAILURE, "No space left"))
    lab.client(request(p.CLOSE, 3, p.string(b"h")))
    (deed,) = deeds(lab.endpoint(ok(3)))
    assert (deed.result, deed.reason) == ("failed", "No space left")


def test_what_was_open_when_the_channel_ended_is_written_down_as_cut_off() -> None:
    lab = Lab()
    lab.opened("/f", 2)
    lab.client(request(p.WRITE, 2, p.string(b"h"), u64(0), p.string(b"xyz")))
    (deed,) = deeds(lab.sftp.ended(9.0))
    assert (deed.result, deed.size) == ("failed", 3)
    assert "cut off" in deed.reason


# ---------------------------------------------------------------- policy


def test_a_denied_open_is_answered_here_and_the_endpoint_never_hears_of_it() -> None:
    lab = Lab(lambda direction, place: NO if place.path == "/etc/shadow" else ALLOW)
    effects = lab.client(opening(1, "/a", 1), opening(2, "/etc/shadow", 1), opening(3, "/b", 1))
    assert to_endpoint(effects) == opening(1, "/a", 1) + opening(3, "/b", 1)
    assert to_client(effects) == p.status(2, p.PERMISSION_DENIED, NO.reason)
    assert [(deed.what, deed.path, deed.result, deed.reason) for deed in deeds(effects)] == [
        ("downloaded", "/etc/shadow", "denied", NO.reason)
    ]
    assert Tell(f"/etc/shadow: {NO.reason}") in effects


def test_relative_names_are_judged_in_every_spelling() -> None:
    lab = Lab()
    lab.client(opening(1, "x/../../bob/y", 1), opening(2, "in/z", 2))
    assert [place.spellings for _, place in lab.asked] == [("/home/bob/y",), ("/home/al/in/z", "~/in/z")]


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        (request(p.REMOVE, 1, p.string(b"/a")), [("upload", "/a")]),
        (request(p.RMDIR, 1, p.string(b"/a")), [("upload", "/a")]),
        (request(p.MKDIR, 1, p.string(b"/a"), u32(0)), [("upload", "/a")]),
        (request(p.SETSTAT, 1, p.string(b"/a"), u32(4), u32(0o600)), [("upload", "/a")]),
        (request(p.RENAME, 1, p.string(b"/a"), p.string(b"/b")), [("upload", "/a"), ("download", "/a"), ("upload", "/b")]),
        (request(p.SYMLINK, 1, p.string(b"../a"), p.string(b"/d/l")), [("upload", "/d/../a"), ("download", "/d/../a"), ("upload", "/d/l")]),
        (request(p.EXTENDED, 1, p.string(b"posix-rename@openssh.com"), p.string(b"/a"), p.string(b"/b")),
         [("upload", "/a"), ("download", "/a"), ("upload", "/b")]),
        (request(p.EXTENDED, 1, p.string(b"hardlink@openssh.com"), p.string(b"/a"), p.string(b"/b")),
         [("upload", "/a"), ("download", "/a"), ("upload", "/b")]),
        (request(p.EXTENDED, 1, p.string(b"lsetstat@openssh.com"), p.string(b"/a"), u32(0)), [("upload", "/a")]),
        (opening(1, "/a", 1 | 2), [("upload", "/a"), ("download", "/a")]),
        (opening(1, "/a", 8), [("upload", "/a")]),
        (opening(1, "/a", 0), [("download", "/a")]),
    ],
)  # fmt: skip
def test_each_request_that_touches_a_file_asks_for_every_path_it_names(sent: bytes, asked: list[tuple[str, str]]) -> None:
    lab = Lab()
    assert to_endpoint(lab.client(sent)) == sent
    assert [(direction, place.path) for direction, place in lab.asked] == asked
    for step in range(len(asked)):
        answers = iter([ALLOW] * step + [NO])
        denied = Lab(lambda direction, place, answers=answers: next(answers)).client(sent)
        assert to_endpoint(denied) == b""
        assert to_client(denied) == p.status(1, p.PERMISSION_DENIED, NO.reason)


def test_an_upload_is_cut_where_the_size_ends() -> None:
    lab = Lab(lambda direction, place: Ruling(allowed=True, most=10))
    lab.opened("/f", 2 | 8 | 16)
    first = request(p.WRITE, 2, p.string(b"h"), u64(0), p.string(b"x" * 10))
    effects = lab.client(first, request(p.WRITE, 3, p.string(b"h"), u64(10), p.string(b"y")))
    assert to_endpoint(effects) == first
    assert b"at most 10 bytes" in to_client(effects)
    assert to_endpoint(lab.client(request(p.WRITE, 4, p.string(b"h"), u64(0), p.string(b"z")))) == b""
    lab.endpoint(ok(2))
    lab.client(request(p.CLOSE, 5, p.string(b"h")))
    (deed,) = deeds(lab.endpoint(ok(5)))
    assert (deed.result, deed.size) == ("denied", 10)


def test_a_download_is_cut_where_the_size_ends() -> None:
    lab = Lab(lambda direction, place: Ruling(allowed=True, most=10))
    lab.opened()
    lab.client(request(p.READ, 2, p.string(b"h"), u64(0), u32(8)), request(p.READ, 3, p.string(b"h"), u64(8), u32(8)))
    effects = lab.endpoint(p.packet(p.DATA, u32(2), p.string(b"x" * 8)), p.packet(p.DATA, u32(3), p.string(b"SECRET")))
    assert b"SECRET" not in to_client(effects)
    assert p.status(3, p.PERMISSION_DENIED, "policy allows files of at most 10 bytes here") in to_client(effects)
    assert to_endpoint(lab.client(request(p.READ, 4, p.string(b"h"), u64(0), u32(1)))) == b""


def test_a_size_cannot_be_dodged_by_appending_or_truncating() -> None:
    lab = Lab(lambda direction, place: Ruling(allowed=True, most=10))
    assert to_endpoint(lab.client(opening(1, "/f", 2 | 4))) == b""
    assert to_endpoint(lab.client(request(p.SETSTAT, 2, p.string(b"/f"), u32(1), u64(11)))) == b""


# ---------------------------------------------------------------- broken


CLIENTS: dict[str, tuple[bytes, str]] = {
    "length of 4 GB": (b"\xff\xff\xff\xff\x03", "a packet of 4294967295 bytes"),
    "length zero": (b"\0\0\0\0", "a packet of 0 bytes"),
    "one byte too long": (u32(p.MAX_PACKET + 1), "a packet of 262145 bytes"),
    "no number": (p.packet(p.STAT, b"ab"), "without a number"),
    "string beyond the packet": (request(p.OPEN, 1, u32(0xFFFFFFFF)), "ends before its fields"),
    "path too long": (request(p.REMOVE, 1, p.string(b"a" * 5000)), "a path of 5000 bytes"),
    "NUL in a path": (request(p.REMOVE, 1, p.string(b"a\0b")), "NUL"),
    "more than its fields": (request(p.REMOVE, 1, p.string(b"a"), b"more"), "4 bytes too many"),
    "a number twice": (request(p.STAT, 7, p.string(b"/")) * 2, "number of one that waits"),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_breaks_the_protocol_ends_its_channel(name: str) -> None:
    data, reason = CLIENTS[name]
    lab = Lab()
    found = broken(lab.client(data))
    assert found.who == "client"
    assert reason in found.reason
    assert lab.client(opening(1, "/f", 1)) == []
    assert lab.endpoint(ok(1)) == []


def answer_to(sent: bytes, *answers: bytes) -> list[Effect]:
    lab = Lab()
    lab.client(sent)
    return lab.endpoint(*answers)


READ = [opening(1, "/f", 1)]
ENDPOINTS: dict[str, tuple[bytes, bytes, str]] = {
    "length of 4 GB": (b"", b"\xff\xff\xff\xff\x03", "a packet of 4294967295 bytes"),
    "unasked": (b"", ok(9), "nobody asked"),
    "wrong number": (opening(1, "/f", 1), ok(2), "nobody asked"),
    "answered twice": (opening(1, "/f", 1), ok(1, 2) * 2, "nobody asked"),
    "data for an open": (opening(1, "/f", 1), p.packet(p.DATA, u32(1), p.string(b"x")), "type 103 to a request of type 3"),
    "handle for a stat": (request(p.STAT, 1, p.string(b"/")), p.packet(p.HANDLE, u32(1), p.string(b"h")), "type 102"),
    "a request": (request(p.STAT, 1, p.string(b"/")), opening(1, "/f", 1), "type 3 to a request of type 17"),
    "empty handle": (opening(1, "/f", 1), p.packet(p.HANDLE, u32(1), p.string(b"")), "handle"),
    "huge handle": (opening(1, "/f", 1), p.packet(p.HANDLE, u32(1), p.string(b"h" * 257)), "handle"),
    "cut": (opening(1, "/f", 1), p.packet(p.STATUS, u32(1), b"\0"), "ends before its fields"),
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_that_breaks_the_protocol_ends_the_channel(name: str) -> None:
    sent, answer, reason = ENDPOINTS[name]
    found = broken(answer_to(sent, answer))
    assert found.who == "endpoint"
    assert reason in found.reason


def test_an_endpoint_cannot_send_more_data_than_were_asked_for() -> None:
    lab = Lab()
    lab.opened()
    lab.client(request(p.READ, 2, p.string(b"h"), u64(0), u32(4)))
    assert "more data" in broken(lab.endpoint(p.packet(p.DATA, u32(2), p.string(b"12345")))).reason


@pytest.mark.parametrize(
    "answer", [p.packet(p.VERSION, u32(4)), p.packet(p.VERSION, u32(2)), ok(1), p.packet(p.VERSION, u32(3), p.string(b"a"))]
)
def test_a_wrong_greeting_ends_the_channel(answer: bytes) -> None:
    sftp = Sftp(lambda direction, place: ALLOW, hashlib.sha256)
    sftp.from_client(p.packet(p.INIT, u32(3)), 0)
    assert broken(sftp.from_endpoint(answer, 0)).who == "endpoint"


def test_a_client_without_a_greeting_is_told() -> None:
    assert "greeting" in broken(Sftp(lambda direction, place: ALLOW, hashlib.sha256).from_client(opening(1, "/", 1), 0)).reason


def test_many_requests_hold_the_client_back_and_far_too_many_end_it() -> None:
    lab = Lab()
    for number in range(ENOUGH_WAITING):
        lab.client(request(p.STAT, number, p.string(b"/")))
    assert not lab.sftp.wants_more
    lab.endpoint(ok(0))
    assert lab.sftp.wants_more
    flood = b"".join(request(p.STAT, number, p.string(b"/")) for number in range(ENOUGH_WAITING, MOST_WAITING + 2))
    assert "at once" in broken(lab.client(flood)).reason


def test_so_many_handles_may_be_open_and_no_more() -> None:
    lab = Lab()
    for number in range(MOST_HANDLES):
        lab.opened(f"/{number}", 1, b"h%d" % number, number)
    effects = lab.client(opening(1, "/one-more", 1))
    assert to_endpoint(effects) == b""
    assert b"At most 4096 files" in to_client(effects)


def test_an_unknown_request_or_handle_is_answered_and_goes_no_further() -> None:
    lab = Lab()
    effects = lab.client(
        request(99, 1), request(p.READ, 2, p.string(b"?"), u64(0), u32(1)), request(p.EXTENDED, 3, p.string(b"copy-data")),
        request(p.WRITE, 4, p.string(b"?"), u64(0), p.string(b"x")), request(p.CLOSE, 5, p.string(b"?")),
        request(p.FSETSTAT, 6, p.string(b"?"), u32(0)), request(p.READDIR, 7, p.string(b"?")),
    )  # fmt: skip
    assert to_endpoint(effects) == b""
    assert to_client(effects).count(b"\0\0\0\x02en") == 7


@given(st.binary(max_size=400), st.binary(max_size=400), st.integers(1, 50))
def test_nothing_raises_and_nothing_passes_that_is_no_packet(noise: bytes, more: bytes, step: int) -> None:
    lab = Lab()
    for at in range(0, len(noise), step):
        lab.client(noise[at : at + step])
        lab.endpoint(more[at : at + step])
    lab.sftp.ended(9)
