"""How long the event loop could do nothing else: a plugin that computes or blocks in it shows here."""

from __future__ import annotations

import anyio


class LoopStall:
    """Sleeps again and again and sees how much too late it wakes: ten wake-ups a second, some 20 µs each.

    A stall that begins and ends between two of them is not seen, so that it tells of those from 0.1 s on, and of each at
    most so much less than it was.
    """

    TICK = 0.1
    WINDOW = 30.0

    def __init__(self) -> None:
        self._longest = 0.0
        self._before = 0.0

    @property
    def longest(self) -> float:
        """Seconds of the longest stall within the last half to whole minute; what any loop is late by is none."""
        longest = max(self._longest, self._before)
        return longest if longest >= self.TICK / 2 else 0.0

    async def run(self) -> None:
        """Watch, until cancelled."""
        window_ends = anyio.current_time() + self.WINDOW
        while True:
            due = anyio.current_time() + self.TICK
            await anyio.sleep(self.TICK)
            now = anyio.current_time()
            self._longest = max(self._longest, now - due)
            if now >= window_ends:
                self._before, self._longest, window_ends = self._longest, 0.0, now + self.WINDOW
