"""What every committed file keeps to: sizes, forbidden words, nothing of any one machine, locks that pin."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 500
CODE = sorted((ROOT / "bastion").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
RECORDED = (ROOT / "tests" / "golden",)  # what programs wrote on their screens, kept as it was

ABSTRACT = {
    "bastion/core/terminal/canvas.py": "the screen above it inserts",
    "bastion/wire/sessions.py": "each kind of session hands data over its own way",
}
SLEEPS = {"bastion/backends/store/journal.py": "waits for another process's file lock, before anything is served"}
THROUGH_THE_DOOR = {"services/live", "frontends/ssh", "backends/dialer"}  # by real clients and servers, in tests/stories
TASKS = {"bastion/services/tasks.py": "the one place that starts tasks"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def committed() -> tuple[Path, ...]:
    """The files git knows; without git (an unpacked archive), those of the folders that are ours."""
    asked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if asked.returncode == 0:
        paths = [ROOT / line for line in asked.stdout.decode().split("\0") if line]
    else:
        folders = ("bastion", "tests", "scripts", "policies", ".ci")
        paths = [*ROOT.glob("*.*"), *(path for folder in folders for path in (ROOT / folder).rglob("*"))]
    return tuple(path for path in paths if path.is_file() and "__pycache__" not in path.parts)


def texts() -> Iterator[tuple[str, str]]:
    """(name, text) of every committed text that people wrote."""
    for path in committed():
        if any(path.is_relative_to(folder) for folder in RECORDED):
            continue
        try:
            yield name(path), path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


def called(tree: ast.AST) -> Iterator[str]:
    """The dotted names of everything that is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_no_file_of_the_product_is_longer_than_five_hundred_lines() -> None:
    long = {name(path): lines for path in CODE if (lines := len(path.read_text().splitlines())) > LONGEST}
    assert long == {}


def test_every_module_says_what_it_is_in_its_first_line() -> None:
    silent = [name(path) for path in CODE if not (ast.get_docstring(ast.parse(path.read_text())) or "").strip()]
    assert silent == []


def test_nothing_is_left_undone_or_skipped() -> None:
    words = re.compile(
        "|".join((r"\bTO" + r"DO\b", r"\bFIX" + r"ME\b", r"\bX" + r"XX\b", r"mark\.(skip|xfail)", r"pytest\.(skip|xfail|importorskip)"))
    )
    here = name(Path(__file__))
    found = [f"{file}: {hit[0]}" for file, text in texts() if file.endswith((".py", ".toml", ".yaml", "run", "test", "check", ".sh"))
             and file != here and (hit := words.search(text))]  # fmt: skip
    assert found == []


def test_only_hooks_of_a_base_class_are_left_to_others() -> None:
    found = [name(path) for path in CODE if "NotImplementedError" in path.read_text()]
    assert set(found) <= set(ABSTRACT)


def test_nothing_sleeps_in_the_product() -> None:
    found = {name(path) for path in CODE if "time.sleep" in called(ast.parse(path.read_text()))}
    assert found <= set(SLEEPS)


def test_tasks_are_started_in_one_place() -> None:
    found = {
        name(path)
        for path in CODE
        if any(re.search(r"\b(create_task|ensure_future)$", call) for call in called(ast.parse(path.read_text())))
    }
    assert found == set(TASKS)


def test_nothing_committed_names_a_registry_or_a_folder_of_one_machine() -> None:
    # Split, so that this file does not find itself.
    words = re.compile(
        "|".join(
            (
                "pypi" + r"\.org",
                "files\\.python" + "hosted",
                "index" + "-url",
                "find" + "-links",
                "/wo" + "rk/",
                "/ro" + "ot/",
                r"/home/\w+/\.",
            )
        )
    )
    found = [f"{file}: {hit[0]}" for file, text in texts() if (hit := words.search(text))]
    assert found == []


def test_no_comment_points_to_a_page_that_is_not_here() -> None:
    pages = re.compile("(DES" + "IGN|SECUR" + "ITY|FAC" + "TS|STY" + "LE|PE" + r"ERS)(\.md| section|:| §| promises| says)")
    found = [
        f"{file}: {hit[0]}" for file, text in texts() if file.endswith((".py", ".md", ".toml", ".yaml")) and (hit := pages.search(text))
    ]
    assert found == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_pins_every_package_by_version_and_hash_and_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*--(?!hash=sha256:[0-9a-f]{64}\b)", text, re.MULTILINE)
    pinned = re.split(r"^(?=[a-z])", text, flags=re.MULTILINE)[1:]
    assert len(pinned) > 10
    for one in pinned:
        assert re.match(r"[a-z0-9._-]+==[0-9][^ ]* ", one), one[:60]
        assert "--hash=sha256:" in one, one[:60]


def test_the_locks_hold_what_the_project_asks_for_and_agree() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [one for group in project["optional-dependencies"].values() for one in group]
    locks = {
        lock: dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))
        for lock in ("requirements.lock", "requirements-dev.lock")
    }
    run, dev = locks.values()
    assert {re.split(r"[^a-z0-9-]", one)[0] for one in project["dependencies"]} <= set(run)
    assert {re.split(r"[^a-z0-9-]", one)[0] for one in extras} <= set(dev)
    assert run.items() <= dev.items()


def test_every_room_has_its_tests() -> None:
    """A folder, a file or an import of it in the tests of its floor; or the stories reach it through the real door."""
    untested = []
    for start in (ROOT / "bastion").rglob("__init__.py"):
        room = start.parent.relative_to(ROOT / "bastion")
        if len(room.parts) < 2 or "migrations" in room.parts or room.as_posix() in THROUGH_THE_DOOR:
            continue
        module = "bastion." + ".".join(room.parts)
        places = (ROOT / "tests" / room, ROOT / "tests" / "contracts" / room.name)
        if not any(place.is_dir() for place in places) and not any(module in path.read_text() for path in TESTS):
            untested.append(room.as_posix())
    assert untested == []
    assert (ROOT / "tests" / "stories").is_dir()
