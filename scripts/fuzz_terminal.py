"""A million made-up streams against the terminal: stops at the first one that it does not take well.

Never the same stream for two seeds; a seed alone makes its stream again (`--from SEED --streams 1`).
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bastion.core.terminal import Terminal
from tests.core.terminal.streams import differing

PROGRESS: Final = 10_000
SLOW: Final = 2.0
"""Seconds of processor time for one stream: hundreds of times the usual."""
SIZES: Final = ((80, 24), (20, 5), (10, 3), (7, 1), (2, 2), (1, 1), (132, 40), (3, 50))
WORDS: Final = (
    "a", "hello", "x" * 30, "é", "中文", "日", "e\u0301", "\u0301",
    "😀", "👩\u200d💻", "─│┌", "ｱ", "\u00a0", "\u009b", "~", "\ufe0f", "🇩🇪", "क्षि",
)  # fmt: skip
NUMBERS: Final = ("", "0", "1", "2", "3", "5", "7", "10", "23", "24", "79", "80", "255", "9999", "99999999999", "4:3", "38:2::1:2:3")
SGR: Final = (
    "",
    "0",
    "1",
    "2;3",
    "4",
    "4:3",
    "7",
    "8;9",
    "31",
    "97",
    "42",
    "101",
    "38;5;9",
    "48;2;1;2;3",
    "58:5:4",
    "39;49",
    "38;5",
    "21;53",
)
MODES: Final = (
    "1",
    "3",
    "4",
    "5",
    "6",
    "7",
    "12",
    "20",
    "25",
    "45",
    "47",
    "66",
    "1000",
    "1006",
    "1004",
    "1047",
    "1048",
    "1049",
    "2004",
    "2026",
)
ESCAPES: Final = ("7", "8", "D", "E", "M", "H", "c", "=", ">", "N", "O", "n", "o", "(0", "(B", ")0", "*0", "+A", "#8", "#3", "%G", "Z", "~")
CONTROLS: Final = ("\r\n", "\r\n", "\r\n", "\r", "\n", "\b", "\t", "\v", "\f", "\x0e", "\x0f", "\x07", "\0", "\x7f", "\x18", "\x1a")
STRINGS: Final = (
    "0;title",
    "2;é中",
    "8;;https://example.org/a",
    "8;;",
    "8;;javascript:x",
    "52;c;aGk=",
    "4;1;?",
    "10;?",
    "q#0~~",
    "",
    "\x1b",
)
ENDS: Final = ("\x07", "\x1b\\", "\x18", "")
BROKEN: Final = (
    "\x1b",
    "\x1b[",
    "\x1b[3\n2",
    "\x1b[?",
    "\x1b[1;2\x1b",
    "\x1b(",
    "\x1b[" + "1" * 300,
    "\x1b[" + "1;" * 300 + "m",
    "\x1b]0;",
)


def piece(dice: random.Random) -> bytes:
    """Return a word, a control, a sequence, or the half of one."""
    kind = dice.random()
    if kind < 0.3:
        text = dice.choice(WORDS)
    elif kind < 0.4:
        text = f"\x1b[{dice.choice(SGR)}m"
    elif kind < 0.62:
        numbers = ";".join(dice.choices(NUMBERS, k=dice.choice((0, 1, 1, 2, 2, 3, 5))))
        prefix, between = dice.choice(("", "", "", "", "", "?", ">", "<", "=")), dice.choice(("", "", "", "", "", " ", "!", "$"))
        text = f"\x1b[{prefix}{numbers}{between}{dice.choice('@ABCDEFGHIJKLMPSTXZ`abcdefghlmnpqrstuxz{|}~')}"
    elif kind < 0.7:
        text = f"\x1b[{dice.choice(('?', '?', '?', ''))}{dice.choice(MODES)}{dice.choice('hl')}"
    elif kind < 0.76:
        text = "\x1b" + dice.choice(ESCAPES)
    elif kind < 0.9:
        text = dice.choice(CONTROLS)
    elif kind < 0.94:
        text = f"\x1b{dice.choice(']P_^X')}{dice.choice(STRINGS)}{dice.choice(ENDS)}"
    elif kind < 0.96:
        text = dice.choice(BROKEN)
    else:
        return dice.randbytes(dice.randint(1, 6))
    return text.encode()


def stream(dice: random.Random) -> bytes:
    """Return random bytes, or output by the grammar; one in five hundred is so long that it is skipped through."""
    kind = dice.random()
    if kind < 0.1:
        return dice.randbytes(dice.randint(1, 300))
    if kind < 0.2:  # escapes and digits thick
        return bytes(dice.choices(b"\x1b\x1b[[[]()?;:0123456789mHJKhlABrSTLM@P\r\n\t ax\xc2\x9b\xe4", k=dice.randint(1, 300)))
    made = b"".join([piece(dice) for _ in range(dice.randint(1, 40))])
    return made * (90_000 // len(made)) if kind > 0.998 and made else made


def faults(dice: random.Random) -> list[str]:
    """Feed two terminals a stream, whole and in pieces, and return in words what went wrong."""
    size, other, data = dice.choice(SIZES), dice.choice(SIZES), stream(dice)
    whole, pieces = Terminal(*size, history=50), Terminal(*size, history=50)
    whole.feed(data)
    if len(data) > 10_000 or dice.random() < 0.3:
        pieces.push(data)
        pieces.catch_up()
    else:
        at = 0
        while at < len(data):
            step = dice.randint(1, 40)
            pieces.feed(data[at : at + step])
            at += step
    wrong = differing(whole, pieces)
    if whole.pending != pieces.pending:
        wrong.append(f"pending: {whole.pending!r} and {pieces.pending!r}")
    if whole.scrollback() != pieces.scrollback():
        wrong.append("the scrollback")
    if dice.random() < 0.3:
        again = Terminal(*size)
        again.feed(whole.dump() + whole.pending)
        if again.faults or again.snapshot() != whole.snapshot():
            wrong.append("what the keyframe makes")
    whole.resize(*other)
    whole.feed(data[:500])
    grid = whole.snapshot()
    if whole.faults or pieces.faults:
        wrong.append("an exception, which reset the screen")
    if not all(len(row.chars) == len(row.styles) == grid.columns and row.chars[0] for row in grid.rows) or len(grid.rows) != other[1]:
        wrong.append("a row's shape")
    if any(char < " " or "\x7f" <= char < "\xa0" for row in grid.rows for char in "".join(row.chars)):
        wrong.append("a control character in a cell")
    if not (0 <= whole.cursor[0] < whole.columns and 0 <= whole.cursor[1] < whole.lines):
        wrong.append("the cursor's place")
    return wrong


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description="Made-up streams against the terminal.")
    parser.add_argument("--streams", type=int, default=1_000_000, help="how many (default: %(default)s)")
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="SEED", help="the first seed (default: %(default)s)")
    asked = parser.parse_args()
    began = time.monotonic()
    for done, seed in enumerate(range(asked.first, asked.first + asked.streams)):
        if done and done % PROGRESS == 0:
            print(f"{done} streams good, {time.monotonic() - began:.0f} s; to go on later: --from {seed}", flush=True)
        start = time.process_time()
        try:
            wrong = faults(random.Random(seed))
        except Exception:
            wrong = [traceback.format_exc()]
        if time.process_time() - start > SLOW:
            wrong.append(f"time: {time.process_time() - start:.1f} s")
        if wrong:
            sys.exit(f"seed {seed} after {done} good streams: {'; '.join(wrong)[:3000]}")
    print(f"{asked.streams} streams good, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
