"""Tasks that are not forgotten, and identifiers that people can read aloud."""

import asyncio
import gc
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.backends.store.ids import RandomIds
from bastion.services.ids import ALPHABET, read, spell
from bastion.services.tasks import running, spawn


async def test_a_crash_is_heard_though_nobody_awaits_the_task():
    heard = asyncio.get_running_loop().create_future()

    async def crash():
        raise ValueError("boom")

    spawn("crasher", crash(), crashed=lambda name, error: heard.set_result((name, error)))
    name, error = await heard
    assert name == "crasher"
    assert str(error) == "boom"


async def test_a_crash_goes_to_the_log_by_default(caplog):
    async def crash():
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        await spawn("crasher", crash())
    await asyncio.sleep(0)
    assert "'crasher' crashed" in caplog.text
    assert "boom" in caplog.text


async def test_a_task_that_nobody_holds_is_kept_until_it_ends():
    go, done = asyncio.Event(), asyncio.Event()

    async def work():
        await go.wait()
        done.set()

    spawn("worker", work())
    await asyncio.sleep(0)
    gc.collect()
    assert "worker" in running()
    go.set()
    await done.wait()
    await asyncio.sleep(0)
    assert "worker" not in running()


async def test_a_cancelled_task_is_no_crash():
    crashes = []
    task = spawn("sleeper", asyncio.Event().wait(), crashed=lambda *args: crashes.append(args))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert crashes == []


@given(st.binary(min_size=10, max_size=10))
def test_a_spelled_identifier_keeps_every_bit_and_survives_being_typed_badly(value):
    text = spell(value)
    number = 0
    for letter in text:
        number = number << 5 | ALPHABET.index(letter)
    assert number.to_bytes(10, "big") == value
    assert len(text) == 16
    assert read(" " + text.upper().replace("0", "O").replace("1", "I") + "\n") == text


def test_the_alphabet_has_no_letters_to_confuse():
    assert len(set(ALPHABET)) == 32
    assert not set("ilou") & set(ALPHABET)


def test_identifiers_have_their_form_and_do_not_repeat():
    ids = RandomIds()
    assert all(re.fullmatch("[0-9a-f]{32}", ids.new_id()) for _ in range(50))
    assert all(re.fullmatch(f"[{ALPHABET}]{{16}}", ids.session_id()) for _ in range(50))
    assert len({ids.session_id() for _ in range(2000)}) == 2000


def test_a_length_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of five"):
        spell(b"1234")
