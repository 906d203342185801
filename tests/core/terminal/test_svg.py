"""A picture of a screen as SVG: always well-formed XML that says what the screen says, whatever an endpoint wrote."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.terminal import Terminal
from bastion.core.terminal.svg import svg

SVG = "{http://www.w3.org/2000/svg}"


def texts(data: bytes, columns: int = 40, lines: int = 5) -> list[str]:
    terminal = Terminal(columns, lines)
    terminal.feed(data)
    root = ET.fromstring(svg(terminal.snapshot(), "caption & <more>"))
    assert {each.tag for each in root.iter()} <= {SVG + name for name in ("svg", "g", "rect", "text")}
    return [each.text or "" for each in root.iter(f"{SVG}text")]


def test_words_stand_in_their_cells_and_markup_is_text() -> None:
    found = texts("a <script>alert(1)</script> & \x1b[1;31m漢字é\x1b[0;7m rev \x1b[8mhidden".encode())
    assert found == ["a", "<script>alert(1)</script>", "&", "漢", "字", "é", "rev", "caption & <more>"]


def test_colours_of_every_kind_are_drawn() -> None:
    terminal = Terminal(20, 2)
    terminal.feed(b"\x1b[31mA\x1b[38;5;196mB\x1b[38;5;250mC\x1b[38;2;1;2;3mD\x1b[44mE\x1b[0;4;9mF")
    drawn = svg(terminal.snapshot())
    for colour in ("#cc0000", "#ff0000", "#bcbcbc", "#010203", "#3465a4", 'text-decoration="underline line-through"'):
        assert colour in drawn


@settings(max_examples=100 * int(os.environ.get("BASTION_FUZZ", "1")))
@given(st.binary(max_size=300))
def test_no_output_makes_it_anything_but_well_formed(data: bytes) -> None:
    texts(data)
