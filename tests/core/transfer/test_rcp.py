"""The old scp: which commands are one, and its conversation beside the relay."""

from __future__ import annotations

import hashlib
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.core.transfer.deeds import Broken, Deed, Done, Effect, Place, Ruling, ToClient, ToEndpoint
from bastion.core.transfer.rcp import Rcp, read_command

ALLOW = Ruling(allowed=True)
NO = Ruling(allowed=False, reason="No rule allows it.")

NOT_SCP = [
    b"scp -t x; bash", b"scp -t x && sh", b"scp -t x || sh", b"scp -t x | sh", b"scp -t x & sh", b"scp -t $(id)", b"scp -t `id`", b'scp -t "$(id)"',
    b'scp -t "`id`"', b"scp -t x\nsh", b"scp -t x\rsh", b"scp -t 'x\nsh'", b"scp -t $HOME", b'scp -t "$HOME"', b"scp -t x > /etc/passwd",
    b"scp -t x < y", b"scp -t x 2>&1", b"scp -t <(id)", b"scp -t {a,b}", b"scp -t [ab]", b"scp -t x #y", b"scp -t x\\\ny", b"scp -S /bin/sh -t x",
    b"scp -o ProxyCommand=sh -t x", b"scp -oProxyCommand=sh -t x", b"scp -t -oProxyCommand=sh x", b"scp -F /tmp/x -t x", b"scp -t x y", b"scp -t",
    b"scp", b"scp x y", b"scp -t -f x", b"scp -tf x", b"scp -3 -t x", b"scpx -t x", b"./scp -t x", b"/usr/bin/scp -t x", b"env scp -t x", b"A=1 scp -t x",
    b"exec scp -t x", b"sudo scp -t x", b"'scp' -t x", b"s\\cp -t x", b"scp\t-t\tx", b"scp -t 'x", b'scp -t "x', b"scp -t x\\", b"scp -t ''",
    b'scp -t ~"/x"', b"scp -t '~'/x", b"scp -t !!", b"scp -t x\0y", b"scp -t (x)", b"bash -c 'scp -t x'", b" ", b"", b"scp -t x;", b"scp -t x\n",
    b"scp -t " + b"x" * 9000, b"scp --t x", b"scp -\xfft x", b"scp -t a^b",
]  # fmt: skip


@pytest.mark.parametrize("raw", NOT_SCP, ids=lambda raw: repr(raw)[:40])
def test_whatever_is_more_than_an_scp_is_an_ordinary_command(raw: bytes) -> None:
    assert read_command(raw) is None


@pytest.mark.parametrize(
    ("raw", "safe", "path"),
    [
        (b"scp -t x", b"scp -t x", "x"),
        (b"scp -v -r -p -d -f /a/b", b"scp -v -r -p -d -f /a/b", "/a/b"),
        (b"scp -rt a\\ b", b"scp -r -t a' 'b", "a b"),
        (b"scp -f *.log", b"scp -f *.log", "*.log"),
        (b"scp -f '*.log'", b"scp -f '*'.log", "*.log"),
        (b"scp -t -- -x", b"scp -t -- -x", "-x"),
        (b"scp -t ~/in", b"scp -t ~/in", "~/in"),
        (b"scp -t \"a'b;c\"", b"scp -t a\\'b';'c", "a'b;c"),
        ("scp -t ü漢".encode(), "scp -t 'ü漢'".encode(), "ü漢"),
        (b"scp -t file~", b"scp -t file'~'", "file~"),
        (b"scp  -t   x  ", b"scp -t x", "x"),
        (b"scp -t '$(id)'", b"scp -t '$('id')'", "$(id)"),
    ],
)
def test_an_scp_is_spelled_anew(raw: bytes, safe: bytes, path: str) -> None:
    found = read_command(raw)
    assert found is not None
    assert (found.safe, found.path) == (safe, path)


@given(st.binary(min_size=1, max_size=40).filter(lambda raw: not set(raw) & {0, 10, 13} and raw[:1] not in b"~"))
def test_a_quoted_path_is_the_same_one_word_for_a_real_shell(raw: bytes) -> None:
    found = read_command(b"scp -t -- " + shlex.quote(raw.decode("latin-1")).encode("latin-1"))
    if found is None:
        assert raw.startswith(b"'~") or b"~" in raw or not raw
        return
    words = found.safe.split(b" ", 2)[2]
    done = subprocess.run(["sh", "-c", b"printf '%s\\0' " + words], capture_output=True, check=True, cwd="/")
    assert done.stdout.removeprefix(b"--\0") == raw + b"\0"


