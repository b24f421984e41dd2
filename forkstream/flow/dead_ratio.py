"""The share of events that died among those that were settled lately."""

from __future__ import annotations

from collections import deque


class DeadRatio:
    """Weighs dead events against well ones: of the last minute, and of the last hundred where that brought fewer.

    A quiet fork would never halt otherwise, since hardly any die within one minute. Pure: it is told the time.
    """

    WINDOW = 60
    LAST = 100

    def __init__(self, limit: float, minimum: int) -> None:
        self._limit = limit
        self._minimum = minimum
        self._buckets: deque[list[int]] = deque()  # second, well, dead
        self._well = 0
        self._dead = 0
        self._well_before = 0.0  # of the last hundred that are older, by their share
        self._dead_before = 0.0

    def count(self, well: int, dead: int, now: float) -> None:
        """Add what was settled now."""
        second = int(now)
        if self._buckets and self._buckets[-1][0] == second:
            bucket = self._buckets[-1]
            bucket[1] += well
            bucket[2] += dead
        else:
            self._expire(now)
            self._buckets.append([second, well, dead])
        self._well += well
        self._dead += dead

    def allows(self, dead: int, now: float) -> bool:
        """Count so many more dead if the limit allows them, else count nothing."""
        self._expire(now)
        before = self._well_before + self._dead_before
        share = min(before, max(0, self.LAST - self._well - self._dead - dead)) / before if before else 0.0
        total = self._dead + dead + share * self._dead_before
        well = self._well + share * self._well_before
        if round(total, 6) >= self._minimum and round(total, 6) > round(self._limit * (well + total), 6):
            return False
        self.count(0, dead, now)
        return True

    def _expire(self, now: float) -> None:
        while self._buckets and self._buckets[0][0] <= int(now) - self.WINDOW:
            _, well, dead = self._buckets.popleft()
            self._well -= well
            self._dead -= dead
            self._remember(well, dead)

    def _remember(self, well: int, dead: int) -> None:
        before, more = self._well_before + self._dead_before, well + dead
        if not more:
            return
        old = min(before, max(0, self.LAST - more)) / before if before else 0.0
        new = min(more, self.LAST) / more
        self._well_before = old * self._well_before + new * well
        self._dead_before = old * self._dead_before + new * dead
