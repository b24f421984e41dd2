"""The budget: what a fork may hold between receive and settlement. It is the only back-pressure there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import anyio

from forkstream.flow.lender import Lender


class Budget:
    """Counts events and the bytes that they hold. Pollers receive only what it admits; settlement gives back.

    With a ``lender``, what may be held in bytes changes with what its other forks hold; ``max_bytes`` is this one's share.

    Before a receive its size is unknown, so each event is reserved at the mean size of those seen lately. An empty
    budget always admits one event, whatever its size: a limit smaller than an event slows a fork down, never locks it.
    """

    def __init__(
        self, max_events: int, max_bytes: int, on_refused: Callable[[], None], lender: Lender | None = None
    ) -> None:
        self.max_events = max_events
        self.max_bytes = max_bytes
        self.events = 0
        self.bytes = 0
        self._reserved_events = 0
        self._reserved_bytes = 0
        self._mean = 1024.0
        self._on_refused = on_refused
        self._freed = anyio.Event()
        self._closed = False
        self._lender = lender
        if lender:
            lender.join(self)
        self.refusing = 0
        """How many receives wait for room now."""

    @property
    def held(self) -> int:
        """Bytes that are held, or reserved for receives under way."""
        return self.bytes + self._reserved_bytes

    def wake(self) -> None:
        """Let those who wait for room look again."""
        if self.refusing:
            self._freed.set()

    def admits(self, wanted: int) -> int:
        """Tell how many events fit now, at most ``wanted``."""
        events = self.events + self._reserved_events
        limit = self._lender.limit_of(self) if self._lender else self.max_bytes
        if events == 0:
            return max(1, min(wanted, self.max_events, int(limit / self._mean)))
        by_bytes = (limit - self.held) / self._mean
        return max(0, min(wanted, self.max_events - events, int(by_bytes)))

    async def reserve(self, wanted: int) -> Reservation:
        """Wait until at least one event fits, then reserve room for as many as fit, at most ``wanted``.

        Once closed it waits for nothing, and may reserve no room at all.
        """
        while not (count := self.admits(wanted)) and not self._closed:
            if self._freed.is_set():
                self._freed = anyio.Event()
            self.refusing += 1
            try:
                self._on_refused()
                await self._freed.wait()
            finally:
                self.refusing -= 1
        room = Reservation(self, count, int(count * self._mean))
        self._reserved_events += room.events
        self._reserved_bytes += room.bytes
        return room

    def close(self) -> None:
        """Let go of those that wait for room, since nothing more is received."""
        self._closed = True
        self._freed.set()

    def release(self, events: int, size: int) -> None:
        """Give back what settled events held."""
        self.events -= events
        self.bytes -= size
        self.wake()
        if self._lender:
            self._lender.returned(self)

    def grow(self, events: int, size: int) -> None:
        """So many events that are held take ``size`` bytes more than they were charged when they came."""
        self.bytes += size
        if events:
            self._mean += size / events * 0.1

    def end(self, room: Reservation) -> None:
        """Give back what was reserved: a receive has ended, and what came is charged."""
        self._reserved_events -= room.events
        self._reserved_bytes -= room.bytes
        self.wake()

    def charge(self, events: int, size: int) -> None:
        """Hold what a receive brought: its real count, and the bytes that it takes."""
        self.events += events
        self.bytes += size
        if events:
            self._mean += (size / events - self._mean) * 0.1


class Reservation:
    """Room for ``events`` events, and about so many ``bytes``, of a receive under way; leaving the block gives it back."""

    __slots__ = ("_budget", "bytes", "events")

    def __init__(self, budget: Budget, events: int, size: int) -> None:
        self._budget = budget
        self.events = events
        self.bytes = size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._budget.end(self)
