"""The admin prompt: the same tree line by line."""

import asyncio
import contextlib
from contextlib import asynccontextmanager

import pytest

from bastion.core.values import Size
from bastion.frontends.commands.gate import run
from bastion.frontends.commands.prompt import completions
from bastion.frontends.commands.tree import root

from .fakes import FakeConsole, FakeView, World


@pytest.fixture
def world():
    return World()


@asynccontextmanager
async def at_the_prompt(world, console):
    async with asyncio.timeout(30):
        task = asyncio.ensure_future(run(world.desk, console, b"admin"))
        try:
            await console.shows("root>")
            yield task
            assert await task == 0
        finally:
            task.cancel()


async def answer(console, keys, wanted):
    before = len(console.out)
    console.type(keys)
    await console.shows(wanted, since=before)


async def test_commands_run_one_after_the_other_until_exit(world):
    console = FakeConsole("root", ("admin",), term="xterm", size=Size(100, 24))
    async with at_the_prompt(world, console):
        await answer(console, "whoami\r", "192.0.2.7")
        await answer(console, "version\r", "bastion 1.2.3")
        console.type("exit\r")
    assert console.listener is None


async def test_ctrl_c_clears_the_line_and_ctrl_d_leaves(world):
    console = FakeConsole("root", ("admin",), term="xterm")
    async with at_the_prompt(world, console):
        await answer(console, "kill every", "kill every")
        await answer(console, "\x03", "root>")
        await answer(console, "version\r", "bastion 1.2.3")
        console.type("\x04")


async def test_tab_completes_verbs_and_ids(world):
    world.live.all = [FakeView()]
    console = FakeConsole("root", ("admin",), term="xterm")
    async with at_the_prompt(world, console):
        await answer(console, "vers\t", "ion")
        await answer(console, "\r", "bastion 1.2.3")
        await answer(console, "pause 4\t", "f2a11112222")
        console.type("\r")
        await answer(console, "exit\r", "exit")
    assert world.control.done == [("pause", "root", "4f2a11112222", "")]


async def test_the_arrow_brings_back_the_line_before_also_at_the_next_login(world):
    first = FakeConsole("root", ("admin",), term="xterm")
    async with at_the_prompt(world, first):
        await answer(first, "whoami --json\r", "192.0.2.7")
        first.type("exit\r")
    again = FakeConsole("root", ("admin",), term="xterm")
    async with at_the_prompt(world, again):
        while b"whoami" not in again.out:  # the prompt loads its history beside drawing
            again.type("\x1b[A")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    await again.shows("whoami")
        await answer(again, "\r", "192.0.2.7")
        again.type("exit\r")


async def test_a_question_is_asked_at_the_prompt_and_no_leaves_the_command_only(world):
    world.live.all = [FakeView()]
    console = FakeConsole("root", ("admin",), term="xterm")
    async with at_the_prompt(world, console):
        console.type("kill 4f --reason x\r")
        await console.shows("End session 4f2a11112222 of bob on web01? [y/N]")
        console.type("n\r")
        await answer(console, "version\r", "bastion 1.2.3")
        console.type("exit\r")
    assert world.control.done == []


async def test_a_hung_up_line_ends_the_prompt(world):
    console = FakeConsole("root", ("admin",), term="xterm")
    async with at_the_prompt(world, console):
        console.is_open = False
        console.listener.lost()


async def test_through_a_pipe_it_runs_plain_lines_and_returns_the_last_failure(world):
    code, out, err = await world.run("admin", who="root", typed=["version\nconect\n", "whoami --json\nexit\nversion\n"])
    assert code == 64
    assert out.startswith('bastion 1.2.3\n{\n  "name": "root"')
    assert out.count("bastion 1.2.3") == 1
    assert "Did you mean 'connect'?" in err


async def test_each_line_passes_the_gate(world):
    world.policies.allowed["alice"] |= {"audit"}
    code, out, err = await world.run("admin", typed=["user list\n"])
    assert (code, out) == (77, "")
    assert "user list: no rule allows alice to admin.user" in err


async def test_who_has_nothing_to_do_there_is_refused_with_the_reason(world):
    code, out, err = await world.run("admin", typed=["version\n"])
    assert (code, out) == (77, "")
    assert "no rule allows alice to admin.user" in err
    assert world.auditor.codes == ["command.denied"]


async def test_a_prompt_in_the_prompt_is_not_opened(world):
    _, _, err = await world.run("admin", who="root", typed=["admin\n"])
    assert err == "You are in it already.\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("co", ["connect"]),
        ("policy ex", ["explain"]),
        ("endpoint show w", ["web01"]),
        ("kill 4", ["4f2a"]),
        ("user show ", ["bob"]),
        ("join 4f2a --as m", ["moderator"]),
        ("kill 'unclosed", []),
        ("sessions --past --us", ["--user"]),
    ],
)
def test_completion_knows_verbs_options_choices_and_names(text, wanted):
    known = {"endpoint": ["web01", "db01"], "session": ["4f2a"], "user": ["bob"]}
    assert [one.text for one in completions(root, text, known)] == wanted
