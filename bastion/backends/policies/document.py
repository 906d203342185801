"""One YAML file as plain data with line numbers. Never builds objects, follows aliases, or recurses without bound.

Only the parser's events are used, so none of YAML's constructors exist here. Plain words are read as YAML 1.2
reads them: `no`, `on` and `08:30` stay text; only `true`, `false`, `null` and whole numbers are something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from bastion.core.access.source import Document, Path, Place, shown
from bastion.core.errors import Misconfigured

MAX_BYTES: Final = 1_000_000
"""A rule has some 150 bytes, so this is thousands of rules a file; more belongs into several files."""

_MAX_DEPTH: Final = 12  # a policy file needs 6
_MAX_VALUES: Final = 500_000
_WHOLE: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None, "~": None, "": None}
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAGS: Final = ("tag:yaml.org,2002:str", "!")  # `! text` and `!!str text` say no more than quotes do


def read_document(file: str, raw: bytes) -> Document:
    """Return what the bytes of `file` say. Raises `Misconfigured` (`policy.*`) with file and line."""
    if len(raw) > MAX_BYTES:
        raise _wrong("too_large", file, 1, f"the file is larger than {MAX_BYTES:,} bytes; split it")
    text = _text(file, raw)
    reader = _Reader(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        raise _wrong("syntax", file, mark.line + 1 if mark else 1, f"not valid YAML: {_why(error)}") from error
    except yaml.YAMLError as error:
        raise _wrong("syntax", file, 1, f"not valid YAML: {shown(str(error))}") from error
    if reader.root is None:
        raise _wrong("empty", file, 1, "the file is empty; a policy file says roles or rules")
    return Document(file, reader.root, reader.lines)


def _text(file: str, raw: bytes) -> str:
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _wrong("encoding", file, 1, "the file starts with a byte order mark; save it as plain UTF-8")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _wrong("encoding", file, line, f"byte 0x{raw[error.start]:02x} is not UTF-8") from error
    for number, line_text in enumerate(text.split("\n"), 1):
        if "\t" in line_text[: len(line_text) - len(line_text.lstrip())]:
            raise _wrong("tab", file, number, "the line is indented with a tab; use spaces")
        bad = next((char for char in line_text.rstrip("\r") if char != "\t" and not char.isprintable()), None)
        if bad is not None:
            raise _wrong("encoding", file, number, f"the character {bad!a} cannot be seen, so it may not be here")
    return text


def _why(error: yaml.MarkedYAMLError) -> str:
    return shown(" ".join(part for part in (error.context, error.problem) if part), 160)


def _wrong(code: str, file: str, line: int, sentence: str) -> Misconfigured:
    return Misconfigured(f"policy.{code}", f"{Place(file, line)}: {sentence}")


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet. `key` is the key of a mapping whose value comes next."""

    value: dict[str, object] | list[object]
    path: Path
    key: str | None = None


@dataclass(slots=True)
class _Reader:
    """Builds plain data out of parser events, one at a time."""

    file: str
    root: object = None
    lines: dict[Path, int] = field(default_factory=dict)
    documents: int = 0
    values: int = 0
    stack: list[_Open] = field(default_factory=list)

    def take(self, event: yaml.Event) -> None:
        start: Any = event.start_mark  # every event of a parser has one
        line = start.line + 1
        if isinstance(event, DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise _wrong("syntax", self.file, line, "a second document starts here ('---'); one file is one document")
        elif isinstance(event, AliasEvent):
            raise _wrong("alias", self.file, line, f"aliases (*{shown(event.anchor)}) are not allowed; write it out")
        elif isinstance(event, ScalarEvent):
            self._allowed(event, line)
            self._scalar(event, line)
        elif isinstance(event, CollectionStartEvent):
            self._allowed(event, line)
            self._start({} if isinstance(event, MappingStartEvent) else [], line)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self.stack.pop()

    def _allowed(self, event: yaml.NodeEvent, line: int) -> None:
        if event.anchor is not None:
            raise _wrong("alias", self.file, line, f"anchors (&{shown(event.anchor)}) are not allowed; write it out")
        tag = getattr(event, "tag", None)
        if tag is not None and not (isinstance(event, ScalarEvent) and tag in _TAGS):
            short = tag.replace("tag:yaml.org,2002:", "!!")
            raise _wrong("tag", self.file, line, f"the tag {shown(short)} is not allowed; write plain values")
        self.values += 1
        if self.values > _MAX_VALUES:
            raise _wrong("too_large", self.file, line, f"the file has more than {_MAX_VALUES:,} values; split it")

    def _scalar(self, event: ScalarEvent, line: int) -> None:
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            self._key(top, event.value, line)
            return
        value: object = event.value
        if not event.style and event.tag is None:  # plain: None from one parser, '' from the other
            plain = event.value
            value = _WORDS[plain] if plain in _WORDS else int(plain) if _WHOLE.fullmatch(plain) else plain
        self._put(value, line)

    def _key(self, top: _Open, key: str, line: int) -> None:
        path = (*top.path, key)
        if path in self.lines:
            text = f"the key '{shown(key)}' is here twice; it is already on line {self.lines[path]}"
            raise _wrong("duplicate_key", self.file, line, text)
        self.lines[path] = line
        top.key = key

    def _start(self, value: dict[str, object] | list[object], line: int) -> None:
        if len(self.stack) >= _MAX_DEPTH:
            raise _wrong("too_deep", self.file, line, f"more than {_MAX_DEPTH} levels inside one another")
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.value, dict) and top.key is None:
            raise _wrong("syntax", self.file, line, "a key must be a word, not a list or a mapping")
        self.stack.append(_Open(value, self._put(value, line)))

    def _put(self, value: object, line: int) -> Path:
        """Put a value where it belongs and return its path."""
        if not self.stack:
            self.root = value
            self.lines[()] = line
            return ()
        top = self.stack[-1]
        if isinstance(top.value, list):
            path: Path = (*top.path, len(top.value))
            self.lines[path] = line
            top.value.append(value)
            return path
        key, top.key = top.key or "", None
        top.value[key] = value
        return (*top.path, key)
