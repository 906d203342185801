"""The README tells the truth: its places exist, its commands are understood, its map is whole, its codes are ours."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bastion.core import errors
from bastion.frontends.commands.host_local import is_local, overview, parse_local
from bastion.frontends.commands.tree import root, walk
from bastion.frontends.commands.verbs import Noun, Shown, parse

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def table(mark: str) -> list[list[str]]:
    """The rows of the table behind a mark."""
    lines = README.split(f"<!-- {mark}:", 1)[1].splitlines()[3:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


FEATURES = [row for row in table("features") if row]
MAP = [row for row in table("map") if row]


def commands() -> Iterator[str]:
    """Every command of the feature table."""
    for _, shown, _ in FEATURES:
        yield from re.findall(r"`([^`]+)`", shown)


def test_the_tables_are_found() -> None:
    assert len(FEATURES) > 15
    assert len(MAP) > 20
    assert len(list(commands())) > 25


@pytest.mark.parametrize("command", list(commands()))
def test_each_feature_has_a_command_that_is_understood(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "ssh":
        assert words[:2] == ["ssh", "bastion"]
        head = words[2 : words.index("--")] if "--" in words else words[2:]
        assert parse(root, head).verb.name in head
    else:
        assert words[0] == "bastion"
        local = words[1:]
        if local[0] != "verify":  # is local by the file, which is not there
            assert is_local(local)
        parse_local(local)


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    with pytest.raises(click.UsageError, match="There is no command"):
        parse(root, ["frobnicate"])


def test_every_place_in_the_feature_table_and_the_map_exists() -> None:
    places = [place.strip() for _, _, where in FEATURES for place in where.split(",")] + [row[0] for row in MAP]
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_every_file_that_the_text_names_exists() -> None:
    named = set(re.findall(r"(?<![\w/.~-])((?:scripts|bastion|tests|policies|\.ci)/[\w./-]*\w)", README)) | set(
        re.findall(r"\]\(([^)#:]+)\)", README)
    )
    assert {"scripts/run", "scripts/test", "LICENSE", ".ci/run"} <= named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_package_is_on_the_map() -> None:
    packages = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "bastion").rglob("__init__.py")} - {"bastion"}
    assert packages - {row[0] for row in MAP} == set()


def test_every_command_is_in_the_readme_or_the_help() -> None:
    shown = overview() + "".join(
        noun.get_help(click.Context(noun, info_name=name)) for name, noun in root.commands.items() if isinstance(noun, Noun)
    )
    missing = [" ".join(path) for path, verb in walk() if not verb.hidden and not re.search(rf"\b{re.escape(path[-1])}\b", shown)]
    assert missing == []


@pytest.mark.parametrize("path", [path for path, _ in walk()], ids=" ".join)
def test_the_help_of_each_command_says_what_it_does_and_shows_examples_that_are_understood(path: tuple[str, ...]) -> None:
    with pytest.raises(Shown) as asked:
        parse(root, [*path, "--help"])
    text = asked.value.text
    assert f"Usage: bastion {' '.join(path)}" in text
    assert "\nExamples:\n  ssh bastion " in text
    for line in text.split("\nExamples:\n")[1].splitlines():
        example = re.split(r" (?:[<|]|>>?) | -- ", line.strip().removeprefix("ssh bastion "))[0]
        words = shlex.split(example)
        if words[0] != "help":
            assert " ".join(path) == parse(root, words).path.partition(" ")[2]


def test_the_exit_codes_are_those_of_the_failures() -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    families = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.BastionError)]
    assert {one.exit_code for one in families} | {0, 255} == documented
