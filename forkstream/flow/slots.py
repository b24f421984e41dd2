"""The slots of a fork: how many of its writes are under way at once."""

from __future__ import annotations

from collections.abc import Callable

import anyio


class Slots:
    """So many slots, taken in turn. ``on_free`` is told when one was given back that nobody waits for."""

    def __init__(self, count: int, on_free: Callable[[], None]) -> None:
        self._count = count
        self._free = anyio.Semaphore(count)
        self._on_free = on_free

    @property
    def free(self) -> int:
        """How many writes could begin now."""
        return self._free.value

    @property
    def taken(self) -> int:
        """How many are under way."""
        return self._count - self._free.value

    async def take(self) -> None:
        """Wait for a slot."""
        await self._free.acquire()

    def give_back(self) -> None:
        """Let the next one have it."""
        self._free.release()
        if self.free:
            self._on_free()

    async def rest(self, seconds: float) -> None:
        """Wait so long before the next attempt, with the slot left to others meanwhile."""
        self.give_back()
        await anyio.sleep(seconds)
        await self.take()
