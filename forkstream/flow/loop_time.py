"""The loop's clock, as ``anyio.current_time()`` tells it, without what that costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def loop_time() -> float:
    """Seconds on the clock of the running loop. Measured: 0.2 µs, and 0.64 by way of anyio."""
    return asyncio.get_running_loop().time()


def loop_clock() -> Callable[[], float]:
    """The clock of the running loop, to be kept by who asks several times a receive: 0.05 µs.

    The rest of ``loop_time`` is spent on which loop that is, for which Python 3.11 asks the system for the process's id.
    """
    return asyncio.get_running_loop().time
