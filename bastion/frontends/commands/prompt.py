"""prompt_toolkit on a console: its input, its output, its completer over the command tree.

Never runs a command. The library is imported here only, since it takes 0.1 s to load.
"""

from __future__ import annotations

import asyncio
import codecs
import io
from collections import OrderedDict
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final, TextIO, cast

import click
from click.shell_completion import ShellComplete, split_arg_string
from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.data_structures import Size as PromptSize
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input.base import Input
from prompt_toolkit.input.typeahead import clear_typeahead
from prompt_toolkit.input.vt100_parser import Vt100Parser
from prompt_toolkit.output.color_depth import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output

from bastion.core.text import safe_text
from bastion.frontends.commands.desk import visible_endpoints
from bastion.frontends.commands.verbs import Noun, Shown
from bastion.services.ports import SessionFilter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping

    from prompt_toolkit.document import Document
    from prompt_toolkit.key_binding import KeyPress

    from bastion.core.values import Size
    from bastion.frontends.commands.door import Door
    from bastion.services.console import Console

MAX_TYPED: Final = 4 * 1024
"""Bytes taken for one line: the editor's work grows with their square, and a public key that is pasted has under one KiB."""
_KEYS: Final = 16  # given to the editor at a time; each costs it 0.2 ms, and others' keystrokes wait meanwhile
_PEOPLE: Final = 200  # histories that are remembered; the one used longest ago goes first
_LINES: Final = 1000  # lines of each
_ID: Final = 12
_RECORDINGS: Final = 200  # the newest, whose ids are completed
_ENDS: Final = ("\x1b[201~", "\x03", "\x04")  # the end of a paste, Ctrl-C, Ctrl-D: heard beyond the limit, too

_histories: OrderedDict[str, InMemoryHistory] = OrderedDict()


class Interrupted(Exception):
    """Ctrl-C: this line is dropped."""


class Left(Exception):
    """Ctrl-D, or they are gone."""


class ConsoleInput(Input):
    """What a person types, as prompt_toolkit wants it. Listens to the console while a prompt is shown."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._keys: list[KeyPress] = []
        self._parser = Vt100Parser(self._keys.append)
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._ready: Callable[[], None] = lambda: None
        self._taken = 0
        self._closed = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take what is typed while the block runs."""
        self._taken = 0
        self._console.attach(self)
        try:
            yield
        finally:
            self._console.detach()

    def typed(self, data: bytes) -> None:
        """Bytes came. Past the longest line nobody is typing, so the rest is dropped, but for what ends it."""
        room = max(0, MAX_TYPED - self._taken)
        self._taken += len(data)
        over = data[room:]
        self._parser.feed(self._text.decode(data[:room]))
        if over:
            ends = [end for end in _ENDS if end.encode() in over]
            self._parser.feed("".join(ends))
        self._ready()

    def resized(self, size: Size) -> None:
        """Nothing to do: prompt_toolkit asks for the size itself, twice a second."""

    def signalled(self, name: str) -> None:
        """Treat an interrupt like its key."""
        if name == "INT":
            self.typed(b"\x03")

    def ended(self) -> None:
        """No more input follows."""
        self._closed = True
        self._ready()

    def lost(self) -> None:
        """They are gone."""
        self.ended()

    def drained(self) -> None:
        """Prompts are short; nobody waits for this."""

    def fileno(self) -> int:
        """There is no file here."""
        raise io.UnsupportedOperation("fileno")

    def typeahead_hash(self) -> str:
        """Return what tells this console from others."""
        return f"console-{id(self)}"

    def read_keys(self) -> list[KeyPress]:
        """Return some of the keys since the last call; calls back for the rest."""
        keys = self._keys[:_KEYS]
        del self._keys[:_KEYS]
        if self._keys:
            asyncio.get_running_loop().call_soon(self._go_on)
        return keys

    def _go_on(self) -> None:
        self._ready()

    def flush_keys(self) -> list[KeyPress]:
        """Return what a lone ESC was."""
        self._parser.flush()
        return self.read_keys()

    @property
    def closed(self) -> bool:
        """Return whether nothing more can come."""
        return self._closed and not self._keys

    def raw_mode(self) -> AbstractContextManager[None]:
        """Do nothing: the client's terminal is raw already."""
        return nullcontext()

    def cooked_mode(self) -> AbstractContextManager[None]:
        """Do nothing: the client's terminal stays raw."""
        return nullcontext()

    @contextmanager
    def _calling(self, ready: Callable[[], None]) -> Iterator[None]:
        before, self._ready = self._ready, ready
        if self._keys or self._closed:
            asyncio.get_running_loop().call_soon(ready)  # what came before anybody listened
        try:
            yield
        finally:
            self._ready = before

    def attach(self, input_ready_callback: Callable[[], None]) -> AbstractContextManager[None]:
        """Call back when keys are there."""
        return self._calling(input_ready_callback)

    def detach(self) -> AbstractContextManager[None]:
        """Call nobody back for a while."""
        return self._calling(lambda: None)


