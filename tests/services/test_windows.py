"""Windows on a console that remembers: what comes to the front, what is written where, what ends how."""

from __future__ import annotations

import asyncio

import pytest

from bastion.core.errors import Conflict, Denied
from bastion.core.identity import Identity
from bastion.core.values import Size
from bastion.services.live.seat import Seat
from bastion.services.windows import MOST, Windows


class Terminal:
    """The real console."""

    def __init__(self, term: str = "xterm") -> None:
        self.identity = Identity("u1", "alice", ("engineer",), "192.0.2.1", ())
        self.term = term
        self.size = Size(80, 24)
        self.environment: dict[str, str] = {}
        self.is_open = True
        self.out = b""
        self.listener = None
        self.signal = ""
        self.paused = False
        self.waiting: list[bytes] = []

    def write(self, data: bytes) -> bool:
        self.out += data
        return True

    write_error = write

    async def drain(self) -> None:
        pass

    async def read(self) -> bytes:
        return self.waiting.pop(0) if self.waiting else b""

    def exit_signal(self, name: str) -> None:
        self.signal = name

    def attach(self, listener) -> None:
        self.listener = listener
        waiting, self.waiting = self.waiting, []
        for data in waiting:
            listener.typed(data)
        if not self.is_open:
            listener.lost()

    def detach(self) -> None:
        self.listener = None
        self.paused = False

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def lose(self) -> None:
        self.is_open = False
        if self.listener is not None:
            self.listener.lost()

    def resize(self, columns: int, lines: int) -> None:
        self.size = Size(columns, lines)
        self.listener.resized(self.size)


class Program:
    """Something that runs in a window until the test ends it."""

    def __init__(self) -> None:
        self.typed_bytes = b""
        self.sizes: list[Size] = []
        self.was_lost = False
        self.console = None
        self.started = asyncio.Event()
        self.end: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def __call__(self, console) -> int:
        self.console = console
        console.attach(self)
        self.started.set()
        try:
            return await self.end
        finally:
            console.detach()

    def typed(self, data: bytes) -> None:
        self.typed_bytes += data

    def resized(self, size: Size) -> None:
        self.sizes.append(size)

    def signalled(self, name: str) -> None: ...

    def ended(self) -> None: ...

    def drained(self) -> None: ...

    def lost(self) -> None:
        self.was_lost = True
        if not self.end.done():
            self.end.set_result(0)


