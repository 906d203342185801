"""Keyframes of recorded programs, one each kilobyte, shown by tmux and by xterm: is it the screen we have?

Needs tmux, and for xterm Debian's xterm and xvfb. Says what differs, and fails then.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.core.terminal import judge
from tests.core.terminal.elsewhere import prefixes, rebuilt
from tests.lab.screens import TmuxScreen, XtermScreen, display, missing

UNFAIR = {"tmux": ("unicode-cat",), "xterm": ("unicode-cat",)}
"""Streams that show what a terminal does otherwise by itself: both keep fewer marks, and tmux loses a family's fourth head."""
NEEDS = {"tmux": ("tmux",), "xterm": ("xterm", "Xvfb")}


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description="Keyframes shown by real terminals.")
    parser.add_argument("--in", dest="where", choices=NEEDS, action="append", help="which terminal (default: both)")
    parser.add_argument("--filter", default="", help="only streams whose name has this in it")
    parser.add_argument("--every", type=int, default=1000, help="bytes between keyframes (default: %(default)s)")
    asked = parser.parse_args()
    failed = 0
    for where in asked.where or NEEDS:
        if absent := missing(*NEEDS[where]):
            sys.exit(f"{', '.join(absent)} not found: apt-get install --no-install-recommends tmux xterm xvfb")
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = stack.enter_context(display()) if where == "xterm" else ""
            screens: dict[tuple[int, int], TmuxScreen | XtermScreen] = {}
            shown = 0
            for name in judge.names():
                if asked.filter not in name or name.startswith(UNFAIR[where]):
                    continue
                for offset, terminal in prefixes(name, asked.every):
                    size = (terminal.columns, terminal.lines)
                    if size not in screens:
                        screens[size] = XtermScreen(folder, *size, server) if server else TmuxScreen(folder, *size)
                        stack.callback(screens[size].close)
                    wrong = rebuilt(terminal, screens[size])
                    shown += 1
                    failed += bool(wrong)
                    if wrong:
                        print(f"{where}: {name} at {offset}: {len(wrong)} differences: {'; '.join(wrong[:3])}", flush=True)
            print(f"{where}: {shown} keyframes shown", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
