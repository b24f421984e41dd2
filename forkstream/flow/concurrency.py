"""How many writes a fork has under way: as many as its sink takes without slowing down or refusing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from forkstream.errors import DeliveryError, TransientError
from forkstream.flow.aimd import Aimd

FIRST: Final = 4
MOST: Final = 32
"""Writes under way at once, at first and at most, where the config does not say how many."""
_SLOW: Final = 2.0  # so many times what writes of this size took at best says that they wait for each other
_NOTICEABLE: Final = 0.02  # seconds that say nothing
_DRIFT: Final = 1.001  # the best is forgotten bit by bit: a sink may have become slower for good
_WEIGHT: Final = 0.3  # of a write in the running mean


class Concurrency:
    """One more while all slots are in use and writes go through as fast as ever; a third less when some are slow or refused.

    ``fixed`` is the config's choice, None to find one. ``on_change`` is told that the limit is another one.
    """

    def __init__(self, fixed: int | None, on_change: Callable[[], None]) -> None:
        self._found = Aimd(fixed or FIRST, fixed or 1, fixed or MOST)
        self._on_change = on_change
        self._cut_at = float("-inf")
        self._went_well = 0
        self._best: dict[int, float] = {}  # seconds by the power of two that a write's events come to
        self._mean: dict[int, float] = {}

    @property
    def limit(self) -> int:
        """Writes that may be under way at once."""
        return self._found.limit

    @property
    def most(self) -> int:
        """What the limit never exceeds."""
        return self._found.highest

    @property
    def reason(self) -> str:
        """Why the limit last changed: ``fixed``, ``start``, ``room``, ``slow`` or ``refused``."""
        return "fixed" if self._found.fixed else self._found.reason

    def attempted(self, events: int, began: float, now: float, error: DeliveryError | None, *, busy: bool) -> None:
        """An attempt at writing so many events has ended; ``busy`` if more writes wait for a slot."""
        if self._found.fixed or began < self._cut_at:  # it was under way when the limit was cut: that told of it too
            return
        if isinstance(error, TransientError):
            self._cut("slow" if error.code == "timeout" else "refused", now)
        elif error is None and self._is_slow(events.bit_length(), now - began):
            self._cut("slow", now)
        elif error is None and busy:
            self._went_well += 1
            if self._went_well >= self.limit:
                self._went_well = 0
                if self._found.raise_by(1, "room"):
                    self._on_change()

    def _cut(self, reason: str, now: float) -> None:
        self._cut_at, self._went_well = now, 0
        self._mean.clear()
        if self._found.cut(reason):
            self._on_change()

    def _is_slow(self, size: int, seconds: float) -> bool:
        best = self._best[size] = min(seconds, self._best.get(size, seconds) * _DRIFT)
        known = self._mean.get(size, best)
        mean = self._mean[size] = known + (seconds - known) * _WEIGHT
        return mean > _SLOW * best + _NOTICEABLE
