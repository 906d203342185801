"""The `bastion` program on the host, with a host of fakes."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bastion.core.access.decision import Decision, Verdict
from bastion.core.errors import Corrupt, Misconfigured, Unavailable
from bastion.frontends.commands.host import Program, refuse_root
from bastion.frontends.commands.program import run_program
from bastion.settings import load_settings

from .fakes import NOW, host_key, public_key


class FakeLink:
    def __init__(self):
        self.calls = []
        self.answers = []
        self.error = None

    def run(self, argv, stdin, stdout, stderr, tty):
        if self.error:
            raise self.error
        self.calls.append((list(argv), stdin.read(), tty))
        code, out = self.answers.pop(0) if self.answers else (0, b"")
        stdout.write(out)
        return code


class FakeHost:
    def __init__(self):
        self.the_link = FakeLink()
        self.served = None
        self.initialised = None
        self.policy_error = None
        self.failed_cases = []
        self.verdict = Verdict.ALLOW
        self.loaded = 0

    def __call__(self):
        self.loaded += 1
        return self

    async def serve(self, settings, ready):
        self.served = settings
        ready("ready ssh=127.0.0.1:40000 web=off")
        return 0

    async def initialise(self, settings, report, *, admin, demo):
        self.initialised = (settings.home, admin, demo)
        report.say("made   something")
        if demo:
            report.login = "me"
            report.identity = Path("/keys/demo")

    async def migrate(self, settings):
        return "The database is at this version."

    def check_policies(self, folder):
        if self.policy_error:
            raise self.policy_error
        return ["team.yaml:3: rule never applies"]

    def test_policies(self, folder):
        return self.failed_cases

    async def explain(self, settings, user, endpoint, action, at, source):
        return Decision(self.verdict, "team", "because of team"), at or NOW

    def verify_file(self, path, key):
        if path.read_bytes() != b"good":
            raise Corrupt("cast.damaged", f"{path}: line 3 is damaged.")
        return "It is whole."

    def link(self, settings):
        return self.the_link


class Stdin(io.BytesIO):
    terminal = False

    def isatty(self):
        return self.terminal


@pytest.fixture
def host():
    return FakeHost()


def bastion(host, tmp_path, *argv, stdin=b""):
    program = Program(host, Stdin(stdin), Stdin(), Stdin())
    code = run_program(program, ["--home", str(tmp_path), *argv])
    return code, program.stdout.getvalue().decode(), program.stderr.getvalue().decode()


def test_help_needs_neither_host_nor_server(host, tmp_path):
    code, out, err = bastion(host, tmp_path, "--help")
    assert (code, err, host.loaded) == (0, "", 0)
    for verb in ("init", "serve", "migrate", "policy", "verify", "connect", "kill", "endpoint"):
        assert f"\n  {verb} " in out
    for command in (["init"], ["serve"], ["policy", "check"], ["policy", "explain"], ["endpoint", "add"], ["kill"], ["completion"]):
        code, out, _ = bastion(host, tmp_path, *command, "--help")
        assert (code, host.loaded) == (0, 0)
        assert f"Usage: bastion {' '.join(command)}" in out


def test_a_command_without_a_server_is_one_clear_sentence_and_exit_69(host, tmp_path):
    host.the_link.error = Unavailable("link.no_server", "No bastion is running here: start it with bastion serve.")
    assert bastion(host, tmp_path, "sessions") == (69, "", "bastion: No bastion is running here: start it with bastion serve.\n")


def test_commands_on_live_things_go_to_the_server_word_by_word(host, tmp_path):
    host.the_link.answers = [(77, b"")]
    assert bastion(host, tmp_path, "kill", "4f2a", "--reason", "it's wrong", "--yes")[0] == 77
    assert host.the_link.calls == [(["kill", "4f2a", "--reason", "'it'\"'\"'s wrong'", "--yes"], b"", False)]


def test_a_command_for_an_endpoint_goes_on_as_it_was_given(host, tmp_path):
    bastion(host, tmp_path, "connect", "web01", "--", "echo", "$HOME 'x'", stdin=b"input")
    assert host.the_link.calls == [(["connect", "web01", "--", "echo", "$HOME 'x'"], b"input", False)]


def test_mistakes_are_found_before_the_server_is_asked(host, tmp_path):
    code, _, err = bastion(host, tmp_path, "sesions")
    assert (code, host.loaded) == (64, 0)
    assert "Did you mean 'sessions'?" in err


def test_a_public_key_file_is_read_here(host, tmp_path):
    file = tmp_path / "bob.pub"
    file.write_text(f"# bob\n{public_key(1)}\n{public_key(2)}\n")
    assert bastion(host, tmp_path, "user", "add", "bob", f"--key={file}", "--role", "engineer")[0] == 0
    argv = host.the_link.calls[0][0]
    assert argv == ["user", "add", "bob", "--key", f"'{public_key(1)}'", "--key", f"'{public_key(2)}'", "--role", "engineer"]


def test_a_private_key_file_goes_by_standard_input_never_by_the_command_line(host, tmp_path):
    file = tmp_path / "id"
    file.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nhush\n")
    hostkey = tmp_path / "host.pub"
    hostkey.write_text(host_key().public)
    code, _, _ = bastion(host, tmp_path, "endpoint", "add", "web01", "10.0.0.5", "--login", "deploy", "--key", str(file), "--host-key", str(hostkey))
    assert code == 0
    argv, stdin, _ = host.the_link.calls[0]
    assert argv == ["endpoint", "add", "web01", "10.0.0.5", "--login", "deploy", "--key", "-", "--host-key", f"'{host_key().public}'"]
    assert stdin.endswith(b"hush\n")


def test_a_file_that_is_not_there_is_named(host, tmp_path):
    code, _, err = bastion(host, tmp_path, "user", "add", "bob", "--key", str(tmp_path / "none.pub"))
    assert code == 64
    assert "none.pub: No such file or directory." in err
    assert host.the_link.calls == []


def test_serve_takes_its_options_and_prints_the_ready_line(host, tmp_path):
    code, out, err = bastion(host, tmp_path, "serve", "--ssh-port", "0", "--web-port", "0")
    assert (code, out) == (0, "ready ssh=127.0.0.1:40000 web=off\n")
    assert "log in:   ssh -p 40000 YOUR-NAME@127.0.0.1\n" in err
    assert (host.served.home, host.served.ssh.port, host.served.web.port) == (tmp_path, 0, 0)


def test_wrong_settings_are_all_named_and_exit_78(host, tmp_path):
    (tmp_path / "bastion.toml").write_text("[ssh]\nprot = 1\nhost = 5\n")
    code, _, err = bastion(host, tmp_path, "serve")
    assert (code, host.served) == (78, None)
    assert "Did you mean 'ssh.port'?" in err
    assert "ssh.host" in err


def test_init_tells_what_it_made_and_how_to_log_in(host, tmp_path):
    code, out, _ = bastion(host, tmp_path, "init", "--demo")
    assert code == 0
    assert out == "made   something\nlog in: ssh -i /keys/demo -p 2222 me@127.0.0.1\n"
    assert host.initialised[2].name


def test_init_wants_a_name_and_a_key_together(host, tmp_path):
    code, _, err = bastion(host, tmp_path, "init", "--admin", "alice")
    assert (code, host.initialised) == (64, None)
    assert "--admin NAME and --key FILE belong together" in err
    assert bastion(host, tmp_path, "init", "--admin", "alice", "--key", "-", stdin=public_key().encode())[0] == 0
    assert host.initialised[1] == ("alice", [public_key()])


def test_policies_are_checked_tested_and_explained_without_a_server(host, tmp_path):
    code, out, err = bastion(host, tmp_path, "policy", "check")
    assert (code, err) == (0, "warning: team.yaml:3: rule never applies\n")
    host.policy_error = Misconfigured("policy.key", "short", "a.yaml:1: wrong\na.yaml:2: wrong, too")
    code, _, err = bastion(host, tmp_path, "policy", "check", str(tmp_path))
    assert (code, err) == (78, "bastion: a.yaml:1: wrong\nbastion: a.yaml:2: wrong, too\n")
    host.failed_cases = ["bob may connect"]
    assert bastion(host, tmp_path, "policy", "test")[0] == 78
    code, out, _ = bastion(host, tmp_path, "policy", "explain", "--user", "bob", "--action", "connect")
    assert (code, out.splitlines()[0]) == (0, "allow: bob, connect")
    host.verdict = Verdict.DENY
    assert bastion(host, tmp_path, "policy", "explain", "--user", "bob", "--action", "connect", "--json")[0] == 77


def test_policy_reload_is_the_servers(host, tmp_path):
    bastion(host, tmp_path, "policy", "reload")
    assert host.the_link.calls[0][0] == ["policy", "reload"]


def test_a_files_damage_is_exit_65(host, tmp_path):
    file = tmp_path / "a.cast"
    file.write_bytes(b"good")
    assert bastion(host, tmp_path, "verify", str(file)) == (0, "It is whole.\n", "")
    file.write_bytes(b"bad")
    assert bastion(host, tmp_path, "verify", str(file))[0] == 65


def test_an_unexpected_failure_shows_no_traceback(host, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    host.the_link.error = RuntimeError("boom")
    code, out, err = bastion(host, tmp_path, "sessions")
    assert (code, out) == (70, "")
    assert err.startswith("bastion: something went wrong here, and it is ours: RuntimeError (traceback in ")
    file = next(tmp_path.glob("bastion-*.txt"))
    assert "boom" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_root_is_warned_on_loopback_and_refused_elsewhere(tmp_path):
    said = []
    refuse_root(load_settings(tmp_path, {}, {}), said.append, 0)
    assert "running as root" in said[0]
    away = load_settings(tmp_path, {"ssh.host": "0.0.0.0"}, {})
    with pytest.raises(Misconfigured, match=r"0\.0\.0\.0 is refused"):
        refuse_root(away, said.append, 0)
    refuse_root(away, said.append, 1000)
    refuse_root(load_settings(tmp_path, {"ssh.host": "0.0.0.0", "allow_root": True}, {}), said.append, 0)


def test_the_host_program_completes_through_click():
    environment = {**os.environ, "_BASTION_COMPLETE": "bash_complete", "COMP_WORDS": "bastion policy ex", "COMP_CWORD": "2"}
    found = subprocess.run([sys.executable, "-m", "bastion"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout == "plain,explain\n"


def test_starting_the_program_loads_no_server_library():
    script = "import sys; sys.argv=['bastion','version']\nimport bastion.__main__ as m\ntry: m.main()\nexcept SystemExit: pass\nprint(sorted({'asyncssh','sqlalchemy','prompt_toolkit','pydantic'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout.splitlines()[-1] == "[]"
