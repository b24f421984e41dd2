"""How large a fork's batches are, where the config leaves it open."""

from __future__ import annotations

from typing import Final

import msgspec

from forkstream.errors import DeliveryError, TransientError
from forkstream.flow.aimd import Aimd
from forkstream.flow.batcher import Limits

SMALLEST: Final = 64 * 2**10
"""Bytes of bodies that a batch for an object sink may have at least, however well they compress."""
_WEIGHT: Final = 0.5  # of the last object in the running ratio of stored bytes to bodies
_STEP: Final = 4  # times that a limit changes by at most, so that one odd object does little
_BRISK, _SLOW = 0.5, 2.0
"""Seconds of a write: below the first a full batch may be larger, beyond the second it is too large."""


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What is left to be found. ``events`` and ``bytes`` are those limits; given ones are kept.

    Objects are aimed at ``target_object`` bytes as they are stored. A batch of events grows to ``most_events`` at most,
    None where the sink does not want other than its own.
    """

    events: bool = False
    bytes: bool = False
    target_object: int = 16 * 2**20
    most_events: int | None = None


class BatchSizes:
    """Starts at ``limits`` and finds better ones; ``limits`` are those of the moment. Pure: it is told all it knows.

    An object's size is known once it is rendered: the limit is what becomes ``target_object`` by the ratio of those
    before it, yet never more than half of what the fork may hold, so that one object gathers while another is written.
    Bulk requests grow by a tenth while full ones are fast, and shrink by a third when they are slow or refused.
    """

    def __init__(self, limits: Limits, tuning: Tuning, *, max_held_events: int, max_held_bytes: int) -> None:
        self.limits = limits
        self._tuning = tuning
        self._half_events = max(1, max_held_events // 2)
        self._half_bytes = max(1, max_held_bytes // 2)
        self._ratio: float | None = None
        most = min(tuning.most_events or 0, self._half_events) if tuning.events else 0
        first = limits.max_events
        self._events = Aimd(first, max(1, first // 20), most) if most > first else None
        self._step = max(1, first // 10)

    def rendered(self, bodies: int, stored: int) -> None:
        """Bodies of so many bytes became an object of so many."""
        if not (self._tuning.bytes or self._tuning.events) or not bodies or not stored:
            return
        ratio = stored / bodies
        self._ratio = ratio if self._ratio is None else self._ratio + (ratio - self._ratio) * _WEIGHT
        size, events = self.limits.max_bytes, self.limits.max_events
        if self._tuning.bytes:
            wanted = min(max(int(self._tuning.target_object / self._ratio), SMALLEST), self._half_bytes)
            size = max(size // _STEP, min(wanted, size * _STEP))
        if self._tuning.events:
            events = max(events, self._half_events)
        self._become(events, size)

    def attempted(self, events: int, seconds: float, error: DeliveryError | None) -> None:
        """An attempt at writing so many events has ended."""
        found = self._events
        if found is None:
            return
        if isinstance(error, TransientError):
            found.cut("refused")
        elif error is None and seconds > _SLOW:
            found.cut("slow")
        elif error is None and seconds < _BRISK and events >= found.limit:
            found.raise_by(self._step, "room")
        self._become(found.limit, self.limits.max_bytes)

    def _become(self, events: int, size: int) -> None:
        if (events, size) != (self.limits.max_events, self.limits.max_bytes):
            self.limits = msgspec.structs.replace(self.limits, max_events=events, max_bytes=size)
