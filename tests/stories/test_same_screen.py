"""Joining late, switching windows, detaching and attaching show what tmux makes of the same stream, wherever it was cut.

The streams are what real programs wrote. Each is played in pieces: one ends in the middle of an escape sequence, one in
the middle of a character, where there is one.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bastion import Bastion
from tests.lab.tmux import Tmux
from tests.lab.waiting import until
from tests.stories.test_late_join import COLUMNS, LINES, picture, same

GOLDEN = Path(__file__).parents[1] / "golden" / "terminal"
STREAMS = {
    "vim": "vim-edit-80x24",
    "htop": "htop-80x24",
    "less": "less-R-80x24",
    "mc": "mc-80x24",
    "a coloured build log": "rich-live-80x24",
    "CJK": "",
}
CJK = "".join(
    f"\x1b[{31 + n % 7};{40 + n % 3}m{n:2d} \x1b[m漢字かな交じり文 한국어 ｶﾅ café e\u0301 {'中文' * (n % 20)}\x1b[4m終\x1b[m{'.' * (n % 5)}\r\n" for n in range(60)
)
"""Wide characters in colours; some lines end in the last column, some are wrapped within a character."""
# Goes on at '@': terminals' answers to what programs ask may hold a '>'
PLAYER = """
import os, sys, tty
tty.setraw(0)
data = open(sys.argv[1], 'rb').read()
cuts = [0, *map(int, sys.argv[2:]), len(data)]
os.write(1, b'\\x1b[H\\x1b[2J')
for start, end in zip(cuts, cuts[1:]):
    rest = data[start:end]
    while rest:
        rest = rest[os.write(1, rest):]
    while b'@' not in os.read(0, 1000): pass
"""


def cuts(data: bytes) -> list[int]:
    """Three places: within a sequence, within a character (or else a sequence), within a sequence again."""
    sequences = [found.start() + max(1, len(found[0]) // 2) for found in re.finditer(rb"\x1b\[[0-9;?]+[A-Za-z]", data)]
    characters = [found.start() + 1 for found in re.finditer(rb"[\xc2-\xf4][\x80-\xbf]+", data)]
    middle = [at for at in characters if 0.4 < at / len(data) < 0.65]

    def nearest(places: list[int], part: float) -> int:
        return min(places, key=lambda at: abs(at - len(data) * part))

    found = [nearest(sequences or characters, 0.3), nearest(middle or sequences, 0.5), nearest(sequences or characters, 0.75)]
    assert found[0] < found[1] < found[2] < len(data)
    return found


class Scene:
    """One stream: the session's owner, one who looks on, and a plain tmux that plays the same without a bastion."""

    def __init__(self, bastion: Bastion, name: str, folder: Path) -> None:
        self.bastion = bastion
        file = GOLDEN / f"{STREAMS[name]}.bytes" if STREAMS[name] else folder / "cjk"
        if not STREAMS[name]:
            file.write_text(CJK, newline="")
        player = folder / "play.py"
        player.write_text(PLAYER)
        play = [sys.executable, str(player), str(file), *map(str, cuts(file.read_bytes()))]
        self.plain = Tmux(folder, play, columns=COLUMNS, lines=LINES)
        before = {row["id"] for row in bastion.live()}
        self.owner = bastion.tmux("alice", "connect web01", columns=COLUMNS, lines=LINES, options=("-tt",))
        (self.id,) = until(lambda: [row["id"] for row in bastion.live(owner="alice", state="running") if row["id"] not in before], "it runs")
        self.line = f"exec {shlex.join(play)}"
        self.viewer: Tmux | None = None
        self.opened = [self.plain, self.owner]

    def begin(self) -> None:
        self.owner.wait("~")
        self.owner.text(self.line)
        self.owner.type("Enter")

    def look_on(self) -> None:
        self.viewer = self.bastion.tmux("sup", f"join {self.id}", columns=COLUMNS, lines=LINES + 1, options=("-t", "-o", "SetEnv=COLORTERM=truecolor"))
        self.opened.append(self.viewer)

    def go_on(self) -> None:
        """Play the next piece everywhere."""
        shown = picture(self.plain)
        self.plain.text("@")
        self.owner.text("@")
        until(lambda: picture(self.plain) != shown, "the next piece is on the plain screen")

    def close(self) -> None:
        for window in self.opened:
            window.close()
        self.bastion.ssh("sup", f"kill {self.id} --reason over --yes")


@pytest.fixture
def scenes(own_bastion: Bastion, tmp_path: Path) -> Iterator[dict[str, Scene]]:
    assert shutil.which("tmux")
    made: dict[str, Scene] = {}
    try:
        for name in STREAMS:
            folder = tmp_path / name.split()[0]
            folder.mkdir()
            made[name] = Scene(own_bastion, name, folder)
        for scene in made.values():
            scene.begin()
        yield made
    finally:
        for scene in made.values():
            scene.close()


def test_every_way_to_come_to_a_session_shows_what_tmux_shows_of_the_same_stream(scenes: dict[str, Scene]) -> None:
    """All scenes side by side, step by step."""

    def alike(who: str) -> None:
        for name, scene in scenes.items():
            try:
                same(getattr(scene, who), scene.plain)
            except AssertionError as error:
                raise AssertionError(f"{name}, {who}: {error}") from None

    alike("owner")
    for scene in scenes.values():
        scene.look_on()
    alike("viewer")  # joined amid a sequence
    for scene in scenes.values():
        scene.go_on()
    alike("viewer")
    for scene in scenes.values():
        scene.owner.type("C-]", "c")
    for scene in scenes.values():
        scene.owner.wait("to choose from")
        scene.owner.type("C-]", "1")
    alike("owner")  # came back amid a character
    for scene in scenes.values():
        scene.go_on()
    alike("owner")
    alike("viewer")
    for scene in scenes.values():
        scene.owner.type("C-]", "d")
    for scene in scenes.values():
        assert scene.owner.wait_exit() == 0
        scene.owner = scene.bastion.tmux("alice", f"attach {scene.id}", columns=COLUMNS, lines=LINES, options=("-tt",))
        scene.opened.append(scene.owner)
    alike("owner")  # attached amid a sequence
    for scene in scenes.values():
        scene.go_on()
    alike("owner")
    alike("viewer")
