"""The menu as a program: choose, go there, come back, leave."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from bastion.core.errors import Unavailable
from bastion.frontends.commands import menu_loop
from bastion.frontends.commands.gate import run

from .fakes import FakeConsole, FakeView, World


@pytest.fixture
def world():
    return World()


@asynccontextmanager
async def at_the_menu(world, console, command=None):
    """Run the menu beside the test; at the end it must have left by itself, with 0."""
    async with asyncio.timeout(20):
        task = asyncio.ensure_future(run(world.desk, console, command))
        try:
            yield task
            assert await task == 0
        finally:
            task.cancel()


async def test_a_login_without_a_command_shows_the_menu_and_ctrl_c_gives_the_screen_back(world):
    console = FakeConsole(term="xterm-256color")
    async with at_the_menu(world, console):
        await console.shows("web01")
        console.type("\x03")
    assert console.out.startswith(b"\x1b[?1049h")
    assert console.out.endswith(b"\x1b[?1049l")
    assert console.listener is None


async def test_enter_connects_and_the_menu_comes_back_with_how_it_ended(world):
    console = FakeConsole(term="xterm")
    world.connect.status = 7
    async with at_the_menu(world, console):
        await console.shows("web01")
        console.type("web")
        console.type("\r")
        await console.shows("exit status 7")
        console.type("\x03")
    assert world.connect.calls == [("connect", "web01", None, None)]
    assert console.out.count(b"\x1b[?1049h") == console.out.count(b"\x1b[?1049l") == 2


async def test_a_refusal_comes_back_as_the_menus_message(world):
    console = FakeConsole(term="xterm")
    world.connect.error = Unavailable("endpoint.timeout", "it does not answer")
    async with at_the_menu(world, console):
        await console.shows("web01")
        console.type("web01\r")
        await console.shows("it does not answer")
        console.type("\x03")


async def test_the_menu_shows_only_what_policy_shows(world):
    console = FakeConsole(term="xterm")
    async with at_the_menu(world, console):
        await console.shows("web01")
        console.type("\x03")
    assert b"db01" in console.out
    assert b"vault" not in console.out


async def test_the_menu_follows_the_window(world):
    console = FakeConsole(term="xterm")
    async with at_the_menu(world, console):
        await console.shows("web01")
        before = len(console.out)
        console.resize(132, 50)
        await console.shows("web01", since=before)
        console.type("\x03")


async def test_who_is_on_it_now_appears_by_itself(world, monkeypatch):
    monkeypatch.setattr(menu_loop, "REFRESH_SECONDS", 0.02)
    world.policies.allowed["alice"] |= {"list"}
    console = FakeConsole(term="xterm")
    async with at_the_menu(world, console):
        await console.shows("web01")
        assert b"bob" not in console.out
        world.live.all = [FakeView()]
        await console.shows("bob")
        console.type("\x03")


async def test_sessions_to_join_and_to_resume_stand_in_the_menu(world):
    world.policies.allowed["alice"] |= {"list", "join"}
    world.live.all = [FakeView(joinable=True), FakeView("99aa", owner="alice", owner_id="u-alice", endpoint="db01", detached=True)]
    console = FakeConsole(term="xterm")
    async with at_the_menu(world, console):
        await console.shows("resume your session on db01")
        console.type("4f2a\r")
        await console.shows("4f2a11112222: ended")
        console.type("99aa\r")
        await console.shows("99aa: ended")
        console.type("\x03")
    assert world.connect.calls == [("join", "4f2a11112222", "viewer"), ("attach", "99aa")]


async def test_a_favourite_is_remembered(world):
    console = FakeConsole(term="xterm")
    async with at_the_menu(world, console):
        await console.shows("web01")
        console.type("web01\x06")
        console.type("\x03")
    assert world.preferences.favourites == {"web01": (True, None)}


async def test_a_lone_escape_is_understood_after_a_moment(world):
    console = FakeConsole(term="xterm")
    async with at_the_menu(world, console):
        await console.shows("web01")
        console.type("web")
        before = len(console.out)
        console.type("\x1b")
        await console.shows("db01", since=before)
        console.type("\x03")


async def test_somebody_who_is_gone_ends_the_menu(world):
    console = FakeConsole(term="xterm")
    async with at_the_menu(world, console):
        await console.shows("web01")
        console.is_open = False
        console.listener.lost()


@pytest.mark.parametrize("console", [{"term": ""}, {"term": "dumb"}], ids=["no PTY", "TERM=dumb"])
async def test_without_a_screen_the_menu_is_numbered_lines(console, world):
    end = "\r" if console["term"] else "\n"
    console = FakeConsole(**console, typed=[f"web01{end}", f"q{end}"])
    async with at_the_menu(world, console):
        pass
    assert world.connect.calls == [("connect", "web01", None, None)]
    assert b"2 to choose from." in console.out
    assert b"web01: ended." in console.out
    assert b"\x1b" not in console.out + console.err


async def test_plain_can_be_asked_for_on_a_good_terminal(world):
    console = FakeConsole(term="xterm", typed=["q\r"])
    async with at_the_menu(world, console, b"menu --plain"):
        pass
    assert b"\x1b" not in console.out + console.err


async def test_what_follows_the_choice_in_a_pipe_goes_to_the_session(world):
    console = FakeConsole(typed=["web01\necho hi\nexit\n"])
    async with at_the_menu(world, console):
        pass
    assert world.connect.typed == b"echo hi\nexit\n"


async def test_an_endpoint_that_needs_approval_says_so(world):
    world.policies.needs_approval = {"web01"}
    console = FakeConsole(typed=["q\n"])
    async with at_the_menu(world, console):
        pass
    assert b"needs approval" in console.out


async def test_an_end_of_input_leaves_the_plain_menu(world):
    async with at_the_menu(world, FakeConsole()):
        pass
    assert world.connect.calls == []