class House:
    """Windows with a menu and a list that the test plays."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.menu = Program()
        self.list = Program()
        self.windows = Windows(terminal, lambda _, console: self.menu(console), lambda _, console: self.list(console))

    async def begin(self, program: Program | None) -> asyncio.Task[int]:
        task = asyncio.ensure_future(self.windows.run(program, "web01"))
        await (program or self.menu).started.wait()
        return task

    async def open(self, name: str) -> Program:
        program = Program()
        self.windows.open(program, name)
        await program.started.wait()
        return program

    @property
    def front(self) -> int:
        return next((row.number for row in self.windows.rows() if row.current), -1)


@pytest.fixture
async def house():
    async with asyncio.timeout(10):
        yield House(Terminal())


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_runs_in_the_front_window_is_given_the_consoles_own_write_and_typed_to_directly(house):
    program = Program()
    task = await house.begin(program)
    program.console.write(b"first")  # begins the page; from then on nothing stands between
    assert program.console.write == house.terminal.write
    assert house.terminal.listener.typed == program.typed
    program.end.set_result(5)
    assert await task == 5


async def test_a_new_session_begins_on_a_page_that_keeps_what_stood_there_in_the_scrollback(house):
    program = Program()
    await house.begin(program)
    assert house.terminal.out == b""
    program.console.write(b"hello")
    assert house.terminal.out == b"\x1b[m\x1b[24H" + b"\n" * 24 + b"\x1b[Hhello"


async def test_a_terminal_that_cannot_be_addressed_gets_no_page():
    house = House(Terminal("dumb"))
    program = Program()
    await house.begin(program)
    program.console.write(b"hello")
    assert house.terminal.out == b"hello"


async def test_a_window_behind_writes_nothing_and_hears_nothing(house):
    await house.begin(None)
    first = await house.open("web01")
    second = await house.open("db01")
    before = house.terminal.out
    assert first.console.write(b"lost on nobody") is True
    house.terminal.listener.typed(b"x")
    assert (first.typed_bytes, second.typed_bytes, house.terminal.out) == (b"", b"x", before)


@pytest.mark.parametrize(
    ("keys", "front"), [("1", 1), ("0", 0), ("c", 0), ("n", 1), ("p", 2), ("nn", 2), ("ppp", 3), ("9", 3), ("cn", 1), ("cp", 3), ("2n", 3)]
)
async def test_keys_after_the_chord_bring_windows_to_the_front(house, keys, front):
    await house.begin(None)
    for name in ("web01", "db01", "app01"):
        await house.open(name)
    assert house.front == 3
    for key in keys:
        house.windows.command(key)
    assert house.front == front


async def test_what_follows_a_key_is_typed_into_the_window_that_it_brought(house):
    await house.begin(None)
    first = await house.open("web01")
    second = await house.open("db01")
    second.console.window_command("1", b"ls\r")
    assert (first.typed_bytes, second.typed_bytes) == (b"ls\r", b"")


async def test_what_is_typed_before_a_program_listens_waits_for_it(house):
    await house.begin(Program())
    house.windows.command("s", b"j\r")
    await house.list.started.wait()
    assert house.list.typed_bytes == b"j\r"


async def test_the_list_leads_to_what_was_chosen_there_or_back(house):
    await house.begin(None)
    await house.open("web01")
    await house.open("db01")
    house.windows.command("s")
    await house.list.started.wait()
    assert [row.number for row in house.windows.rows()] == [0, 1, 2]
    assert house.front == 2, "the list itself is no window"
    house.list.end.set_result(1)
    await settled()
    assert house.front == 1
    house.list = Program()
    house.windows.command("s")
    await house.list.started.wait()
    house.list.end.set_result(-1)
    await settled()
    assert house.front == 1


async def test_the_size_of_the_window_reaches_who_is_in_front_and_the_others_when_they_come(house):
    await house.begin(None)
    first = await house.open("web01")
    second = await house.open("db01")
    house.terminal.resize(100, 30)
    assert (first.sizes, second.sizes, second.console.size) == ([], [Size(100, 30)], Size(100, 30))
    house.windows.command("1")
    assert first.console.size == Size(100, 30)


async def test_a_window_that_waits_for_its_endpoint_holds_no_other_up(house):
    await house.begin(None)
    first = await house.open("web01")
    first.console.pause()
    assert house.terminal.paused
    await house.open("db01")
    assert not house.terminal.paused
    house.windows.command("1")
    assert house.terminal.paused
    first.console.resume()
    assert not house.terminal.paused


async def test_from_the_menu_a_session_that_ends_leads_back_to_it_with_the_reason(house):
    await house.begin(None)
    program = await house.open("web01")
    program.end.set_exception(Denied("access.deny", "not at this hour"))
    assert await house.windows.turn() == "web01: not at this hour"
    assert house.front == 0
    program = await house.open("web01")
    program.end.set_result(3)
    assert await house.windows.turn() == "web01: ended with exit status 3."


async def test_a_session_that_ends_behind_is_told_when_the_menu_is_looked_at(house):
    await house.begin(None)
    first = await house.open("web01")
    await house.open("db01")
    first.end.set_result(0)
    await settled()
    assert house.front == 2
    house.windows.command("c")
    assert await house.windows.turn() == "web01: ended."


async def test_from_a_session_its_end_leads_to_the_session_before_not_to_the_menu(house):
    main = Program()
    task = await house.begin(main)
    house.windows.command("c")
    await house.menu.started.wait()
    other = await house.open("db01")
    other.end.set_result(0)
    await settled()
    assert house.front == 1
    main.end.set_result(4)
    assert await task == 4
    assert house.menu.was_lost, "the menu that nobody looked at is closed"


async def test_the_first_programs_refusal_is_the_callers_when_nothing_else_is_open(house):
    program = Program()
    task = await house.begin(program)
    program.end.set_exception(Denied("access.deny", "no"))
    with pytest.raises(Denied):
        await task


async def test_a_lost_connection_reaches_every_window_and_all_end(house):
    task = await house.begin(None)
    programs = [await house.open(name) for name in ("web01", "db01")]
    house.terminal.lose()
    assert await task == 0
    assert [each.was_lost for each in (*programs, house.menu)] == [True, True, True]


async def test_a_connection_lost_while_a_window_opens_reaches_it_when_it_listens(house):
    task = await house.begin(None)
    program = Program()
    house.windows.open(program, "web01")
    house.terminal.lose()
    assert await task == 0
    assert program.was_lost


async def test_leaving_all_ends_the_call_and_says_how_to_come_back(house):
    task = await house.begin(None)
    await house.open("web01")
    await house.open("db01")
    house.windows.command("D")
    assert await task == 0
    assert b"Left 2 windows" in house.terminal.out


async def test_only_the_first_programs_signal_is_the_clients(house):
    main = Program()
    task = await house.begin(main)
    other = await house.open("db01")
    other.console.exit_signal("KILL")
    other.end.set_result(137)
    await settled()
    main.console.exit_signal("TERM")
    main.end.set_result(143)
    await task
    assert house.terminal.signal == "TERM"


async def test_there_is_a_limit(house):
    await house.begin(None)
    for number in range(MOST - 1):
        await house.open(f"host{number}")
    with pytest.raises(Conflict, match="limit"):
        house.windows.open(Program(), "one too many")


async def test_a_seat_behind_is_hidden_and_shown_again_when_it_comes(house):
    seen = []

    async def session(console) -> int:
        seat = Seat("p1", console, lambda event: None, lambda who, data: None, lambda: 0.0, lambda who: None, lambda who: ())
        seat.on_hidden = lambda: seen.append("hidden")
        seat.on_shown = lambda: seen.append("shown")
        seat.raw = True
        console.attach(seat)
        return (await seat.out)[0] != ""

    await house.begin(None)
    house.windows.open(session, "web01")
    await settled()
    assert seen == []
    house.windows.command("c")
    assert seen == ["hidden"]
    house.windows.command("1")
    assert seen == ["hidden", "shown"]
