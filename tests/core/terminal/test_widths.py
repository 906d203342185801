"""The pinned widths are wcwidth's, but for what terminals do otherwise."""

from __future__ import annotations

import unicodedata

import pytest
from wcwidth import wcwidth

from bastion.core.terminal.widths import SEGMENTS, width

OTHERWISE = [
    *range(0x1F1E6, 0x1F200), *range(0x2630, 0x2638), *range(0x268A, 0x2690), *range(0x1D300, 0x1D377),
    *range(0x3248, 0x3250), *range(0x600, 0x604), 0x302E, 0x302F, 0x3164, 0x6DD, 0x70F,
]  # fmt: skip


def test_old_characters_have_wcwidths_width_or_a_known_other() -> None:
    for code in range(0xA0, 0x30000):
        char = chr(code)
        category = unicodedata.category(char)
        if category in {"Cn", "Cs", "Co", "Mc"} or code in OTHERWISE:
            continue
        if unicodedata.ucd_3_2_0.category(char) == "Cn":
            continue  # younger than the versions of wcwidth may agree on
        assert width(char) == wcwidth(char), hex(code)


@pytest.mark.parametrize(
    ("char", "columns"),
    [("a", 1), ("é", 1), ("中", 2), ("ｱ", 1), ("Ａ", 2), ("\u0301", 0), ("\u200d", 0), ("\ufe0f", 0), ("\u0e35", 0), ("\u093f", 1),
     ("😀", 2), ("🇩", 1), ("\u1160", 0), ("\u00ad", 1), ("\x07", -1), ("\u009b", -1), ("𠀀", 2), ("𝐀", 1)],
)  # fmt: skip
def test_width(char: str, columns: int) -> None:
    assert width(char) == columns


def test_text_is_split_by_width() -> None:
    assert SEGMENTS.split("ab中文e\u0301x😀") == ["ab", "中文", None, "e", None, "\u0301", "x", None, "😀", ""]
