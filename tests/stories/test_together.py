"""People in one session through the real door: ask, give, take back, invite, guests, and every refusal's one line."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.sshd import keygen
from tests.lab.tmux import Tmux
from tests.lab.waiting import until

SHELL = ("-tt",)
CHORD = "C-]"


def shell(bastion: Bastion, user: str = "alice", command: str = "connect web01", sign: str = "~") -> tuple[Tmux, str]:
    """Open a session in a terminal; return it with the session's id."""
    before = {row["id"] for row in bastion.live()}
    window = bastion.tmux(user, command, options=SHELL)
    window.wait(sign)
    (new,) = until(lambda: [row["id"] for row in bastion.live(owner=user, state="running") if row["id"] not in before], "it runs")
    return window, new


def chord(window: Tmux, key: str) -> None:
    window.type(CHORD)
    window.text(key)


def over(bastion: Bastion, session: str, *windows: Tmux | None) -> None:
    for window in windows:
        if window is not None:
            window.close()
    bastion.ssh("sup", f"kill {session} --reason over --yes")


def guest_argv(bastion: Bastion, code: str, key: Path, *command: str, tty: bool = True) -> list[str]:
    argv = bastion.ssh_argv("alice", options=("-tt",) if tty else ())
    argv[argv.index("-i") + 1] = str(key)
    return [*argv[:-1], f"{code}@127.0.0.1", *command]


def test_two_people_write_in_the_same_vim_and_the_recording_says_who_had_the_keyboard(bastion: Bastion, tmp_path: Path) -> None:
    file = tmp_path / "both.txt"
    owner, session = shell(bastion, command=f"connect web01 -- vim.tiny -u NONE -N {file}")
    other = None
    try:
        owner.text("ione by alice ")
        owner.wait("one by alice")
        assert bastion.ssh("alice", f"invite {session[:8]} bob --as controller --for 10m").returncode == 0
        owner.wait("alice invited bob as controller for 10m")
        other = bastion.tmux("bob", f"join {session[:8]} --as controller", options=SHELL)
        other.wait("one by alice")
        other.wait("alice types")
        other.text("nothing of this arrives")
        chord(other, "r")
        owner.wait("bob asks for the keyboard")
        chord(owner, "g")
        other.wait("You have the keyboard")
        owner.text("nor of this")
        other.text("two by bob ")
        owner.wait("one by alice two by bob")
        chord(owner, "t")
        owner.wait("You have the keyboard")
        other.wait("alice types")
        other.text("and not this either")
        owner.text("three by alice")
        owner.wait("two by bob three by alice")
        owner.type("Escape")
        owner.text(":wq")
        owner.type("Enter")
        assert owner.wait_exit() == 0
        assert other.wait_exit() == 0
        assert file.read_text() == "one by alice two by bob three by alice\n"
    finally:
        over(bastion, session, owner, other)
    transcript = until(lambda: bastion.ssh("aud", f"transcript {session}").stdout.decode(), "it is on file")
    marks = re.findall(r"-- (.*)", transcript)
    told = [mark for mark in marks if mark.startswith(("alice invited", "bob joined", "control:"))]
    assert told == [
        "alice invited bob as controller for 10m.",
        "bob joined as controller",
        "control: alice -> bob",
        "control: bob -> alice",
    ]
    v2 = bastion.ssh("aud", f"cast {session} --v2").stdout
    cast = tmp_path / "v2.cast"
    cast.write_bytes(v2)
    assert b'"m","control: alice -> bob"' in v2
    player = shutil.which("asciinema")
    assert player is not None
    played = Tmux(tmp_path, [player, "cat", str(cast)])
    try:
        assert played.wait_exit(30) == 0
    finally:
        played.close()


class Typist:
    """A stock ssh whose keys are bytes of ours: it sends exactly what it is told, when it is told."""

    def __init__(self, argv: list[str], folder: Path) -> None:
        self.seen = folder / "seen"
        folder.mkdir()
        with self.seen.open("wb") as out:
            self.ssh = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "TERM": "xterm-256color"})
        self.at = 0

    def send(self, data: bytes) -> None:
        assert self.ssh.stdin is not None
        self.ssh.stdin.write(data)
        self.ssh.stdin.flush()

    def wait(self, text: bytes) -> None:
        """Wait for words since the last ones."""
        until(lambda: text in self.seen.read_bytes()[self.at :], f"{text!r} comes")
        self.at = self.seen.read_bytes().index(text, self.at) + len(text)

    def close(self) -> None:
        self.ssh.kill()
        self.ssh.wait()
        if self.ssh.stdin is not None:
            self.ssh.stdin.close()


