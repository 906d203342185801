"""The two commands of the README say in one sentence what they lack; a folder of programs stands in for a bare machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAIN = ("bash", "sh", "cat", "cut", "dirname", "env", "id", "readlink", "sed", "sha256sum")


class Machine:
    """A checkout's scripts, and a PATH with nothing but plain tools."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "check out"  # a space, as people have them
        self.programs = folder / "bin"
        self.programs.mkdir()
        shutil.copytree(ROOT / "scripts", self.checkout / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("requirements.lock", "requirements-dev.lock"):
            shutil.copy(ROOT / name, self.checkout)
        for name in PLAIN:
            (self.programs / name).symlink_to(shutil.which(name) or f"/bin/{name}")

    def add(self, name: str, script: str) -> None:
        (self.programs / name).write_text(f"#!{self.programs}/sh\n{script}\n")
        (self.programs / name).chmod(0o755)

    def run(self, script: str, *args: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [self.checkout / "scripts" / script, *args], env={"PATH": str(self.programs), "HOME": str(self.checkout)}, cwd="/",
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("script", ["run", "check"])
def test_without_a_python_the_script_names_what_to_install(machine: Machine, script: str) -> None:
    code, out, err = machine.run(script)
    assert (code, out) == (1, "")
    assert "Python 3.11, 3.12 or 3.13 is needed and was not found" in err
    assert "apt-get install python3 python3-venv" in err
    assert len(err.splitlines()) == 1


def test_a_python_that_is_too_old_counts_as_none(machine: Machine) -> None:
    machine.add("python3", "exit 1")
    code, _, err = machine.run("run")
    assert code == 1
    assert "Python 3.11, 3.12 or 3.13 is needed" in err


def test_without_venv_run_names_the_package(machine: Machine) -> None:
    machine.add("python3", f'case "$*" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    code, out, err = machine.run("run")
    assert (code, out) == (1, "")
    assert "lacks the venv module. On Debian 12: apt-get install python3-venv" in err


def test_a_home_without_a_folder_is_a_mistake(machine: Machine) -> None:
    code, _, err = machine.run("run", "--home")
    assert code == 1
    assert "--home needs a folder" in err


def test_tests_without_their_packages_stop_with_the_line_to_type_when_not_root(machine: Machine) -> None:
    machine.add("id2", "echo 1000")
    (machine.programs / "id").unlink()
    os.rename(machine.programs / "id2", machine.programs / "id")
    code, out, err = machine.run("test")
    assert (code, out) == (1, "")
    assert "sudo apt-get install --no-install-recommends" in err
    for package in ("openssh-client", "putty-tools", "dropbear-bin", "tmux", "asciinema"):
        assert package in err
    assert len(err.splitlines()) == 1
