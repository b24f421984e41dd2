"""Calls that block, in a bounded number of threads."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread

R = TypeVar("R")


class BoundedThreads:
    """Runs what blocks, ``limit`` calls at once. A thread cannot be stopped: one that was given up keeps its place until it ends."""

    def __init__(self, limit: int) -> None:
        self._places = anyio.Semaphore(limit)
        self._threads = anyio.CapacityLimiter(math.inf)  # the places are the limit: they outlast a cancellation

    async def run(self, call: Callable[[], R]) -> R:
        """Call in a thread; cancelled, it waits no longer."""
        began = False

        def work() -> R:
            nonlocal began
            began = True
            try:
                return call()
            finally:
                with suppress(RuntimeError):  # the loop is over: nobody waits for a place any more
                    anyio.from_thread.run_sync(self._places.release)

        await self._places.acquire()
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._threads, abandon_on_cancel=True)
        finally:
            if not began:
                self._places.release()
