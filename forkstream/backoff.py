"""How long to wait before the same thing is tried again."""

from __future__ import annotations

import random


def spread(seconds: float) -> float:
    """Move a wait anywhere between its half and its whole, so that many who failed together don't return together."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311  # not a secret


class Backoff:
    """Growing waits: each is twice the one before, up to ``cap`` seconds, each spread over its upper half."""

    def __init__(self, first: float = 0.2, cap: float = 30.0) -> None:
        self._first = first
        self._cap = cap
        self._next = first

    def wait(self, at_least: float | None = None) -> float:
        """Seconds to wait now; ``at_least`` is the other side's own wish (Retry-After), obeyed even beyond the cap."""
        seconds = spread(self._next)
        self._next = min(self._next * 2, self._cap)
        return max(seconds, at_least or 0.0)

    def reset(self) -> None:
        """Start small again, after a success."""
        self._next = self._first


LONGEST_REDELIVERY = 7200.0
"""Seconds until an event that was given up on becomes visible again, at most."""


def redelivery_delay(receive_count: int, growth: float = 4.0, cap: float = LONGEST_REDELIVERY) -> float:
    """Seconds until an event that was given up on becomes visible again: 2, 8, 32 with each receive, at most two hours.

    Ten receives of an event whose part of the destination is down, where a queue usually gives it up, take seven hours.
    """
    return spread(min(2.0 * growth ** min(receive_count - 1, 20), cap))


def poison_delay(receive_count: int) -> float:
    """Seconds until an event that the queue's redrive should take becomes visible again: doubling, at most 15 minutes.

    Released at 0 instead, it would spin through its receives in a second.
    """
    return redelivery_delay(receive_count, growth=2.0, cap=900.0)
