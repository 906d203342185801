"""How fast the virtual terminal is, in ratios to plain pyte within the same run.

Never judges correctness, and prints processor time, so that a busy machine does not blur it.
"""

from __future__ import annotations

import gc
import re
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pyte

from bastion.core.terminal import Terminal

GOLDEN = Path(__file__).resolve().parent.parent / "tests" / "golden" / "terminal"
COLUMNS, LINES = 80, 24
BACKLOG = 256 * 1024
_RAISING = re.compile(rb"\x1b\[[?>=][\d;]*[a-gi-km-z]")
PROGRAMS = ("vim-edit", "htop", "mc", "git-log", "less", "man", "tmux-inside", "nano", "rich")


def seconds(act: Callable[[], object], rounds: int = 3) -> float:
    """Return the least processor time of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        act()
        best = min(best, time.process_time() - start)
    return best


def with_pyte(data: bytes) -> None:
    """Feed plain pyte, without the few private sequences that it raises on (mc and vim send them)."""
    pyte.ByteStream(pyte.Screen(COLUMNS, LINES)).feed(_RAISING.sub(b"", data))


def with_ours(data: bytes) -> None:
    """Feed our terminal at once."""
    Terminal(COLUMNS, LINES).feed(data)


def with_skipping(data: bytes) -> None:
    """Let the bytes wait, a backlog at a time, then catch up."""
    terminal = Terminal(COLUMNS, LINES)
    for at in range(0, len(data), BACKLOG):
        terminal.push(data[at : at + BACKLOG])
        terminal.catch_up()


def floods() -> dict[str, bytes]:
    """Return output that only scrolls by, two backlogs of each."""
    size = 2 * BACKLOG
    seq = b"".join(b"%d\r\n" % number for number in range(90_000))
    log = b"".join(
        b"\x1b[2m2026-11-22 10:%02d:%02d\x1b[0m \x1b[32mINFO\x1b[0m \x1b[1mitems.%d\x1b[0m"
        b" GET /api/v1/items/%d \x1b[33m200\x1b[0m in %d ms\r\n" % (n // 60 % 60, n % 60, n % 7, n, n % 97)
        for n in range(8_000)
    )
    cjk = "".join(f"2026-11-22 信息 请求处理完成 路径=/接口/{n} 状态=成功 用时 {n % 97} 毫秒\r\n" for n in range(9_000))
    return {"seq": seq[:size], "coloured log": log[:size], "CJK log": cjk.encode()[:size]}


def rates() -> None:
    """Print megabytes a second and the ratio to pyte."""
    print(f"{'':22}{'pyte':>8}{'ours':>8}{'ratio':>8}   MB/s")
    for name in PROGRAMS:
        once = (GOLDEN / f"{name}-80x24.bytes").read_bytes()
        data = once * max(1, 100_000 // len(once))
        theirs = len(data) / seconds(lambda data=data: with_pyte(data), 2) / 1e6
        ours = len(data) / seconds(lambda data=data: with_ours(data)) / 1e6
        print(f"{name:22}{theirs:8.2f}{ours:8.2f}{ours / theirs:8.1f}")
    for name, data in floods().items():
        theirs = BACKLOG / seconds(lambda data=data: with_pyte(data[:BACKLOG]), 1) / 1e6
        for how, act in (("", with_ours), (", backlog 256 KB", with_skipping)):
            ours = len(data) / seconds(lambda data=data, act=act: act(data)) / 1e6
            print(f"{name + how:22}{theirs:8.2f}{ours:8.2f}{ours / theirs:8.1f}")


def _filled(columns: int, lines: int) -> Terminal:
    terminal = Terminal(columns, lines)
    for line in range(lines):
        terminal.feed(b"\x1b[%dH" % (line + 1))
        for at in range(0, columns, 4):
            terminal.feed(b"\x1b[38;5;%d;48;5;%dm%s" % ((line * 7 + at) % 256, (line + at * 3) % 256, b"text"))
    return terminal


def keyframes() -> None:
    """Print the time and size of keyframes and pictures."""
    for name, columns, lines in (("vim-edit-80x24", 80, 24), ("mc-80x24", 80, 24), ("htop-80x24", 80, 24)):
        terminal = Terminal(columns, lines)
        terminal.feed((GOLDEN / f"{name}.bytes").read_bytes()[:-600])
        took = seconds(lambda terminal=terminal: [terminal.dump() for _ in range(50)]) / 50
        print(f"keyframe {name:18}{took * 1000:7.3f} ms {len(terminal.dump()):6} bytes")
    terminal = _filled(80, 24)
    took = seconds(lambda: [terminal.dump() for _ in range(20)]) / 20
    print(f"keyframe {'full of colours':18}{took * 1000:7.3f} ms {len(terminal.dump()):6} bytes")


def memory() -> None:
    """Print what terminals take."""

    def measure(make: Callable[[], Terminal]) -> int:
        make()
        gc.collect()
        tracemalloc.start()
        kept = make()
        gc.collect()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert kept.columns
        return size

    def with_history() -> Terminal:
        terminal = Terminal(80, 24)
        for line in range(1100):
            terminal.feed(b"\x1b[3%dm%-40d\x1b[1m%039d\x1b[m\r\n" % (line % 8, line, line))
        return terminal

    print(f"a fresh terminal      {measure(lambda: Terminal(80, 24)) / 1024:8.1f} KB")
    print(f"a filled 80x24        {measure(lambda: _filled(80, 24)) / 1024:8.1f} KB")
    print(f"1,000 rows scrolled   {measure(with_history) / 1024:8.1f} KB")


if __name__ == "__main__":
    rates()
    keyframes()
    memory()
