"""The slots of a fork: how many of its writes are under way at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import anyio


class Slots:
    """As many slots as ``limit`` says at the time, taken in turn. ``on_free`` is told when nobody waits for one."""

    def __init__(self, limit: Callable[[], int], on_free: Callable[[], None]) -> None:
        self._limit = limit
        self._on_free = on_free
        self._line: deque[anyio.Event] = deque()
        self.taken = 0
        """How many writes are under way."""

    @property
    def free(self) -> int:
        """How many writes could begin now."""
        return max(0, self._limit() - self.taken)

    async def take(self) -> None:
        """Wait for a slot."""
        if self.free and not self._line:
            self.taken += 1
            return
        turn = anyio.Event()
        self._line.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():
                self.give_back()
            else:
                self._line.remove(turn)
            raise

    def give_back(self) -> None:
        """Let the next one have it, unless there are fewer by now."""
        self.taken -= 1
        self.changed()

    def changed(self) -> None:
        """There may be more slots than before: let those have them who wait."""
        while self._line and self.free:
            self.taken += 1
            self._line.popleft().set()
        if self.free:
            self._on_free()

    async def rest(self, wait: Awaitable[None]) -> None:
        """Wait before the next attempt, with the slot left to others meanwhile."""
        self.give_back()
        await wait
        await self.take()