def test_two_typists_hand_over_at_random_and_every_byte_is_the_holders(own_bastion: Bastion, tmp_path: Path) -> None:
    policy = own_bastion.home / "policies" / "default.yaml"
    rule = "    actions: [connect, exec]\n"
    assert rule in policy.read_text()
    policy.write_text(policy.read_text().replace(rule, f"{rule}    terms:\n      input: true\n", 1))
    assert own_bastion.ssh("root1", "policy reload").returncode == 0
    file = tmp_path / "typed"
    people = {"alice": Typist(own_bastion.ssh_argv("alice", f"connect web01 -- sh -c 'echo ready; cat > {file}'", options=SHELL), tmp_path / "typist-a")}
    people["alice"].wait(b"ready")
    (session,) = [row["id"] for row in own_bastion.live()]
    try:
        assert own_bastion.ssh("alice", f"invite {session} bob --as controller").returncode == 0
        people["bob"] = Typist(own_bastion.ssh_argv("bob", f"join {session} --as controller", options=SHELL), tmp_path / "typist-b")
        people["bob"].wait(b"alice types")
        dice = random.Random(11)
        holder, other, expected = "alice", "bob", []
        for number in range(14):
            for _ in range(dice.randrange(1, 4)):
                line = f"{holder}-{number}-{len(expected)}"
                people[holder].send(line.encode() + b"\r")
                expected.append((holder, line))
            people[other].send(b"not-the-holder-%d\r" % number)
            people[holder].wait(expected[-1][1].encode())
            if holder == "bob" and dice.random() < 0.4:
                people["alice"].send(b"\x1dt")
            else:
                people[other].send(b"\x1dr")
                people[holder].wait(b"asks for the keyboard")
                people[holder].send(b"\x1dgtyped-behind-%d\r" % number)
            until(lambda wanted=other: wanted in [one["name"] for one in own_bastion.live()[0]["participants"] if one["controls"]], f"{other} types")
            holder, other = other, holder
        people[holder].send(b"\x04")
        until(lambda: people["alice"].ssh.poll() is not None, "it is over")
    finally:
        for typist in people.values():
            typist.close()
    assert file.read_text().splitlines() == [line for _, line in expected]
    transcript = until(lambda: own_bastion.ssh("aud", f"transcript {session}").stdout, "it is on file").decode()
    typed = "".join(f"{by}|{text}\n" for by, text in re.findall(r"^\S+  (alice|bob)> (.*)$", transcript, re.MULTILINE))
    whole = {who: "".join(text for by, text in re.findall(r"(\w+)\|(.*)", typed) if by == who).replace("\\r", "|") for who in people}
    for who, said in whole.items():
        assert said.rstrip("|").removesuffix("\\x04").strip("|").split("|") == [line for by, line in expected if by == who], transcript
    assert len(re.findall(r"-- control: ", transcript)) == 14


def test_an_invitation_by_the_chord_stands_in_the_menu_at_once_and_its_end_puts_the_person_out(bastion: Bastion) -> None:
    menu = bastion.tmux("bob", options=SHELL)
    owner = None
    session = ""
    try:
        menu.wait("web01")
        owner, session = shell(bastion)
        assert session[:12] not in menu.screen()
        chord(owner, "i")
        owner.wait("Invite (NAME")
        owner.text("bob viewer 6s")
        owner.wait("bob viewer 6s_")
        owner.type("Enter")
        owner.wait("alice invited bob as viewer for 6s")
        menu.wait("invited as viewer")
        menu.text(session[:12])
        menu.type("Enter")
        menu.wait("alice types")
        menu.wait("Your invitation ran out", 20)
        owner.text("echo still-$((40+2))")
        owner.type("Enter")
        owner.wait("still-42")
        assert "still-42" not in menu.screen()
        assert "Invite (NAME" not in owner.screen()
    finally:
        over(bastion, session, owner, menu)
    codes = [row["code"] for row in bastion.audit() if row["session"] == session]
    assert codes.index("session.invited") < codes.index("session.joined") < codes.index("session.uninvited") < codes.index("session.left")


def test_a_moderator_who_takes_over_keeps_the_owner_out_until_it_is_given_back(bastion: Bastion) -> None:
    owner, session = shell(bastion)
    moderator = None
    try:
        moderator = bastion.tmux("sup", f"join {session[:8]} --as moderator", options=SHELL)
        moderator.wait("alice types")
        done = bastion.ssh("sup", f"take {session[:8]} --reason 'wrong machine'")
        assert done.returncode == 0, done.stderr
        owner.wait("sup took the keyboard from you (wrong machine)")
        refused = bastion.ssh("alice", f"take {session[:8]}")
        assert (refused.returncode, b"sup took over and has not given the keyboard back" in refused.stderr) == (77, True)
        owner.text("echo not-$((40+2))")
        moderator.text("echo by-sup-$((40+2))")
        moderator.type("Enter")
        owner.wait("by-sup-42")
        assert "not-42" not in owner.screen()
        assert bastion.ssh("sup", f"give {session[:8]} alice").returncode == 0
        owner.wait("You have the keyboard")
        owner.text("echo back-$((40+2))")
        owner.type("Enter")
        owner.wait("back-42")
    finally:
        over(bastion, session, owner, moderator)


