"""Print what the renderer costs: time and bytes of usual updates, and the menu's time per key.

Never asserts: the tests hold the promises, this shows the numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from typing import TYPE_CHECKING

from bastion.core.menu import Menu, MenuItem
from bastion.core.menu import view as picture
from bastion.core.terminal.caps import Caps
from bastion.core.terminal.diff import diff
from bastion.core.terminal.grid import Grid
from bastion.core.terminal.paint import Canvas
from bastion.core.terminal.style import style
from bastion.core.terminal.viewport import Viewport, view

if TYPE_CHECKING:
    from collections.abc import Callable

CAPS = Caps.of("xterm-256color")
LOOKS = [style(), style(2), style(4, flags=1), style(120, 17), style(bg=5)]


def timed(action: Callable[[], object], repeats: int = 300) -> float:
    """Return the median time of an action in milliseconds."""
    times = []
    for _ in range(repeats):
        start = perf_counter()
        action()
        times.append(perf_counter() - start)
    return median(times) * 1000


def listing(start: int, columns: int = 80, lines: int = 24) -> Grid:
    """Return a coloured listing from some line on."""
    canvas = Canvas(columns, lines)
    for y in range(lines):
        x = canvas.text(0, y, f"-rw-r--r-- 1 root root {(start + y) * 7919 % 99999:6}", LOOKS[0])
        canvas.text(x + 1, y, f"file-{start + y}.conf", LOOKS[(start + y) % len(LOOKS)])
    return canvas.frame((0, lines - 1))


def main() -> None:
    """Print one line per case."""
    base = listing(0)
    typed = Canvas(80, 24)
    typed.text(0, 0, "$ ls")
    one = typed.frame((4, 0))
    typed.text(4, 0, "x")
    two = typed.frame((5, 0))
    changed = list(base.rows)
    other = listing(500)
    for y in (3, 9, 15):
        changed[y] = other.rows[y]
    three = Grid(80, tuple(changed), (0, 23))
    big, big_next = listing(0, 200, 60), listing(3, 200, 60)
    cases = [
        ("one letter typed", one, two),
        ("three rows of 24 change", base, three),
        ("scrolled by one", base, listing(1)),
        ("scrolled by twelve", base, listing(12)),
        ("every row changes", base, other),
        ("drawn on a clear screen", None, base),
        ("200x60 scrolled by three", big, big_next),
        ("200x60 every row changes", big, listing(900, 200, 60)),
    ]
    for name, before, after in cases:
        cost = timed(lambda before=before, after=after: diff(before, after, CAPS))
        print(f"{name:32} {cost:8.3f} ms {len(diff(before, after, CAPS)):7} bytes")
    window = Viewport(60, 20, status=True).followed(base)
    first = view(base, window)
    cost = timed(lambda: diff(first, view(three, window), CAPS))
    print(f"{'cropped view 60x20, three rows':32} {cost:8.3f} ms")
    items = [MenuItem(f"web{n:04}.example.org", f"Machine {n} of the fleet", (("env", "prod"),)) for n in range(5000)]
    menu = Menu.of(items, user="alice")
    print(f"{'menu of 5,000: made':32} {timed(lambda: Menu.of(items), 5):8.3f} ms")
    for query in ("w", "4", "web 12"):
        before = menu.filtered(query[:-1])
        cost = timed(lambda before=before, query=query: before.filtered(query), 30)
        print(f"{f'menu of 5,000: filter {query!r}':32} {cost:8.3f} ms")
    moved = menu.moved(1)
    one, two = picture(menu), picture(moved)
    print(f"{'menu picture':32} {timed(lambda: picture(moved)):8.3f} ms")
    cost = timed(lambda: diff(one, two, CAPS))
    print(f"{'menu arrow key sent':32} {cost:8.3f} ms {len(diff(one, two, CAPS)):7} bytes")


if __name__ == "__main__":
    main()