class Talk:
    """A conversation; `c` and `e` are what each side says."""

    def __init__(self, command: bytes, ask: object = None) -> None:
        found = read_command(command)
        assert found is not None
        self.asked: list[tuple[str, Place]] = []

        def asking(direction: str, place: Place) -> Ruling:
            self.asked.append((direction, place))
            return ask(direction, place) if callable(ask) else ALLOW

        reading = found.reading(asking, hashlib.sha256)
        assert isinstance(reading, Rcp)
        self.rcp = reading
        self.effects: list[Effect] = []
        self.said_to_client = b""
        self.said_to_endpoint = b""

    def c(self, data: bytes) -> Talk:
        return self._note(self.rcp.from_client(data, 1.0))

    def e(self, data: bytes) -> Talk:
        return self._note(self.rcp.from_endpoint(data, 2.0))

    def _note(self, effects: list[Effect]) -> Talk:
        self.effects += effects
        self.said_to_client += b"".join(one.data for one in effects if isinstance(one, ToClient))
        self.said_to_endpoint += b"".join(one.data for one in effects if isinstance(one, ToEndpoint))
        return self

    @property
    def deeds(self) -> list[Deed]:
        return [one.deed for one in self.effects if isinstance(one, Done)]

    @property
    def broken(self) -> list[str]:
        return [one.reason for one in self.effects if isinstance(one, Broken)]


@given(st.binary(max_size=200), st.integers(1, 50))
def test_an_upload_passes_unchanged_whatever_the_chunks(data: bytes, step: int) -> None:
    talk = Talk(b"scp -t /in/f").e(b"\0").c(b"T1 0 2 0\n").e(b"\0").c(b"C0644 %d f\n" % len(data)).e(b"\0")
    for at in range(0, len(data), step):
        talk.c(data[at : at + step])
    talk.c(b"\0").e(b"\0")
    assert talk.broken == []
    assert talk.said_to_endpoint == b"T1 0 2 0\nC0644 %d f\n" % len(data) + data + b"\0"
    assert talk.said_to_client == b"\0" * 4
    (deed,) = talk.deeds
    assert (deed.what, deed.path, deed.result, deed.size) == ("uploaded", "/in/f", "ok", len(data))
    assert deed.digest is not None
    assert deed.digest.hexdigest() == hashlib.sha256(data).hexdigest()


def test_a_tree_is_walked_with_the_paths_of_its_files() -> None:
    talk = Talk(b"scp -r -f /out").c(b"\0").e(b"D0755 0 out\n").c(b"\0").e(b"C0644 1 a\n").c(b"\0").e(b"x\0").c(b"\0").e(b"D0755 0 d\n").c(b"\0")
    talk.e(b"C0600 0 b\n").c(b"\0").e(b"\0").c(b"\0").e(b"E\n").c(b"\0").e(b"E\n").c(b"\0")
    assert talk.broken == []
    assert [(deed.path, deed.size) for deed in talk.deeds] == [("/out/a", 1), ("/out/d/b", 0)]


def test_a_denied_upload_is_answered_here_and_the_next_file_goes_on() -> None:
    talk = Talk(b"scp -d -t /in", lambda direction, place: NO if place.path.endswith("bad") else ALLOW)
    talk.e(b"\0").c(b"C0644 3 bad\n").c(b"C0644 1 good\n").e(b"\0").c(b"x\0").e(b"\0")
    assert talk.said_to_endpoint == b"C0644 1 good\nx\0"
    assert talk.said_to_client == b"\0\x01bastion: /in/bad: No rule allows it.\n\0\0"
    assert [(deed.path, deed.result) for deed in talk.deeds] == [("/in/bad", "denied"), ("/in/good", "ok")]


def test_a_denied_download_never_leaves_the_endpoint() -> None:
    talk = Talk(b"scp -f /etc/shadow", lambda direction, place: NO).c(b"\0").e(b"C0644 3 shadow\n")
    assert talk.said_to_endpoint == b"\0\x01bastion: /etc/shadow: No rule allows it.\n"
    assert talk.said_to_client == b"\x01bastion: /etc/shadow: No rule allows it.\n"
    assert talk.asked == [("download", Place("/etc/shadow", ("/etc/shadow",), complete=False))]


def test_a_file_larger_than_policy_allows_is_refused_by_its_announcement() -> None:
    talk = Talk(b"scp -t /in/", lambda direction, place: Ruling(allowed=True, most=10)).e(b"\0").c(b"C0644 11 f\n")
    assert talk.said_to_endpoint == b""
    assert b"at most 10 bytes" in talk.said_to_client


