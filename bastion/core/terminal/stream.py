"""The parser: bytes in, calls on a screen out; it can stop and go on at any byte.

Never draws and never waits. Theory of operation: bytes become text (invalid ones are dropped), text is split by
one regular expression into what is printed and what controls, each control is looked up by its text, and
only what is left unfinished at the end of the data is kept: in `_tail` the start of a sequence, in
`_string` that the body of an OSC, DCS, APC, PM or SOS is being passed over, in `_skipping` that a CSI
sequence turned out too long and its end is awaited.
"""

from __future__ import annotations

import codecs
import re
from operator import length_hint
from typing import Final

import pyte

from bastion.core.terminal.controls import ACTIONS, CSI_MAX, act_within, overlong, repeat, unfinished
from bastion.core.terminal.modes import Moded
from bastion.core.terminal.strings import STARTS, STRING_MAX, finish
from bastion.core.terminal.widths import width

_TOKEN: Final = re.compile(
    r"([\x00-\x1f\x7f]"  # every control starts with one of these: a class first lets the engine race
    r"(?:(?<=\x1b)(?:"
    r"\[[\d;:]{0,200}(?:m(?:\x1b\[[\d;:]{0,64}m){0,8}"
    rf"|[^@-~\x1b\x18\x1a]{{0,{CSI_MAX}}}[@-~]?)"
    r"|\][^\x07\x18\x1a\x1b]*(?:\x07|\x1b\\)?"
    r"|[PX^_][^\x18\x1a\x1b]*(?:\x1b\\)?"
    r"|[\x00-\x17\x19\x1c-\x2f\x7f]{0,16}[0-~]?"
    r")|(?<=\r)\n)?)",
)
_split: Final = _TOKEN.split
_OSC_END: Final = re.compile(r"[\x07\x18\x1a\x1b]")
_STRING_END: Final = re.compile(r"[\x18\x1a\x1b]")
_CSI_END: Final = re.compile(r"[@-~\x1b\x18\x1a]")
_C1: Final = re.compile(r"[\x80-\x9f]")
_C1_MEANING: Final = {code: "\x1b" + chr(code - 0x40) for code in range(0x80, 0xA0)}
ENDLESS: Final = 1 << 60


def _last_drawn(text: str) -> str:
    """Return the last character that takes a column, which is what REP repeats, or nothing."""
    return next((char for char in reversed(text) if width(char) > 0), "")


