"""Calls that block, in a bounded number of threads."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

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
        begun = threading.Lock()  # by whoever is first: the thread, or its abandonment before it began

        def work() -> R | None:
            if not begun.acquire(blocking=False):
                return None
            try:
                return call()
            finally:
                with suppress(RuntimeError):  # the loop is over: nobody waits for a place any more
                    anyio.from_thread.run_sync(self._places.release)

        await self._places.acquire()
        try:
            return cast("R", await anyio.to_thread.run_sync(work, limiter=self._threads, abandon_on_cancel=True))
        finally:
            if begun.acquire(blocking=False):
                self._places.release()
