"""A clock that costs nothing: an event loop whose time jumps to the next timer whenever nothing else is to be done."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")


class FakeClockLoop(asyncio.SelectorEventLoop):
    """An asyncio loop that never waits: ``time()`` starts at 0 and moves only when every task waits for a timer.

    Minutes of back-off pass in microseconds, and always alike. Not for code that waits for sockets, threads or
    processes: for those there is nothing to jump to.
    """

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        """Seconds on the fake clock."""
        return self._now

    def _jump(self, seconds: float) -> None:
        # a hair beyond: a sum that is rounded down would end just before the timer, which then is due for ever
        later = self._now + seconds
        self._now = later + 4 * math.ulp(later)


class _JumpingSelector(selectors.DefaultSelector):
    """Where a selector would wait for its timeout, the clock is put forward instead."""

    LOOKS = 64
    """Of so many times one looks at the sockets, which takes a fifth of all the time in simulated hours."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump
        self._times = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Look at the sockets now and then, without waiting, and jump."""
        self._times += 1
        if timeout is None or self._times % self.LOOKS == 0:
            ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
            if ready:
                return ready
        if timeout is None:
            raise RuntimeError("deadlock: every task waits, and none of them for a timer")
        if timeout:
            self._jump(timeout)
        return []


def run_on_fake_clock(main: Callable[[], Coroutine[object, None, T]]) -> T:
    """Run ``main()`` to its end on a fake clock. Raises RuntimeError if all tasks wait for ever."""
    with asyncio.Runner(loop_factory=FakeClockLoop) as runner:
        return runner.run(main())
