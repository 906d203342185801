"""`bastion init`: makes what is missing, overwrites nothing, refuses what others can read."""

import stat

import pytest

from bastion.core.errors import Misconfigured
from bastion.core.identity import User
from bastion.services.ports import Secret
from bastion.services.setup import Caller, Report, Setup, check_home, demo_name, find_caller, make_home, write_new
from tests.frontends.commands import fakes


class Keys:
    def __init__(self):
        self.made = 0

    def make(self, comment):
        self.made += 1
        return Secret(f"private {self.made}".encode()), fakes.public_key(self.made, comment)

    def public_of(self, private):
        return fakes.public_key(int(private.reveal().split()[1]), "")


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def shipped(tmp_path):
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "default.yaml").write_text("roles: {}\n")
    return folder


def made(home, shipped, keys=None):
    report = Report()
    make_home(home, "# settings\n", keys or Keys(), shipped, report)
    return report


def test_a_home_is_made_that_serve_accepts_and_nobody_else_can_read(home, shipped):
    made(home, shipped)
    check_home(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    for file in home.iterdir():
        if file.is_file() and file.suffix != ".pub":
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert (home / "policies" / "default.yaml").read_text() == "roles: {}\n"


def test_a_second_time_changes_nothing_and_says_nothing(home, shipped):
    made(home, shipped)
    before = {file: file.read_bytes() for file in home.rglob("*") if file.is_file()}
    (shipped / "default.yaml").write_text("other")
    assert made(home, shipped).lines == []
    assert {file: file.read_bytes() for file in home.rglob("*") if file.is_file()} == before


def test_what_an_interrupted_time_left_out_is_added(home, shipped):
    made(home, shipped)
    key = (home / "operator.key").read_bytes()
    public = (home / "operator.key.pub").read_text().split()[:2]
    (home / "operator.key.pub").unlink()
    (home / "vault.key").unlink()
    made(home, shipped)
    assert (home / "operator.key").read_bytes() == key
    assert (home / "operator.key.pub").read_text().split()[:2] == public
    check_home(home)


@pytest.mark.parametrize(("name", "mode"), [("", 0o755), ("vault.key", 0o640), ("operator.key", 0o604)])
def test_a_home_or_key_that_others_can_read_is_refused_with_the_command_to_mend_it(name, mode, home, shipped):
    made(home, shipped)
    (home / name).chmod(mode)
    with pytest.raises(Misconfigured, match=r"Others may read .*chmod"):
        check_home(home)


def test_a_home_without_a_key_says_which_and_what_to_run(home, shipped):
    made(home, shipped)
    (home / "host_ed25519").unlink()
    with pytest.raises(Misconfigured, match=r"has no host_ed25519: run `bastion init`"):
        check_home(home)


def test_a_file_is_written_whole_or_not_and_never_over_another(tmp_path):
    file = tmp_path / "a"
    assert write_new(file, b"one")
    assert not write_new(file, b"two")
    assert file.read_bytes() == b"one"
    dangling = tmp_path / "b"
    dangling.symlink_to(tmp_path / "elsewhere")
    assert not write_new(dangling, b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.fixture
def world():
    world = fakes.World()
    world.users.users.clear()
    world.endpoints.endpoints.clear()
    return world


def setup_of(world, home, keys=None):
    return Setup(home, world.people, world.inventory, keys or Keys())


async def test_the_demo_takes_the_callers_own_keys_and_needs_no_other_machine(world, home, shipped):
    made(home, shipped)
    report = Report()
    caller = Caller("Alice", "/bin/sh", home, (fakes.public_key(40), "ssh-dss AAAA", "garbage"))
    await setup_of(world, home).demo(caller, report)
    user = await world.users.get("alice")
    assert user.roles == ("admin", "engineer", "supervisor", "auditor")
    assert [key.comment for key in await world.users.keys(user.id)] == ["me@laptop"]
    demo = await world.endpoints.get("demo")
    assert (demo.kind, demo.logins[0].method) == ("local", "none")
    assert (report.login, report.identity) == ("alice", None)


async def test_a_caller_without_a_usable_key_gets_one_and_is_told_where(world, home, shipped):
    made(home, shipped)
    for _ in range(2):
        report = Report()
        await setup_of(world, home).demo(Caller("bob", "/nonexistent", home, ("garbage",)), report)
        assert report.identity == home / "demo_ed25519"
    assert len(await world.users.all()) == 1
    assert len(await world.endpoints.all()) == 1
    assert report.lines == []


async def test_operator_and_first_admin_are_made_once(world, home, shipped):
    made(home, shipped)
    setup = setup_of(world, home)
    for _ in range(2):
        await setup.operator(Report())
        await setup.admin("carol", [fakes.public_key(50)], Report())
    assert [(user.name, user.roles) for user in await world.users.all()] == [("carol", ("admin",)), ("operator", ("admin",))]
    assert world.auditor.codes == ["user.added", "user.added"]
    assert world.auditor.events[0].actor == "system"


def test_the_callers_keys_are_found_and_certificates_left_out(tmp_path):
    ssh = tmp_path / ".ssh"
    ssh.mkdir()
    (ssh / "id_ed25519.pub").write_text(fakes.public_key(1) + "\n")
    (ssh / "id_ed25519-cert.pub").write_text("ssh-ed25519-cert-v01@openssh.com AAAA\n")
    (ssh / "id_ed25519").write_text("private")
    caller = find_caller({"SHELL": "/bin/zsh"}, "al", "/bin/sh", tmp_path)
    assert caller.public_keys == (fakes.public_key(1),)
    assert caller.shell == "/bin/zsh"
    assert find_caller({}, "al", "/bin/sh", tmp_path / "none").public_keys == ()


@pytest.mark.parametrize(("login", "name"), [("alice", "alice"), ("Al Ice", "al-ice"), ("DOM\\bob", "dom-bob"), ("ü", "me"), ("_x_", "x")])
def test_a_login_name_becomes_a_user_name(login, name):
    assert demo_name(login) == name
    User("u", demo_name(login))
