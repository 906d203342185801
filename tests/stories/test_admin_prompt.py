"""The admin prompt in a real terminal: completion, history, one line for a mistake, Ctrl-C and Ctrl-D."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab.bastion import Bastion
from tests.lab.tmux import Tmux
from tests.lab.waiting import until

PROMPT = "bastion root1>"


@pytest.fixture
def prompt(bastion: Bastion) -> Iterator[Tmux]:
    window = bastion.tmux("root1", "admin", columns=110, lines=40)
    window.wait(PROMPT)
    yield window
    window.close()


def lines(window: Tmux) -> list[str]:
    return [line.rstrip() for line in window.screen().rstrip().splitlines()]


def at_prompt(window: Tmux, count: int) -> list[str]:
    """Wait until so many prompts were shown and the last one is empty."""
    return until(
        lambda: (seen := lines(window)) and sum(PROMPT in line for line in seen) == count and seen[-1] == PROMPT and seen, f"prompt {count}"
    )


def test_tab_completes_verbs_and_names(prompt: Tmux) -> None:
    prompt.text("endp")
    prompt.type("Tab")
    prompt.wait(f"{PROMPT} endpoint")
    prompt.text(" show web")
    prompt.type("Tab")
    prompt.wait("endpoint show web01")
    prompt.type("Enter")
    prompt.wait("env=test")


def test_a_wrong_command_gives_a_line_with_a_hint_and_the_prompt_goes_on(prompt: Tmux) -> None:
    prompt.text("endpiont list")
    prompt.type("Enter")
    seen = at_prompt(prompt, 2)
    between = seen[next(i for i, line in enumerate(seen) if "endpiont" in line) + 1 : -1]
    assert len(between) <= 2 and "endpiont" in between[0], between
    assert "Traceback" not in prompt.screen()
    prompt.text("whoami")
    prompt.type("Enter")
    prompt.wait("admin")


def test_an_unfinished_quote_and_control_characters_are_one_line_too(prompt: Tmux) -> None:
    prompt.text("user show 'half")
    prompt.type("Enter")
    seen = at_prompt(prompt, 2)
    between = seen[next(i for i, line in enumerate(seen) if "half" in line) + 1 : -1]
    assert len(between) == 1, between


def test_the_arrow_brings_back_the_last_line_also_in_the_next_prompt(bastion: Bastion, prompt: Tmux) -> None:
    prompt.text("version")
    prompt.type("Enter")
    at_prompt(prompt, 2)
    prompt.type("Up")
    prompt.wait(f"{PROMPT} version")
    prompt.type("C-c")
    prompt.type("C-d")
    assert prompt.wait_exit() == 0
    again = bastion.tmux("root1", "admin", columns=110, lines=40)
    try:
        again.wait(PROMPT)
        again.type("Up")
        again.wait(f"{PROMPT} version")
    finally:
        again.close()


def test_ctrl_c_clears_the_line_and_ctrl_d_leaves_with_0(prompt: Tmux) -> None:
    prompt.text("user remove alice --yes")
    prompt.wait("alice --yes")
    prompt.type("C-c")
    at_prompt(prompt, 2)
    prompt.text("user show alice")
    prompt.type("Enter")
    prompt.wait("engineer")
    prompt.type("C-d")
    assert prompt.wait_exit() == 0


def test_a_table_at_the_prompt_fits_a_narrow_window_after_a_resize(prompt: Tmux) -> None:
    prompt.resize(60, 40)
    prompt.text("clear-nothing")
    prompt.type("Enter")
    at_prompt(prompt, 2)
    prompt.text("user list")
    prompt.type("Enter")
    prompt.wait("alice")
    assert max(map(len, lines(prompt))) <= 60


def test_a_session_can_be_killed_from_the_prompt_after_a_question(bastion: Bastion, prompt: Tmux) -> None:
    before = {row["id"] for row in bastion.live()}
    victim = bastion.tmux("alice", "connect web01", options=("-tt",))
    try:
        victim.wait("~")
        (session,) = until(
            lambda: [row["id"] for row in bastion.live(owner="alice", state="running") if row["id"] not in before], "it runs"
        )
        prompt.text(f"kill {session[:10]}")
        prompt.type("Tab", "Enter")
        prompt.wait("Reason:")
        prompt.text("going home")
        prompt.type("Enter")
        prompt.wait("End session")
        prompt.text("yes")
        prompt.type("Enter")
        assert victim.wait_exit() == 75
        victim.wait("root1 ended the session: going home")
    finally:
        victim.close()


def test_an_engineer_is_not_let_into_the_prompt(bastion: Bastion) -> None:
    done = bastion.ssh("alice", "admin", options=("-tt",))
    assert done.returncode == 77
    assert done.stdout.count(b"\n") == 1


def test_the_hosts_program_ends_cleanly_while_its_standard_input_stays_open(bastion: Bastion) -> None:
    argv = [sys.executable, "-m", "bastion", "--home", str(bastion.home), "whoami"]
    with subprocess.Popen(argv, env=bastion.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert b"operator" in program.stdout.read()
        assert program.stderr.read() == b""
        assert program.wait(30) == 0