def test_a_target_that_may_be_a_folder_is_asked_about_both_ways() -> None:
    talk = Talk(b"scp -t in").e(b"\0").c(b"C0644 1 f\n")
    assert [place.spellings for _, place in talk.asked] == [("~/in",), ("~/in/f",)]
    assert [place.spellings for _, place in Talk(b"scp -t in/").e(b"\0").c(b"C0644 1 f\n").asked] == [("~/in/f",)]


def test_where_the_endpoint_expands_the_folder_the_file_is_unknown_to_policy() -> None:
    talk = Talk(b"scp -f /*/shadow").c(b"\0").e(b"C0644 1 shadow\n")
    assert [place.spellings for _, place in talk.asked] == [()]
    assert [place.spellings for _, place in Talk(b"scp -f /etc/*").c(b"\0").e(b"C0644 1 shadow\n").asked] == [("/etc/shadow",)]


def test_errors_of_either_side_pass_and_are_written_down() -> None:
    talk = Talk(b"scp -f /x").c(b"\0").e(b"\x01scp: /x: No such file\n")
    assert talk.said_to_client == b"\x01scp: /x: No such file\n"
    talk = Talk(b"scp -t /x").e(b"\0").c(b"C0644 1 f\n").e(b"\x01scp: /x: Permission denied\n").c(b"C0644 1 g\n")
    assert [(deed.result, deed.reason) for deed in talk.deeds] == [("failed", "scp: /x: Permission denied")]
    assert talk.broken == []


BREAKS = {
    "a shell's prompt": (b"scp -t x", lambda talk: talk.e(b"$ ")),
    "no line": (b"scp -t x", lambda talk: talk.e(b"\0").c(b"whoami\n")),
    "a size that is none": (b"scp -t x", lambda talk: talk.e(b"\0").c(b"C0644 -1 f\n")),
    "a path as a name": (b"scp -f x", lambda talk: talk.c(b"\0").e(b"C0644 1 ../../.bashrc\n")),
    "dots as a name": (b"scp -f x", lambda talk: talk.c(b"\0").e(b"C0644 1 ..\n")),
    "a folder unasked": (b"scp -f x", lambda talk: talk.c(b"\0").e(b"D0755 0 d\n")),
    "an end too many": (b"scp -r -f x", lambda talk: talk.c(b"\0").e(b"E\n")),
    "an endless line": (b"scp -t x", lambda talk: talk.e(b"\0").c(b"C" * 9000)),
    "more than its size": (b"scp -t x", lambda talk: talk.e(b"\0").c(b"C0644 1 f\n").e(b"\0").c(b"xy\n")),
    "an answer unasked": (b"scp -t x", lambda talk: talk.e(b"\0\0")),
    "a flood out of turn": (b"scp -t x", lambda talk: talk.c(b"C0644 1 f\n" * 8000)),
    "bytes behind the end": (b"scp -t x", lambda talk: talk.e(b"\0").c(b"C0644 1 f\n").e(b"\x02gone\n").c(b"more")),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_conversation_that_is_no_scp_ends(name: str) -> None:
    command, say = BREAKS[name]
    talk = Talk(command)
    say(talk)
    assert len(talk.broken) == 1
    before = talk.said_to_client, talk.said_to_endpoint
    talk.c(b"\0").e(b"\0")
    assert (talk.said_to_client, talk.said_to_endpoint) == before


def test_a_file_that_was_cut_is_written_down() -> None:
    talk = Talk(b"scp -t /x").e(b"\0").c(b"C0644 5 f\n").e(b"\0").c(b"ab")
    (done,) = talk.rcp.ended(5.0)
    assert isinstance(done, Done)
    assert (done.deed.result, done.deed.size) == ("failed", 2)


@given(st.binary(max_size=300), st.binary(max_size=300), st.sampled_from([b"scp -t x", b"scp -r -f x"]), st.integers(1, 40))
def test_noise_never_raises(one: bytes, other: bytes, command: bytes, step: int) -> None:
    talk = Talk(command)
    for at in range(0, 300, step):
        talk.c(one[at : at + step]).e(other[at : at + step])
    talk.rcp.ended(1)


def test_what_was_sent_ahead_of_its_turn_is_held_until_the_sink_answers() -> None:
    talk = Talk(b"scp -t /x").c(b"C0644 1 f\nx\0")
    assert talk.rcp.holds
    assert talk.said_to_endpoint == b""
    talk.e(b"\0")
    assert (talk.rcp.holds, talk.said_to_endpoint) == (True, b"C0644 1 f\n")
    talk.e(b"\0")
    assert (talk.rcp.holds, talk.said_to_endpoint) == (False, b"C0644 1 f\nx\0")