class Stream(pyte.Stream):
    """Feeds one screen."""

    def __init__(self, screen: Moded) -> None:
        self.screen = screen
        self.reset()

    def reset(self) -> None:
        """Forget what was unfinished."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._tail = ""
        self._string = ""  # the kind of string we are in, "" for none
        self._body = ""
        self._skipping = False
        self._held = ""  # decoded, and put off since what came before took its time
        self.last = ""  # the character drawn last, if nothing came after it

    def attach(self, screen: pyte.Screen) -> None:
        """Feed another screen from now on."""
        assert isinstance(screen, Moded)  # noqa: S101 - any other screen lacks what we call
        self.screen = screen

    @property
    def held(self) -> int:
        """Return the characters that arrived and were put off, since those before took their time."""
        return len(self._held)

    @property
    def unfinished(self) -> bool:
        """Return whether a sequence, string or character has begun and not ended."""
        return bool(self._tail or self._string or self._skipping or self._held or self._decoder.getstate()[0])

    @property
    def pending(self) -> bytes:
        """Return bytes that put a fresh stream where this one is."""
        text = self._held
        if self._string:
            text = "\x1b" + self._string + self._body + text
        elif self._skipping:
            text = "\x1b[" + "0" * CSI_MAX + text
        else:
            text = self._tail + text
        return text.encode("utf-8", "replace") + self._decoder.getstate()[0]

    def feed(self, data: str) -> None:
        """Parse text."""
        self._run(data, ENDLESS)

    def feed_bytes(self, data: bytes, effort: int = ENDLESS) -> None:
        """Parse bytes; stop early when it took more effort than that, in rows touched (see `held`)."""
        self._run(self._decoder.decode(data), effort)

    def go_on(self, effort: int = ENDLESS) -> None:
        """Parse what was put off."""
        self._run("", effort)

    def _run(self, text: str, effort: int) -> None:
        if "\0" in text:  # NUL is nothing to a terminal, wherever it stands; and `cat /dev/zero` is a flood like others
            text = text.replace("\0", "")
        if not text.isascii() and _C1.search(text):
            text = text.translate(_C1_MEANING)
        if self._held:
            text, self._held = self._held + text, ""
        if self._string:
            text = self._pass_string(text)
        elif self._skipping:
            text = self._pass_sequence(text)
        elif self._tail:
            text, self._tail = self._tail + text, ""
        while text:
            text = self._parse(text, effort)

    def _parse(self, data: str, effort: int) -> str:  # noqa: C901, PLR0912 - the hot loop, on purpose in one piece
        """Parse text; return what must be looked at anew, since it was not split rightly."""
        screen = self.screen
        draw, put, mixed = screen.draw, screen.put, screen.draw_mixed
        known = screen.transitions
        pieces = _split(data)
        final = pieces.pop()
        tail = "" if final or not pieces else self._keep_tail(pieces[-1])
        if tail:
            pieces.pop()
            final = pieces.pop()
        rest = iter(pieces)
        for text, token in zip(rest, rest, strict=True):
            if text:
                if not screen.plain:
                    draw(text)
                elif text.isascii():
                    put(text)
                else:
                    mixed(text)
            if token in known:
                screen.pen, known = known[token]
                screen.transitions = known
                continue
            call, one, two, more = ACTIONS[token]
            # Calls with few arguments, spelled out, take half the time of unpacking them.
            if two is not None:
                spent = call(screen, one, two, *more) if more else call(screen, one, two)
            elif one is not None:
                spent = call(screen, one)
            else:
                spent = call(screen)
            known = screen.transitions
            if spent is None:
                if call is repeat:
                    at_start = length_hint(rest) == len(pieces) - 2
                    self._repeat(self.last + text if at_start else text, one or 1)
                elif call is overlong:
                    act_within(screen, token)
                    self._forget_tail()
                    self._skipping = True
                    return self._pass_sequence("".join(rest) + final + tail)
            else:
                effort -= spent
                if effort <= 0:
                    self._forget_tail()
                    self._held = "".join(rest) + final + tail
                    return ""
        if final:
            draw(final)
            self.last = _last_drawn(final if pieces else self.last + final)
        elif pieces or not tail:
            self.last = ""
        if self._skipping:
            act_within(screen, tail)
        return ""

    def _keep_tail(self, token: str) -> str:
        """Remember the last control of the data if it is only a beginning; return it then, else nothing."""
        if token[0] == "\x1b" and token[1:2] in STARTS:
            if token.endswith("\x1b\\") or (token[1] == "]" and token.endswith("\x07")):
                return ""
            self._string, self._body = token[1], token[2 : 2 + STRING_MAX]
        elif not unfinished(token):
            return ""
        elif len(token) <= CSI_MAX:
            self._tail = token
        else:
            self._skipping = True
        return token

    def _forget_tail(self) -> None:
        """Undo `_keep_tail`: what it saw will be looked at again."""
        self._tail = self._string = self._body = self.last = ""
        self._skipping = False

    def _repeat(self, text: str, count: int) -> None:
        char = _last_drawn(text)
        if char:
            self.screen.repeat(char, count)

    def _pass_string(self, text: str) -> str:
        """Pass over the body of a string; return what follows it."""
        end = (_OSC_END if self._string == "]" else _STRING_END).search(text)
        stop = end.start() if end else len(text)
        room = STRING_MAX - len(self._body)
        if room > 0:
            self._body += text[: min(stop, room)]
        if end is None:
            return ""
        kind, body = self._string, self._body
        self._string = self._body = self.last = ""
        finish(self.screen, kind, body)
        return text[stop + (text[stop] == "\x07") :]

    def _pass_sequence(self, text: str) -> str:
        """Pass over a sequence that is too long; return what follows it."""
        end = _CSI_END.search(text)
        stop = end.start() if end else len(text)
        act_within(self.screen, text[:stop])
        if end is None:
            return ""
        self._skipping = False
        self.last = ""
        return text[stop + ("@" <= text[stop] <= "~") :]
