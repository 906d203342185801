"""The one place where tasks are started. Never lets a task be forgotten or a crash go unheard.

asyncio keeps only weak references to tasks: one that nobody holds can vanish in mid-run, and its exception with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Crashed = Callable[[str, BaseException], None]

_log = logging.getLogger("bastion.tasks")
_running: set[asyncio.Task[Any]] = set()


def log_crash(name: str, error: BaseException) -> None:
    """Write a crashed task's name and traceback to the log."""
    _log.error("the task %r crashed", name, exc_info=error)


def spawn(name: str, coro: Coroutine[Any, Any, T], *, crashed: Crashed = log_crash) -> asyncio.Task[T]:
    """Start a task on the running loop and keep it until it ends.

    `crashed(name, error)` is called on the loop when it ends by an exception (cancelling is not one), whether or not
    somebody also awaits it.
    """
    task = asyncio.get_running_loop().create_task(coro, name=name)
    _running.add(task)

    def ended(done: asyncio.Task[T]) -> None:
        _running.discard(done)
        if done.cancelled():
            return
        error = done.exception()
        if error is not None:
            crashed(name, error)

    task.add_done_callback(ended)
    return task


def running() -> frozenset[str]:
    """Return the names of the tasks that have not ended."""
    return frozenset(task.get_name() for task in _running)
