"""A question of ours answered in one line, while the endpoint hears nothing of it. Never draws, never decides."""

from __future__ import annotations

import codecs
from typing import Final

LONGEST: Final = 200
_ENTER: Final = "\r\n"
_ERASE: Final = "\b\x7f"
_LEAVE: Final = "\x03\x04\x07\x1b"


class LinePrompt:
    """One question. `feed` takes what was typed; `answer` is None until Enter, "" when they thought better of it.

    Bytes after Enter are not the endpoint's: whoever types ahead into a question gets them back by nobody.
    """

    __slots__ = ("_decoder", "answer", "question", "text")

    def __init__(self, question: str) -> None:
        self.question = question
        self.text = ""
        self.answer: str | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> None:
        """Take typed bytes, cut anywhere."""
        for char in self._decoder.decode(data):
            if self.answer is not None:
                return
            if char in _ENTER:
                self.answer = self.text.strip()
            elif char in _LEAVE:
                self.answer = ""
            elif char in _ERASE:
                self.text = self.text[:-1]
            elif char == "\x15":
                self.text = ""
            elif char.isprintable() and len(self.text) < LONGEST:
                self.text += char

    @property
    def line(self) -> str:
        """Return what is shown: the question and what was typed."""
        return f"{self.question} {self.text}_"