def test_a_pause_that_holds_output_shows_it_when_the_session_goes_on(bastion: Bastion, tmp_path: Path) -> None:
    owner, session = shell(bastion)
    try:
        flag = tmp_path / "go"
        owner.text(f"echo rea''dy; while [ ! -e {flag} ]; do sleep 0.1; done; echo se''cret; touch {flag}.done")
        owner.type("Enter")
        owner.wait("\nready")
        assert bastion.ssh("sup", f"pause {session[:8]} --hold").returncode == 0
        owner.wait("Paused by sup")
        flag.touch()
        until(lambda: Path(f"{flag}.done").exists(), "the endpoint went on")
        assert "\nsecret" not in owner.screen()
        assert bastion.ssh("sup", f"resume {session[:8]}").returncode == 0
        owner.wait("\nsecret")
        owner.text("echo on-$((40+2))")
        owner.type("Enter")
        owner.wait("on-42")
    finally:
        over(bastion, session, owner)


def test_words_reach_everybody_and_are_audited_and_marked(bastion: Bastion) -> None:
    owner, session = shell(bastion)
    try:
        assert bastion.ssh("sup", f"message {session[:8]} 'look at line 12'").returncode == 0
        owner.wait("sup: look at line 12")
        assert bastion.ssh("root1", "message --all 'restart at six'").returncode == 0
        owner.wait("root1 to all: restart at six")
        refused = bastion.ssh("bob", f"message {session[:8]} hello")
        assert refused.returncode in (66, 77)
    finally:
        over(bastion, session, owner)
    assert [(row["actor"], row["reason"]) for row in bastion.audit("session.message") if row["session"] == session and row["result"] == "ok"] == [
        ("sup", "look at line 12")
    ]
    assert "-- sup: look at line 12" in bastion.ssh("aud", f"transcript {session}").stdout.decode()


# ---------------------------------------------------------------- guests


def test_a_guest_without_an_account_joins_once_with_any_key_and_may_do_nothing_else(bastion: Bastion, tmp_path: Path) -> None:
    owner, session = shell(bastion)
    key = keygen(tmp_path / "expert")
    guest = None
    try:
        made = bastion.ssh("sup", f"invite {session[:8]} --guest Ada --company Acme --purpose press --as controller --for 10m")
        assert made.returncode == 0, made.stderr
        code = made.stdout.decode().strip()
        assert re.fullmatch(r"guest-[0-9a-hjkmnp-tv-z]{16}", code)
        guest = Tmux(tmp_path, guest_argv(bastion, code, key))
        guest.wait("alice types")
        owner.wait("Ada (guest, Acme)")
        chord(guest, "r")
        owner.wait("Ada (guest, Acme) asks for the keyboard")
        chord(owner, "g")
        guest.wait("You have the keyboard")
        guest.text("echo by-ada-$((40+2))")
        guest.type("Enter")
        owner.wait("by-ada-42")
        again = subprocess.run(guest_argv(bastion, code, key, tty=False), capture_output=True, timeout=30, check=False)
        assert again.returncode == 255
        assert b"Permission denied" in again.stderr
        assert bastion.ssh("alice", f"kick {session[:8]} Ada --reason thanks").returncode == 0
        guest.wait("alice sent you out of the session: thanks")
        assert guest.wait_exit() == 75
    finally:
        over(bastion, session, owner, guest)
    refused = bastion.audit("login.refused")[-1]
    assert (refused["subject"], refused["reason"]) == ("guest-(code)", "guest code used before")
    assert code.removeprefix("guest-") not in str(bastion.audit()) + bastion.log_text()
    assert "Ada (guest, Acme)" in str([row["actor"] for row in bastion.audit("guest.redeemed")])


def test_a_guest_who_names_a_command_is_told_what_a_guest_may_do(bastion: Bastion, tmp_path: Path) -> None:
    owner, session = shell(bastion)
    try:
        made = bastion.ssh("sup", f"invite {session[:8]} --guest Ada --company Acme --purpose press")
        done = subprocess.run(
            guest_argv(bastion, made.stdout.decode().strip(), keygen(tmp_path / "k"), "keys list", tty=False), capture_output=True, timeout=30, check=False
        )
        assert (done.returncode, done.stdout) == (77, b"")
        assert b"A guest may do nothing but join the session they were invited to" in done.stderr
    finally:
        over(bastion, session, owner)


