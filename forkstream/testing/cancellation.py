"""Cancellation at every point where a call can be: after one turn of the loop, after two, three, five, …"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import msgspec

from forkstream.testing.rule import require

T = TypeVar("T")

TURNS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55)
_PATIENCE = 5.0


class Cancelled(msgspec.Struct, frozen=True):
    """What a cancelled call did: ``finished`` if it returned all the same, with its ``result``."""

    finished: bool
    result: object = None


async def cancel_after(turns: int, call: Callable[[], Coroutine[object, None, T]]) -> Cancelled:
    """Start a call, let the loop turn so many times, cancel it and wait for its end, 5 s at most.

    A call that raises on its own account before the cancellation raises here.
    """
    task = asyncio.create_task(call())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    _, running = await asyncio.wait([task], timeout=_PATIENCE)
    require(not running, "a cancelled call goes on: CancelledError has to pass through, in `finally` nothing may wait")
    if task.cancelled():
        return Cancelled(finished=False)
    return Cancelled(finished=True, result=task.result())