class _Out:
    """Where prompt_toolkit writes."""

    encoding = "utf-8"

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> int:
        """Send text."""
        self._console.write(text.encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """Nothing is held back here."""

    def isatty(self) -> bool:
        """There is a terminal at the other end."""
        return True


class TreeCompleter(Completer):
    """Completes verbs, options, names and ids, as click knows them and this person may see them."""

    def __init__(self, door: Door, root: Noun) -> None:
        self._door = door
        self._root = root

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        """Complete without names; the other method is the one used here."""
        return completions(self._root, document.text_before_cursor, {})

    async def get_completions_async(self, document: Document, complete_event: CompleteEvent) -> AsyncGenerator[Completion, None]:  # noqa: ARG002
        """Look up the names, then complete."""
        for one in completions(self._root, document.text_before_cursor, await known_names(self._door)):
            yield one


async def known_names(door: Door) -> dict[str, list[str]]:
    """Return the names by kind that this person may know of."""
    desk, who = door.desk, door.identity
    if desk.policies.decide(who, "admin.endpoint").allowed:
        endpoints = [one.name for one in await desk.inventory.all()]
    else:
        endpoints = [one.name for one, _ in await visible_endpoints(desk, who)]
    users = [one.name for one in await desk.people.all()] if desk.policies.decide(who, "admin.user").allowed else [who.name]
    sessions = [one.id[:_ID] for one in desk.control.visible(who)]
    may = {one.name for one in await desk.inventory.all() if desk.policies.decide(who, "replay", one).allowed}
    newest = await desk.sessions.find(SessionFilter(recorded=True, limit=_RECORDINGS)) if may else ()
    recordings = [one.id[:_ID] for one in newest if one.endpoint in may]
    tags = await desk.annotations.all_tags() if may else ()
    changes = [sign + tag for tag in tags for sign in "+-"]
    return {"endpoint": endpoints, "user": users, "session": sessions, "recording": recordings, "tag": [*tags, *changes]}


def completions(root: Noun, text: str, known: Mapping[str, list[str]]) -> list[Completion]:
    """Return what may follow `text`."""
    words = split_arg_string(text)
    incomplete = words.pop() if words and not text[-1:].isspace() else ""
    try:
        found = ShellComplete(root, {"obj": dict(known)}, "bastion", "").get_completions(words, incomplete)
    except (click.ClickException, Shown):
        return []
    return [Completion(item.value, -len(incomplete), display_meta=safe_text(item.help or "", 60)) for item in found]


def history_of(user_id: str) -> InMemoryHistory:
    """Return a person's lines of this server's life."""
    history = _histories.pop(user_id, None) or InMemoryHistory()
    lines = history.get_strings()
    if len(lines) > _LINES:
        history = InMemoryHistory(lines[-_LINES:])
    _histories[user_id] = history
    while len(_histories) > _PEOPLE:
        _histories.popitem(last=False)
    return history


class Prompt:
    """A prompt for one person: `read` gives a line, raises `Interrupted` or `Left`."""

    def __init__(self, door: Door, root: Noun) -> None:
        console = door.console
        self._input = ConsoleInput(console)
        self._output = Vt100_Output(
            cast("TextIO", _Out(console)),
            lambda: PromptSize(rows=console.size.lines, columns=console.size.columns),
            term=console.term,
            default_color_depth=ColorDepth.DEPTH_4_BIT if door.colour else ColorDepth.DEPTH_1_BIT,
            enable_cpr=False,  # asking the terminal where its cursor is would mix the answer with keys
        )

        name = safe_text(door.identity.name, 32)
        self._session: PromptSession[str] = PromptSession(
            FormattedText([("bold", "bastion"), ("", f" {name}> ")]),
            completer=TreeCompleter(door, root),
            complete_while_typing=False,
            history=history_of(door.identity.user_id),
            enable_open_in_editor=False,
            enable_system_prompt=False,
            enable_suspend=False,
            input=self._input,
            output=self._output,
            interrupt_exception=Interrupted,
            eof_exception=Left,
        )

    async def read(self) -> str:
        """Return the next line."""
        with create_app_session(input=self._input, output=self._output), self._input.listening():
            try:
                return await self._session.prompt_async(set_exception_handler=False, handle_sigint=False)
            except EOFError:
                raise Left from None

    def close(self) -> None:
        """Forget what was typed ahead."""
        clear_typeahead(self._input)