def test_an_expired_code_is_refused_like_an_unknown_one_and_audited_with_the_reason(bastion: Bastion, tmp_path: Path) -> None:
    owner, session = shell(bastion)
    key = keygen(tmp_path / "k")
    try:
        made = bastion.ssh("sup", f"invite {session[:8]} --guest Ada --company Acme --purpose press --for 1s")
        code = made.stdout.decode().strip()

        def told(name: str) -> tuple[int, bytes]:
            done = subprocess.run(guest_argv(bastion, name, key, tty=False), capture_output=True, timeout=30, check=False)
            return done.returncode, done.stderr.replace(name.encode(), b"X")

        until(lambda: [row for row in bastion.audit("guest.expired") if row["session"] == session], "it ran out")
        expired = told(code)
        assert expired[0] == 255
        assert bastion.audit("login.refused")[-1]["reason"] == "expired guest code"
        assert expired == told("guest-0123456789abcdef")
        assert bastion.audit("login.refused")[-1]["reason"] == "unknown guest code"
    finally:
        over(bastion, session, owner)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("who", "line", "exit_code", "reason"),
    [
        ("alice", "invite {} alice", 69, "You cannot invite yourself."),
        ("sup", "invite {} alice", 69, "That session is alice's own."),
        ("alice", "invite {} nobody-here", 66, "There is no user 'nobody-here'."),
        ("alice", "invite {} locked", 69, "locked is locked and cannot log in."),
        ("alice", "invite {} bob --for 100h", 64, "An invitation lasts from 1s to 1d."),
        ("alice", "invite {} --guest Ada --company Acme --purpose press", 77, "invite-guest: No rule allows invite-guest on web01 for alice"),
        ("sup", "invite {} --guest Ada --purpose press", 64, "A guest needs a company"),
        ("alice", "invite {} bob --withdraw", 66, "bob is not invited to that session."),
        ("alice", "kick {} alice", 69, "The owner cannot be sent out of their own session"),
        ("alice", "kick {} bob", 66, "bob is neither in that session nor invited."),
        ("sup", "take {}", 77, "You are not in that session."),
        ("alice", "give {} bob", 66, "bob is not in that session."),
        ("bob", "join {}", 66, "it may have ended"),
        ("bob", "invite {} bob", 66, "No live session starts with"),
    ],
)
def test_each_refusal_is_one_clear_line_and_audited(bastion: Bastion, standing: str, who: str, line: str, exit_code: int, reason: str) -> None:
    done = bastion.ssh(who, line.format(standing[:10]), options=SHELL if line.startswith("join") else ())
    said = (done.stderr + done.stdout).decode().replace("\r", "")
    assert done.returncode == exit_code, said
    assert reason in said
    assert said.count("\n") == 1
    newest = [row["code"] for row in bastion.audit() if row["actor"] == who and row["result"] == "denied"][-2:]
    assert any(code.startswith(("session.", "guest.", "control.")) for code in newest)


@pytest.fixture(scope="module")
def standing(bastion: Bastion):
    """A session of alice's that only stands there, and a locked user."""
    bastion.add_user("locked", "engineer")
    bastion.program("user", "lock", "locked", "--yes", "--reason", "test")
    window, session = shell(bastion)
    yield session
    over(bastion, session, window)


def test_a_viewer_whose_invitation_is_for_looking_on_is_told_so_when_asking_for_the_keyboard(bastion: Bastion) -> None:
    owner, session = shell(bastion)
    other = None
    try:
        assert bastion.ssh("alice", f"invite {session[:8]} bob").returncode == 0
        other = bastion.tmux("bob", f"join {session[:8]}", options=SHELL)
        other.wait("alice types")
        refused = bastion.ssh("bob", f"request-control {session[:8]}")
        assert refused.returncode == 77
        assert b"policy does not let you take the keyboard" in refused.stderr
        assert bastion.audit("control.requested")[-1]["result"] == "denied"
        other.resize(50, 10)
        owner.wait("bob looks on; their window (50x10) shows a part of this screen (80x24)")
        assert bastion.ssh("alice", f"invite {session[:8]} bob --as controller").returncode == 0
        assert bastion.ssh("bob", f"request-control {session[:8]}").stderr.startswith(b"alice was asked")
        owner.wait("bob asks for the keyboard")
        chord(owner, "w")
        owner.wait("bob  controller  from 127.0.0.1")
        assert bastion.ssh("alice", f"invite {session[:8]} bob --withdraw").returncode == 0
        other.wait("alice withdrew your invitation")
        assert other.wait_exit() == 75
    finally:
        over(bastion, session, owner, other)
