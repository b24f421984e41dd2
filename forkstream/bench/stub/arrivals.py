"""When messages are sent to a queue: always more than anyone can take, or on a schedule that waits for nobody."""

from __future__ import annotations

import time


class Arrivals:
    """The messages of one queue in the order of their sending. With a ``rate`` (messages a second) it is an open loop.

    Then message ``n`` is sent at its moment whether or not the consumer keeps up, and its age counts from there: a
    consumer that stalls is charged for every message that had to wait. Without one there is always a next message,
    sent at the moment it is received.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._began = time.time()
        self._dealt = 0

    @property
    def waiting(self) -> int:
        """How many were sent and not taken yet; 0 where they never run out."""
        return 0 if self._rate is None else int((time.time() - self._began) * self._rate) - self._dealt

    def take(self, limit: int) -> list[tuple[int, int]]:
        """Take up to ``limit``: the number of each, and when it was sent in milliseconds since the epoch."""
        first = self._dealt
        if self._rate is None:
            self._dealt += limit
            now = int(time.time() * 1000)
            return [(number, now) for number in range(first, first + limit)]
        count = min(limit, self.waiting)
        self._dealt += count
        return [(number, int((self._began + number / self._rate) * 1000)) for number in range(first, first + count)]
